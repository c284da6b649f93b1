"""The error function's kernel against the C library's, point by point."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tinygrad_cnn import erf
from tinygrad_cnn.kernels.erf import ONE, SPLIT

POINTS = np.concatenate(
    [
        np.linspace(-7, 7, 20_001),
        np.nextafter([SPLIT, ONE, -SPLIT, -ONE], 0),
        np.nextafter([SPLIT, ONE, -SPLIT, -ONE], [9, 9, -9, -9]),
        np.logspace(-307, 308, 5_000),
        -np.logspace(-307, 308, 5_000),
        [0.0, np.inf, -np.inf, SPLIT, ONE, 5e-324, np.finfo(float).max],
    ]
)


def assert_close(points, limit):
    expected = np.array([math.erf(x) for x in points.astype(np.float64)])
    found = erf(points)
    assert found.dtype == points.dtype
    error = np.abs(found.astype(np.float64) - expected)
    assert error.max() < limit
    known = np.abs(expected) > np.finfo(points.dtype).tiny
    assert (error[known] < limit * np.abs(expected[known])).all()


def test_relative_and_absolute_error_are_below_1e_15_on_the_whole_line():
    assert_close(POINTS, 1e-15)


@given(st.lists(st.floats(-10, 10), min_size=1, max_size=50))
def test_error_is_below_1e_15_anywhere(points):
    assert_close(np.array(points), 1e-15)


def test_float32_is_computed_in_float32_to_its_precision():
    assert_close(POINTS[np.abs(POINTS) < 3e38].astype(np.float32), 4 * np.finfo(np.float32).eps)


def test_float32_errs_by_less_than_four_units_in_the_last_place():
    x = np.concatenate([np.linspace(-4, 4, 100_001), np.linspace(0.46, 0.5, 100_001)]).astype(np.float32)
    exact = np.array([math.erf(v) for v in x.astype(np.float64)])
    assert (np.abs(erf(x) - exact) / np.spacing(np.abs(exact).astype(np.float32))).max() < 4


def test_float16_and_integers():
    x = np.linspace(-5, 5, 101).astype(np.float16)
    assert erf(x).dtype == np.float16
    np.testing.assert_allclose(erf(x).astype(float), [math.erf(v) for v in x.astype(float)], atol=5e-4)
    np.testing.assert_allclose(erf(np.arange(-3, 4)), [math.erf(v) for v in range(-3, 4)], rtol=1e-15)


def test_it_is_odd_keeps_the_sign_of_zero_and_nan():
    np.testing.assert_array_equal(erf(-POINTS), -erf(POINTS))
    assert np.signbit(erf(np.array(-0.0)))
    assert np.isnan(erf(np.array([np.nan, 1.0]))).tolist() == [True, False]


@pytest.mark.parametrize("shape", [(), (0, 3), (1,), (3, 4, 5), (100, 2, 101)])
def test_any_shape_and_memory_order(shape):
    x = np.random.default_rng(0).normal(size=shape)
    expected = np.vectorize(math.erf, otypes=[float])(x)
    np.testing.assert_allclose(erf(x), expected, rtol=1e-15)
    turned = erf(x.T)
    np.testing.assert_allclose(turned, expected.T, rtol=1e-15)
    assert turned.strides == x.T.strides
    if shape:
        np.testing.assert_allclose(erf(x[..., ::-1]), expected[..., ::-1], rtol=1e-15)


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64, np.int64])
def test_the_definition_gives_the_same(dtype):
    points = POINTS[np.abs(POINTS) < 6e4].astype(dtype)
    definition = erf.op.raw(points)
    assert definition.dtype == erf(points).dtype
    error = np.abs(definition.astype(np.float64) - erf(points))
    assert error.max() <= 4 * np.finfo(definition.dtype).eps
