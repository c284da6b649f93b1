"""Outside arrays that ops use by reference, with the values of each call, and that Python may read as well."""

from __future__ import annotations

import numpy as np
import pytest

import tinygrad_cnn as tg
from tests.compile.test_notes import value
from tests.compile.test_state import drifting_twins_agree, ones, reading
from tinygrad_cnn.compile import compiled, program

READ_TWICE = {
    "by NumPy": lambda a, x: x * a * np.exp(a),
    "by Python": lambda a, x: x * a * float(a[0]),
    "in a decision": lambda a, x: x * a if a[0] > 2.5 else x + a,
    "a mask": lambda a, x: (x * a).sum() / a.sum(),
    "by an op on arrays": lambda a, x: x * a * tg.exp(a),
    "by a loss": lambda a, x: tg.kl_div(x, a),
    "by the constant term of a loss": lambda a, x: tg.poisson_nll_loss(x, a, full=True),
}


@pytest.mark.parametrize("name", READ_TWICE)
@pytest.mark.parametrize("size", [2, 9000])
def test_an_array_that_python_reads_too(name, size):
    """Its first change is audited, and the audit finds what the program has baked in."""
    drifting_twins_agree(
        reading(lambda: np.ones(size, np.float32), lambda a, x: READ_TWICE[name](a, x.sum() * tg.ones(size))),
        lambda a, i: a.fill(value(i)),
        warns="depends on Python state that is not compared",
    )


def test_labels_that_become_ignored():
    drifting_twins_agree(
        reading(
            lambda: np.array([0, 1]),
            lambda labels, x: tg.cross_entropy(tg.stack([x, x * 0]), labels, ignore_index=-1),
        ),
        lambda labels, i: labels.__setitem__(0, -1 if i in (3, 4) else 0),
        warns="depends on Python state that is not compared",
    )


@pytest.mark.parametrize("size", [2, 9000, 90_000])
def test_an_array_that_only_ops_use_stays_compiled(size):
    run = drifting_twins_agree(
        reading(lambda: np.ones(size, np.float32), lambda a, x: x.sum() * a), lambda a, i: a.fill(i), calls=30
    )
    assert run.captures == 1
    assert run.plain is None


def test_a_few_changes_are_audited(monkeypatch):
    audited, array = [], np.ones(2, np.float32)
    monkeypatch.setattr(program, "AUDITED_MOVES", 3)
    monkeypatch.setattr(compiled, "Record", lambda *run: (audited.append(run), program.Record(*run))[1])
    run = tg.compile(lambda x: x * array)
    for i in range(20):
        array.fill(i // 2)
        assert run(ones()).tolist() == [i // 2] * 2
    assert len(audited) == 3


def test_an_audit_that_fails_is_made_up_for():
    array = np.ones(2, np.float32)

    def f(x):
        if array[0] == 5:
            raise KeyError("five")
        return x * array

    run = tg.compile(f)
    assert run(ones()).tolist() == [1, 1]
    array.fill(5)
    for _ in range(3):
        with pytest.raises(KeyError):
            run(ones())
    array.fill(6)
    assert run(ones()).tolist() == [6, 6]
