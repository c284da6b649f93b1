"""Pooling beside its definitions, adjoint pairs, and indices that are checked before they are used."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import tinygrad_cnn as tg
from tinygrad_cnn.kernels import pool as kernel
from tinygrad_cnn.kernels.parallel import chunks
from tinygrad_cnn.ops import adaptive_pool, pool, resize
from tinygrad_cnn.ops.pool import Windows

from ..tuning import tuned

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
    kept = pool.last_written(indices, size=4).ravel()
    assert kept.tolist() == [i not in row[k + 1 :] for k, i in enumerate(row)]


@pytest.mark.parametrize("wrong", [-1, 4, 2**40])
def test_an_index_outside_is_refused_before_memory_is_touched(wrong):
    indices = np.array([[[[0, wrong]]]])
    with pytest.raises(IndexError, match="must be from 0 to 3"):
        pool.last_written(indices, size=4)
    for x in (np.ones((1, 1, 1, 2)), tg.ones(1, 1, 1, 2)):
        with pytest.raises(IndexError, match="must be from 0 to 3"):
            tg.max_unpool2d(x, indices, (1, 2))
    with pytest.raises(IndexError, match="sources in range"):
        resize.resample(np.ones(4), axis=0, size=2, taps=(np.array([0]), np.array([wrong]), np.ones(1)))
    with pytest.raises(IndexError, match="targets in range"):
        resize.resample(np.ones(3), axis=0, size=2, taps=(np.array([wrong]), np.array([0]), np.ones(1)))


def test_a_window_without_elements_has_no_largest_and_gets_nothing():
    x, windows = np.ones((1, 1, 1)), Windows((2,), (2,), (1,), (1,), (2,))
    y = pool.max_pool(x, windows=windows)
    which = pool.max_pool_which(x, y, windows=windows)
    assert y.tolist() == [[[-np.inf, 1]]]
    assert which.tolist() == [[[2, 0]]]
    assert pool.put_elements(np.ones((1, 1, 2)), which, sizes=(1,), windows=windows).tolist() == [[[1]]]
    assert pool.take_elements(x, which, windows=windows).tolist() == [[[0, 1]]]


@st.composite
def geometries(draw):
    """The shape of images, and windows on them: overlapping or with gaps, up to half of one in the padding, tiles too."""
    shape, axes = [draw(st.integers(0, 3)), draw(st.integers(1, 3))], []
    for _ in range(draw(st.integers(1, 3))):
        k, s, d, extra = (draw(st.integers(low, 3)) for low in (1, 1, 1, 0))
        if draw(st.booleans()):
            s, d, extra = k, 1, k * extra
        p = draw(st.integers(0, k // 2))
        shape.append(d * (k - 1) + 1 + extra)
        axes.append((k, (extra + 2 * p) // s + 1, s, p, d))
    return tuple(shape), Windows(*zip(*axes, strict=True))


LAYOUTS = [np.ascontiguousarray, channels_last, np.asfortranarray, lambda a: np.ascontiguousarray(a[::-1])[::-1]]


@pytest.mark.parametrize("large", [1 << 17, 1])
@given(geometries(), st.permutations(LAYOUTS), st.sampled_from([np.float32, np.float64, np.int16, np.bool_]), seeds)
def test_what_kernels_give_is_what_the_definitions_say(large, geometry, layouts, dtype, seed):
    """Of small numbers, so that sums are exact."""
    shape, windows = geometry
    rng = np.random.default_rng(seed)
    values = rng.integers(-2, 3, shape).astype(dtype)
    if values.dtype.kind == "f":
        values[rng.random(shape) < 0.05] = np.nan
        values[rng.random(shape) < 0.1] = -np.inf
    x = layouts[0](values)
    with tuned() as tune:
        tune(chunks, SMALL=large)
        tune(
            kernel, SHORT=rng.integers(1, 4), TOGETHER=rng.choice([0, 40, 1 << 17])
        )  # windows of more elements are large
        y = pool.max_pool(x, windows=windows)
        which = pool.max_pool_which(x, y, windows=windows)
        sums = pool.sum_windows(np.where(np.isfinite(x), x, 0), windows=windows)
        u = layouts[1](rng.integers(-4, 5, y.shape).astype(np.float32))
        found = layouts[2](which)
        put = pool.put_elements(u, found, sizes=shape[2:], windows=windows)
        spread = pool.spread_windows(u, sizes=shape[2:], windows=windows)
    for got, f, inputs, how in (
        (y, pool.max_pool, [x], {}),
        (which, pool.max_pool_which, [x, y], {}),
        (sums, pool.sum_windows, [np.where(np.isfinite(x), x, 0)], {}),
        (put, pool.put_elements, [u, which], {"sizes": shape[2:]}),
        (spread, pool.spread_windows, [u], {"sizes": shape[2:]}),
    ):
        np.testing.assert_array_equal(got, f.op.raw(*inputs, windows=windows, **how), strict=True)


@pytest.mark.parametrize("together", [0, 40, 1 << 17])
@given(geometries(), st.permutations(LAYOUTS), st.sampled_from([np.float16, np.float32, np.int16]), seeds)
def test_a_task_that_runs_again_reads_its_arrays_again(together, geometry, layouts, dtype, seed):
    """And nothing of what an earlier run left, in its result or elsewhere; with the bits of an eager call."""
    shape, windows = geometry
    rng = np.random.default_rng(seed)

    def draw(size):
        values = rng.integers(-2, 3, size).astype(dtype)
        if values.dtype.kind == "f":
            values[values == 0] *= rng.choice([-1, 1])
            values[rng.random(size) < 0.05] = np.nan
            values[rng.random(size) < 0.1] = -np.inf
        return values

    x = layouts[0](draw(shape))
    y = pool.max_pool(x, windows=windows)
    which = layouts[2](pool.max_pool_which(x, y, windows=windows))
    u = layouts[1](draw(y.shape))
    spatial = {"sizes": shape[2:]}
    with tuned() as tune:
        tune(kernel, TOGETHER=together)
        tasks = [
            (f, inputs, how, out, f.op.bind(out, *inputs, windows=windows, **how))
            for f, inputs, how in (
                (pool.max_pool, [x], {}),
                (pool.max_pool_which, [x, y], {}),
                (pool.sum_windows, [x], {}),
                (pool.put_elements, [u, which], spatial),
                (pool.take_elements, [x, which], {}),
                (pool.spread_windows, [u], spatial),
            )
            for out in [np.empty_like(f.op.run(*inputs, windows=windows, **how))]
        ]
        for _ in range(3):
            x[...], u[...] = draw(shape), draw(y.shape)
            y[...] = pool.max_pool(x, windows=windows)
            which[...] = pool.max_pool_which(x, y, windows=windows)
            for f, inputs, how, out, task in tasks:
                out.fill(3)
                task()
                expected = f.op.run(*inputs, windows=windows, **how)
                assert out.tobytes() == expected.tobytes(), f


@given(geometries(), seeds)
def test_adjoint_pairs_and_channels_last_memory(geometry, seed):
    shape, windows = geometry
    rng = np.random.default_rng(seed)
    x = channels_last(rng.integers(-2, 3, shape).astype(np.float32))
    y = pool.max_pool(x, windows=windows)
    which = pool.max_pool_which(x, y, windows=windows)
    u = channels_last(rng.integers(-4, 5, y.shape).astype(np.float32))
    back = pool.put_elements(u, which, sizes=shape[2:], windows=windows)
    total = pool.sum_windows(x, windows=windows)
    spread = pool.spread_windows(u, sizes=shape[2:], windows=windows)
    one_place = y[0, 0].size == 1 if len(x) else True  # then u lies in both orders at once
    large = max(windows.size) > kernel.SHORT
    for a in (y, which, *(() if large else (total,)), *(() if one_place else (back, spread))):
        assert np.moveaxis(a, 1, -1).flags.c_contiguous
    # <put u, x> = <u, take x>: small integers, so that both sides are exact
    some = which < np.prod(windows.size)
    np.testing.assert_array_equal(pool.take_elements(x, which, windows=windows)[some], y[some])
    assert (back * x).sum() == (u * y)[some].sum()
    assert (spread * x).sum() == (u * total).sum()


def test_more_windows_than_fit_hold_what_there_is_of_the_images():
    """And look at no memory beyond them."""
    a = np.ones((2, 3, 4, 4))
    windows = Windows((2, 2), (3, 9), (2, 2), (0, 0), (1, 1))
    for f in (pool.sum_windows, pool.sum_windows.op.raw):
        assert f(a, windows=windows)[0, 0].tolist() == [[4, 4, *[0] * 7]] * 2 + [[0] * 9]
    u, which = np.ones((2, 3, 3, 9)), np.zeros((2, 3, 3, 9), int)
    for f in (pool.put_elements, pool.put_elements.op.raw):
        assert f(u, which, sizes=(4, 4), windows=windows).sum() == 2 * 3 * 4


@given(st.integers(1, 12), st.integers(1, 12))
def test_regions_cover_every_element_and_none_is_empty(n, m):
    starts, stops = adaptive_pool.regions(n, m)
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
    y = resize.resample(x, axis=axis, size=m, taps=taps)
    np.testing.assert_allclose(y, np.moveaxis(np.tensordot(matrix, x, (1, axis)), 0, axis), rtol=1e-12, atol=1e-12)
