"""Pooling kernels: adjoint pairs, indices that are checked before they are used, and windows without elements."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tinygrad_cnn.kernels import pooling, resampling

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
            np.testing.assert_allclose(pooling.scatter(v, i, shape), expected, rtol=1e-12, atol=1e-12)
            np.testing.assert_array_equal(pooling.gather(channels_last(a), i), taken)
    assert pooling.scatter(u.astype(np.float32), indices, shape).dtype == np.float32


@given(st.lists(st.integers(0, 3), max_size=8), seeds)
def test_last_written_is_what_assignment_leaves(row, seed):
    indices = np.array(row, np.int64).reshape(1, 1, -1)
    kept = pooling.last_written(indices, 4).ravel()
    assert kept.tolist() == [i not in row[k + 1 :] for k, i in enumerate(row)]


@pytest.mark.parametrize("wrong", [-1, 4, 2**40])
def test_an_index_outside_is_refused_before_memory_is_touched(wrong):
    indices = np.array([[[0, wrong]]])
    for call in (
        lambda: pooling.gather(np.ones((1, 1, 4)), indices),
        lambda: pooling.scatter(np.ones((1, 1, 2)), indices, (4,)),
        lambda: pooling.last_written(indices, 4),
    ):
        with pytest.raises(IndexError, match="must lie in the 4 elements"):
            call()
    with pytest.raises(ValueError, match="must begin with"):
        pooling.gather(np.ones((2, 1, 4)), np.zeros((1, 1, 2), np.int64))
    with pytest.raises(IndexError, match="sources in range"):
        resampling.resample(np.ones(4), 0, 2, (np.array([0]), np.array([wrong]), np.ones(1)))
    with pytest.raises(IndexError, match="targets in range"):
        resampling.resample(np.ones(3), 0, 2, (np.array([wrong]), np.array([0]), np.ones(1)))


def test_a_window_without_elements_has_no_index():
    y, indices = pooling.max_windows(np.ones((1, 1, 1)), (2,), (2,), (1,), (1,), (2,))
    assert indices.tolist() == [[[-1, 0]]]
    assert y.tolist() == [[[-np.inf, 1]]]


@given(st.integers(1, 12), st.integers(1, 12))
def test_regions_cover_every_element_and_none_is_empty(n, m):
    starts, stops = pooling.regions(n, m)
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
    y = resampling.resample(x, axis, m, taps)
    np.testing.assert_allclose(y, np.moveaxis(np.tensordot(matrix, x, (1, axis)), 0, axis), rtol=1e-12, atol=1e-12)
