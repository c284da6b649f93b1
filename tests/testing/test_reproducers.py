"""The Python that a failure prints fails in the same way when it is pasted."""

from __future__ import annotations

import os
import subprocess
import sys
from functools import partial
from pathlib import Path

import numpy as np
import pytest

import tinygrad_cnn as tg
from tinygrad_cnn.testing import assert_gradients
from tinygrad_cnn.testing.cases import Arg, Case, Draws

from ..rows import CASES
from .broken import off_by


def run(script, folder):
    (folder / "again.py").write_text(script, encoding="utf-8")
    environment = {**os.environ, "PYTHONPATH": str(Path(tg.__file__).parents[1])}
    command = [sys.executable, "again.py"]
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, encoding="utf-8", check=False)


@pytest.fixture
def library(tmp_path, monkeypatch):
    """A module of the user's, with a wrong op and a function of it."""
    (tmp_path / "mylibrary.py").write_text(
        "import tinygrad_cnn as tg\n"
        "@tg.op(elementwise=True)\n"
        "def scale(a, *, by=1.0):\n"
        "    return by * a\n"
        "scale.vjp(a=lambda g, by: g * by * (1 if by == 1 else 1.01))\n"
        "def join(arrays, axis):\n"
        "    return scale(tg.concatenate(arrays, axis), by=2.0)\n",
        encoding="utf-8",
    )
    monkeypatch.syspath_prepend(tmp_path)
    import mylibrary

    yield mylibrary
    del sys.modules["mylibrary"]


def failing(f, *inputs, **options):
    with pytest.raises(AssertionError) as caught:
        assert_gradients(f, *inputs, **options)
    return str(caught.value)


@pytest.mark.slow
def test_the_reproducer_fails_again(library, tmp_path):
    x = np.random.default_rng(0).normal(size=(2, 3))
    joined = Case(library.join, (Arg((2, 3)), Arg((1, 3))), np.concatenate, {"axis": 0}, sequence=True)
    for f, inputs in [
        (partial(library.scale, by=3.0), [x]),
        (partial(library.scale, by=3.0), [x.astype(np.float32)]),
        (joined, [x, x[:1]]),
    ]:
        text = failing(f, *inputs, rng=5, order=1)
        script = text.split("Reproduce with:\n")[1]
        assert "from mylibrary import" in script
        result = run(script, tmp_path)
        assert result.returncode == 1, result.stderr
        assert text.splitlines()[1] in result.stderr, "the same failure, to the last digit"


@pytest.mark.slow
def test_the_reproducer_of_large_inputs_loads_them(library, tmp_path):
    x = np.random.default_rng(0).normal(size=(20, 30))
    script = failing(partial(library.scale, by=3.0), x).split("Reproduce with:\n")[1]
    assert 'input0 = np.load("input0.npy")  # float64 (20, 30)' in script
    np.save(tmp_path / "input0.npy", x)
    assert "AssertionError: gradcheck: 1 failure" in run(script, tmp_path).stderr


def test_the_reproducer_of_what_cannot_be_imported_says_where_it_is():
    script = failing(off_by((0,), 2.0), np.ones(2)).split("Reproduce with:\n")[1]
    assert "f = ...  # put the function here: " in script
    assert "broken.py, line " in script


def test_rows_of_the_case_table_say_how_they_are_called():
    pasted = 0
    for case in CASES:
        imports, expression = case.python()
        namespace = {"np": np}
        exec("\n".join(imports), namespace)
        f = eval(expression, namespace)
        if f is not ...:
            pasted += 1
            arrays = case.draw(Draws(np.random.default_rng(0)))
            np.testing.assert_array_equal(f(*arrays), case(*arrays))
    assert pasted > len(CASES) / 2
