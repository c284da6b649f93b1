"""Normalization of groups of channels beside its formulas, channels first or last in memory, and as users call it."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import tinygrad_cnn as tg
from tinygrad_cnn.kernels import batch_norm, channelwise, group_norm, layer_norm
from tinygrad_cnn.kernels.parallel.task import Work
from tinygrad_cnn.ops import normalization as ops
from tinygrad_cnn.ops.normalization import Over

from ..tuning import tuned
from .test_batch_norm import EPS, formulas, seeds

LAST = (0, 3, 4, 1, 2)


@pytest.fixture(autouse=True)
def small_arrays_too():
    with tuned() as tune:
        tune(channelwise, SMALL=1)
        tune(group_norm, FEW=1, BLOCK=200, LEAST=3, LONGEST=10)
        tune(batch_norm, FEW=1)
        tune(layer_norm, FEW=1)
        yield tune


def in_order(a, last):
    """`a` in memory with its channels last, or in C order."""
    return np.ascontiguousarray(a.transpose(LAST)).transpose(np.argsort(LAST)) if last else a


@st.composite
def images(draw):
    """x and u of one layout, and w and b with a number for each channel, or for each of a group, or None."""
    n, g, k, h, w = (draw(st.integers(1, most)) for most in (5, 3, 4, 5, 5))
    dtype, last = draw(st.sampled_from([np.float32, np.float64])), draw(st.booleans())
    rng = np.random.default_rng(draw(seeds))
    x, u = (in_order(rng.normal(size=(n, g, k, h, w)).astype(dtype), last) for _ in range(2))
    x += np.asarray(draw(st.sampled_from([0, 1.5, 30])), dtype)
    sizes = [(g, k, 1, 1), (1, g, k, 1, 1), (k, 1, 1), (1, k, 1, 1)]
    scale, shift = (draw(st.sampled_from([None, *(rng.normal(size=s).astype(dtype) for s in sizes)])) for _ in range(2))
    return x, u, scale, shift, Over((2, 3, 4), EPS, True)


@given(images())
def test_the_formulas(case):
    x, u, w, b, over = case
    stats, y, _, dx = formulas(*case)
    accuracy = 2e-4 if x.dtype == np.float32 else 1e-10
    found = ops.moments(x, over=over)
    np.testing.assert_allclose(found, stats, rtol=accuracy, atol=accuracy)
    np.testing.assert_allclose(ops.normalized(x, w, b, found, over=over), y, rtol=accuracy, atol=accuracy)
    np.testing.assert_allclose(ops.normalized_dx(u, x, w, None, found, over=over), dx, rtol=accuracy, atol=accuracy)
    if w is not None:
        s = (x.astype(float) - stats[0]) / np.sqrt(stats[1] + EPS)
        sums = ops.correlations(u, x, found, over=over, shape=w.shape)
        full = (1,) * (5 - w.ndim) + w.shape
        axes = tuple(i for i in range(5) if full[i] == 1)
        for got, terms in zip(sums, (u.astype(float), u * s), strict=True):
            wanted = terms.sum(axes, keepdims=True).reshape(w.shape)
            np.testing.assert_allclose(got, wanted, rtol=accuracy, atol=accuracy * x.size)


def tasks(n=3, g=2, k=3, h=4, w=5, last=False, dtype="f4"):
    """Tasks of the four ops, each with its output, and the inputs."""
    rng = np.random.default_rng(n)
    x, u = (in_order(rng.normal(size=(n, g, k, h, w)).astype(dtype), last) for _ in range(2))
    scale, over = rng.normal(size=(g, k, 1, 1)).astype(dtype), Over((2, 3, 4), EPS, True)
    stats = np.array(ops.moments(x, over=over))
    outs = np.empty_like(stats), np.empty_like(x), np.empty_like(x), np.empty((2, *scale.shape), dtype)
    found = [
        ops.moments.op.bind(outs[0], x, over=over),
        ops.normalized.op.bind(outs[1], x, scale, scale, stats, over=over),
        ops.normalized_dx.op.bind(outs[2], u, x, scale, None, stats, over=over),
        ops.correlations.op.bind(outs[3], u, x, stats, over=over, shape=scale.shape),
    ]
    return found, outs, (x, u, scale)


@pytest.mark.parametrize("last", [False, True])
def test_all_four_are_work_in_blocks_of_examples(last):
    found, outs, _ = tasks(last=last)
    works = [task for task in found if isinstance(task, Work)]
    assert len(works) == 4
    assert {len(work.parts) for work in works[1:]} == {3}
    for task, out in zip(found, outs, strict=True):
        assert task() is out


def test_numbers_that_differ_in_other_ways_are_left_to_the_definitions():
    x = np.ones((4, 2, 3, 4, 5), "f4")
    over = Over((2, 3, 4), EPS, True)
    assert group_norm.groups(over, x, [(2, 3, 1, 1)]) is not None
    assert group_norm.groups(over, x, [(4, 2, 3, 1, 1)]) is None  # for each example
    assert group_norm.groups(over, x, [(2, 1, 1, 1)]) is None  # for each group: as for batch norm
    assert group_norm.groups(over, x, [(3, 4, 5)]) is None  # for each element: as for layer norm
    assert group_norm.groups(over, x, [(2, 3, 1, 1)], x.astype("f8")) is None
    assert group_norm.groups(over, x.swapaxes(2, 3), [(2, 4, 1, 1)]) is None
    assert group_norm.groups(over._replace(centred=False), x, [(2, 3, 1, 1)]) is None
    assert group_norm.groups(over._replace(axis=(1, 2, 3, 4)), x, [(2, 3, 1, 1)]) is None
    assert group_norm.groups(over, x.astype("f2"), [(2, 3, 1, 1)]) is None


@pytest.mark.parametrize("last", [False, True])
@pytest.mark.parametrize("value", [1e20, np.inf, np.nan])
def test_overflow_and_not_a_number_are_as_in_the_definitions(last, value):
    _, _, (x, u, w) = tasks(last=last)
    over = Over((2, 3, 4), EPS, True)
    x[1, 0, 2] = u[1, 0, 2] = value
    with np.errstate(all="ignore"):
        stats = ops.moments(x, over=over)
        expected = np.array(ops.moments.op.raw(x, over=over))
        np.testing.assert_allclose(stats, expected, rtol=1e-5)
        for op, inputs, params in (
            (ops.normalized.op, (x, w, w, stats), {}),
            (ops.normalized_dx.op, (u, x, w, None, stats), {}),
            (ops.correlations.op, (u, x, stats), {"shape": w.shape}),
        ):
            got, wanted = (np.asarray(f(*inputs, over=over, **params)) for f in (op.function, op.raw))
            np.testing.assert_array_equal(np.isfinite(got), np.isfinite(wanted))
            np.testing.assert_allclose(got, wanted, rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("last", [False, True])
@pytest.mark.parametrize("sizes", [(2, 6, 4, 4), (3, 4, 29, 2), (4, 64, 16, 16)])
def test_a_layer_has_the_same_bits_eager_and_compiled_and_on_two_threads(last, sizes):
    rng = np.random.default_rng(7)
    x, g = (rng.standard_normal(sizes, "f4") for _ in range(2))
    if last:
        x, g = (np.ascontiguousarray(a.transpose(0, 2, 3, 1)).transpose(0, 3, 1, 2) for a in (x, g))
    layer, x = tg.nn.GroupNorm(2, sizes[1]), tg.Tensor(x, requires_grad=True)

    def step():
        y = layer(x)
        return y, *tg.gradients(y, [x, *layer.parameters()], g)

    compiled, expected = tg.compile(step), [a.numpy() for a in step()]
    before = tg.get_num_threads()
    try:
        for i in range(8):
            tg.set_num_threads(1 + i % 2)
            for function in (step, compiled):
                for got, known in zip(function(), expected, strict=True):
                    np.testing.assert_array_equal(got.numpy(), known)
    finally:
        tg.set_num_threads(before)


@pytest.mark.parametrize("last", [False, True])
def test_a_mean_of_a_thousand_deviations_is_as_exact_as_a_small_one(last):
    found, outs, (x, *_) = tasks(last=last)
    x += 1000
    found[0]()
    exact = x.astype(float)
    np.testing.assert_allclose(outs[0][0], exact.mean((2, 3, 4), keepdims=True), rtol=1e-9)
    np.testing.assert_allclose(outs[0][1], exact.var((2, 3, 4), keepdims=True), rtol=1e-5)


@pytest.mark.parametrize("last", [False, True])
def test_the_output_may_be_an_input(last):
    found, outs, (x, u, w) = tasks(last=last)
    for task in found:
        task()
    over, stats = Over((2, 3, 4), EPS, True), outs[0].copy()
    for known, inputs, op in (
        (outs[1], (x, w, w, stats), ops.normalized.op),
        (outs[2], (u, x, w, None, stats), ops.normalized_dx.op),
    ):
        for i in range(2 if op is ops.normalized_dx.op else 1):
            given = [a.copy("K") if isinstance(a, np.ndarray) else a for a in inputs]
            op.bind(given[i], *given, over=over)()
            np.testing.assert_array_equal(given[i], known)
