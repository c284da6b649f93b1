"""The library's generator goes on from where a saved state says."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import tinygrad_cnn as tg

draws = st.sampled_from(
    [
        lambda: tg.rand(3).tolist(),
        lambda: tg.randn(2, dtype=np.float64).tolist(),
        lambda: tg.dropout(tg.ones(5), training=True).tolist(),
    ]
)


@given(st.integers(0, 2**32), st.lists(draws, max_size=3), st.lists(draws, min_size=1, max_size=4))
def test_draws_after_a_saved_state_are_repeated(seed, before, after):
    tg.manual_seed(seed)
    for draw in before:
        draw()
    state = tg.get_rng_state()
    first = [draw() for draw in after]
    tg.set_rng_state(state)
    assert [draw() for draw in after] == first
    tg.set_rng_state(state)  # which the draws have not changed
    assert [draw() for draw in after] == first


@pytest.mark.parametrize(
    "change",
    [
        lambda state: 3,
        lambda state: {},
        lambda state: {**state, "bit_generator": "MT19937"},
        lambda state: {**state, "has_uint32": "x"},
        lambda state: {**state, "state": {"state": -1, "inc": 1}},
        lambda state: {**state, "state": {"state": 5}},
        lambda state: np.random.MT19937(0).state,
    ],
)
def test_a_wrong_state_changes_nothing(change):
    state = tg.get_rng_state()
    with pytest.raises(ValueError, match="set_rng_state: `state` is not what get_rng_state"):
        tg.set_rng_state(change(state))
    assert tg.get_rng_state() == state
