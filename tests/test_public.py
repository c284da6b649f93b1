"""Tests use public names. What has none is looked at in graphs.py alone, and tuning.py alone sets constants of kernels."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

TESTS = Path(__file__).parent
KERNELS = TESTS.parent / "tinygrad_cnn" / "kernels"
# Those in `libraries` call other libraries, and this one has examples.
FILES = sorted(path for path in TESTS.rglob("*.py") if "libraries" not in path.parts and path != Path(__file__))
PYTHONS = {
    "_asdict",
    "_exit",
    "_fields",
    "_ipython_display_",
    "_make",
    "_replace",
    "_repr_html_",
}  # public, by Python's and Jupyter's documentation

# A Tensor's graph and its very array have no public name, and what becomes of them is what tests of memory are about.
ALLOWED = {"graphs.py": {"_array", "_node", "_of"}, "profiles.py": {"_calls"}, "test_allocator.py": {"_decided"}}

CONSTANTS = {
    target.id
    for path in KERNELS.rglob("*.py")
    for statement in ast.parse(path.read_text(encoding="utf-8")).body if isinstance(statement, ast.Assign | ast.AnnAssign)
    for node in (statement.targets if isinstance(statement, ast.Assign) else [statement.target])
    for target in ast.walk(node) if isinstance(target, ast.Name) and target.id.isupper()
}  # fmt: skip


def strings(nodes: list[ast.expr]) -> list[str]:
    return [node.value for node in nodes if isinstance(node, ast.Constant) and isinstance(node.value, str)]


def reaches(tree: ast.AST) -> Iterator[tuple[str, str]]:
    """The private names of others that a program uses, also in programs that it holds as text, and where."""
    for node in ast.walk(tree):
        found: list[str] = []
        if isinstance(node, ast.Attribute):
            own = isinstance(node.value, ast.Name) and node.value.id in ("self", "cls")
            found = [] if own else [node.attr]
        elif isinstance(node, ast.ImportFrom):
            found = [alias.name for alias in node.names]
        elif isinstance(node, ast.Call):  # getattr, setattr and hasattr, and those of a MonkeyPatch
            called = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
            found = strings(node.args) if called.endswith("attr") else []
        elif isinstance(node, ast.Subscript) and ast.unparse(node.value).startswith("vars("):
            found = strings([node.slice])
        elif isinstance(node, ast.Constant) and isinstance(node.value, str) and "import tinygrad_cnn" in node.value:
            found = re.findall(r"(?<!\bself)\.(_\w+)", node.value)
        for name in found:
            if re.fullmatch(r"_(?!_)\w+", name) and name not in PYTHONS:
                yield name, f"line {getattr(node, 'lineno', '?')}: {ast.unparse(node)}"


def sets(tree: ast.AST) -> Iterator[str]:
    """Where a program sets a constant of kernels by itself."""
    for node in ast.walk(tree):
        setter = isinstance(node, ast.Call) and getattr(node.func, "attr", "") == "setattr"
        if setter and CONSTANTS & set(strings(node.args)):
            yield f"line {node.lineno}: {ast.unparse(node)}"


@pytest.mark.slow
@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(TESTS)))
def test_no_private_name_is_used(path: Path):
    allowed = ALLOWED.get(str(path.relative_to(TESTS)), set())
    found = [where for name, where in reaches(ast.parse(path.read_text(encoding="utf-8"))) if name not in allowed]
    assert not found, f"look at what is public instead: {found}"


@pytest.mark.slow
def test_constants_of_kernels_are_set_by_the_fixture():
    """Which also drops what kernels have kept for the sizes that were set before."""
    assert {"SMALL", "LARGE", "BLOCK_BYTES", "GEMM"} <= CONSTANTS
    found = {path.name: [*sets(ast.parse(path.read_text(encoding="utf-8")))] for path in FILES}
    assert not {name: places for name, places in found.items() if places}, "take the fixture `tuning`"


def test_what_is_allowed_is_used():
    for name, allowed in ALLOWED.items():
        assert {found for found, _ in reaches(ast.parse((TESTS / name).read_text(encoding="utf-8")))} == allowed


@pytest.mark.parametrize(
    "program",
    [
        "threads._blas.get()",
        "from tinygrad_cnn.kernels.conv.convolution import convolve, _method",
        "monkeypatch.setattr(backward, '_own', None)",
        "getattr(y, '_node')",
        "vars(loader)['_newest']",
        "run('import tinygrad_cnn as tg\\nprint(tg.ones(2)._array)')",
    ],
)
def test_a_private_name_is_noticed(program: str):
    assert len([*reaches(ast.parse(program))]) == 1
    assert not [*reaches(ast.parse("self._kept = run._replace(a=1).__dict__, vars(x)['a'], getattr(x, '__len__')"))]


def test_a_constant_that_is_set_is_noticed():
    assert [*sets(ast.parse("monkeypatch.setattr(chunks, 'LARGE', 2)"))]
    assert not [*sets(ast.parse("monkeypatch.setattr(progress, 'width', 2)"))]
