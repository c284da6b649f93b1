"""Compiled convolutions of small images with many filters, beside float64; no cut changes a bit."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import tinygrad_cnn as tg
from tinygrad_cnn.ops import conv

from ..tuning import tuned

pytest.importorskip("numba", reason="not installed: pip install numba")

from tinygrad_cnn.extra.numba import positions

from .compiled import agrees, filled, last, needs_vectors, normal

pytestmark = [pytest.mark.usefixtures("numba"), needs_vectors]

SAME = {"stride": (1, 1), "padding": ((1, 1), (1, 1)), "dilation": (1, 1), "groups": 1}


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
