"""Compiled sums and moments of channels, and batch norm without and with a clip, beside the definitions in float64."""

from __future__ import annotations

import math

import numpy as np
import pytest

from tinygrad_cnn.kernels.parallel import chunks
from tinygrad_cnn.ops import clipped as c
from tinygrad_cnn.ops import standardize as n

pytest.importorskip("numba", reason="not installed: pip install numba")

from tinygrad_cnn.extra.numba import batch_norm, channels

from .compiled import last

pytestmark = pytest.mark.usefixtures("numba")

UNIT = 2.0**-23
LIMITS = [n.unlimited, (0.0, math.inf), (0.0, 6.0), (-0.5, 0.25)]
SHAPES = [(4, 64, 5, 6), (2, 24, 7, 8), (3, 3, 16, 4), (64, 20), (2, 6, 4, 4, 8), (6, 16, 9), (2, 17, 16, 2)]
"""With as many channels as a vector or several have, and with others."""


@pytest.fixture(params=["in one part", "in parts"])
def parts(request, tuning):
    """Arrays are cut for several threads, or not."""
    if request.param == "in parts":
        tuning(chunks, LARGE=1)


class Given:
    """Images, a gradient, scale and shift, with the exact moments."""

    def __init__(self, shape, seed=0, mean=0.0):
        rng = np.random.default_rng(seed)
        self.over = n.Over((0, *range(2, len(shape))), 1e-5)
        small = (1, shape[1], *(1 for _ in shape[2:]))
        draw = lambda *shape: rng.standard_normal(shape, np.float32)  # noqa: E731
        self.x = last((draw(*shape) * (1 + draw(*small) ** 2) + np.float32(mean) * draw(*small)).astype(np.float32))
        self.u, self.w, self.b = last(draw(*shape)), draw(*small), draw(*small)
        self.stats = n.moments.op.raw(self.x.astype(np.float64), over=self.over)
        mean, variance = self.stats
        self.s = (self.x - mean) / np.sqrt(variance + self.over.eps)
        self.z = self.s * self.w + self.b

    def v(self, z, limits):
        """The gradient that passes a clip of z."""
        return np.where((z > limits[0]) & ((z < limits[1]) | (limits[1] == math.inf)), self.u, np.float32(0))


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("mean", [0.0, 1000.0])
def test_moments(shape, mean, parts):
    given = Given(shape, mean=mean)
    task = channels.prepare_moments(None, given.x, over=given.over)
    y = task()
    off = np.abs(y[0] - given.stats[0]) / np.sqrt(given.stats[1])
    assert off.max() < 1e-6
    assert np.abs(y[1] / given.stats[1] - 1).max() < 1e-6
    out = np.full_like(y, 7)
    channels.prepare_moments(out, given.x, over=given.over)()
    assert np.array_equal(out, y)


@pytest.mark.parametrize("order", ["first", "last"])
@pytest.mark.parametrize("shape", [shape for shape in SHAPES if len(shape) > 2], ids=str)
def test_the_gradient_of_a_bias(shape, order, parts):
    a = Given(shape).x if order == "last" else np.ascontiguousarray(Given(shape).x)
    axis = (0, *range(2, len(shape)))
    y = channels.prepare_sum(None, a, axis=axis, keepdims=False)()
    exact = a.astype(np.float64).sum(axis)
    assert y.dtype == np.float32
    assert (np.abs(y - exact) <= 4 * UNIT * np.abs(a).sum(axis)).all()
    out = np.full_like(y, 7)
    channels.prepare_sum(out, a, axis=axis, keepdims=False)()
    assert np.array_equal(out, y)
    for other in ((0,), (1,), axis[:-1], None):
        assert channels.prepare_sum(None, a, axis=other, keepdims=False) is None
    assert channels.prepare_sum(None, a, axis=axis, keepdims=True) is None


def test_moments_where_the_first_numbers_are_no_guide():
    x = np.random.default_rng(0).standard_normal((1000, 16), np.float32)
    looked_at = [i * 1000 // channels.FEW for i in range(channels.FEW)]
    x[looked_at] += np.float32(1e4) * (np.arange(16) % 2)
    for scale in (np.float32(1), np.float32(2**80)):  # squares of the latter overflow
        y, exact = n.moments(x * scale, over=n.Over((0,), 1e-5)), x.astype(np.float64) * scale
        assert np.allclose(y[0], exact.mean(0), rtol=0, atol=1e-6 * exact.std(0))
        assert np.allclose(y[1], exact.var(0), rtol=1e-6, atol=0)


@pytest.mark.parametrize("limits", LIMITS, ids=str)
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_the_output_and_both_passes_of_the_gradient(shape, limits, parts):
    g = Given(shape, mean=10.0)
    how = {"over": g.over, "limits": limits}
    y = batch_norm.prepare_clipped(None, g.x, g.w, g.b, g.stats, **how)()
    assert y.dtype == np.float32
    assert y.strides == g.x.strides
    scale = np.abs(g.s * g.w).max() + np.abs(g.b).max()
    assert np.abs(y - np.clip(g.z, *limits)).max() <= 4 * UNIT * scale
    v = g.v(y if limits != n.unlimited else g.z, limits)  # passes where the output, as it was rounded, is inside
    size = np.abs(v).sum(g.over.axis, keepdims=True), np.abs(v * g.s).sum(g.over.axis, keepdims=True)
    sums = batch_norm.prepare_clipped_correlations(None, g.u, g.x, g.w, g.b, g.stats, **how)()
    exact = np.array([v.sum(g.over.axis, np.float64, keepdims=True), (v * g.s).sum(g.over.axis, keepdims=True)])
    assert (np.abs(sums - exact) <= 4 * UNIT * (np.array(size) + 1e-9)).all()
    dx = batch_norm.prepare_clipped_dx(None, g.u, g.x, g.w, g.b, sums, g.stats, **how)()
    r = 1 / np.sqrt(g.stats[1] + g.over.eps)
    count = g.over.count(shape)
    expected = r * g.w * (v - exact[0] / count - g.s * exact[1] / count)
    assert np.abs(dx - expected).max() <= 8 * UNIT * np.abs(r * g.w * v).max()
    assert dx.strides == g.x.strides


@pytest.mark.parametrize("limits", LIMITS[1:], ids=str)
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_bits_are_those_of_a_norm_and_a_clip_apart(shape, limits, parts):
    g = Given(shape, mean=10.0)
    how = {"over": g.over, "limits": limits}
    z = n.normalized(g.x, g.w, g.b, g.stats, over=g.over)
    assert np.array_equal(c.clipped(g.x, g.w, g.b, g.stats, **how), np.clip(z, *limits))
    v = last(g.v(z, limits))
    sums = n.correlations(v, g.x, g.stats, over=g.over)
    assert np.array_equal(c.clipped_correlations(g.u, g.x, g.w, g.b, g.stats, **how), sums)
    dx = n.normalized_dx(v, g.x, g.w, sums, g.stats, over=g.over)
    assert np.array_equal(c.clipped_dx(g.u, g.x, g.w, g.b, sums, g.stats, **how), dx)
    assert np.array_equal(c.clipped_dx(g.u.copy("C"), g.x, g.w, g.b, sums, g.stats, **how), dx)  # another memory order
    out = g.u.copy("K")  # in the place of an input
    batch_norm.prepare_clipped_dx(out, out, g.x, g.w, g.b, sums, g.stats, **how)()
    assert np.array_equal(out, dx)
    by = tuple(a.astype(np.float32).reshape(-1) for a in (*g.stats, g.w, g.b))
    y = np.clip(n.normalized_by(g.x, *by, eps=1e-5), *limits)
    assert np.array_equal(c.clipped_by(g.x, *by, eps=1e-5, limits=limits), y)
    exact = n.normalized_by.op.raw(*(a.astype(np.float64) for a in (g.x, *by)), eps=1e-5)
    assert np.abs(y - np.clip(exact, *limits)).max() <= 8 * UNIT * np.abs(exact).max()


def test_a_constant_channel_gives_its_shift():
    x = last(np.full((2, 16, 8, 8), 0.1, np.float32))
    b = np.linspace(-1, 1, 16, dtype=np.float32).reshape(1, 16, 1, 1)
    over = n.Over((0, 2, 3), 1e-5)
    y = c.clipped(x, None, b, n.moments(x, over=over), over=over, limits=(0.0, math.inf))
    assert np.array_equal(y, np.broadcast_to(np.maximum(b, 0), x.shape))


@pytest.mark.parametrize("value", [np.nan, np.inf, 1e30])
def test_numbers_that_are_not_finite_or_whose_squares_are_not(value):
    g = Given((2, 32, 8, 8))
    g.x[1, 3, 4, 5] = value
    with np.errstate(all="ignore"):
        stats = n.moments(g.x, over=g.over)
        expected = n.moments.op.raw(g.x, over=g.over)
        assert np.allclose(stats, expected, equal_nan=True)
        y = c.clipped(g.x, g.w, g.b, stats, over=g.over, limits=(0.0, 6.0))
        z = n.normalized.op.raw(g.x, g.w, g.b, expected, over=g.over)
        assert np.allclose(y, np.clip(z, 0, 6), atol=1e-5, equal_nan=True)
        sums = c.clipped_correlations(g.u, g.x, g.w, g.b, stats, over=g.over, limits=(0.0, 6.0))
        v = np.where((z > 0) & (z < 6), g.u, 0)
        assert np.allclose(sums, n.correlations.op.raw(v, g.x, expected, over=g.over), atol=1e-4, equal_nan=True)


@pytest.mark.parametrize(
    "change",
    [
        lambda x: x.astype(np.float64),
        lambda x: x.astype(np.float16),
        lambda x: np.ascontiguousarray(x),
        lambda x: x[:, :, ::2],
        lambda x: x[:0],
        lambda x: x.astype(">f4"),
        lambda x: x[:1, :, :1],
    ],
)
def test_other_arrays_are_left_to_numpy(change):
    g = Given((4, 16, 8, 8))
    assert channels.prepare_moments(None, g.x, over=g.over) is not None
    assert channels.prepare_moments(None, change(g.x), over=g.over) is None
    assert channels.prepare_moments(None, g.x, over=n.Over((2, 3), 1e-5)) is None
    assert (
        batch_norm.prepare_clipped(None, g.x, g.w.astype(np.float64), g.b, g.stats, over=g.over, limits=(0, 1)) is None
    )
