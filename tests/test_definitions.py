"""Folders that can be deleted: `kernels/` and `compile/`, each part of `extra/`, and all of them with `testing/`."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from pathlib import Path

import pytest

from .definitions import BLOCKED, PACKAGE

ROOT = Path(__file__).parents[1]
EXTRA = ROOT / PACKAGE / "extra"
ALIASES = {
    "array_api": [], "autograd": [],
    "distributed": ["tg.distributed"], "onnx": ["tg.onnx"], "show": ["tg.show", "tg.viz", "training.Live"],
    "jax": ["tg.jax"],
    "sklearn": ["tg.sklearn"], "special": ["tg.special"], "live": ["training.Live"], "tensorboard": ["training.TensorBoard"],
    "numba": ["tg.use_numba"],
}  # fmt: skip
"""The parts of extra/, and their aliases. A Live callback shows graphs as `show` does."""


def _run(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *arguments], capture_output=True, encoding="utf-8", cwd=ROOT, timeout=900, check=False
    )


@pytest.mark.slow
@pytest.mark.parametrize("folders", [("kernels", "compile", "names", "extra"), BLOCKED], ids=" ".join)
def test_everything_goes_on_by_the_definitions_alone(folders):
    ended = _run("-m", "tests.definitions", *folders)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert "the definitions suffice" in ended.stdout


def test_the_folders_that_may_be_absent_exist():
    """Else the test above would block nothing."""
    assert [name for name in BLOCKED if importlib.util.find_spec(f"{PACKAGE}.{name}") is None] == []


def test_without_names_errors_are_pythons():
    ended = _run("-c", _WITHOUT_NAMES)
    assert ended.returncode == 0, ended.stdout + ended.stderr


_WITHOUT_NAMES = """
import sys
from tests.definitions import Blocker
sys.meta_path.insert(0, Blocker(("names",)))
import tinygrad_cnn as tg
from tinygrad_cnn import nn
import tinygrad_cnn.nn.functional as F
x, model = tg.ones(2, 3), nn.Linear(3, 2)
calls = {
    "'Tensor' object has no attribute 'view'": lambda: x.view(6),
    "'Linear' object has no attribute 'cuda'": lambda: model.cuda(),
    "module 'tinygrad_cnn' has no attribute 'cat'": lambda: tg.cat([x]),
    "module 'tinygrad_cnn.functional' has no attribute 'linear_cross_entropy'": lambda: F.linear_cross_entropy,
    "module 'tinygrad_cnn.training' has no attribute 'ModelCheckpoint'": lambda: tg.training.ModelCheckpoint,
    "sum() got an unexpected keyword argument 'dim'": lambda: x.sum(dim=1),
    "linear() got an unexpected keyword argument 'weight'": lambda: F.linear(x, weight=x),
    "Linear.__init__() got an unexpected keyword argument 'device'": lambda: nn.Linear(1, 1, device="cpu"),
    "'module' object is not callable": lambda: tg.tensor([1.0]),
}
for text, call in calls.items():
    try:
        call()
    except (AttributeError, TypeError) as error:
        assert str(error) == text, error
    else:
        raise AssertionError(text)
assert not [name for name in sys.modules if name.startswith("tinygrad_cnn.names")]
"""


def test_every_part_of_extra_is_known_here():
    found = {path.stem for path in EXTRA.iterdir() if not path.name.startswith("_")}
    assert found == set(ALIASES)


@pytest.mark.slow
@pytest.mark.parametrize("part", ALIASES)
def test_each_part_of_extra_can_be_deleted_alone(part):
    ended = _run("-c", _WITHOUT, part, str(ALIASES))
    assert ended.returncode == 0, ended.stdout + ended.stderr


_WITHOUT = """
import sys
from tests.definitions import Blocker, fitted, gradients
part, aliases = sys.argv[1], eval(sys.argv[2])
sys.meta_path.insert(0, Blocker((f"extra.{part}",)))
import tinygrad_cnn as tg
from tinygrad_cnn import training
assert set(dir(tg)) >= set(tg.__all__)
lost = set()
for name in {alias for names in aliases.values() for alias in names}:
    try:
        eval(name)
    except ImportError as error:
        if not error.name.startswith("tinygrad_cnn"):
            continue  # scikit-learn or SciPy is not installed
        lost.add(name)
        assert error.name == f"tinygrad_cnn.extra.{part}" and error.name in str(error), error
assert lost == set(aliases[part]), lost
assert not gradients()
assert "compiled" in fitted()
"""
