"""Activations: finite everywhere, flat or straight far out, accurate in their tails, and strict about their parameters.

Values and derivatives on ordinary inputs are checked by the rows of the case table, kinks by tests/test_subgradients.py.
"""

from __future__ import annotations

import decimal
import functools
import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import tinygrad_cnn as tg
from tinygrad_cnn.testing.cases import Draws

from ..rows import CASES
from .extremes import LARGE, TINY, both_signs, derivatives

partial = functools.partial

NAMES = {*tg.ops.activation.__all__, "sigmoid", "tanh"} - {"glu"}  # of two halves
ROWS = [case for case in CASES if case.function.__name__ in NAMES and case.args[0].shape is None]
every_activation = pytest.mark.parametrize("case", ROWS, ids=lambda case: case.name)
both_dtypes = pytest.mark.parametrize("dtype", [np.float64, np.float32])


def of_one_input(case):
    """The row's function and its reference as functions of their first input, with the same weights for any dtype."""
    _, *others = case.draw(Draws(np.random.default_rng(0)))

    def function(a):
        return case.call(a, *(other.astype(a.dtype) for other in others))

    return function, lambda a: case.expected(a, *others)


def slopes(reference):
    """The slopes that a function approaches on the far left and the far right; nearer ones where it overflows there."""
    with np.errstate(all="ignore"):
        found = []
        for near, far in ((1e8, 2e8), (600.0, 700.0)):
            y = reference(np.array([-far, -near, near, far]))
            found.append(np.array([y[1] - y[0], y[3] - y[2]]) / (far - near))
    return np.round(np.where(np.isfinite(found[0]), *found), 12)


def test_every_activation_is_here():
    assert {case.function.__name__ for case in ROWS} == NAMES


def test_slopes_far_out():
    """Of functions of which they are known."""
    known = {
        "relu": (0, 1),
        "hardtanh": (0, 0),
        "softshrink": (1, 1),
        "logsigmoid": (1, 0),
        "softsign": (0, 0),
        "gelu": (0, 1),
    }
    for case in ROWS:
        if case.function.__name__ in known:
            np.testing.assert_array_equal(slopes(of_one_input(case)[1]), known[case.function.__name__])


@every_activation
@both_dtypes
@pytest.mark.parametrize("scale", [1.0, 3.0])
def test_far_out_the_slope_is_its_limit_and_nothing_overflows(case, dtype, scale):
    f, reference = of_one_input(case)
    limits = slopes(reference)
    assert np.isfinite(limits).all()
    for size in LARGE[dtype]:
        x = np.array([-size, size], dtype) / max(1, *np.abs(limits).astype(dtype))
        y, (first,), (second,) = derivatives(f, x, scale=scale)
        assert y.dtype == first.dtype == second.dtype == dtype
        np.testing.assert_allclose(y, x * limits.astype(dtype), atol=6)
        np.testing.assert_allclose(first, limits * scale, rtol=1e-6, atol=10 / size)
        np.testing.assert_allclose(second, 0, atol=10 / size)


@every_activation
@both_dtypes
def test_near_zero_all_is_finite(case, dtype):
    y, (first,), (second,) = derivatives(of_one_input(case)[0], np.array(both_signs(TINY[dtype]), dtype))
    assert np.isfinite(y).all()
    assert (np.abs(first) <= 2).all()
    assert (np.abs(second) <= 10).all()


@every_activation
def test_nan_stays_nan_and_float16_stays_float16(case):
    f, _ = of_one_input(case)
    assert np.isnan(f(np.array([np.nan, 1.0]))).tolist() == [True, False]
    x = np.linspace(-8, 8, 33)
    y, (first,), _ = derivatives(f, x.astype(np.float16))
    assert y.dtype == first.dtype == np.float16
    wide, (slope,), _ = derivatives(f, x)
    np.testing.assert_allclose(y.astype(float), wide, rtol=4e-3, atol=4e-3)
    np.testing.assert_allclose(first.astype(float), slope, rtol=1e-2, atol=1e-2)


# Precision, with decimal arithmetic as the oracle.

ULPS = 6 * np.finfo(np.float64).eps


@functools.cache
def exact(x: float) -> dict[str, float]:
    """sigmoid(x) and log(1 + e^x), correctly rounded."""
    with decimal.localcontext(prec=340):
        e = decimal.Decimal(x).exp()
        return {"sigmoid": float(e / (1 + e)), "softplus": float((1 + e).ln())}


@given(x=st.floats(-700, 700))
def test_sigmoid_and_its_logarithm_are_exact_to_a_few_units_in_the_last_place(x):
    (value,), ((slope,),), _ = derivatives(tg.logsigmoid, np.array([x]))
    assert tg.sigmoid(np.array(x)) == pytest.approx(exact(x)["sigmoid"], rel=ULPS, abs=0)
    assert value == pytest.approx(-exact(-x)["softplus"], rel=ULPS, abs=0)
    assert slope == pytest.approx(exact(-x)["sigmoid"], rel=ULPS, abs=0)


@given(x=st.floats(-700, 700))
def test_softplus_is_exact_to_a_few_units_in_the_last_place(x):
    (value,), ((slope,),), _ = derivatives(partial(tg.softplus, threshold=math.inf), np.array([x]))
    assert value == pytest.approx(exact(x)["softplus"], rel=ULPS, abs=0)
    assert slope == pytest.approx(exact(x)["sigmoid"], rel=ULPS, abs=0)


@given(x=st.floats(-700, 0))
def test_slopes_of_sigmoid_and_elu_keep_their_precision_on_the_left(x):
    _, ((slope,),), _ = derivatives(tg.sigmoid, np.array([x]))
    assert slope == pytest.approx(exact(x)["sigmoid"] * exact(-x)["sigmoid"], rel=ULPS, abs=0)
    (value,), ((slope,),), _ = derivatives(tg.elu, np.array([x]))
    assert value == pytest.approx(math.expm1(x), rel=ULPS, abs=0)
    assert slope == pytest.approx(math.exp(x), rel=ULPS, abs=0)


@given(x=st.floats(-1e100, 1e100))
def test_softsign_is_a_ratio_with_a_rational_slope(x):
    size = 1 + abs(Fraction(x))
    (value,), ((slope,),), _ = derivatives(tg.softsign, np.array([x]))
    assert value == pytest.approx(float(Fraction(x) / size), rel=ULPS, abs=0)
    assert slope == pytest.approx(float(1 / size**2), rel=ULPS, abs=0)


@given(x=st.floats(-6, 6))
def test_gelu_is_x_times_the_normal_distribution(x):
    (value,), ((slope,),), _ = derivatives(tg.gelu, np.array([x]))
    share, density = math.erfc(-x / math.sqrt(2)) / 2, math.exp(-x * x / 2) / math.sqrt(2 * math.pi)
    assert value == pytest.approx(x * share, rel=1e-14, abs=1e-15)
    assert slope == pytest.approx(share + x * density, rel=1e-14, abs=1e-15)


def test_softplus_follows_its_threshold():
    x = np.array([1.0, 2.0, 3.0])
    y, (first,), (second,) = derivatives(partial(tg.softplus, beta=2.0, threshold=4.0), x)
    curve = [math.log1p(math.exp(2 * v)) / 2 for v in x]
    np.testing.assert_allclose(y, [curve[0], curve[1], 3.0], rtol=1e-15)
    assert first[1] < 1 == first[2]
    assert second[1] > 0 == second[2]


# Parameters


@pytest.mark.parametrize("weights", [3, [0.5] * 4])
def test_prelu_takes_one_weight_per_channel(weights):
    with pytest.raises(
        ValueError, match=r"prelu: `weight` has shape \(\d,\) but `a` \(2, 5, 3\) has 5 .* shape \(5,\)"
    ):
        tg.prelu(tg.zeros(2, 5, 3), tg.Tensor(weights) if isinstance(weights, list) else tg.zeros(weights))


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda a: tg.leaky_relu(a, negative_slope="0.1"), TypeError, "leaky_relu: `negative_slope` is '0.1'"),
        (lambda a: tg.leaky_relu(a, tg.Tensor(0.1)), TypeError, "leaky_relu: `negative_slope` .* use prelu"),
        (lambda a: tg.rrelu(a, 0.5, 0.25), ValueError, "rrelu: `lower` 0.5 is above `upper` 0.25; exchange them"),
        (lambda a: tg.rrelu(a, None), TypeError, "rrelu: `lower` is None"),
        (lambda a: tg.hardtanh(a, 1.0, -1.0), ValueError, r"hardtanh: `min_val` 1.0 is above `max_val` -1.0"),
        (lambda a: tg.hardtanh(a, min_val=None), TypeError, "hardtanh: `min_val` is None"),
        (lambda a: tg.softshrink(a, -0.5), ValueError, "softshrink: `lambd` is -0.5; it must not be negative"),
        (lambda a: tg.softshrink(a, math.nan), ValueError, "softshrink: `lambd` is nan"),
        (lambda a: tg.hardshrink(a, lambd=-1), ValueError, "hardshrink: `lambd` is -1; it must not be negative"),
        (lambda a: tg.threshold(a, None, 0.0), TypeError, "threshold: `threshold` is None"),
        (lambda a: tg.threshold(a, 0.0, [1]), TypeError, r"threshold: `value` is \[1\]"),
        (lambda a: tg.elu(a, alpha=True), TypeError, "elu: `alpha` is True; it must be a number"),
        (lambda a: tg.celu(a, alpha=0), ValueError, "celu: `alpha` is 0; it must be above 0"),
        (lambda a: tg.softplus(a, beta=0.0), ValueError, "softplus: `beta` is 0.0; it must be above 0"),
        (lambda a: tg.softplus(a, threshold="20"), TypeError, "softplus: `threshold` is '20'"),
        (lambda a: tg.gelu(a, approximate="erf"), ValueError, "gelu: `approximate` is 'erf'; .* 'none' or 'tanh'"),
    ],
)
@pytest.mark.parametrize("a", [np.zeros(3), tg.Tensor([0.0, 1.0, 2.0])], ids=["array", "tensor"])
def test_bad_parameters_are_refused(call, error, message, a):
    with pytest.raises(error, match=message):
        call(a)


def test_the_slopes_of_rrelu_are_drawn_from_its_range():
    x = tg.Tensor(np.full(10_000, -2.0, np.float32), requires_grad=True)
    y = tg.rrelu(x, 0.1, 0.3, training=True, rng=0)
    y.sum().backward()
    slopes = x.grad.numpy()
    np.testing.assert_array_equal(y.numpy(), -2 * slopes)
    assert slopes.dtype == np.float32
    assert 0.1 <= slopes.min() < 0.101
    assert 0.299 < slopes.max() <= 0.3 + 1e-7
    assert tg.rrelu(-tg.ones(1), 0.25, 0.75).item() == -0.5


def test_numpy_scalars_as_parameters_do_not_widen():
    x = np.linspace(-2, 2, 5, dtype=np.float32)
    third = np.float64(1 / 3)
    for f in (tg.leaky_relu, tg.elu, tg.celu, tg.softshrink, tg.hardshrink, tg.softplus):
        y, (first,), _ = derivatives(lambda a, f=f: f(a, third), x, scale=1.7)
        assert y.dtype == first.dtype == f(x, third).dtype == np.float32, f.__name__


def test_the_slope_of_tanhshrink_keeps_its_digits_near_zero():
    x = tg.Tensor(np.array([1e-6, 1e-4, 0.01, 0.5, -2], np.float32), requires_grad=True)
    tg.tanhshrink(x).sum().backward()
    np.testing.assert_allclose(x.grad, np.tanh(x.numpy().astype(float)) ** 2, rtol=5e-7)
