"""Reductions, scans and softmax where finite differences do not reach: zeros, constants, extremes, NumPy's own calls."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

import tinygrad_cnn as tg
from tinygrad_cnn.testing import assert_gradients

from .extremes import derivatives

RNG = np.random.default_rng(0)
X = RNG.normal(size=(2, 3, 4))
small_ints = st.lists(st.integers(-2, 2), min_size=1, max_size=6)


def leaf(values, dtype=np.float64):
    return tg.Tensor(np.asarray(values, dtype), requires_grad=True)


def without(values, *places):
    return math.prod(v for i, v in enumerate(values) if i not in places)


@given(values=small_ints)
def test_prod_is_exact_with_any_zeros_at_first_and_second_order(values):
    _, first, second = derivatives(tg.prod, np.array(values, float))
    n = range(len(values))
    assert first[0].tolist() == [without(values, i) for i in n]
    assert second[0].tolist() == [sum(without(values, i, j) for j in n if j != i) for i in n]


@given(values=small_ints)
def test_cumprod_is_exact_with_any_zeros_at_first_and_second_order(values):
    _, first, second = derivatives(tg.cumprod, np.array(values, float))
    heads = [values[: k + 1] for k in range(len(values))]
    n = range(len(values))
    assert first[0].tolist() == [sum(without(h, i) for h in heads if i < len(h)) for i in n]
    assert second[0].tolist() == [
        sum(without(h, i, j) for h in heads for j in range(len(h)) if i < len(h) and j != i) for i in n
    ]


@given(value=st.floats(-1e6, 1e6), n=st.integers(1, 40), dtype=st.sampled_from([np.float32, np.float64]))
def test_a_constant_has_no_deviation_and_no_gradient_of_it(value, n, dtype):
    y, first, second = derivatives(tg.std, np.full(n, value, dtype))
    assert y == 0
    assert not first[0].any()
    assert not second[0].any()


def test_one_constant_row_leaves_the_others_alone():
    x = np.array([[0.1, 0.1, 0.1], [1.0, 2.0, 6.0]])
    _, first, second = derivatives(lambda a: tg.std(a, axis=1), x)
    _, alone, alone_second = derivatives(tg.std, x[1])
    np.testing.assert_array_equal(first[0], [[0, 0, 0], alone[0]])
    np.testing.assert_array_equal(second[0], [[0, 0, 0], alone_second[0]])


def test_too_few_values_for_the_correction_give_nan_and_no_warning():
    y, first, _ = derivatives(lambda a: tg.var(a, correction=1), np.array([3.0]))
    assert np.isnan(y)
    assert np.isnan(first[0]).all()


@pytest.mark.parametrize("f", [np.var, np.std])
@pytest.mark.parametrize("how", [{"ddof": 1}, {"correction": 1}, {"axis": (0, -1), "keepdims": True}])
def test_numpy_calls_of_variances_are_recorded_with_both_names_of_the_correction(f, how):
    y = f(leaf(X), **how)
    assert y.requires_grad
    np.testing.assert_allclose(y.numpy(), f(X, **how), rtol=1e-12)
    np.testing.assert_array_equal(getattr(leaf(X), f.__name__)(**how).numpy(), y.numpy())


@pytest.mark.parametrize("order", [1, 2, 2.5, np.inf])
def test_the_order_of_a_norm_goes_by_both_names(order):
    expected = np.linalg.vector_norm(X, ord=order, axis=1)
    for y in (tg.norm(X, p=order, axis=1), tg.norm(X, ord=order, axis=1), leaf(X).norm(p=order, axis=1).numpy()):
        np.testing.assert_allclose(y, expected, rtol=1e-12)
    np.testing.assert_allclose(tg.norm(X, None), np.linalg.norm(X), rtol=1e-12)


@pytest.mark.parametrize(
    "f", [np.prod, np.cumsum, np.cumprod, np.argmax, np.argmin, np.any, np.all, np.linalg.vector_norm, np.linalg.norm]
)
@pytest.mark.parametrize("axis", [None, 1])
def test_numpy_calls_of_reductions_reach_the_ops(f, axis):
    y = f(leaf(X), axis=axis)
    assert isinstance(y, tg.Tensor)
    np.testing.assert_allclose(y.numpy(), f(X, axis=axis), rtol=1e-12)


def test_methods_are_the_functions():
    t = tg.Tensor(X)
    for name in ("prod", "var", "std", "logsumexp", "norm", "argmax", "argmin", "any", "all"):
        for how in ({}, {"axis": 1}, {"axis": -1, "keepdims": True}):
            np.testing.assert_array_equal(getattr(t, name)(**how).numpy(), getattr(tg, name)(X, **how))
    for name in ("cumsum", "cumprod", "softmax", "log_softmax"):
        np.testing.assert_array_equal(getattr(t, name)(axis=1).numpy(), getattr(tg, name)(X, axis=1))


def test_a_norm_is_recorded_by_its_numpy_name():
    for order in (None, "fro", 2, 1, "nuc"):
        y = np.linalg.norm(leaf(X[0]), order)
        assert y.requires_grad
        np.testing.assert_allclose(y.item(), np.linalg.norm(X[0], order), rtol=1e-12)


@pytest.mark.parametrize(
    ("order", "error"), [(math.nan, ValueError), ("fro", ValueError), (1j, TypeError), (True, TypeError)]
)
def test_an_order_that_makes_no_norm_is_refused(order, error):
    for f in (lambda x: tg.norm(x, order), lambda x: tg.normalize(x, order, axis=0)):
        with pytest.raises(error, match="norm: `ord` is .*; it must be a number"):
            f(leaf([1.0]))
    with pytest.raises(ValueError, match="norm: .*zero-size array"):
        tg.norm(leaf(np.ones((2, 0))), -1, axis=1)


@pytest.mark.part(2)
@pytest.mark.parametrize("order", [-1, -2, -3, -0.5, 0.5])
@given(hnp.arrays(np.float64, (2, 3), elements=st.floats(0.25, 4)), st.sampled_from([-1.0, 1.0]))
def test_norms_of_negative_order_have_exact_derivatives(order, x, sign):
    np.testing.assert_allclose(
        tg.norm(sign * x, order, axis=1), np.linalg.vector_norm(x, ord=order, axis=1), rtol=1e-12
    )
    assert_gradients(lambda a: tg.norm(a, order, axis=1), sign * x, order=2)
    lengths = np.linalg.vector_norm(x, ord=order, axis=1, keepdims=True)
    np.testing.assert_allclose(tg.normalize(x, order), x / lengths, rtol=1e-12)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_norms_of_negative_order_and_of_order_0_with_zeros_and_infinities(dtype):
    for values, expected, slopes in [  # as in PyTorch
        ([3, 0, 1], 0, [0, 0, 0]), ([0, 0], 0, [0, 0]), ([0, np.inf], 0, [0, 0]),
        ([np.inf, 2, 1], (1 / 4 + 1) ** -0.5, [0, 5**-1.5, 8 * 5**-1.5]),
    ]:  # fmt: skip
        x = leaf(values, dtype)
        y, g = tg.value_and_grad(lambda a: tg.norm(a, -2))(x)
        assert y.dtype == g.dtype == dtype
        np.testing.assert_allclose(y.item(), expected, rtol=1e-6)
        np.testing.assert_allclose(g.numpy(), slopes, rtol=1e-6)
    x = leaf([[3, 0, -1], [0, np.nan, np.inf]], dtype)
    y = tg.norm(x, 0, axis=1)
    assert y.dtype == dtype
    assert y.tolist() == [2, 2]
    y.sum().backward()
    assert x.grad.tolist() == [[0, 0, 0], [0, 0, 0]]
    assert np.linalg.norm(leaf([2.0, 0.0, 5.0]), 0).item() == 2
    np.testing.assert_allclose(tg.normalize(leaf([[3, 0, -1]], dtype), 0).detach().numpy(), [[1.5, 0, -0.5]])


@pytest.mark.parametrize("order", [2, 3, 1.5])
@pytest.mark.parametrize("size", [1e-30, 1e30])
def test_norms_of_float32_neither_overflow_nor_vanish(order, size):
    y, first, _ = derivatives(lambda a: tg.norm(a, order), np.array([3, -4], np.float32) * np.float32(size))
    expected = np.linalg.vector_norm([3, -4], ord=order)
    np.testing.assert_allclose(y / np.float32(size), expected, rtol=1e-6)
    slope = np.array([1, -1]) * (np.array([3, 4]) / expected) ** (order - 1)
    np.testing.assert_allclose(first[0], slope, rtol=1e-5)


def test_even_norms_are_exact_at_zero_elements_to_fourth_order():
    assert_gradients(lambda a: tg.norm(a, 4), np.array([0.5, 0.0, -0.75]), order=4)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
class TestExtremes:
    def test_logsumexp_of_large_numbers_is_the_largest(self, dtype):
        y, first, _ = derivatives(tg.logsumexp, np.array([1e4, -1e4, -np.inf], dtype))
        assert y == 1e4
        assert first[0].tolist() == [1, 0, 0]

    def test_logsumexp_of_nothing_is_minus_infinity_and_constant(self, dtype):
        x = np.array([[-np.inf, -np.inf], [0.0, 0.0]], dtype)
        y, first, second = derivatives(lambda a: tg.logsumexp(a, axis=1), x)
        np.testing.assert_allclose(y, [-np.inf, math.log(2)], rtol=1e-6)
        assert first[0].tolist() == [[0, 0], [0.5, 0.5]]
        assert np.isfinite(second[0]).all()
        assert tg.logsumexp(np.zeros(0, dtype)) == -np.inf

    def test_logsumexp_that_diverges_says_so_without_a_warning(self, dtype):
        y, first, _ = derivatives(tg.logsumexp, np.array([np.inf, 1e4], dtype))
        assert y == np.inf
        assert not np.isfinite(first[0]).all()

    def test_softmax_of_large_numbers_is_certain(self, dtype):
        x = np.array([1e4, -1e4, -np.inf], dtype)
        assert derivatives(tg.softmax, x)[0].tolist() == [1, 0, 0]
        assert derivatives(tg.softmin, -x)[0].tolist() == [1, 0, 0]
        y, first, _ = derivatives(tg.log_softmax, x)
        assert y.tolist() == [0, dtype(-2e4), -np.inf]
        assert first[0].tolist() == [1 - 3, 1, 1]

    def test_softmax_of_the_largest_numbers_is_certain_without_a_warning(self, dtype):
        x = np.finfo(dtype).max * np.array([1, -1, 0], dtype)
        for f, a in ((tg.softmax, x), (tg.softmin, -x)):
            y, first, second = derivatives(f, a)
            assert y.tolist() == [1, 0, 0]
            assert not first[0].any()
            assert not second[0].any()
        assert derivatives(lambda a: tg.cross_entropy(a[None], [0]), x)[0] == 0

    def test_softmax_of_a_single_number_is_1(self, dtype):
        for f, value in ((tg.softmax, 1), (tg.softmin, 1), (tg.log_softmax, 0)):
            y, first, _ = derivatives(f, np.array(0.3, dtype))
            assert y == value
            assert first[0] == 0
            assert y.dtype == first[0].dtype == dtype

    @pytest.mark.parametrize("x", [[-np.inf, -np.inf], [np.inf, 0.0]])
    def test_softmax_without_an_answer_is_nan_without_a_warning(self, dtype, x):
        for f in (tg.softmax, tg.log_softmax):
            assert np.isnan(derivatives(f, np.array(x, dtype))[0]).any()


@given(x=st.lists(st.floats(-50, 50), min_size=1, max_size=6), shift=st.floats(-50, 50))
def test_softmax_is_a_distribution_that_ignores_a_common_shift(x, shift):
    p = tg.softmax(np.array(x))
    np.testing.assert_allclose(p.sum(), 1, rtol=1e-12)
    np.testing.assert_allclose(tg.softmax(np.array(x) + shift), p, rtol=1e-10, atol=1e-15)
    np.testing.assert_allclose(np.exp(tg.log_softmax(np.array(x))), p, rtol=1e-10, atol=1e-15)


def test_ties_of_argmax_are_the_first_and_have_no_gradient():
    y = tg.argmax(leaf([1.0, 3.0, 3.0]))
    assert y.item() == 1
    assert not y.requires_grad


@pytest.mark.parametrize("f", [tg.prod, tg.logsumexp, tg.std, tg.norm, tg.cumsum, tg.argmax, tg.softmax])
def test_an_axis_out_of_range_is_an_error_that_names_the_op(f):
    with pytest.raises((ValueError, IndexError), match="axis 3 is out of bounds"):
        f(leaf(X), axis=3)
