"""Compiled products of matrices, and convolutions by filters of one pixel, beside float64; no cut changes a bit."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import tinygrad_cnn as tg
from tinygrad_cnn import nn
from tinygrad_cnn.kernels.parallel import chunks
from tinygrad_cnn.kernels.parallel.workspace import packing

from ..tuning import tuned

pytest.importorskip("numba", reason="not installed: pip install numba")

from tinygrad_cnn.extra.numba import products

from .compiled import UNIT, last, needs_vectors, normal

pytestmark = [pytest.mark.usefixtures("numba"), needs_vectors]

FLAT = {"stride": (1, 1), "padding": ((0, 0), (0, 0)), "dilation": (1, 1), "groups": 1}


def turned(a):
    """The same matrix, transposed in memory."""
    return np.ascontiguousarray(a.T).T


def agrees(y, a, b):
    """Whether y is a b, as a sum of DEEP terms at a time rounds."""
    exact = a.astype(np.float64) @ b.astype(np.float64)
    size = np.abs(a).astype(np.float64) @ np.abs(b).astype(np.float64)
    return y.dtype == np.float32 and (np.abs(y - exact) <= 24 * UNIT * size).all()


sizes = st.tuples(st.integers(8, 70), st.integers(2, 600), st.integers(16, 110))


@given(seed=st.integers(0, 2**32 - 1), sizes=sizes, first=st.booleans(), second=st.booleans(), cut=st.booleans())
def test_products(seed, sizes, first, second, cut):
    m, k, n = sizes
    a, b = normal(seed, m, k), normal(seed + 1, k, n)
    with tuned() as tune:
        tune(products, LEAST=1)
        if cut:
            tune(chunks, LARGE=1)
        task = products.prepare(None, turned(a) if first else a, turned(b) if second else b)
        assert (task is None) == (first and second)
        if task is None:
            return
        y = task()
        assert agrees(y, a, b)
        out = np.full((m, n), 7, np.float32)
        into = products.prepare(out, turned(a) if first else a, turned(b) if second else b)
        for _ in range(2):
            into()
            assert np.array_equal(out, y)
        if not first:  # each row is the same whatever the others are
            stacked = products.prepare(None, np.stack([a[-8:], a[:8]]), turned(b) if second else b)()
            assert np.array_equal(stacked, np.stack([y[-8:], y[:8]]))
            half = products.prepare(None, a[-8:], turned(b) if second else b)()
            assert np.array_equal(half, y[-8:])


@given(seed=st.integers(0, 2**32 - 1), sizes=sizes, bias=st.booleans(), lead=st.sampled_from([(), (2,), (2, 3)]))
def test_linear(seed, sizes, bias, lead):
    m, k, n = sizes
    x, w = normal(seed, *lead, m, k), normal(seed + 1, n, k)
    b = normal(seed + 2, n) if bias else None
    with tuned() as tune:
        tune(products, LEAST=1)
        y = products.prepare_linear(None, x, w, b)()
        assert y.shape == (*lead, m, n)
        plain = products.prepare_linear(None, x, w)()
        assert agrees(plain.reshape(-1, n), x.reshape(-1, k), w.T)
        assert np.array_equal(y, plain if b is None else plain + b)
        out = np.full_like(y, 7)
        products.prepare_linear(out, x, w, b)()
        assert np.array_equal(out, y)


@given(
    seed=st.integers(0, 2**32 - 1), n=st.integers(1, 3), before=st.integers(16, 70), after=st.integers(16, 70),
    height=st.integers(3, 9), width=st.integers(3, 9), bias=st.booleans(), cut=st.booleans(),
)  # fmt: skip
def test_convolution_and_both_adjoints(seed, n, before, after, height, width, bias, cut):
    x, w = last(normal(seed, n, before, height, width)), normal(seed + 1, after, before, 1, 1)
    b, u = normal(seed + 2, after) if bias else None, last(normal(seed + 3, n, after, height, width))
    pixels, pulled = (a.transpose(0, 2, 3, 1).reshape(-1, a.shape[1]) for a in (x, u))
    filters = w[:, :, 0, 0]
    with tuned() as tune:
        tune(products, LEAST=1)
        if cut:
            tune(chunks, LARGE=1)
        y = products.prepare_convolve(None, x, w, b, **FLAT)()
        assert y.strides == u.strides
        rows = y.transpose(0, 2, 3, 1).reshape(-1, after)
        plain = products.prepare(None, pixels, filters.T)()
        assert agrees(plain, pixels, filters.T)
        assert np.array_equal(rows, plain if b is None else plain + b)
        dx = products.prepare_dx(None, u, w, shape=x.shape, **FLAT)()
        assert dx.strides == x.strides
        assert agrees(dx.transpose(0, 2, 3, 1).reshape(-1, before), pulled, filters)
        dw = products.prepare_dw(None, x, u, shape=w.shape, **FLAT)()
        assert agrees(dw[:, :, 0, 0], pulled.T, pixels)


@given(seed=st.integers(0, 2**32 - 1), sizes=sizes, bias=st.booleans(), lead=st.sampled_from([(), (2,), (2, 3)]))
def test_panels_of_weights_give_the_same_bits(seed, sizes, bias, lead):
    m, k, n = sizes
    x, w, b = normal(seed, *lead, m, k), normal(seed + 1, n, k), normal(seed + 2, n) if bias else None
    out = np.full((*lead, m, n), np.nan, np.float32)
    with tuned() as tune:
        tune(products, FEW=24, LEAST=1)
        expected = products.prepare_linear(None, x, w, b)()
        with packing():
            task = products.prepare_linear(out, x, w, b)
            fresh = products.prepare_linear(None, x, np.asfortranarray(w), b)
        w[:] = np.nan  # it is laid out
        assert task() is out or n < products.WIDE
    if n >= products.WIDE:
        np.testing.assert_array_equal(out, expected)
        np.testing.assert_array_equal(fresh(), expected)


def test_other_arrays_are_left_to_blas():
    a, b = normal(0, 64, 64), normal(1, 64, 64)
    assert products.prepare(None, a, b) is not None
    for first, second in (
        (a.astype(np.float64), b),
        (a, b.astype(np.float64)),
        (a[:7], b),
        (a, b[:, :15]),
        (a[:, ::2], b[::2]),
        (a[:, :1], b[:1]),
        (a[:0], b),
        (a.astype(">f4"), b),
        (a[:8, :8], b[:8]),  # few products
    ):
        assert products.prepare(None, first, second) is None
    x, w = last(normal(0, 2, 32, 8, 8)), normal(1, 32, 32, 1, 1)
    assert products.prepare_convolve(None, x, w, **FLAT) is not None
    for change in ({"stride": (2, 2)}, {"padding": ((1, 1), (0, 0))}, {"groups": 2}):
        assert products.prepare_convolve(None, x, w, **FLAT | change) is None
    assert products.prepare_convolve(None, np.ascontiguousarray(x), w, **FLAT) is None
    with pytest.raises(ValueError, match="linear: `x`"):
        tg.linear(tg.Tensor(a), tg.Tensor(b[:, :60]))
    with pytest.raises(ValueError, match="matmul"):
        tg.Tensor(a) @ tg.Tensor(b[:60])


def test_numbers_that_are_not_finite():
    a, b = normal(0, 40, 300), normal(1, 300, 40)
    a[3, 7], a[39, 299], b[12, 5] = np.nan, np.inf, -np.inf
    with np.errstate(all="ignore"):
        y, expected = products.prepare(None, a, b)(), a.astype(np.float64) @ b.astype(np.float64)
    assert np.array_equal(np.isnan(y), np.isnan(expected))
    assert np.array_equal(np.isposinf(y), np.isposinf(expected))


def test_steps_of_a_network_compiled_plain_and_on_threads():
    rng = np.random.default_rng(0)
    x = rng.standard_normal((4, 16, 16, 16), np.float32)

    def results(compiled, threads):
        tg.set_num_threads(threads)
        tg.manual_seed(0)
        layers = [nn.Conv2d(16, 48, 1), nn.ReLU(), nn.Conv2d(48, 24, 1), nn.Flatten(), nn.Linear(24 * 256, 32)]
        model = nn.Sequential(*layers, nn.ReLU(), nn.Linear(32, 20))

        def step(x):
            y = model(x)
            (y * y).mean().backward()
            return y.detach()

        found, call = [], tg.compile(step) if compiled else step
        for i in range(4):
            model.zero_grad()
            found += [call(tg.Tensor(x + np.float32(i))).numpy(), *(p.grad.numpy().copy() for p in model.parameters())]
        return found

    before = tg.get_num_threads()
    try:
        first = results(False, 1)
        for compiled, threads in ((True, 1), (False, 2), (True, 2)):
            for a, b in zip(first, results(compiled, threads), strict=True):
                assert np.array_equal(a, b)
    finally:
        tg.set_num_threads(before)
