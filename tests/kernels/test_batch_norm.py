"""Normalization, by blocks and by definition, beside its formulas, in layouts that are rows and in those that are not."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tinygrad_cnn.kernels import batch_norm, channelwise, layer_norm
from tinygrad_cnn.kernels.parallel.task import Work
from tinygrad_cnn.ops import normalization as ops
from tinygrad_cnn.ops.normalization import Over

from ..tuning import tuned

seeds = st.integers(0, 2**32 - 1)
EPS = 0.01


@pytest.fixture(autouse=True, scope="module")
def small_arrays_too():
    with tuned() as tune:
        tune(channelwise, SMALL=1, LONG=16, BLOCK=64, LARGE=256, ALONE=40)
        tune(batch_norm, FEW=1)
        tune(layer_norm, FEW=1, LONGEST=8, SHORT_ROWS=3, LONG=30)
        yield


@st.composite
def images(draw, steps=(1, 1, 2)):
    """x and u of one layout (in C order, channels-last, or with gaps), and w and b, or None, of size 1 along the axes or with a
    number for each element of the last axes."""
    n, c, size = draw(st.integers(1, 9)), draw(st.integers(1, 7)), draw(st.integers(1, 9))
    axes = draw(st.sampled_from([(0, 2), (2,), (0,), (1, 2)]))
    dtype = draw(st.sampled_from([np.float32, np.float64]))
    rng = np.random.default_rng(draw(seeds))
    order = draw(st.sampled_from([(0, 1, 2), (0, 2, 1), (1, 0, 2)]))
    step = draw(st.sampled_from(steps))

    def one(centre):
        memory = np.empty([(n, c, size)[i] * step for i in order], dtype)
        a = memory.transpose(np.argsort(order))[::step, ::step, ::step]
        a[...] = rng.normal(centre, 1, a.shape)
        return a

    shape = tuple(1 if i in axes else m for i, m in enumerate((n, c, size)))
    last = (n, c, size)[axes[0] :]
    shapes = [shape, last, (*(1 for _ in range(3 - len(last))), *last), (n, 1, size)] if axes[-1] == 2 else [shape]
    w, b = (draw(st.sampled_from([None, *(rng.normal(size=each).astype(dtype) for each in shapes)])) for _ in range(2))
    return one(draw(st.sampled_from([0, 1.5, 3, 30]))), one(0), w, b, Over(axes, EPS, draw(st.booleans()))


def formulas(x, u, w, b, over):
    x, u = x.astype(np.float64), u.astype(np.float64)
    w, b = 1 if w is None else w.astype(np.float64), 0 if b is None else b.astype(np.float64)
    mean = x.mean(over.axis, keepdims=True) * over.centred
    variance = np.square(x - mean).mean(over.axis, keepdims=True)
    r = 1 / np.sqrt(variance + EPS)
    s = (x - mean) * r
    sums = np.stack([a.sum(over.axis, keepdims=True) for a in (u * over.centred, u * s)])
    v = u * w
    dx = r * (v - v.mean(over.axis, keepdims=True) * over.centred - s * (v * s).mean(over.axis, keepdims=True))
    return np.stack([mean, variance]), s * w + b, sums, dx


def sums_if_usable(w, sums):
    """The sums, if w has one number for each of them."""
    return sums if w is None or w.shape == sums.shape[1:] else None


@given(images())
def test_the_formulas(case):
    x, u, w, b, over = case
    expected = formulas(*case)
    accuracy = 2e-4 if x.dtype == np.float32 else 1e-11
    stats = ops.moments(x, over=over)
    sums = ops.correlations(u, x, stats, over=over)
    for f, inputs, wanted in (
        (ops.moments, [x], expected[0]),
        (ops.normalized, [x, w, b, stats], expected[1]),
        (ops.correlations, [u, x, stats], expected[2]),
        (ops.normalized_dx, [u, x, w, sums_if_usable(w, sums), stats], expected[3]),
        (ops.normalized_dx, [u, x, w, None, stats], expected[3]),
    ):
        for got in (f(*inputs, over=over), f.op.raw(*inputs, over=over)):
            assert got.dtype == (np.float64 if f is ops.moments else x.dtype)
            np.testing.assert_allclose(got, wanted, rtol=accuracy, atol=accuracy * 10)


@given(images(steps=(1,)))
def test_results_may_be_written_over_inputs_and_computed_again(case):
    x, u, w, b, over = case
    stats = ops.moments(x, over=over)
    sums = ops.correlations(u, x, stats, over=over)
    sums = sums_if_usable(w, sums)
    y, dx = ops.normalized(x, w, b, stats, over=over), ops.normalized_dx(u, x, w, sums, stats, over=over)
    assert y.strides == dx.strides == np.empty_like(x).strides
    for name, over_x in (("y", True), ("dx", True), ("dx", False)):
        a, g = x.copy("K"), u.copy("K")
        out = a if over_x else g
        if name == "y":
            ops.normalized.op.bind(out, a, w, b, stats, over=over)()
        else:
            ops.normalized_dx.op.bind(out, g, a, w, sums, stats, over=over)()
        np.testing.assert_array_equal(out, y if name == "y" else dx)
    for f, inputs, wanted in (
        (ops.moments, [x], stats),
        (ops.normalized, [x, w, b, stats], y),
        (ops.correlations, [u, x, stats], ops.correlations(u, x, stats, over=over)),
        (ops.normalized_dx, [u, x, w, sums, stats], dx),
    ):
        result = np.empty_like(wanted)
        task = f.op.bind(result, *inputs, over=over)
        task = task.prepared() if isinstance(task, Work) else task
        for _ in range(2):
            result[...] = np.nan
            task()
            np.testing.assert_array_equal(result, wanted)


@given(images())
def test_sums_of_rows(case):
    x, u, _, _, over = case
    over = over._replace(axis=tuple(range(over.axis[0] or 1, 3)))
    shape = x.shape[over.axis[0] :]
    stats = ops.moments(x, over=over)
    s = formulas(x, u, None, None, over)[1]
    lead = tuple(range(over.axis[0]))
    wanted = np.stack([a.sum(lead, np.float64) for a in (u * over.centred, u * s)])
    accuracy = 2e-4 if x.dtype == np.float32 else 1e-11
    got = ops.correlations(u, x, stats, over=over, shape=shape)
    for y in (got, ops.correlations.op.raw(u, x, stats, over=over, shape=shape)):
        assert y.dtype == x.dtype
        np.testing.assert_allclose(y, wanted, rtol=accuracy, atol=accuracy * 10)
    result = np.empty_like(got)
    task = ops.correlations.op.bind(result, u, x, stats, over=over, shape=shape)
    task = task.prepared() if isinstance(task, Work) else task
    for _ in range(2):
        result[...] = np.nan
        task()
        np.testing.assert_array_equal(result, got)


@given(images(), seeds)
def test_small_arrays_of_another_type_are_promoted_with(case, seed):
    x, u, _, _, over = case
    shape = ops.moments(x, over=over).shape[1:]
    w, b = np.random.default_rng(seed).normal(size=(2, *shape))
    y = ops.normalized(x, w, b.astype(np.float32), ops.moments(x, over=over), over=over)
    assert y.dtype == np.float64
    np.testing.assert_allclose(y, formulas(x, u, w, b, over)[1], rtol=2e-4, atol=2e-3)


@pytest.mark.parametrize("shape", [(6, 1, 40), (6, 1, 1), (6, 50, 40), (50, 1), (50, 40)])
def test_a_scale_may_differ_from_example_to_example(shape):
    rng = np.random.default_rng(0)
    x, u, w, over = rng.normal(size=(6, 50, 40)), rng.normal(size=(6, 50, 40)), rng.normal(size=shape), Over((2,), EPS)
    stats = ops.moments(x, over=over)
    for f, inputs in ((ops.normalized, [x, w, w, stats]), (ops.normalized_dx, [u, x, w, None, stats])):
        np.testing.assert_allclose(f(*inputs, over=over), f.op.raw(*inputs, over=over), rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("centre", [0, 10])
@pytest.mark.parametrize("scales", [(1e25, 1e25), (1e8, 1e32)])
def test_products_that_leave_float32_are_computed_again(centre, scales):
    x, u, w = np.random.default_rng(0).normal(centre, 1, (3, 6, 50, 40)).astype(np.float32)
    x, u, over = x * np.float32(scales[0]), u * np.float32(scales[1]), Over((1, 2), EPS)
    stats = ops.moments(x, over=over)
    for f, inputs, params in (
        (ops.normalized, [x, w[0], w[1], stats], {}),
        (ops.normalized_dx, [u, x, w[0], None, stats], {}),
        (ops.correlations, [u, x, stats], {"shape": (50, 40)}),
    ):
        wide = [a if a is None else a.astype(np.float64) for a in inputs]
        exact = f.op.raw(*wide, **params, over=over)
        np.testing.assert_allclose(f(*inputs, **params, over=over), exact, rtol=1e-4, atol=1e-4 * np.abs(exact).max())


def by_rows(x, u, w, b, over):
    """What layer norm computes, and by which functions: by kernels, and by definition in float64."""
    wide = [a.astype(np.float64) for a in (x, u, w, b)]
    stats, exact = ops.moments(x, over=over), ops.moments.op.raw(wide[0], over=over)
    for f, places, params in (
        (ops.normalized, (0, 2, 3), {}),
        (ops.normalized_dx, (1, 0, 2, None), {}),
        (ops.correlations, (1, 0), {"shape": w.shape}),
    ):
        got, wanted = (
            function(*(None if i is None else a[i] for i in places), s, **params, over=over)
            for function, a, s in ((f, (x, u, w, b), stats), (f.op.raw, wide, exact))
        )
        yield got, wanted


@pytest.mark.parametrize("n", [7, 29, 30, 100])
@pytest.mark.parametrize("centre", [0, 1.9, 2.1, 1000])
def test_a_mean_far_from_zero_costs_layer_norm_no_digits(n, centre):
    x, u, w, b = np.random.default_rng(0).normal(size=(4, 60, n)).astype(np.float32)
    x += np.float32(centre)
    for got, wanted in by_rows(x, u, w[0], b[0], Over((1,), EPS)):
        np.testing.assert_allclose(got, wanted, rtol=0, atol=4 * 2**-23 * np.abs(wanted).max())


@pytest.mark.parametrize("last", [False, True])
@pytest.mark.parametrize("centre", [30, 1000])
def test_a_mean_far_from_zero_costs_batch_norm_no_digits(centre, last):
    x, u = np.random.default_rng(0).normal(size=(2, 40, 9, 5)).astype(np.float32)
    x += np.float32(centre)
    if last:
        x, u = (np.ascontiguousarray(a.swapaxes(1, 2)).swapaxes(1, 2) for a in (x, u))
    w, b = np.random.default_rng(1).uniform(0.5, 1.5, (2, 1, 9, 1)).astype(np.float32)
    over = Over((0, 2), EPS)
    stats, (_, y, exact, dx) = ops.moments(x, over=over), formulas(x, u, w, b, over)
    sums = ops.correlations(u, x, stats, over=over)
    for got, wanted in (
        (ops.normalized(x, w, b, stats, over=over), y),
        (sums, exact),
        (ops.normalized_dx(u, x, w, sums, stats, over=over), dx),
    ):
        np.testing.assert_allclose(got, wanted, rtol=0, atol=4 * 2**-23 * np.abs(wanted).max())


@pytest.mark.parametrize("value", [0.1, 0.9420945])
def test_equal_numbers_are_their_mean(value):
    x = np.full((40, 9), value, np.float32)
    mean, variance = ops.moments(x, over=Over((0,), EPS))
    np.testing.assert_array_equal(mean, np.float32(value))
    np.testing.assert_array_equal(variance, 0)


def test_factors_that_leave_float32_are_not_multiplied():
    x, u = np.random.default_rng(0).normal(0, 1e-3, (2, 60, 8)).astype(np.float32)
    w, b = np.array([[1e38] * 4 + [1e-38] * 4, [0] * 8], np.float32)
    over = Over((1,), 1e-8)
    for got, wanted in by_rows(x, u, w, b, over):
        assert np.all(np.abs(got - wanted) <= 1e-5 * np.abs(wanted).max(0))


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_rows_that_are_not_finite_leave_the_others_as_they_are(value):
    x, u, w, b = np.random.default_rng(0).normal(size=(4, 60, 20)).astype(np.float32)
    x[3, 4], u[40, 2], over = value, value, Over((1,), EPS)
    with np.errstate(all="ignore"):
        for got, wanted in by_rows(x, u, w[0], b[0], over):
            np.testing.assert_allclose(got, wanted, rtol=1e-5, atol=1e-4)


def test_channels_last_images_are_rows_and_others_are_not():
    x = np.ones((4, 3, 5, 5), np.float32)
    last = np.moveaxis(np.ascontiguousarray(np.moveaxis(x, 1, -1)), -1, 1)
    assert isinstance(channelwise.blocks((0, 2, 3), last), channelwise.Rows)
    assert not isinstance(channelwise.blocks((0, 2, 3), x), channelwise.Rows)
    assert not isinstance(channelwise.blocks((0, 2, 3), last, x), channelwise.Rows)
    assert channelwise.blocks((0, 2, 3), last.astype(np.float16)) is None
    assert channelwise.blocks((0, 2, 3), last, x.astype(np.float64)) is None


@pytest.mark.parametrize("axes", [(0, 2, 3), (2, 3), (1, 2, 3)])
@pytest.mark.parametrize("last", [False, True])
def test_a_mean_far_from_zero_costs_no_digits(axes, last):
    rng = np.random.default_rng(0)
    x = (rng.normal(size=(8, 16, 16, 8)) + 1000).astype(np.float32)
    x = np.moveaxis(x, -1, 1) if last else x
    exact = x.astype(np.float64)
    mean, variance = ops.moments(x, over=Over(axes))
    np.testing.assert_allclose(mean, exact.mean(axes, keepdims=True), rtol=1e-7)
    np.testing.assert_allclose(variance, exact.var(axes, keepdims=True), rtol=1e-4)
