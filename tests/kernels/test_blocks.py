"""Elementwise kernels in blocks: any memory order, any number of threads, and the sigmoid point by point."""

from __future__ import annotations

import numpy as np
import pytest

import tinygrad_cnn as tg
from tinygrad_cnn.kernels import blocks, sigmoid
from tinygrad_cnn.kernels.parallel import chunks
from tinygrad_cnn.ops import activation
from tinygrad_cnn.ops.losses import binary

UNARY = [tg.gelu, activation.gelu_slope, tg.silu, activation.silu_slope, tg.sigmoid, tg.erf]


def turned(a):
    return np.asfortranarray(a)


def sliced(a):
    return np.repeat(a, 2, axis=-1)[..., ::2]


def channels_last(a):
    return np.ascontiguousarray(np.moveaxis(a, 1, -1)).transpose(0, 2, 1)


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("layout", [np.ascontiguousarray, turned, sliced, channels_last])
@pytest.mark.parametrize("f", UNARY, ids=lambda f: f.__name__)
def test_blocks_threads_and_orders_change_no_bit(f, layout, threads, tuning):
    x = np.random.default_rng(0).normal(size=(7, 11, 13)).astype(np.float32) * 4
    tuning(sigmoid, SHORT=0)
    expected = f(x)
    tuning(blocks, BLOCK=17)
    tuning(chunks, LARGE=1)
    tg.set_num_threads(threads)
    y = f(layout(x))
    np.testing.assert_array_equal(y, expected)
    assert y.dtype == np.float32


@pytest.mark.parametrize("threads", [1, 2])
def test_a_million_elements_on_two_threads(threads):
    x = np.random.default_rng(0).normal(size=(chunks.LARGE + 5)).astype(np.float32)
    tg.set_num_threads(threads)
    parts = [slice(0, 100_000), slice(100_000, None)]
    np.testing.assert_array_equal(tg.sigmoid(x), np.concatenate([tg.sigmoid(x[part]) for part in parts]))
    a, t, u = x, np.cos(x), np.sin(x)
    whole = binary.bernoulli_nll_logits(a, t, u)
    cut = [binary.bernoulli_nll_logits(a[p], t[p], u[p]) for p in parts]
    np.testing.assert_array_equal(whole, np.concatenate(cut))


@pytest.mark.parametrize(
    ("u", "same"),
    [
        (np.ones((6, 5)), True),
        (np.asfortranarray(np.ones((6, 5))), False),
        (np.broadcast_to(np.float64(3.0), (6, 5)), True),
        (np.broadcast_to(np.arange(5.0), (6, 5)), False),
        (np.ones(5), False),
        (np.ones((6, 5), np.float32), False),
    ],
)
def test_operands_that_agree_have_a_task(u, same):
    s = np.linspace(0.1, 0.9, 30).reshape(6, 5)
    task = blocks.prepare(lambda u, s, y: np.multiply(u, s, out=y), None, u, s)
    assert (task is not None) == same
    if same:
        np.testing.assert_array_equal(task(), u * s)


@pytest.mark.parametrize("shape", [(), (0,), (0, 3), (1,), (1, 3, 1)])
@pytest.mark.parametrize("f", UNARY, ids=lambda f: f.__name__)
def test_any_shape(f, shape):
    assert f(np.zeros(shape, np.float32)).shape == shape


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_sigmoid_keeps_its_digits_on_both_sides(dtype):
    info = np.finfo(dtype)
    x = np.concatenate([np.linspace(np.log(info.tiny), 40, 20_001), np.logspace(-4, 2, 100)]).astype(dtype)
    long = x.astype(np.longdouble)
    exact = 1 / (1 + np.exp(-long))
    error = np.abs(tg.sigmoid(x) - exact) / np.spacing(exact.astype(dtype))
    assert error.max() < {np.float16: 0.51, np.float32: 3.5, np.float64: 3.5}[dtype]


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_the_ends_of_sigmoid(dtype):
    x = np.array([np.inf, -np.inf, np.nan, np.finfo(dtype).max, -np.finfo(dtype).max, 0.0, -0.0], dtype)
    with np.errstate(over="raise", divide="raise", invalid="raise"):
        np.testing.assert_array_equal(tg.sigmoid(x), np.array([1, 0, np.nan, 1, 0, 0.5, 0.5], dtype))
