"""Transcendental functions, clip, lerp and steps at the edges of their domains, and their NumPy names.

Values and derivatives on ordinary inputs are checked by the rows of the case table.
"""

from __future__ import annotations

import decimal
import math
from fractions import Fraction
from itertools import product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.lib import NumpyVersion

import tinygrad_cnn as tg
from tinygrad_cnn.testing.cases import Draws

from ..rows import CASES
from .extremes import LARGE, TINY, both_signs, derivatives

ULPS = 6 * np.finfo(np.float64).eps
both_dtypes = pytest.mark.parametrize("dtype", [np.float64, np.float32])

OTHERS = {"square", "reciprocal", "sign", "floor", "ceil", "round"}
ROWS = {
    case.function.__name__: case
    for case in CASES
    if case.function.__name__ in {*tg.ops.transcendental.__all__, *OTHERS}
}
UNARY = sorted(name for name, case in ROWS.items() if len(case.args) == 1)
PAIRED = sorted(ROWS.keys() - UNARY)


def points(name, dtype):
    """Where value and first two derivatives are finite: far out on the left, on the right, and around zero."""

    def finite(*x):
        with np.errstate(all="ignore"):
            return np.abs(ROWS[name].reference(np.array(x))) <= np.finfo(dtype).max

    def steep(x):
        with np.errstate(all="ignore"):
            y = ROWS[name].reference(np.array([x / 2, x]))
        return not abs(y[1] - y[0]) < 1e3 * abs(x)

    found = [
        side * size for side in (-1, 1) for size in LARGE[dtype] if finite(*(side * s for s in LARGE[dtype])).all()
    ]
    if finite(-1e-12, 0.0, 1e-12).all() and not steep(1e-12) and not steep(-1e-12):
        found += both_signs(TINY[dtype])
    return np.array(found, dtype)


def test_every_function_is_here():
    assert ROWS.keys() == {*tg.ops.transcendental.__all__, *OTHERS}


def test_where_functions_are_finite():
    for names, left, zero, right in (
        ("exp2 expm1", True, True, False), ("log2 log10 arccosh", False, False, True), ("log1p", False, True, True),
        ("sin tan arctan arcsinh erf sigmoid sign floor round", True, True, True),
        ("arcsin arccos sinh arctanh square", False, True, False), ("reciprocal", True, False, True),
    ):  # fmt: skip
        for name in names.split():
            for dtype in (np.float64, np.float32):
                x = points(name, dtype)
                assert ((x < -1).any(), (np.abs(x) < 1).any(), (x > 1).any()) == (left, zero, right), name


@pytest.mark.parametrize("name", UNARY)
@both_dtypes
@pytest.mark.parametrize("scale", [1.0, 3.0])
def test_at_the_edges_all_is_finite_and_nothing_warns(name, dtype, scale):
    x = points(name, dtype)
    y, (first,), (second,) = derivatives(getattr(tg, name), x, scale=scale)
    assert y.dtype == first.dtype == second.dtype == dtype
    for values in (y, first, second):
        assert np.isfinite(values).all(), (x, values)


@pytest.mark.parametrize("name", [name for name in PAIRED if name != "float_power"])  # which overflows at these edges
@both_dtypes
def test_functions_of_two_arguments_at_the_edges(name, dtype):
    large = (1e4, 1e300) if dtype is np.float64 else (1e4, 2e38)  # hypot of twice the largest number is not one
    pairs = np.array([*product(both_signs([*large, 0.0]), repeat=2), (1, 0), (0, -1)], dtype)
    a, b = pairs.T
    y, first, second = derivatives(getattr(tg, name), a, b, scale=3.0)
    assert y.dtype == dtype
    for values in (y, *first, *second):
        assert values.dtype == dtype
        assert np.isfinite(values).all(), (pairs, values)


@both_dtypes
def test_float_power_is_pow_in_float64(dtype):
    """Also where the power is outside the range of the inputs' dtype; gradients come back in that dtype."""
    a = np.array([1e30, 1e-10, -3, 0, 0, 2], dtype)
    b = np.array([2, -1, 3, 2, 0, 0.5], dtype)
    for wanted, at in ((0, slice(None)), (1, a >= 0) if dtype is np.float64 else (1, slice(3, None))):
        points = a[at], b[at]
        y, (first,), (second,) = derivatives(tg.float_power, *points, scale=3.0, wanted=(wanted,))
        wide = derivatives(tg.pow, *(p.astype(np.float64) for p in points), scale=3.0, wanted=(wanted,))
        assert (y.dtype, first.dtype, second.dtype) == (np.float64, dtype, dtype)
        np.testing.assert_array_equal(y, wide[0])
        for found, (expected,) in ((first, wide[1]), (second, wide[2])):
            np.testing.assert_allclose(found, expected, rtol=2 * np.finfo(dtype).eps)


def test_logaddexp_and_arctan2_at_the_limits_of_float32():
    top = np.finfo(np.float32).max
    a, b = np.array([top, -top, top, 0], np.float32), np.array([-top, top, top, -top], np.float32)
    y, (da, db), _ = derivatives(tg.logaddexp, a, b)
    np.testing.assert_array_equal(y, [top, top, top, 0])
    np.testing.assert_array_equal(da, [1, 0, 0.5, 1])
    np.testing.assert_array_equal(db, [0, 1, 0.5, 0])
    y, (da, db), _ = derivatives(tg.arctan2, a, b)
    np.testing.assert_allclose(y, np.arctan2(a.astype(float), b.astype(float)), rtol=1e-6)
    np.testing.assert_allclose(da[:3] * top, [-0.5, 0.5, 0.5], rtol=1e-3)  # subnormal
    np.testing.assert_allclose(db[:3] * top, [-0.5, 0.5, -0.5], rtol=1e-3)


@both_dtypes
def test_clip_and_lerp_at_the_edges(dtype):
    size = LARGE[dtype][-1]
    x = np.array([-size, -1, 0, 1, size], dtype)
    y, (first,), (second,) = derivatives(lambda a: tg.clip(a, -1.0, 1.0), x)
    np.testing.assert_array_equal(y, [-1, -1, 0, 1, 1])
    np.testing.assert_array_equal(first, [0, 1, 1, 1, 0])
    np.testing.assert_array_equal(second, 0)
    ends, weight = (np.array([-size], dtype), np.array([size], dtype)), np.array([0.25], dtype)
    y, (da, db), _ = derivatives(tg.lerp, *ends, weight, wanted=(0, 1))
    np.testing.assert_allclose(y, [-size / 2], rtol=1e-6)
    assert (da, db) == (0.75, 0.25)


@given(st.floats(-1e6, 1e6), st.floats(-1e6, 1e6))
def test_lerp_meets_its_ends(a, b):
    assert tg.lerp(a, b, 0.0) == a
    assert tg.lerp(a, b, 1.0) == b


# Precision


@given(x=st.floats(-1e150, 1e150))
def test_rational_slopes_are_exact_to_a_few_units_in_the_last_place(x):
    square = Fraction(x) ** 2
    _, ((slope,),), ((second,),) = derivatives(tg.arctan, np.array([x]))
    assert slope == pytest.approx(float(1 / (1 + square)), rel=ULPS, abs=0)
    assert second == pytest.approx(float(-2 * Fraction(x) / (1 + square) ** 2), rel=2 * ULPS, abs=1e-307)
    if abs(x) > 1e-10:
        _, (da, db), _ = derivatives(tg.arctan2, np.array([x]), np.array([2.0]))
        assert da == pytest.approx(float(2 / (4 + square)), rel=ULPS, abs=0)
        assert db == pytest.approx(float(-Fraction(x) / (4 + square)), rel=ULPS, abs=0)
    if 0 < abs(x) < 1:
        _, ((slope,),), _ = derivatives(tg.arctanh, np.array([x]))
        assert slope == pytest.approx(float(1 / (1 - square)), rel=ULPS, abs=0)


@given(gap=st.floats(-700, 700), level=st.sampled_from([0.0, 2.0, -2e3, 1e6]))
def test_logaddexp_is_exact_to_a_few_units_in_the_last_place(gap, level):
    a, b = level, level + gap
    (value,), ((da,), (db,)), _ = derivatives(tg.logaddexp, np.array([a]), np.array([b]))
    with decimal.localcontext(prec=340):
        ea, eb = decimal.Decimal(0).exp(), (decimal.Decimal(b) - decimal.Decimal(a)).exp()
        exact = decimal.Decimal(a) + (ea + eb).ln()
        share = float(ea / (ea + eb)), float(eb / (ea + eb))
    # Where the two terms of the result cancel, the rounding of the larger one remains.
    assert value == pytest.approx(float(exact), rel=ULPS, abs=ULPS * max(abs(a), abs(b)) if abs(exact) < abs(b) else 0)
    assert (da, db) == pytest.approx(share, rel=ULPS, abs=0)


@given(x=st.floats(-1e-3, 1e-3))
def test_small_arguments_keep_their_precision(x):
    for name in ("expm1", "log1p", "arcsinh", "arctanh", "sinh", "tanh", "erf", "tan", "arcsin", "arctan"):
        (value,), _, _ = derivatives(getattr(tg, name), np.array([x]))
        assert value == pytest.approx(
            getattr(math, {"arc": "a" + name[3:]}.get(name[:3], name))(x), rel=ULPS, abs=5e-324
        )


# NumPy's names

FUNCTIONS_ONLY = {"cbrt"}
"""Functions that are no methods of a Tensor, nor of PyTorch's."""


@pytest.mark.parametrize("name", [name for name in (*UNARY, *PAIRED) if hasattr(np, name) and name != "round"])
def test_numpy_functions_on_tensors_are_recorded(name):
    a, *others = (each.astype(np.float32) for each in ROWS[name].draw(Draws(np.random.default_rng(0))))
    x = tg.Tensor(a, requires_grad=True)
    y = getattr(np, name)(x, *others)
    assert y.requires_grad
    np.testing.assert_array_equal(y.numpy(), getattr(tg, name)(x, *others).numpy())
    assert hasattr(x, name) == (name not in FUNCTIONS_ONLY)
    if name not in FUNCTIONS_ONLY:
        np.testing.assert_array_equal(y.numpy(), getattr(x, name)(*others).numpy())


def test_rounding_clipping_and_their_numpy_spellings():
    x = tg.Tensor([-1.26, 0.5, 1.74], requires_grad=True)
    for y in (np.round(x, 1), np.around(x, decimals=1), tg.round(x, 1), x.round(1)):
        np.testing.assert_allclose(y.numpy(), [-1.3, 0.5, 1.7], rtol=1e-6)
        assert y.requires_grad
    np.testing.assert_array_equal(np.rint(x).numpy(), [-1, 0, 2])
    for y in (
        np.clip(x, -1, 1),
        np.clip(x, a_min=-1, a_max=1),
        *([np.clip(x, min=-1, max=1)] if NumpyVersion(np.__version__) >= "2.1.0" else []),
        tg.clip(x, -1, max=1),
        x.clip(-1, 1),
    ):
        np.testing.assert_array_equal(y.numpy(), [-1, 0.5, 1])
        assert y.requires_grad
    np.testing.assert_array_equal(np.clip(x, None, 1).numpy(), np.minimum(x.numpy(), 1))
    np.testing.assert_array_equal(x.clip(max=1).numpy(), np.minimum(x.numpy(), 1))
    for f in (tg.clip, lambda x: np.clip(x, None, None), lambda x: x.clip(min=None, max=None)):
        np.testing.assert_array_equal(f(x).numpy(), x.numpy())
        assert tg.gradients(f(x).sum(), x)[0].tolist() == [1, 1, 1]
    a = np.ones(2)
    assert not np.shares_memory(tg.clip(a, None, None), a)


@given(st.lists(st.tuples(*[st.integers(-3, 3)] * 3), min_size=1, max_size=8))
def test_clip_gives_its_gradient_to_exactly_one_of_its_three_inputs(rows):
    a, low, high = np.array(rows, float).T
    y, first, _ = derivatives(tg.clip, a, low, high)
    np.testing.assert_array_equal(y, np.minimum(np.maximum(a, low), high))
    np.testing.assert_array_equal(np.sum(first, axis=0), 1)
    chosen = np.choose(np.argmax(first, axis=0), [a, low, high])
    np.testing.assert_array_equal(chosen, y)
    inside = (low <= a) & (a <= high)
    np.testing.assert_array_equal(first[0], inside.astype(float))


CORNERS = [0.0, 1.0, -1.0, 2.0, -2.0, 3.0, np.inf, -np.inf, np.nan]


@pytest.mark.parametrize("exponent", [*CORNERS, 0, 2])
@pytest.mark.parametrize("base", [*CORNERS, 0, 2])
def test_powers_at_zero_infinity_and_nan_have_the_gradients_of_pytorch(base, exponent):
    """a' is 0 where b = 0, whatever a is, and b' is 0 where a = 0 and b >= 0; elsewhere the formulas hold."""
    with np.errstate(all="ignore"):
        y = np.power(float(base), float(exponent))
        by_base = np.float64(0) if exponent == 0 else exponent * np.power(float(base), exponent - 1.0)
        by_exponent = 0.0 if base == 0 and exponent >= 0 else y * np.log(np.float64(base))
        a, b = (tg.Tensor(np.float64(v), dtype=np.float64, requires_grad=True) for v in (base, exponent))
        for result, slopes in (
            (a**b, {a: by_base, b: by_exponent}),
            (a**exponent, {a: by_base}),
            (base**b, {b: by_exponent}),
        ):
            np.testing.assert_allclose(result.item(), y, rtol=1e-14)
            found = tg.gradients(result, list(slopes))
            np.testing.assert_allclose([g.item() for g in found], list(slopes.values()), rtol=1e-14)


@both_dtypes
def test_powers_of_0_are_constant_to_second_order(dtype):
    x = np.array([np.inf, -np.inf, np.nan, 0, 2], dtype)
    y, (first,), _ = derivatives(lambda a: a**0, x)
    assert y.dtype == first.dtype == dtype
    assert y.tolist() == [1] * 5
    assert first.tolist() == [0] * 5
    np.testing.assert_array_equal(derivatives(lambda a: a**2, x[3:])[2][0], [2, 2])
