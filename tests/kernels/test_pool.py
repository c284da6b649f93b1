"""Pooling kernels: adjoint pairs, indices that are checked before they are used, and windows without elements."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tinygrad_cnn.kernels import pool, resize

seeds = st.integers(0, 2**32 - 1)
sizes = st.lists(st.integers(1, 4), min_size=1, max_size=3).map(tuple)


def channels_last(a):
    return np.moveaxis(np.ascontiguousarray(np.moveaxis(a, 1, -1)), -1, 1)


@given(sizes, sizes, st.integers(0, 2), st.integers(1, 3), seeds)
def test_gather_and_scatter_are_adjoint_in_every_layout(shape, out, n, c, seed):
    rng = np.random.default_rng(seed)
    a, u = rng.normal(size=(n, c, *shape)), rng.normal(size=(n, c, *out))
    indices = rng.integers(0, np.prod(shape), size=u.shape)
    expected, taken = np.zeros_like(a), np.zeros_like(u)
    for at in np.ndindex(*u.shape):
        place = (*at[:2], *np.unravel_index(indices[at], shape))
        expected[place] += u[at]
        taken[at] = a[place]
    for v in (u, channels_last(u)):
        for i in (indices, channels_last(indices)):
            np.testing.assert_allclose(pool.scatter(v, i, shape), expected, rtol=1e-12, atol=1e-12)
            np.testing.assert_array_equal(pool.gather(channels_last(a), i), taken)
    assert pool.scatter(u.astype(np.float32), indices, shape).dtype == np.float32


@given(st.lists(st.integers(0, 3), max_size=8), seeds)
def test_last_written_is_what_assignment_leaves(row, seed):
    indices = np.array(row, np.int64).reshape(1, 1, -1)
    kept = pool.last_written(indices, 4).ravel()
    assert kept.tolist() == [i not in row[k + 1 :] for k, i in enumerate(row)]


@pytest.mark.parametrize("wrong", [-1, 4, 2**40])
def test_an_index_outside_is_refused_before_memory_is_touched(wrong):
    indices = np.array([[[0, wrong]]])
    for call in (
        lambda: pool.gather(np.ones((1, 1, 4)), indices),
        lambda: pool.scatter(np.ones((1, 1, 2)), indices, (4,)),
        lambda: pool.last_written(indices, 4),
    ):
        with pytest.raises(IndexError, match="must lie in the 4 elements"):
            call()
    with pytest.raises(ValueError, match="must begin with"):
        pool.gather(np.ones((2, 1, 4)), np.zeros((1, 1, 2), np.int64))
    with pytest.raises(IndexError, match="sources in range"):
        resize.resample(np.ones(4), 0, 2, (np.array([0]), np.array([wrong]), np.ones(1)))
    with pytest.raises(IndexError, match="targets in range"):
        resize.resample(np.ones(3), 0, 2, (np.array([wrong]), np.array([0]), np.ones(1)))


def test_a_window_without_elements_has_no_index_and_gets_nothing():
    x, how = np.ones((1, 1, 1)), ((2,), (1,), (1,), (2,))
    y = pool.max_windows(x, (2,), (2,), *how[1:])
    which = pool.which_elements(x, y, *how)
    assert y.tolist() == [[[-np.inf, 1]]]
    assert which.tolist() == [[[2, 0]]]
    assert pool.flat_indices(which, (1,), *how).tolist() == [[[-1, 0]]]
    assert pool.put_elements(np.ones((1, 1, 2)), which, (1,), *how).tolist() == [[[1]]]
    assert pool.take_elements(x, which, *how).tolist() == [[[0, 1]]]


GEOMETRIES = st.integers(1, 3).flatmap(
    lambda ndim: st.tuples(
        *[st.lists(st.integers(low, 3), min_size=ndim, max_size=ndim).map(tuple) for low in (1, 1, 1, 0)]
    )
)


@given(GEOMETRIES, st.integers(0, 2), st.integers(1, 3), seeds)
def test_windows_keep_channels_last_memory_and_their_adjoints_agree(geometry, n, c, seed):
    kernel, stride, dilation, extra = geometry
    rng = np.random.default_rng(seed)
    before = tuple(k // 2 for k in kernel)
    shape = tuple(d * (k - 1) + 1 + e for k, d, e in zip(kernel, dilation, extra, strict=True))
    out = tuple((e + 2 * p) // s + 1 for e, p, s in zip(extra, before, stride, strict=True))
    x = channels_last(rng.integers(-2, 3, (n, c, *shape)).astype(np.float32))
    y = pool.max_windows(x, kernel, out, stride, before, dilation)
    which = pool.which_elements(x, y, kernel, stride, before, dilation)
    u = channels_last(rng.integers(-4, 5, y.shape).astype(np.float32))
    back = pool.put_elements(u, which, shape, kernel, stride, before, dilation)
    total = pool.sum_windows(x, kernel, out, stride, before)
    spread = pool.spread_windows(u, shape, kernel, stride, before)
    one_place = y[0, 0].size == 1 if n else True  # then u lies in both orders at once
    for a in (y, which, total, *(() if one_place else (back, spread))):
        assert np.moveaxis(a, 1, -1).flags.c_contiguous
    # <put u, x> = <u, take x>: small integers, so that both sides are exact
    np.testing.assert_array_equal(
        pool.take_elements(x, which, kernel, stride, before, dilation)[np.isfinite(y)], y[np.isfinite(y)]
    )
    assert (back * x).sum() == (u * y)[np.isfinite(y)].sum()
    assert (spread * x).sum() == (u * total).sum()


def test_arrays_whose_sizes_disagree_are_refused_in_the_kernel_itself():
    a, which = np.ones((2, 3, 4, 4)), np.zeros((2, 3, 2, 2), np.uint8)
    how = ((2, 2), (2, 2), (0, 0), (1, 1))
    for wrong in ((1, 3, 2, 2), (2, 1, 2, 2), (3, 2)):
        with pytest.raises(ValueError, match="must begin with"):
            pool.take_elements(a, np.zeros(wrong, np.uint8), *how)
        with pytest.raises(ValueError, match="must begin with"):
            pool.which_elements(a, np.zeros(wrong), *how)
        with pytest.raises(ValueError, match=r"it must be \(2, 3, 2, 2\)"):
            pool.put_elements(which.astype(float), np.zeros(wrong, np.uint8), (4, 4), *how)
    with pytest.raises(ValueError, match="zip"):  # one entry for each spatial axis
        pool.max_windows(a, (2,), (2, 2), *how[1:])
    # More windows than fit hold what there is of the input, and look at no memory beyond it.
    assert pool.sum_windows(a, (2, 2), (3, 9), (2, 2), (0, 0))[0, 0].tolist() == [[4, 4, *[0] * 7]] * 2 + [[0] * 9]
    assert pool.put_elements(np.ones((2, 3, 9, 9)), np.zeros((2, 3, 9, 9), int), (4, 4), *how).sum() == 2 * 3 * 4


@given(st.integers(1, 12), st.integers(1, 12))
def test_regions_cover_every_element_and_none_is_empty(n, m):
    starts, stops = pool.regions(n, m)
    assert (starts < stops).all()
    assert starts[0] == 0
    assert stops[-1] == n
    assert (starts[1:] <= stops[:-1]).all()
    assert starts.tolist() == [int(np.floor(i * n / m + 1e-9)) for i in range(m)]
    assert stops.tolist() == [int(np.ceil((i + 1) * n / m - 1e-9)) for i in range(m)]


@given(st.integers(1, 5), st.integers(1, 5), st.integers(0, 12), st.integers(0, 2), seeds)
def test_resampling_is_a_matrix_along_an_axis(n, m, count, axis, seed):
    rng = np.random.default_rng(seed)
    taps = rng.integers(0, m, count), rng.integers(0, n, count), rng.normal(size=count)
    matrix = np.zeros((m, n))
    np.add.at(matrix, taps[:2], taps[2])
    shape = [2, 3, 2]
    shape[axis] = n
    x = rng.normal(size=shape)
    y = resize.resample(x, axis, m, taps)
    np.testing.assert_allclose(y, np.moveaxis(np.tensordot(matrix, x, (1, axis)), 0, axis), rtol=1e-12, atol=1e-12)
