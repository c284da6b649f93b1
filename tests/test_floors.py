"""Folders and files import only from layers below their own, and no imports are circular.

Imports under TYPE_CHECKING do not count, since functions of every layer are annotated to return Tensors; those of `extra/` do.
"""

from __future__ import annotations

import ast
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1] / "tinygrad_cnn"

# From the lowest layer to the highest. Folders of one row may import each other, but not in a circle.
LAYERS = [
    ("core", "allocator", "frames", "generated", "notebooks", "scope", "system"),
    ("ops",),
    ("tensor",),
    ("numpy_api",),
    ("functional", "linalg", "fft"),
    ("transforms", "autograd", "checks"),
    ("optim", "nn", "data", "metrics"),
    ("io", "testing"),
    ("vision",),
    ("training",),
    ("extra",),
    ("__init__",),
    ("__main__",),
]
NUMBA = (
    "channels", "depthwise", "elements", "images", "layers", "positions", "products", "rows", "scans", "steps", "windows",
    "winograd",
)  # fmt: skip
OPTIONAL = {  # they import from the layers; only these modules import them, if they exist:
    "kernels": {"__init__.py", "testing/regimes.py", *(f"extra/numba/{name}.py" for name in NUMBA)},
    "compile": {"__init__.py", "testing/regimes.py", "training/steps.py"},
    "names": {"__init__.py"},
}
INDEPENDENT = {"optim", "nn", "data"}  # of one layer, without imports of each other
LAYER = {name: level for level, names in enumerate(LAYERS) for name in names}
FILES = sorted(PACKAGE.rglob("*.py"))


def _folder(parts: tuple[str, ...]) -> str:
    return parts[0] if parts else "__init__"


@cache
def _nodes(path: Path) -> list[ast.AST]:
    return list(ast.walk(ast.parse(path.read_text(encoding="utf-8"))))


@cache
def _imports(path: Path, checking: bool = False) -> set[tuple[str, ...]]:
    """Modules of the package that `path` imports, as path parts below the package, wherever the statement stands.

    With `checking`, also those under TYPE_CHECKING.
    """
    here = path.relative_to(PACKAGE).with_suffix("").parts
    hidden = {
        id(node)
        for block in _nodes(path)
        if not checking and isinstance(block, ast.If) and ast.unparse(block.test) == "TYPE_CHECKING"
        for node in ast.walk(block)
    }
    found = set()
    for node in _nodes(path):
        if id(node) in hidden:
            continue
        if isinstance(node, ast.ImportFrom) and node.level:
            base = here[: len(here) - node.level]
            if node.module:
                found.add((*base, *node.module.split(".")))
            else:
                found.update((*base, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and (node.module or "").startswith("tinygrad_cnn"):
            found.add(tuple((node.module or "").split(".")[1:]))
        elif isinstance(node, ast.Import):
            found.update(tuple(a.name.split(".")[1:]) for a in node.names if a.name.startswith("tinygrad_cnn"))
    return found


@pytest.mark.slow
@pytest.mark.parametrize(
    "path",
    [path for path in FILES if path.relative_to(PACKAGE).parts[0] not in OPTIONAL],
    ids=lambda path: str(path.relative_to(PACKAGE)),
)
def test_imports_point_down(path: Path):
    here = _folder(path.relative_to(PACKAGE).with_suffix("").parts)
    assert here in LAYER, f"{path.name} is in no layer: add its folder to LAYERS"
    for parts in _imports(path):
        there = _folder(parts)
        if there in OPTIONAL:
            assert str(path.relative_to(PACKAGE)) in OPTIONAL[there], f"{path} imports {there}, which may be absent"
            continue
        assert LAYER[there] <= LAYER[here], f"{here} imports {there}, which is above it"
        assert here == there or not {here, there} <= INDEPENDENT, (
            f"{here} imports {there}; neither may import the other"
        )


@pytest.mark.parametrize(("folder", "floors"), [("core", {"core", "generated", "scope"}), ("names", {"core", "names"})])
def test_these_import_nothing_else_of_the_package(folder, floors):
    assert {parts[0] for path in (PACKAGE / folder).glob("*.py") for parts in _imports(path)} == floors


@pytest.mark.slow
def test_extra_is_imported_by_aliases_only():
    """Not even for annotations: what fit asks of a World is a Protocol of training/."""
    users = {
        str(path.relative_to(PACKAGE)) for path in FILES for parts in _imports(path, True) if parts[:1] == ("extra",)
    }
    assert {user for user in users if not user.startswith("extra/")} <= {"__init__.py", "training/__init__.py"}


@pytest.mark.slow
def test_folders_import_one_way():
    edges: dict[str, set[str]] = {}
    for path in FILES:
        here = _folder(path.relative_to(PACKAGE).with_suffix("").parts)
        edges.setdefault(here, set()).update(folder for parts in _imports(path) if (folder := _folder(parts)) != here)
    edges["training"] -= {"compile"}  # without which `fit` runs eagerly
    _ensure_no_circle(edges)


@pytest.mark.slow
def test_nothing_imports_in_a_circle():
    modules = {path.relative_to(PACKAGE).with_suffix("").parts: path for path in FILES if path.name != "__init__.py"}
    _ensure_no_circle({name: {other for other in _imports(path) if other in modules} for name, path in modules.items()})


def _ensure_no_circle(edges):
    edges = dict(edges)
    while free := [name for name, targets in edges.items() if not targets & edges.keys()]:
        for name in free:
            del edges[name]
    assert not edges, f"these import each other in a circle: {sorted(map(str, edges))}"


@pytest.mark.slow
def test_only_strategies_imports_hypothesis():
    users = {
        path.parent.name
        for path in FILES
        for node in _nodes(path)
        if isinstance(node, ast.Import | ast.ImportFrom) and "hypothesis" in ast.unparse(node)
    }
    assert users == {"strategies"}


ABSENT = [f"tinygrad_cnn.{name}" for name in ("compile.walks", "extra.show", "nn", "optim", "testing")]
LOADS = f"""
import sys
sys.modules["hypothesis"] = None  # as if it were not installed
import tinygrad_cnn as tg
loaded = [name for name in {[*ABSENT, "numpy.random"]} if name in sys.modules]
assert not loaded, loaded
tg.testing.gradcheck
"""


def test_users_load_only_what_they_ask_for():
    subprocess.run([sys.executable, "-c", LOADS], check=True, cwd=PACKAGE.parent)


STEP = """
import sys
import numpy as np
import tinygrad_cnn as tg
from tinygrad_cnn import nn
model = nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2), nn.ReLU(), nn.Flatten(), nn.Linear(8, 4), nn.LayerNorm(4))
optimizer = tg.optim.Adam(model.parameters())

@tg.compile
def step(x, y):
    loss = tg.cross_entropy(model(x), y)
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()

for _ in range(6):
    step(np.ones((3, 1, 4, 4), np.float32), np.arange(3))
assert "tinygrad_cnn.numpy_api.dispatch" not in sys.modules
"""


def test_layers_and_rules_do_not_wait_for_numpy_to_find_the_function():
    """Asking NumPy for the shape of a Tensor, they would, in every call."""
    subprocess.run([sys.executable, "-c", STEP], check=True, cwd=PACKAGE.parent)
