"""Pooling: against loops over the windows, ties and NaN and infinities, double backward, and what it refuses."""

from __future__ import annotations

import inspect
import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import tinygrad_cnn as tg
from tinygrad_cnn.testing import assert_gradients
from tinygrad_cnn.testing.strategies import pool_geometries

from ..rows.pool import naive_avg_pool, naive_max_pool, pooled, regions, windows

MAX = {1: tg.max_pool1d, 2: tg.max_pool2d, 3: tg.max_pool3d}
AVG = {1: tg.avg_pool1d, 2: tg.avg_pool2d, 3: tg.avg_pool3d}
ADAPTIVE_MAX = {1: tg.adaptive_max_pool1d, 2: tg.adaptive_max_pool2d, 3: tg.adaptive_max_pool3d}
ADAPTIVE_AVG = {1: tg.adaptive_avg_pool1d, 2: tg.adaptive_avg_pool2d, 3: tg.adaptive_avg_pool3d}

dimensions = st.sampled_from([1, 2, 2, 3])
sliding = dimensions.flatmap(lambda ndim: pool_geometries(ndim, max_size=6 if ndim < 3 else 4))
undilated = dimensions.flatmap(lambda ndim: pool_geometries(ndim, max_size=6 if ndim < 3 else 4, dilated=False))
planar = pool_geometries(2, max_size=5)
seeds = st.integers(0, 2**32 - 1)
adaptive = dimensions.flatmap(
    lambda ndim: st.tuples(
        st.tuples(st.integers(1, 2), st.integers(1, 2), *[st.integers(1, 6 if ndim < 3 else 4)] * ndim),
        st.tuples(*[st.integers(1, 5)] * ndim),
    )
)


def distinct(seed, shape):
    """Values at least 1/4 apart, so that no step of a numerical derivative changes which one is largest."""
    return np.random.default_rng(seed).permutation(int(np.prod(shape))).reshape(shape) / 4 - 1


def coarse(seed, shape):
    """Values of which many are equal, with some infinities."""
    choices = [-np.inf, -1.0, 0.0, 1.0, np.inf]
    return np.random.default_rng(seed).choice(choices, shape, p=[0.1, 0.3, 0.3, 0.25, 0.05])


def first_of_each_window(x, axes, wins):
    """The index of the element of every window that a loop in C order ends at."""
    n, c, *sizes = x.shape
    out = np.zeros((n, c, *map(len, axes)), np.int64)
    for at in np.ndindex(*out.shape):
        best = None
        for place in np.ndindex(*(len(axis[i][0]) for axis, i in zip(axes, at[2:], strict=True))):
            where = tuple(axis[i][0][j] for axis, i, j in zip(axes, at[2:], place, strict=True))
            value = x[(*at[:2], *where)]
            if best is None or wins(value, best):
                best, out[at] = value, np.ravel_multi_index(where, sizes)
    return out


class TestMaxPool:
    @given(sliding, seeds)
    def test_is_the_largest_of_each_window_and_says_where(self, g, seed):
        x = coarse(seed, g.x)
        y, indices = MAX[g.ndim](x, **g.kwargs, return_indices=True)
        np.testing.assert_array_equal(y, naive_max_pool(x, **g.kwargs))
        np.testing.assert_array_equal(MAX[g.ndim](x, **g.kwargs), y)
        expected = first_of_each_window(x, windows(x.shape[2:], **g.kwargs), lambda value, best: value > best)
        assert indices.dtype == np.intp
        np.testing.assert_array_equal(indices, expected)

    @given(sliding, seeds)
    def test_a_tie_goes_to_the_first_in_both_derivatives(self, g, seed):
        x = tg.Tensor(coarse(seed, g.x), requires_grad=True)
        y, indices = MAX[g.ndim](x, **g.kwargs, return_indices=True)
        u = np.random.default_rng(seed).normal(size=y.shape)
        expected = np.zeros(g.x)
        for at in np.ndindex(*y.shape):
            expected[at[:2]].reshape(-1)[indices.numpy()[at]] += u[at]
        (without,) = tg.gradients([MAX[g.ndim](x, **g.kwargs)], [x], [u])
        v = tg.Tensor(u, requires_grad=True)
        (with_indices,) = tg.gradients([y], [x], [v], create_graph=True)
        np.testing.assert_allclose(without.numpy(), expected, rtol=1e-12, atol=1e-12)
        np.testing.assert_allclose(with_indices.numpy(), expected, rtol=1e-12, atol=1e-12)
        (w,) = (np.random.default_rng(seed + 1).normal(size=g.x),)
        (second,) = tg.gradients([with_indices], [v], [w])
        np.testing.assert_array_equal(
            second.numpy().ravel(),
            np.take_along_axis(w.reshape(*g.x[:2], -1), indices.numpy().reshape(*g.x[:2], -1), -1).ravel(),
        )

    @given(planar, seeds)
    def test_double_backward_for_any_geometry(self, g, seed):
        x = distinct(seed, g.x)
        assert_gradients(lambda a: tg.max_pool2d(a, **g.kwargs) ** 2, x, order=2, budget=3)
        assert_gradients(lambda a: tg.max_pool2d(a, **g.kwargs, return_indices=True)[0] ** 2, x, order=2, budget=3)

    @given(sliding, seeds)
    def test_nan_is_passed_on(self, g, seed):
        x = coarse(seed, g.x)
        x[np.random.default_rng(seed).random(g.x) < 0.2] = np.nan
        y, indices = MAX[g.ndim](x, **g.kwargs, return_indices=True)
        axes = windows(x.shape[2:], **g.kwargs)
        np.testing.assert_array_equal(y, pooled(x, axes, lambda e, _: np.max(e, -1)))
        expected = first_of_each_window(x, axes, lambda value, best: value > best or np.isnan(value))
        np.testing.assert_array_equal(indices, expected)

    def test_padding_never_wins(self):
        x = np.full((1, 1, 2, 2), -np.inf)
        y, indices = tg.max_pool2d(x, 2, padding=1, return_indices=True)
        np.testing.assert_array_equal(y, np.full((1, 1, 2, 2), -np.inf))
        np.testing.assert_array_equal(indices.ravel(), [0, 1, 2, 3])
        np.testing.assert_array_equal(tg.max_pool2d(x - 1, 3, 1, 1), x)

    def test_ceil_mode_drops_a_window_that_begins_in_the_padding_behind(self):
        x = np.arange(4.0).reshape(1, 1, 4)
        assert tg.max_pool1d(x, 2, 2, 1, ceil_mode=True).tolist() == [[[0, 2, 3]]]
        # 5 elements and padding 1 leave room for a fourth window of 2 at place 5, which is behind the last element.
        assert tg.max_pool1d(np.arange(5.0).reshape(1, 1, 5), 2, 2, 1, ceil_mode=True).shape == (1, 1, 3)
        assert tg.max_pool1d(np.arange(5.0).reshape(1, 1, 5), 2, 2, ceil_mode=True).tolist() == [[[1, 3, 4]]]
        assert tg.max_pool1d(x[..., :1], 2, ceil_mode=True).tolist() == [[[0]]]

    def test_integers_and_booleans(self):
        x = np.array([[[3, -5, 2, -7]]])
        assert tg.max_pool1d(x, 2).tolist() == [[[3, 2]]]
        assert tg.max_pool1d(x, 2).dtype == x.dtype
        assert tg.max_pool1d(x > 0, 2).tolist() == [[[True, True]]]


class TestMaxUnpool:
    @given(pool_geometries(2, max_size=5, dilated=False), seeds)
    def test_puts_the_largest_elements_back(self, g, seed):
        kwargs = {k: v for k, v in g.kwargs.items() if k != "ceil_mode"}
        x = distinct(seed, g.x)
        y, indices = tg.max_pool2d(x, **kwargs, return_indices=True)
        back = tg.max_unpool2d(y, indices, **kwargs, output_size=x.shape)
        expected = np.zeros_like(x)
        for at in np.ndindex(*y.shape):
            expected[at[:2]].reshape(-1)[indices[at]] = y[at]
        np.testing.assert_array_equal(back, expected)
        np.testing.assert_array_equal(tg.max_unpool2d(y[0], indices[0], **kwargs, output_size=x.shape[2:]), back[0])
        # Overlapping windows find one element several times: put back once, and the gradient is that of what was put.
        assert_gradients(
            lambda a: tg.max_unpool2d(a, indices, **kwargs, output_size=x.shape[2:]) ** 2, y, order=2, budget=3
        )

    def test_the_last_of_equal_indices_stays(self):
        x = tg.Tensor(np.array([[[1.0, 2.0, 3.0]]]), requires_grad=True)
        y = tg.max_unpool2d(x, np.array([[[1, 1, 0]]]), (1, 2), 1, output_size=(1, 4))
        assert y.tolist() == [[[3, 2, 0, 0]]]
        y.backward(np.array([[[10.0, 20.0, 30.0, 40.0]]]))
        assert x.grad.tolist() == [[[0, 20, 10]]]

    def test_default_size_and_float32(self):
        x = np.arange(16, dtype=np.float32).reshape(1, 1, 4, 4)
        y, indices = tg.max_pool2d(tg.Tensor(x), 2, return_indices=True)
        back = tg.max_unpool2d(y, indices, 2)
        assert back.dtype == np.float32
        np.testing.assert_array_equal(back.numpy(), np.where(np.isin(x, [5, 7, 13, 15]), x, 0))


class TestAvgPool:
    @given(undilated, st.booleans(), st.sampled_from([None, None, 3, -2]), seeds)
    def test_is_the_mean_of_each_window(self, g, count_include_pad, divisor, seed):
        x = np.random.default_rng(seed).normal(size=g.x)
        kwargs = {**g.kwargs, "count_include_pad": count_include_pad, "divisor_override": divisor}
        expected = naive_avg_pool(x, **kwargs)
        np.testing.assert_allclose(AVG[g.ndim](x, **kwargs), expected, rtol=1e-12, atol=1e-13)

    @given(pool_geometries(2, max_size=5, dilated=False), st.booleans(), seeds)
    def test_double_backward_for_any_geometry(self, g, count_include_pad, seed):
        x = np.random.default_rng(seed).normal(size=g.x)
        assert_gradients(
            lambda a: tg.avg_pool2d(a, **g.kwargs, count_include_pad=count_include_pad) ** 2, x, order=2, budget=3
        )

    def test_of_ones_is_one_unless_padding_counts(self):
        x = np.ones((1, 1, 5, 5))
        for ceil_mode in (False, True):
            y = tg.avg_pool2d(x, 3, 2, 1, ceil_mode=ceil_mode, count_include_pad=False)
            np.testing.assert_allclose(y, np.ones((1, 1, 3, 3)), rtol=1e-15)
        corner = tg.avg_pool2d(x, 3, 2, 1)[0, 0]
        np.testing.assert_allclose(corner, np.outer([2, 3, 2], [2, 3, 2]) / 9)

    def test_integers_give_means(self):
        assert tg.avg_pool1d(np.array([[[1, 2, 3, 5]]]), 2).tolist() == [[[1.5, 4.0]]]


class TestLpPool:
    @given(pool_geometries(2, max_size=5, dilated=False), st.sampled_from([1, 2, 3, 4, 2.5]), seeds)
    def test_is_the_norm_of_each_whole_window(self, g, p, seed):
        kwargs = {k: v for k, v in g.kwargs.items() if k not in ("padding", "ceil_mode")}
        shape = (*g.x[:2], *(n + 3 for n in g.x[2:]))
        x = np.random.default_rng(seed).uniform(0.2, 2, shape)
        expected = pooled(x, windows(x.shape[2:], **kwargs), lambda e, _: np.linalg.norm(e, p, axis=-1))
        np.testing.assert_allclose(tg.lp_pool2d(x, p, **kwargs), expected, rtol=1e-12)
        assert_gradients(lambda a: tg.lp_pool2d(a, p, **kwargs), x, order=2, budget=2)

    def test_gradient_is_zero_where_the_sum_is_zero(self):
        for p in (1.5, 2, 3, 4):
            x = tg.Tensor(np.zeros((1, 1, 4)), requires_grad=True)
            y = tg.lp_pool1d(x, p, 2)
            assert y.tolist() == [[[0, 0]]]
            (g,) = tg.gradients([y.sum()], [x], create_graph=True)
            assert g.tolist() == [[[0, 0, 0, 0]]]
        x = tg.Tensor(np.array([[[-2.0, 2.0]]]), requires_grad=True)  # signs cancel
        tg.lp_pool1d(x, 3, 2).sum().backward()
        assert x.grad.tolist() == [[[0, 0]]]
        assert np.isnan(tg.lp_pool1d(np.array([[[np.nan, 1.0]]]), 2, 2)).all()

    def test_one_sums_and_another_odd_exponent_has_no_root_of_a_negative_sum(self):
        x = np.array([[[1.0, -3.0, 2.0, 2.0]]])
        assert tg.lp_pool1d(x, 1, 2).tolist() == [[[-2, 4]]]
        assert_gradients(lambda a: tg.lp_pool1d(a, 1, 2), np.zeros((1, 1, 4)), order=1)
        for pool, images in ((tg.lp_pool1d, x), (tg.lp_pool2d, x[:, None].repeat(2, 2))):
            t = tg.Tensor(images, requires_grad=True)
            with np.errstate(invalid="ignore"):
                y = pool(t, 3, 2)
                y.sum().backward()
            assert np.isnan(y.numpy()[..., 0]).all()
            n = images.size // x.size
            np.testing.assert_allclose(y.numpy()[..., 1], (16 * n) ** (1 / 3), rtol=1e-14)
            assert np.isnan(t.grad.numpy()[..., :2]).all()
            np.testing.assert_allclose(t.grad.numpy()[..., 2:], 4 * (16 * n) ** (-2 / 3), rtol=1e-14)


class TestAdaptive:
    @given(adaptive, seeds)
    def test_mean_and_largest_of_each_region(self, shapes, seed):
        shape, size = shapes
        ndim, x = len(size), coarse(seed, shape)
        finite = np.random.default_rng(seed).normal(size=shape)
        axes = regions(shape[2:], size)
        y, indices = ADAPTIVE_MAX[ndim](x, size, return_indices=True)
        np.testing.assert_array_equal(y, pooled(x, axes, lambda e, _: e.max(-1)))
        np.testing.assert_array_equal(ADAPTIVE_MAX[ndim](x, size), y)
        np.testing.assert_array_equal(indices, first_of_each_window(x, axes, lambda value, best: value > best))
        mean = ADAPTIVE_AVG[ndim](finite, size)
        np.testing.assert_allclose(mean, pooled(finite, axes, lambda e, _: e.mean(-1)), rtol=1e-12, atol=1e-13)

    @given(adaptive, seeds)
    def test_double_backward(self, shapes, seed):
        shape, size = shapes
        x = distinct(seed, shape)
        for pool in (ADAPTIVE_MAX[len(size)], ADAPTIVE_AVG[len(size)]):
            assert_gradients(lambda a, pool=pool: pool(a, size) ** 2, x, order=2, budget=2)

    def test_sizes_that_divide_are_plain_pools_and_none_keeps_an_axis(self):
        x = np.random.default_rng(0).normal(size=(2, 3, 6, 4))
        np.testing.assert_array_equal(tg.adaptive_max_pool2d(x, (3, 2)), tg.max_pool2d(x, 2))
        np.testing.assert_allclose(tg.adaptive_avg_pool2d(x, (3, 2)), tg.avg_pool2d(x, 2), rtol=1e-12, atol=1e-15)
        np.testing.assert_allclose(tg.adaptive_avg_pool2d(x, 1)[..., 0, 0], x.mean((2, 3)), rtol=1e-12)
        np.testing.assert_allclose(tg.adaptive_avg_pool2d(x, (None, 2)), tg.avg_pool2d(x, (1, 2)), rtol=1e-12)
        np.testing.assert_array_equal(tg.adaptive_max_pool2d(x, None), x)

    def test_an_infinity_stays_in_its_regions(self):
        x = np.array([[[1.0, np.inf, 2.0, 3.0, 4.0]]])
        np.testing.assert_allclose(tg.adaptive_avg_pool1d(x, 3), [[[np.inf, np.inf, 3.5]]])


POOLS = [
    lambda x: tg.max_pool2d(x, 3, 2, 1),
    lambda x: tg.max_pool2d(x, 3, 2, 1, return_indices=True)[0],
    lambda x: tg.avg_pool2d(x, 3, 2, 1, ceil_mode=True),
    lambda x: tg.avg_pool2d(x, 2, count_include_pad=False, padding=1),
    lambda x: tg.lp_pool2d(x, 2, 2),
    lambda x: tg.adaptive_avg_pool2d(x, 3),
    lambda x: tg.adaptive_avg_pool2d(x[..., :3, :3], 1),
    lambda x: tg.avg_pool2d(x, (5, 4), 1, 2, count_include_pad=False),
    lambda x: tg.avg_pool2d(x, (5, 4), divisor_override=7),
    lambda x: tg.adaptive_max_pool2d(x, 3),
]


@pytest.mark.parametrize("pool", POOLS)
@pytest.mark.parametrize("dtype", [np.float16, np.float32])
def test_dtype_layout_batch_and_emptiness(pool, dtype):
    x = np.random.default_rng(0).normal(size=(2, 3, 5, 4)).astype(dtype)
    last = np.ascontiguousarray(x.transpose(0, 2, 3, 1)).transpose(0, 3, 1, 2)
    y = pool(x)
    assert y.dtype == dtype
    u = np.random.default_rng(1).normal(size=y.shape).astype(dtype)
    grads = []
    for layout in (x, last, np.asfortranarray(x), x[::-1][::-1]):
        t = tg.from_numpy(layout, requires_grad=True)
        z = pool(t)
        np.testing.assert_array_equal(z.numpy(), y)
        z.backward(u)
        assert t.grad.dtype == dtype
        grads.append(t.grad.numpy())
    for g in grads[1:]:
        np.testing.assert_allclose(g, grads[0], rtol=1e-5 if dtype == np.float32 else 2e-2, atol=1e-6)
    np.testing.assert_array_equal(pool(x[1]), y[1])
    empty = tg.Tensor(x[:0], requires_grad=True)
    z = pool(empty)
    assert z.shape == (0, *y.shape[1:])
    z.sum().backward()
    assert empty.grad.shape == (0, 3, 5, 4)


@pytest.mark.parametrize("pool", [lambda x: tg.adaptive_avg_pool2d(x, 1), lambda x: tg.avg_pool2d(x, (5, 4))])
def test_the_mean_of_an_image_in_any_memory_order(pool):
    x = np.random.default_rng(0).normal(size=(2, 3, 5, 4)).astype(np.float32)
    exact = x.mean((2, 3), np.float64, keepdims=True)
    for layout in (
        x,
        np.ascontiguousarray(x.transpose(0, 2, 3, 1)).transpose(0, 3, 1, 2),
        x[::-1, :, ::-1][::-1, :, ::-1],
    ):
        t = tg.from_numpy(layout, requires_grad=True)
        np.testing.assert_allclose(pool(t).numpy(), exact, rtol=1e-6, atol=1e-7)
        pool(t).backward(np.full((2, 3, 1, 1), 5, np.float32))
        np.testing.assert_allclose(t.grad.numpy(), np.full(x.shape, 0.25, np.float32), rtol=1e-6)


@pytest.mark.parametrize("pool", [lambda x: tg.adaptive_avg_pool2d(x, 1), lambda x: tg.avg_pool2d(x, 300)])
def test_the_mean_of_an_image_neither_overflows_nor_loses_digits(pool):
    x = np.full((1, 2, 300, 300), 1000, np.float16)
    np.testing.assert_array_equal(pool(x), np.full((1, 2, 1, 1), 1000, np.float16))
    x = np.random.default_rng(0).uniform(1, 2, x.shape).astype(np.float32)
    np.testing.assert_array_equal(pool(x), x.mean((2, 3), np.float64, keepdims=True).astype(np.float32))


@given(pool_geometries(2, dilated=False), seeds)
def test_mean_pool_and_its_gradient_are_adjoint(g, seed):
    rng = np.random.default_rng(seed)
    x = tg.Tensor(rng.normal(size=g.x), requires_grad=True)
    y = tg.avg_pool2d(x, **g.kwargs)
    u = rng.normal(size=y.shape)
    y.backward(u)
    form = np.vdot(y.numpy(), u)
    assert abs(form - np.vdot(x.numpy(), x.grad.numpy())) <= 1e-12 * (np.abs(y.numpy() * u).sum() + 1)


ONE = np.ones((1, 1, 4, 4))
TWO, WHERE = np.ones((1, 1, 2, 2)), np.array([[[[0, 3], [12, 15]]]])

REFUSED = [
    (lambda: tg.max_pool2d(ONE, 0), ValueError, "max_pool2d: `kernel_size` is 0; it must be at least 1"),
    (lambda: tg.max_pool2d(ONE, 2, 0), ValueError, "max_pool2d: `stride` is 0"),
    (lambda: tg.max_pool2d(ONE, 2, -1), ValueError, "max_pool2d: `stride` is -1"),
    (lambda: tg.max_pool2d(ONE, 2, dilation=0), ValueError, "max_pool2d: `dilation` is 0"),
    (lambda: tg.max_pool2d(ONE, 2, padding=-1), ValueError, "max_pool2d: `padding` is -1"),
    (lambda: tg.max_pool2d(ONE, 3, padding=2), ValueError,
     "max_pool2d: `padding` is 2; it must be at most half of `kernel_size` (3, 3)"),
    (lambda: tg.max_pool2d(ONE, 5), ValueError,
     "max_pool2d: `kernel_size` (5, 5) spans 5 along spatial axis 0 but the padded `x` has 4"),
    (lambda: tg.max_pool2d(ONE, 3, dilation=(1, 2)), ValueError, "spans 5 along spatial axis 1 but the padded `x` has 4"),
    (lambda: tg.max_pool2d(ONE[..., :1], 2, padding=1, dilation=2), ValueError, "which then covers only padding"),
    (lambda: tg.max_pool2d(ONE[..., :0], 1), ValueError, "`x` has spatial sizes (4, 0); every one must be at least 1"),
    *((lambda pool=pool, n=n: pool(np.ones((2, 0, *(4,) * n)), 2), ValueError, f"{pool.__name__}: `x` has no channels")
      for family in (MAX, AVG, ADAPTIVE_MAX) for n, pool in family.items()),
    (lambda: tg.max_pool1d(np.ones((0, 4)), 2), ValueError, "max_pool1d: `x` has no channels; it must have at least 1"),
    (lambda: tg.lp_pool2d(ONE[:, :0], 2, 2), ValueError, "lp_pool2d: `x` has no channels"),
    (lambda: tg.max_unpool2d(TWO[:, :0], WHERE[:, :0], 2), ValueError, "max_unpool2d: `x` has no channels"),
    (lambda: tg.lp_pool2d(ONE, 2j, 2), TypeError, "lp_pool2d: `norm_type` is 2j; it must be a number"),
    (lambda: tg.max_pool2d(ONE[0, 0], 2), ValueError, "max_pool2d: `x` has shape (4, 4); it must be (N, C, H, W)"),
    (lambda: tg.max_pool1d(ONE, 2), ValueError, "max_pool1d: `x` has shape (1, 1, 4, 4); it must be (N, C, L)"),
    (lambda: tg.max_pool3d(ONE[0], 2), ValueError, "max_pool3d: `x` has shape (1, 4, 4)"),
    (lambda: tg.max_pool2d(ONE, 1.5), TypeError, "max_pool2d: `kernel_size` is 1.5; it must be an integer or 2 integers"),
    (lambda: tg.max_pool2d(ONE, (2, 2, 2)), ValueError, "`kernel_size` is (2, 2, 2); it must be one integer or 2"),
    (lambda: tg.max_pool2d([1.0], 2), TypeError, "max_pool2d: `x` is a list"),
    (lambda: tg.avg_pool2d(ONE, 2, padding=2), ValueError, "avg_pool2d: `padding` is 2; it must be at most half"),
    (lambda: tg.avg_pool2d(ONE, 2, divisor_override=0), ValueError, "avg_pool2d: `divisor_override` is 0"),
    (lambda: tg.avg_pool2d(ONE, 2, divisor_override=0.5), TypeError, "avg_pool2d: `divisor_override` is 0.5"),
    (lambda: tg.avg_pool1d(ONE, 2), ValueError, "avg_pool1d: `x` has shape (1, 1, 4, 4)"),
    (lambda: tg.lp_pool2d(ONE, 0, 2), ValueError, "lp_pool2d: `norm_type` is 0; it must be positive and finite"),
    (lambda: tg.lp_pool2d(ONE, float("inf"), 2), ValueError, "lp_pool2d: `norm_type` is inf"),
    (lambda: tg.lp_pool2d(ONE, "2", 2), TypeError, "lp_pool2d: `norm_type` is '2'; it must be a number"),
    (lambda: tg.lp_pool1d(ONE, 2, 2), ValueError, "lp_pool1d: `x` has shape (1, 1, 4, 4)"),
    (lambda: tg.adaptive_avg_pool2d(ONE, 0), ValueError, "adaptive_avg_pool2d: `output_size` is 0"),
    (lambda: tg.adaptive_avg_pool2d(ONE, (1, 2, 3)), ValueError, "adaptive_avg_pool2d: `output_size` is (1, 2, 3)"),
    (lambda: tg.adaptive_max_pool2d(ONE, "2"), TypeError, "adaptive_max_pool2d: `output_size` is '2'"),
    (lambda: tg.adaptive_max_pool2d(ONE, (2, 0.5)), TypeError, "adaptive_max_pool2d: `output_size` is"),
    (lambda: tg.adaptive_max_pool2d(ONE[..., :0], 2), ValueError, "`x` has spatial sizes (4, 0)"),
    (lambda: tg.adaptive_avg_pool3d(ONE[0], 2), ValueError, "adaptive_avg_pool3d: `x` has shape (1, 4, 4)"),
    (lambda: tg.max_unpool2d(TWO, WHERE[..., :1], 2), ValueError,
     "max_unpool2d: `indices` has shape (1, 1, 2, 1) but `x` has (1, 1, 2, 2); they must agree"),
    (lambda: tg.max_unpool2d(TWO, WHERE * 1.0, 2), TypeError, "max_unpool2d: `indices` has dtype float64"),
    (lambda: tg.max_unpool2d(TWO, WHERE + 1, 2), IndexError, "`indices` has values from 1 to 16"),
    (lambda: tg.max_unpool2d(TWO, WHERE - 1, 2), IndexError, "`indices` has values from -1 to 14"),
    (lambda: tg.max_unpool2d(TWO, WHERE, 2, output_size=(6, 4)), ValueError,
     "max_unpool2d: `output_size` is (6, 4); for `x` of (2, 2) it must differ by less than `stride` (2, 2) from (4, 4)"),
    (lambda: tg.max_unpool2d(TWO, WHERE, 2, output_size=(4,)), ValueError, "max_unpool2d: `output_size` is (4,)"),
    (lambda: tg.max_unpool2d(TWO, WHERE, 1, padding=2), ValueError, "`padding` is 2, which leaves a result of (-2, -2)"),
    (lambda: tg.max_unpool2d(TWO, [[0]], 2), TypeError, "max_unpool2d: `indices` is a list"),
]  # fmt: skip


@pytest.mark.parametrize(("call", "error", "message"), REFUSED, ids=[message[:60] for *_, message in REFUSED])
def test_what_is_refused_and_how(call, error, message):
    with pytest.raises(error, match=re.escape(message)):
        call()


@pytest.mark.parametrize("n", [1, 2, 3])
def test_one_number_in_a_sequence_stands_for_every_axis(n):
    x, w = np.random.default_rng(0).normal(size=(2, 2, *(6,) * n)), np.ones((2, 2, *(3,) * n))
    conv, transposed = getattr(tg, f"conv{n}d"), getattr(tg, f"conv_transpose{n}d")
    same = [
        (MAX[n], (x, (3,)), (x, 3), {}), (AVG[n], (x, [2]), (x, 2), {}),
        *((MAX[n], (x, 2), (x, 2), {name: 1}) for name in ("stride", "padding", "dilation")),
        *((AVG[n], (x, 2), (x, 2), {name: 1}) for name in ("stride", "padding")),
        *((conv, (x, w), (x, w), {name: 2}) for name in ("stride", "padding", "dilation")),
        *((transposed, (x, w), (x, w), {name: 2}) for name in ("stride", "padding", "dilation")),
        (transposed, (x, w, None, 2), (x, w, None, 2), {"output_padding": 1}),
    ]  # fmt: skip
    for f, several, one, how in same:
        y = f(*several, **{name: (value,) for name, value in how.items()})
        np.testing.assert_array_equal(y, f(*one, **how))


@pytest.mark.parametrize("family", [MAX, AVG, ADAPTIVE_MAX, ADAPTIVE_AVG])
def test_every_rank_takes_the_same_arguments(family):
    assert len({str(inspect.signature(f)) for f in family.values()}) == 1


@pytest.mark.parametrize("pool", [tg.max_pool2d, tg.avg_pool2d])
@pytest.mark.parametrize("name", ["kernel_size", "stride", "padding"])
@pytest.mark.parametrize("wrong", [1.0, (1, 1.0), [1.0, 1], np.float32(1)])
def test_what_equals_a_size_that_was_checked_is_still_refused(pool, name, wrong):
    x, sizes = np.ones((1, 1, 5, 5)), {"kernel_size": 3, "stride": 1, "padding": 1}
    for valid in (1, (1, 1), [1, 1], np.array([1, 1]), True, (True, 1)):
        assert (
            pool(x, **{**sizes, "padding": 0, name: valid}).shape
            == pool(x, **{**sizes, "padding": 0, name: (1, 1)}).shape
        )
    with pytest.raises(TypeError, match=rf"{pool.__name__}: `{name}` is .* it must be an integer or 2 integers"):
        pool(x, **{**sizes, "padding": 0, name: wrong})
