"""Random programs with Python state are the same compiled as eagerly: see `programs.py`."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from . import programs


@given(st.integers(0, 2**32 - 1))
@settings(max_examples=settings.default.max_examples, deadline=None)
def test_random_programs(seed):
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore", RuntimeWarning)
        fault = programs.compare(seed, calls=8)
    assert fault is None


def test_a_difference_is_noticed(monkeypatch):
    """A statement that sees whether it is compiled."""
    made = []

    def differs(m, v):
        made.append(m)
        return v if m is made[0] else v * (1 + 1e-15)

    monkeypatch.setattr(programs, "STATEMENTS", [differs])
    assert any(programs.compare(seed) for seed in range(4))


@pytest.mark.parametrize("statement", programs.STATEMENTS, ids=lambda f: f.__name__)
def test_each_statement(statement, monkeypatch):
    """Every kind of state, by itself and twice."""
    monkeypatch.setattr(programs, "STATEMENTS", [statement])
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore", RuntimeWarning)
        assert programs.compare(1, calls=8) is None
