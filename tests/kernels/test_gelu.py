"""Exact GELU and SiLU, their slopes, and their kernels, point by point beside the C library's functions in float64."""

from __future__ import annotations

import math

import numpy as np
import pytest

import tinygrad_cnn as tg
from tinygrad_cnn.ops import activation

erfc, exp = np.vectorize(math.erfc, otypes=[float]), np.vectorize(math.exp, otypes=[float])
POINTS = {
    np.float32: np.concatenate([np.linspace(-13, 8, 40_001), np.logspace(-40, 38, 500), -np.logspace(-40, 1, 500)]),
    np.float64: np.concatenate([np.linspace(-37, 8, 10_001), np.logspace(-300, 300, 500), -np.logspace(-300, 1, 500)]),
}


def logistic(x):
    return np.where(x < 0, exp(np.minimum(x, 0)), 1) / (1 + exp(-np.abs(np.clip(x, -700, 700))))


def probability(x):
    return erfc(-x * math.sqrt(0.5)) / 2


def density(x):
    x = np.clip(x, -40, 40)
    return exp(x * x * -0.5) / math.sqrt(2 * math.pi)


EXACT = {
    tg.gelu: lambda x: x * probability(x),
    activation.gelu_slope: lambda x: probability(x) + np.clip(x, -40, 40) * density(x),
    activation.normal_density: density,
    tg.silu: lambda x: x * logistic(x),
    activation.silu_slope: lambda x: logistic(x) * (1 + np.clip(x, -800, 800) * logistic(-x)),
}
ZERO = {activation.gelu_slope: -0.7517916, activation.silu_slope: -1.2784645}
"""Where a slope is 0."""
UNITS = 4.0
"""In the last place of float32."""
every_function = pytest.mark.parametrize("f", EXACT, ids=lambda f: f.__name__)


@pytest.mark.part(2)
@every_function
def test_float32_keeps_its_digits_where_the_value_is_small(f):
    x = np.concatenate([POINTS[np.float32], np.random.default_rng(0).uniform(-14, 8, 300_000)]).astype(np.float32)
    x = x[np.abs(x - ZERO.get(f, np.inf)) > 0.5]
    exact = EXACT[f](x.astype(np.float64))
    y = f(x)
    assert y.dtype == np.float32
    assert (np.abs(y - exact) / np.spacing(np.maximum(np.abs(exact), 1e-38).astype(np.float32))).max() <= UNITS


@pytest.mark.parametrize("f", [tg.silu, activation.silu_slope], ids=lambda f: f.__name__)
def test_silu_keeps_its_digits_where_its_sigmoid_is_subnormal(f):
    x = np.linspace(-91, -84, 100_001).astype(np.float32)
    exact = EXACT[f](x.astype(np.float64))
    x, exact = (values[np.abs(exact) > np.finfo(np.float32).tiny] for values in (x, exact))
    assert (np.abs(f(x) - exact) / np.spacing(np.abs(exact).astype(np.float32))).max() <= UNITS
    beside_nan = np.append(x, np.float32(np.nan))
    np.testing.assert_array_equal(f(beside_nan)[:-1], f(x))


@every_function
def test_float64_keeps_its_digits_where_the_value_is_small(f):
    """To the digits that the oracle has: its argument is rounded, which costs x^2 units in the last place."""
    x = POINTS[np.float64]
    x = x[np.abs(x - ZERO.get(f, np.inf)) > 0.5]
    exact = EXACT[f](x)
    assert (np.abs(f(x) - exact) <= (16 + 2 * np.clip(x, -40, 40) ** 2) * 2.0**-52 * np.abs(exact) + 1e-306).all()


@every_function
def test_slopes_are_continuous_at_their_zeros(f):
    x = np.linspace(-2, 0, 4001).astype(np.float32)
    np.testing.assert_allclose(f(x), EXACT[f](x.astype(np.float64)), rtol=0, atol=4 * 2.0**-24)


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
@every_function
def test_kernels_and_definitions_agree_at_the_ends(f, dtype):
    x = np.array([0.0, -0.0, np.inf, -np.inf, np.nan, np.finfo(dtype).max, -np.finfo(dtype).max], dtype)
    params = {"approximate": "none"} if f is tg.gelu else {}
    with np.errstate(over="raise", divide="raise", invalid="raise"):
        np.testing.assert_array_equal(f(x), f.op.raw(x, **params))


@pytest.mark.parametrize("shape", [(), (0, 3), (1,), (3, 4, 5), (100, 2, 201)])
@every_function
def test_any_shape_and_memory_order(f, shape):
    x = np.random.default_rng(0).normal(size=shape)
    np.testing.assert_allclose(f(x), EXACT[f](x), rtol=1e-12, atol=1e-15)
    turned = f(x.T)
    np.testing.assert_allclose(turned, EXACT[f](x.T), rtol=1e-12, atol=1e-15)
    assert not shape or turned.strides == x.T.strides


def test_the_approximation_keeps_its_digits_too():
    x = np.linspace(-8, 0, 2001)
    exact = x * logistic(2 * math.sqrt(2 / math.pi) * (x + 0.044715 * x**3))
    y = tg.gelu(x.astype(np.float32), approximate="tanh")
    np.testing.assert_allclose(y, x.astype(np.float32) * (exact / np.where(x, x, 1)), rtol=2e-5)
