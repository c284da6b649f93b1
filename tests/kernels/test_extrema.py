"""The gradient of a maximum: the kernel beside the definition, for masks with one hit, several, and none."""

from __future__ import annotations

import warnings

import numpy as np
import pytest

import tinygrad_cnn as tg
from tinygrad_cnn.kernels import extrema
from tinygrad_cnn.ops.reduce import share

SHAPES = [((600,), None), ((20, 30), 1), ((20, 30), None), ((5, 6, 20), (1, 2)), ((20, 30), 0), ((20, 30), ())]


def one_each(shape, axis, rng):
    """A mask with one hit for each output."""
    a = rng.normal(size=shape)
    return a == a.max(axis=axis, keepdims=True)


def masks(shape, axis):
    """One hit for each output, one more, one less, and one less here but one more there."""
    rng = np.random.default_rng(0)
    one = one_each(shape, axis, rng)
    more, less, both = one.copy(), one.copy(), one.copy()
    more.flat[np.flatnonzero(~one)[:1]] = True
    less.flat[np.flatnonzero(one)[:1]] = False
    both.flat[np.flatnonzero(one)[:1]] = False
    both.flat[np.flatnonzero(~one)[-1:]] = True
    return [one, more, less, both, rng.random(shape) < 0.1]


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize(("shape", "axis"), SHAPES)
def test_every_mask_gives_the_bits_of_the_definition(shape, axis, dtype):
    rng = np.random.default_rng(1)
    for hits in masks(shape, axis):
        for u in (
            rng.normal(size=hits.max(axis=axis, keepdims=True).shape).astype(dtype),
            rng.normal(size=shape).astype(dtype),
        ):
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", RuntimeWarning)
                expected = share.op.raw(u, hits, axis=axis)
                into = np.full(shape, 7, dtype)
                for out in (None, into):
                    task = extrema.prepare(out, u, hits, axis=axis)
                    if task is not None:
                        y = task()
                        assert y.dtype == expected.dtype
                        np.testing.assert_array_equal(y, expected)
                        assert out is None or y is out


@pytest.mark.parametrize(("shape", "axis"), SHAPES[:4])
def test_the_kernel_is_used_over_the_last_axes(shape, axis):
    hits = one_each(shape, axis, np.random.default_rng(0))
    assert extrema.prepare(None, np.ones(hits.max(axis=axis, keepdims=True).shape), hits, axis=axis) is not None


def test_three_equal_elements_share_the_gradient_without_an_error_of_rounding():
    x = tg.Tensor(np.array([1.0, 1.0, 1.0, 0.0], np.float32))
    np.testing.assert_array_equal(tg.grad(lambda x: 5 * x.max())(x).numpy(), np.float32([5, 5, 5, 0]) / np.float32(3))


def test_elements_below_the_maximum_have_a_gradient_of_0_if_that_of_the_maximum_is_infinite():
    x = tg.Tensor(np.array([1.0, 2.0, 0.0]), requires_grad=True)
    x.max().backward(tg.Tensor(np.array(np.inf)))
    np.testing.assert_array_equal(x.grad.numpy(), [0, np.inf, 0])


def test_the_gradient_of_a_maximum_that_is_nan_is_nan():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)
        for n in (3, 600):
            assert np.isnan(tg.grad(lambda x: x.max())(tg.Tensor(np.full(n, np.nan))).numpy()).all()
