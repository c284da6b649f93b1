"""Compiled convolutions of small images with many filters, beside float64; no cut changes a bit."""

from __future__ import annotations

from importlib.util import find_spec

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import tinygrad_cnn as tg
from tinygrad_cnn.ops import conv

from ..tuning import tuned

if find_spec("numba") is None:
    pytest.skip("not installed: pip install numba", allow_module_level=True)

from tinygrad_cnn.extra.numba import attached, positions, vectors

if not vectors.FINDS:
    pytest.skip("needs AVX-512", allow_module_level=True)

UNIT = 2.0**-24
SAME = {"stride": (1, 1), "padding": ((1, 1), (1, 1)), "dilation": (1, 1), "groups": 1}


@pytest.fixture(autouse=True)
def numba():
    """Compiled kernels, as long as the test runs."""
    before = attached.is_attached()
    tg.use_numba()
    yield
    tg.use_numba(before)


def normal(seed, *shape):
    return np.random.default_rng(seed).standard_normal(shape, np.float32)


def last(a):
    return np.ascontiguousarray(a.transpose(0, 2, 3, 1)).transpose(0, 3, 1, 2)


def agrees(y, op, *arrays, **params):
    """Whether y is the result of the definition, as a sum of thousands of terms rounds."""
    exact, size = (
        op.raw(*(a if a is None else f(a.astype(np.float64)) for a in arrays), **params) for f in (np.array, np.abs)
    )
    return y.dtype == np.float32 and y.shape == exact.shape and (np.abs(y - exact) <= 32 * UNIT * size).all()


def filled(prepare, out, *arrays, **params):
    """Whether the result is the same in memory that held something else, twice, and nothing around it is written."""
    memory = np.full(out.size + 64, 7, np.float32)
    into = np.ndarray(out.shape, np.float32, memory, 128, out.strides)
    task = prepare(into, *arrays, **params)
    for _ in range(2):
        task()
        same = np.array_equal(into, out)
        memory[32:-32] = 7
    return same and (memory == 7).all()


pairs = st.tuples(st.integers(0, 3), st.integers(0, 3))


@given(
    seed=st.integers(0, 2**32 - 1), n=st.integers(8, 19), before=st.sampled_from([32, 64, 96, 288]),
    after=st.sampled_from([32, 64, 160]), tall=st.integers(1, 4), long=st.integers(1, 4),
    more=st.tuples(st.integers(0, 3), st.integers(0, 3)), stride=st.tuples(st.integers(1, 2), st.integers(1, 3)),
    padding=st.tuples(pairs, pairs), bias=st.booleans(),
)  # fmt: skip
def test_convolution_and_its_adjoint(seed, n, before, after, tall, long, more, stride, padding, bias):
    x, w = last(normal(seed, n, before, tall + more[0], long + more[1])), normal(seed + 1, after, before, tall, long)
    b = normal(seed + 2, after) if bias else None
    params = {**SAME, "stride": stride, "padding": padding}
    with tuned() as tune:
        tune(positions, LEAST=1, MOST=1000, INSIDE=1, USED=0)
        y = positions.prepare(None, x, w, b, **params)()
        assert agrees(y, conv.convolve.op, x, w, b, **params)
        assert filled(positions.prepare, y, x, w, b, **params)
        u = last(normal(seed + 3, *y.shape))
        dx = positions.prepare_dx(None, u, w, shape=x.shape, **params)()
        assert agrees(dx, conv.convolve_dx.op, u, w, shape=x.shape, **params)
        assert filled(positions.prepare_dx, dx, u, w, shape=x.shape, **params)
        assert np.array_equal(positions.prepare(None, x[-8:], w, b, **params)(), y[-8:])


def test_other_arrays_are_left_to_others():
    x, w, u = last(normal(0, 8, 256, 4, 4)), normal(1, 256, 256, 3, 3), last(normal(2, 8, 256, 4, 4))
    assert positions.prepare(None, x, w, **SAME) is not None
    assert positions.prepare_dx(None, u, w, shape=x.shape, **SAME) is not None
    for first, second in (
        (x.astype(np.float64), w),
        (x, w.astype(np.float64)),
        (x, np.asfortranarray(w)),
        (np.ascontiguousarray(x), w),
        (x[:7], w),  # fewer than a tile has rows
        (np.concatenate([x, x])[:9], w),  # most rows of the second tile would be computed twice
        (x, w[:250].copy()),
        (x[:, :64], w[:, :64].copy()),  # few filters
        (x[:0], w),
    ):
        assert positions.prepare(None, first, second, **SAME) is None
    for change in ({"dilation": (2, 2)}, {"groups": 2}, {"padding": ((0, 0), (0, 0))}, {"padding": ((2, 2), (2, 2))}):
        assert positions.prepare(None, x, w, **SAME | change) is None
    with pytest.raises(ValueError, match="conv2d"):
        tg.conv2d(tg.Tensor(x[:, :250]), tg.Tensor(w), padding=1)


def test_bits_on_threads():
    x, w, u = last(normal(0, 16, 256, 4, 4)), normal(1, 256, 256, 3, 3), last(normal(2, 16, 256, 4, 4))
    before, found = tg.get_num_threads(), []
    try:
        for threads in (1, 2):
            tg.set_num_threads(threads)
            y, dx = conv.convolve.op.run(x, w, **SAME), conv.convolve_dx.op.run(u, w, shape=x.shape, **SAME)
            found.append([y, dx])
    finally:
        tg.set_num_threads(before)
    assert all(map(np.array_equal, *found))
