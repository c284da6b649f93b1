"""Windows: what they select, that no view can leave its memory, and that each kernel and its adjoint are adjoint."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from tinygrad_cnn.ops import windows as window

axes = st.tuples(  # n, kernel, out, stride, before, dilation: any, whether or not it fits
    st.integers(0, 6), st.integers(1, 3), st.integers(1, 4), st.integers(1, 3), st.integers(0, 4), st.integers(1, 3)
)
grids = st.lists(axes, min_size=1, max_size=3).map(lambda rows: tuple(zip(*rows, strict=True)))
signed = st.lists(
    st.tuples(st.integers(0, 5), *[st.integers(-2, 4)] * 4), min_size=1, max_size=2
).map(lambda rows: tuple(zip(*rows, strict=True)))  # fmt: skip


@given(grids)
def test_overlaps_lists_what_lies_inside(grid):
    sizes, kernel, out, stride, before, dilation = grid
    found = set()
    for k, windows, places in window.overlaps(*grid):
        which = [range(o)[w] for o, w in zip(out, windows[1:], strict=True)]
        where = [range(n)[p] for n, p in zip(sizes, places[1:], strict=True)]
        assert [len(w) for w in which] == [len(p) for p in where]
        for at in np.ndindex(*map(len, which)):
            chosen = (tuple(r[i] for r, i in zip(ranges, at, strict=True)) for ranges in (which, where))
            found.add((k, *chosen))
    expected = set()
    for k in np.ndindex(*kernel):
        for o in np.ndindex(*out):
            place = tuple(i * s + j * d - p for i, s, j, d, p in zip(o, stride, k, dilation, before, strict=True))
            if all(0 <= q < n for q, n in zip(place, sizes, strict=True)):
                expected.add((k, o, place))
    assert found == expected


@given(grids, st.integers(0, 2**32 - 1))
def test_columns_are_windows_of_the_padded_array_and_have_their_adjoint(grid, seed):
    sizes, kernel, out, stride, before, dilation = grid
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(2, *sizes))
    y = window.columns(x, kernel, out, stride, before, dilation)
    wide = np.pad(x, ((0, 0), *((p, 20) for p in before)))
    view = window.windows(wide, kernel, out, stride, dilation)
    d = len(sizes)
    np.testing.assert_array_equal(y, view.transpose(0, *range(1 + d, 1 + 2 * d), *range(1, 1 + d)))
    u = rng.normal(size=y.shape)
    back = window.add_columns(u, sizes, stride, before, dilation)
    assert abs(np.vdot(y, u) - np.vdot(x, back)) <= 1e-12 * (np.abs(y * u).sum() + 1)


@given(signed)
@example(((4,), (2,), (3,), (1,), (2,)))  # one element too many
@example(((4,), (2,), (3,), (1,), (1,)))  # as many as there are
def test_no_view_leaves_its_memory(grid):
    sizes, kernel, out, stride, dilation = grid
    x = np.arange(float(np.prod(sizes))).reshape(sizes)
    rows = list(zip(*grid, strict=True))
    fits = all(min(k, o, s, d) >= 1 and (o - 1) * s + (k - 1) * d < n for n, k, o, s, d in rows)
    if not fits:
        with pytest.raises(ValueError, match="windows: "):
            window.windows(x, kernel, out, stride, dilation)
        return
    view = window.windows(x, kernel, out, stride, dilation)
    assert not view.flags.writeable
    low, high = np.lib.array_utils.byte_bounds(view)
    first, last = np.lib.array_utils.byte_bounds(x)
    assert first <= low <= high <= last
    for at in np.ndindex(*view.shape):
        place = tuple(
            i * s + j * d for i, s, j, d in zip(at[: len(out)], stride, at[len(out) :], dilation, strict=True)
        )
        assert view[at] == x[place]
