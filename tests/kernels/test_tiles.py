"""Compiled kernels of max-pooling by 2 of few channels beside the definitions, bit for bit."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import tinygrad_cnn as tg
from tinygrad_cnn.ops import pool
from tinygrad_cnn.ops.pool import Windows

from ..tuning import tuned

pytest.importorskip("numba", reason="not installed: pip install numba")

from tinygrad_cnn.extra.numba import images, tiles

from .compiled import last

pytestmark = pytest.mark.usefixtures("numba")


def halves(height, width):
    return Windows((2, 2), (height // 2, width // 2), (2, 2), (0, 0), (1, 1))


@given(
    seed=st.integers(0, 2**32 - 1), n=st.integers(1, 5), channels=st.integers(2, 15),
    height=st.integers(2, 9), width=st.integers(2, 9), cut=st.booleans(),
)  # fmt: skip
def test_bits_are_those_of_the_definitions(seed, n, channels, height, width, cut):
    rng = np.random.default_rng(seed)
    x = last(np.round(rng.standard_normal((n, channels, height, width), np.float32)))  # some are equal
    x[rng.random(x.shape) < 0.05] = rng.choice([np.nan, np.inf, -np.inf, -0.0])
    windows = halves(height, width)
    with tuned() as tune:
        tune(tiles, SMALL=1)
        if cut:
            tune(images, LARGE=2)
        y = tiles.prepare_max(None, x, windows=windows)()
        assert np.array_equal(y, top := pool.max_pool.op.raw(x, windows=windows), equal_nan=True)
        which = tiles.prepare_which(None, x, y, windows=windows)()
        assert np.array_equal(which, pool.max_pool_which.op.raw(x, top, windows=windows))
        u = rng.standard_normal(y.shape, np.float32)
        for given_u in (u, last(u)):
            out = np.full_like(x, 7)
            for target in (None, out):
                task = tiles.prepare_put(target, given_u, which, sizes=(height, width), windows=windows)
                expected = pool.put_elements.op.raw(u, which, sizes=(height, width), windows=windows)
                assert np.array_equal(task(), expected)
    assert y.strides == last(y).strides


@pytest.mark.parametrize("channels", [1, 16])
def test_other_numbers_of_channels_are_left_to_others(channels):
    x = last(np.zeros((8, channels, 16, 16), np.float32))
    assert tiles.prepare_max(None, x, windows=halves(16, 16)) is None


def test_other_windows_and_arrays_are_left_to_others():
    x = last(np.zeros((8, 6, 16, 16), np.float32))
    assert tiles.prepare_max(None, x, windows=halves(16, 16)) is not None
    for windows in (
        Windows((2, 2), (15, 15), (1, 1), (0, 0), (1, 1)),
        Windows((2, 2), (9, 9), (2, 2), (1, 1), (1, 1)),
        Windows((2, 2), (7, 7), (2, 2), (0, 0), (2, 2)),
        Windows((3, 3), (5, 5), (3, 3), (0, 0), (1, 1)),
        Windows((2, 2), (7, 8), (2, 2), (0, 0), (1, 1)),
    ):
        assert tiles.prepare_max(None, x, windows=windows) is None
    for other in (x.astype(np.float64), np.ascontiguousarray(x), x[:0], x[:, :, ::2, ::2]):
        assert tiles.prepare_max(None, other, windows=halves(*other.shape[2:])) is None


def test_gradients_of_a_network_compiled_and_plain():
    rng = np.random.default_rng(0)
    x, w = (rng.standard_normal(s, np.float32) for s in ((9, 1, 28, 28), (6, 1, 5, 5)))

    def step(x):
        leaf = tg.Tensor(w, requires_grad=True)
        y = tg.max_pool2d(tg.conv2d(x, leaf, padding=2).relu(), 2)
        (y * y).sum().backward()
        return y.detach(), leaf.grad

    compiled, found = tg.compile(step), []
    for _ in range(4):
        found = [step(x), compiled(x)]
        assert all(np.array_equal(a.numpy(), b.numpy()) for a, b in zip(*found, strict=True))
    tg.use_numba(False)
    for a, b in zip(found[0], step(x), strict=True):
        assert np.allclose(a.numpy(), b.numpy(), rtol=1e-4, atol=1e-4)
