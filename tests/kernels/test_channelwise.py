"""Sums and chains beside what NumPy gives in float64, in layouts that are rows and in those that are not."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from tinygrad_cnn.kernels import block_sums, channelwise, normalization, product_sums, sums
from tinygrad_cnn.ops.affine import affine
from tinygrad_cnn.ops.standardize import Over, moments

from ..tuning import tuned

seeds = st.integers(0, 2**32 - 1)


@pytest.fixture(autouse=True, scope="module")
def small_arrays_too():
    with tuned() as tune:
        tune(channelwise, LONG=16)
        tune(normalization, FEW=1, FEW_SCALED=1)
        tune(block_sums, SMALL=1, BLOCK=4, SHORT=2)
        tune(product_sums, BLOCK=4, SHORT=2)
        tune(sums, SMALL=1, BLOCK=4, SHORT=2)
        yield


@st.composite
def laid_out(draw, dtypes=(np.float32, np.float64)):
    """An array with its axes in any order in memory, some axes to reduce, and the strides with which a twin is made."""
    shape = draw(hnp.array_shapes(min_dims=1, max_dims=4, max_side=6))
    order = draw(st.permutations(range(len(shape))))
    rng = np.random.default_rng(draw(seeds))
    memory = rng.integers(-8, 9, [shape[i] for i in order]) / 4
    a = memory.astype(draw(st.sampled_from(dtypes))).transpose(np.argsort(order))
    if draw(st.booleans()):
        a = a[::-1]
    axes = tuple(sorted(draw(st.sets(st.integers(0, len(shape) - 1), max_size=len(shape)))))
    return a, axes, rng


@given(laid_out())
def test_sums_over_axes_in_any_layout(case):
    a, axes, rng = case
    b = np.empty_like(a)
    b[...] = rng.integers(-8, 9, a.shape) / 4  # quarters and their products are exact in float32
    for y, expected in (
        (sums.total(a, axes, True), a.sum(axes, keepdims=True)),
        (sums.total(a, axes), a.sum(axes)),
        (sums.total(a, axes, out=np.empty_like(a.sum(axes))), a.sum(axes)),
        (product_sums.product_sums(a, b, axes), (a * b).sum(axes, keepdims=True)),
    ):
        assert y.dtype == a.dtype
        np.testing.assert_array_equal(y, expected)


def steps(a):
    """The strides of the axes that have several elements."""
    return [step for step, n in zip(a.strides, a.shape, strict=True) if n > 1]


@given(laid_out())
def test_scale_and_shift_keep_the_memory_order(case):
    a, axes, rng = case
    w, b = (
        (rng.integers(-8, 9, [1 if i in axes else n for i, n in enumerate(a.shape)]) / 4).astype(a.dtype) for _ in "wb"
    )
    short = w.reshape(w.shape[min(axes, default=0) :]) if axes and min(axes) == 0 else w
    before = a.copy()
    for y, expected in (
        (affine(a, w, b), a * w + b),
        (affine(a, short), a * short),
        (affine(a, w[:1], b), a * w[:1] + b),
    ):
        np.testing.assert_array_equal(y, expected)
        assert y.dtype == a.dtype
        assert steps(y) in (
            steps(np.empty_like(a)),
            steps(expected),
        )  # that of a, or of NumPy where w has another order
    np.testing.assert_array_equal(a, before)


def test_float32_sums_of_many_rows_stay_accurate():
    a = np.random.default_rng(0).random((1 << 16, 8), dtype=np.float32) + np.float32(100)
    exact = a.astype(np.float64)
    mean, variance = moments(a, over=Over((0,)))
    np.testing.assert_allclose(mean, exact.mean(0, keepdims=True), rtol=1e-7)
    np.testing.assert_allclose(variance, exact.var(0, keepdims=True), rtol=1e-5)


def test_arrays_that_disagree_are_refused():
    a = np.ones((4, 3), np.float32)
    with pytest.raises(ValueError, match=r"operand|broadcast"):
        product_sums.product_sums(a, a[:2], (0,))
    with pytest.raises(ValueError, match="broadcast"):
        affine(a, np.ones(2, np.float32))


@pytest.mark.parametrize("compiled", [False, True])
@pytest.mark.parametrize("shape", [(4, 2, 16, 16), (3, 600), (5, 1, 300), (1, 40, 40)])
def test_sums_over_all_axes_but_one_in_memory_order(shape, compiled, tuning):
    """As the gradient of the biases of a convolution, whose channels come first in memory, and are the second axis."""
    for module in (block_sums, sums):
        tuning(module, SMALL=1 << 12, BLOCK=64, SHORT=16)
    rng = np.random.default_rng(0)
    for place in range(len(shape)):
        a = np.moveaxis(rng.normal(size=shape).astype(np.float32), 0, place)
        axes = tuple(i for i in range(a.ndim) if i != place)
        out = np.empty(shape[0], np.float32) if compiled else None
        expected = a.astype(np.float64).sum(axes)
        np.testing.assert_allclose(sums.prepare(out, a, axes)(), expected, rtol=1e-6, atol=1e-6)
