"""Leaves that change places from call to call get the gradients of plain calls: see `places.py`."""

from __future__ import annotations

import pytest

from . import places


@pytest.mark.parametrize("first", range(0, 100, 10))
def test_leaves_that_change_places(first):
    assert [fault for seed in range(first, first + 10) if (fault := places.compare(seed))] == []


@pytest.mark.slow
@pytest.mark.parametrize("part", range(5))
def test_more_leaves_that_change_places(part, pytestconfig):
    """Other programs every day."""
    first = 200 * (5 * pytestconfig.option.rotation + part)
    assert [fault for seed in range(first, first + 200) if (fault := places.compare(seed))] == []
