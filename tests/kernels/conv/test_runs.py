"""Copies in runs: they are copies, of any type, in any layout."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from tinygrad_cnn.kernels.conv.runs import LONG, copying, in_runs


@st.composite
def arrays(draw, shape, dtype):
    """Random bits, in C order or another, without gaps or with."""
    order = draw(st.permutations(range(len(shape))))
    gaps = [draw(st.integers(0, 2)) for _ in shape]
    wide = draw(st.randoms(use_true_random=False))
    memory = np.array([wide.random() for _ in range(int(np.prod([shape[i] + gaps[i] for i in order])))])
    whole = (9 * memory).astype(dtype).reshape([shape[i] + gaps[i] for i in order])
    return whole.transpose(np.argsort(order))[tuple(slice(0, n) for n in shape)]


@st.composite
def pairs(draw):
    shape = draw(st.lists(st.integers(0, 4), min_size=1, max_size=4))
    dtypes = draw(st.sampled_from(["ff", "dd", "df", "DD", "di", "??"]))
    return [draw(arrays(shape, dtype)) for dtype in dtypes]


@given(pairs())
def test_is_a_copy(pair):
    to, source = pair
    around = to if to.base is None else to.base
    before = around.copy()
    copying(to, source)()
    np.testing.assert_array_equal(to, source)
    to[...] = 0
    after = around.copy()
    around[...] = before
    to[...] = 0
    np.testing.assert_array_equal(around, after)  # nothing beside it was written


def test_runs_are_items_where_they_lie_in_one_piece():
    wide, to = np.arange(60.0).reshape(3, 4, 5), np.zeros((3, 4, 3))
    ours, theirs = in_runs(to, wide[..., 1:4])
    assert ours.shape == theirs.shape == (3, 4)
    assert ours.itemsize == 24
    assert in_runs(to, wide[..., :3:1])[0] is not to
    assert in_runs(to, wide[..., ::2])[0] is to  # pixels apart
    assert in_runs(to.astype("f"), wide[..., :3])[1].ndim == 3  # it converts
    long = np.zeros((2, LONG))
    assert in_runs(long, long.copy())[0] is long
