"""Normalization in blocks and by definition, beside its formulas, in every memory order that has its own way, and in others."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import tinygrad_cnn as tg
from tinygrad_cnn.kernels import cells, channelwise, lines, normalization
from tinygrad_cnn.kernels.parallel.task import Work
from tinygrad_cnn.ops import standardize as ops
from tinygrad_cnn.ops.affine import affine
from tinygrad_cnn.ops.standardize import Over

from ..tuning import tuned

seeds = st.integers(0, 2**32 - 1)
EPS = 0.01
ORDERS = [(0, 1, 2), (0, 2, 1), (1, 0, 2), (1, 2, 0)]


@pytest.fixture(autouse=True, scope="module")
def small_arrays_too():
    with tuned() as tune:
        tune(channelwise, LONG=16)
        tune(cells, BLOCK=64, LARGE=256, LONGEST=8, SHORT_ROWS=3, LEAST=2)
        tune(normalization, FEW=1, FEW_SCALED=1)
        tune(lines, FEW=1, LONG=30)
        yield


def stored(a, order, dtype):
    """The array with its axes in this order in memory."""
    memory = np.empty([a.shape[i] for i in order], dtype).transpose(np.argsort(order))
    memory[...] = a
    return memory


@st.composite
def images(draw):
    """x and u, each in its memory order; w and b, or None, that vary along some axes; and what is normalized together."""
    shape = draw(st.tuples(st.integers(1, 9), st.integers(1, 7), st.integers(1, 9)))
    axes = draw(st.sampled_from([(0, 2), (2,), (0,), (1, 2), (0, 1, 2)]))
    dtype, rng = draw(st.sampled_from([np.float32, np.float64])), np.random.default_rng(draw(seeds))
    orders = draw(st.sampled_from(ORDERS)), draw(st.sampled_from(ORDERS))
    same = draw(st.booleans())
    x, u = rng.normal(draw(st.sampled_from([0, 1.5, 3, 300])), 1, shape), rng.normal(size=shape)
    sizes = [
        tuple(1 if i in axes else n for i, n in enumerate(shape)),
        shape[axes[0] :],
        (1, shape[1], 1),
        (1, *shape[1:]),
        (shape[0], 1, shape[2]),
    ]
    w, b = (draw(st.sampled_from([None, *(rng.normal(size=own).astype(dtype) for own in sizes)])) for _ in range(2))
    return stored(x, orders[0], dtype), stored(u, orders[not same], dtype), w, b, Over(axes, EPS, draw(st.booleans()))


def formulas(x, u, w, b, over):
    """The moments, y, and the gradients in x, w and b, in float64."""
    x, u = x.astype(np.float64), u.astype(np.float64)
    mean = x.mean(over.axis, keepdims=True) * over.centred
    variance = np.square(x - mean).mean(over.axis, keepdims=True)
    r = 1 / np.sqrt(variance + EPS)
    s, v = (x - mean) * r, u if w is None else u * w
    y = (s if w is None else s * w) + (0 if b is None else b)
    dx = r * (v - v.mean(over.axis, keepdims=True) * over.centred - s * (v * s).mean(over.axis, keepdims=True))
    dw, db = (None if a is None else summed(t, a.shape) for t, a in ((u * s, w), (u, b)))
    return np.stack([mean, variance]), y, [dx, dw, db]


def summed(a, shape):
    own = (1,) * (a.ndim - len(shape)) + shape
    return a.sum(tuple(i for i, n in enumerate(own) if n == 1), keepdims=True).reshape(shape)


def close(got, wanted, dtype):
    assert got.dtype == dtype
    atol = (4e-6 if dtype == np.float32 else 1e-12) * max(1, np.abs(wanted).max(initial=0)) * max(1, wanted.size) ** 0.5
    np.testing.assert_allclose(got, wanted, rtol=1e-5 if dtype == np.float32 else 1e-11, atol=atol)


@given(images())
def test_the_formulas(case):
    x, u, w, b, over = case
    before = [a if a is None else a.copy() for a in case[:4]]
    stats, y, gradients = formulas(*case)
    found = ops.moments(x, over=over)
    np.testing.assert_allclose(found, stats, rtol=2e-5, atol=2e-6)
    given_ = [a if a is None else tg.Tensor(a, requires_grad=True) for a in (x, w, b)]
    for known in (None, found):
        got = ops.normalized(*given_, known, over=over)
        close(got.numpy(), y, x.dtype)
        wanted = [a for a in given_ if a is not None]
        pulled = tg.gradients(got, wanted, u)
        for own, exact in zip(pulled, [a for a in gradients if a is not None], strict=True):
            close(own.numpy(), exact, x.dtype)
    for a, known in zip(case[:4], before, strict=True):
        np.testing.assert_array_equal(a, known)


def tasks(case):
    """Each op with its inputs."""
    x, u, w, b, over = case
    stats = ops.moments(x, over=over)
    one = w if w is None or ops.is_one_for_each(w.shape, x.ndim, over) else None
    sums = ops.correlations(u, x, stats, over=over)
    yield ops.moments.op, [x], {"over": over}
    yield ops.normalized.op, [x, w, b, stats], {"over": over}
    yield ops.correlations.op, [u, x, stats], {"over": over}
    yield ops.correlations.op, [u, x, stats], {"over": over, "shape": () if w is None else w.shape}
    yield ops.normalized_dx.op, [u, x, w, None, stats], {"over": over}
    yield ops.normalized_dx.op, [u, x, one, sums, stats], {"over": over}
    if w is not None:
        yield affine.op, [x, w, b], {}
    numbers = [a.reshape(-1)[: x.shape[1]] for a in (np.abs(x), np.abs(u)) if a.size >= x.shape[1]]
    yield ops.normalized_by.op, [x, *numbers], {"eps": EPS}


@given(images())
def test_a_task_may_be_repeated_with_other_values(case):
    _, u, w, *_ = case
    for op, inputs, params in tasks(case):
        first = np.asarray(op.run(*inputs, **params))
        out = np.empty_like(first)
        task = op.bind(out, *inputs, **params)
        task = task.prepared() if isinstance(task, Work) else task
        for factor in (1, 2, 0.5):
            for a in inputs:
                if a is not None and (a is u or a is w):
                    a *= factor
            out[...] = np.nan
            task()
            np.testing.assert_array_equal(out, op.run(*inputs, **params))


@given(images())
def test_a_result_may_be_written_over_an_input(case):
    for op, inputs, params in tasks(case):
        if op not in (ops.normalized.op, ops.normalized_dx.op):
            continue
        known = op.run(*inputs, **params)
        for i in range(1 + (op is ops.normalized_dx.op)):
            given_ = [a if a is None else a.copy("K") for a in inputs]
            if cells.is_alike(given_[i], known):
                op.bind(given_[i], *given_, **params)()
                np.testing.assert_array_equal(given_[i], known)


@given(images(), seeds)
def test_small_arrays_of_another_type_are_promoted_with(case, seed):
    x, u, _, _, over = case
    w, b = np.random.default_rng(seed).normal(size=(2, *ops.moments(x, over=over).shape[1:]))
    y = ops.normalized(x, w, b.astype(np.float32), ops.moments(x, over=over), over=over)
    assert y.dtype == np.float64
    np.testing.assert_allclose(y, formulas(x, u, w, b, over)[1], rtol=2e-4, atol=2e-3)


LAYOUTS = {
    "batch": ((40, 9, 5), (0, 1, 2), (1, 9, 1), (0, 2)), "batch, channels last": ((40, 9, 5), (0, 2, 1), (1, 9, 1), (0, 2)),
    "features": ((200, 9), (0, 1), (9,), (0,)), "rows": ((60, 29), (0, 1), (29,), (1,)),
    "long rows": ((60, 100), (0, 1), (100,), (1,)), "groups": ((6, 2, 3, 20), (0, 1, 2, 3), (2, 3, 1), (2, 3)),
    "groups, channels last": ((6, 2, 3, 20), (0, 3, 1, 2), (2, 3, 1), (2, 3)),
    "instances": ((6, 5, 20), (0, 1, 2), (1, 5, 1), (2,)), "instances, channels last": ((6, 5, 20), (0, 2, 1), (1, 5, 1), (2,)),
}  # fmt: skip
every_layout = pytest.mark.parametrize("layout", LAYOUTS)


def layer(layout, seed=0, centre=0.0, dtype=np.float32):
    shape, order, small, axes = LAYOUTS[layout]
    rng = np.random.default_rng(seed)
    x, u = (stored(a, order, dtype) for a in rng.normal(size=(2, *shape)))
    x += dtype(centre)
    w, b = rng.uniform(0.5, 1.5, (2, *small)).astype(dtype)
    return x, u, w, b, Over(axes, EPS)


def run(x, u, w, b, over):
    """y and the gradients, by the kernels."""
    given_ = [tg.Tensor(a, requires_grad=True) for a in (x, w, b)]
    y = ops.normalized(*given_, ops.moments(x, over=over), over=over)
    return [y.numpy(), *(a.numpy() for a in tg.gradients(y, given_, u))]


@every_layout
def test_every_layout_has_kernels(layout):
    x, u, w, b, over = layer(layout)
    stats = ops.moments(x, over=over)
    one = ops.is_one_for_each(w.shape, x.ndim, over)
    sums = ops.correlations(u, x, stats, over=over) if one else None
    for op, inputs, params in (
        (ops.moments.op, [x], {"over": over}),
        (ops.normalized.op, [x, w, b, stats], {"over": over}),
        (ops.correlations.op, [u, x, stats], {"over": over, "shape": None if one else w.shape}),
        (ops.normalized_dx.op, [u, x, w, sums, stats], {"over": over}),
    ):
        task = op.prepare(None, *inputs, **params)
        assert task is not None, op
        y = task()
        assert y.shape != x.shape or y.strides == x.strides


@every_layout
@pytest.mark.parametrize("centre", [0, 1.9, 2.1, 30, 1000])
def test_a_mean_far_from_zero_costs_no_digits(layout, centre):
    case = layer(layout, centre=centre)
    _, y, gradients = formulas(*case)
    for got, wanted in zip(run(*case), [y, *gradients], strict=True):
        np.testing.assert_allclose(got, wanted, rtol=0, atol=4 * 2**-23 * np.abs(wanted).max())
    exact = case[0].astype(np.float64)
    mean, variance = ops.moments(case[0], over=case[4])
    np.testing.assert_allclose(mean, exact.mean(case[4].axis, keepdims=True), rtol=2e-7, atol=1e-7)
    np.testing.assert_allclose(variance, exact.var(case[4].axis, keepdims=True), rtol=2e-6)


@every_layout
@pytest.mark.parametrize("centre", [0, 10])
@pytest.mark.parametrize("scales", [(1e25, 1e25), (1e8, 1e32), (1e-25, 1e-3)])
def test_products_that_leave_float32_are_computed_again(layout, centre, scales):
    x, u, w, b, over = layer(layout, centre=centre)
    x, u, over = x * np.float32(scales[0]), u * np.float32(scales[1]), over._replace(eps=1e-60)
    exact = run(*(a.astype(np.float64) for a in (x, u, w, b)), over)
    for got, wanted in zip(run(x, u, w, b, over), exact, strict=True):
        if np.abs(wanted).max() < 1e38:
            np.testing.assert_allclose(got, wanted, rtol=1e-4, atol=1e-5 * np.abs(wanted).max())


@every_layout
@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_numbers_that_are_not_finite_are_where_the_definitions_have_them(layout, value):
    x, u, w, b, over = layer(layout)
    x[3, 1], u[5, 1] = value, value
    with np.errstate(all="ignore"):
        got = run(x, u, w, b, over)
        exact = run(*(a.astype(np.float64) for a in (x, u, w, b)), over)
    for own, wanted in zip(got, exact, strict=True):
        finite = np.isfinite(wanted) & (np.abs(wanted) < 1e38)
        np.testing.assert_array_equal(
            np.isfinite(own)[np.isfinite(wanted) == finite], finite[np.isfinite(wanted) == finite]
        )
        np.testing.assert_allclose(own[finite], wanted[finite], rtol=1e-4, atol=1e-4)


def test_factors_that_leave_float32_are_not_multiplied():
    x, u = np.random.default_rng(0).normal(0, 1e-3, (2, 60, 8)).astype(np.float32)
    w, b = np.array([[1e38] * 4 + [1e-38] * 4, [0] * 8], np.float32)
    over = Over((1,), 1e-8)
    exact = run(*(a.astype(np.float64) for a in (x, u, w, b)), over)
    for got, wanted in zip(run(x, u, w, b, over), exact, strict=True):
        finite = np.abs(wanted) < 1e38
        assert np.all((np.abs(got - wanted) <= 1e-5 * np.abs(wanted).max(0))[finite])


@pytest.mark.parametrize("value", [0.1, 0.9420945])
def test_equal_numbers_are_their_mean(value):
    x = np.full((40, 9), value, np.float32)
    mean, variance = ops.moments(x, over=Over((0,), EPS))
    np.testing.assert_allclose(mean, np.float32(value), rtol=1e-9)
    np.testing.assert_allclose(variance, 0, atol=1e-15)


@pytest.mark.parametrize("far", [False, True])
@pytest.mark.parametrize("last", [False, True])
@pytest.mark.parametrize("kind", ["batch", "group", "instance", "layer"])
def test_a_layer_has_the_same_bits_compiled_and_on_two_threads(kind, last, far):
    rng = np.random.default_rng(7)
    x, g = (rng.standard_normal((4, 12, 9, 7), "f4") for _ in range(2))
    x += np.float32(100 * far)
    if last:
        x, g = (stored(a, (0, 2, 3, 1), np.float32) for a in (x, g))
    made = {
        "batch": tg.nn.BatchNorm2d(12), "group": tg.nn.GroupNorm(3, 12), "instance": tg.nn.InstanceNorm2d(12, affine=True),
        "layer": tg.nn.LayerNorm((9, 7)),
    }[kind]  # fmt: skip
    x = tg.Tensor(x, requires_grad=True)

    def step():
        y = made(x)
        return y, *tg.gradients(y, [x, *made.parameters()], g)

    compiled, expected = tg.compile(step), [a.numpy().copy() for a in step()]
    for i in range(6):
        tg.set_num_threads(1 + i % 2)
        for function in (step, compiled):
            for got, known in zip(function(), expected, strict=True):
                np.testing.assert_array_equal(got.numpy(), known)
