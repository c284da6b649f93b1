"""Normalization by blocks beside its formulas in float64, in layouts that are rows and in those that are not."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tinygrad_cnn.kernels import batch_norm, channelwise

seeds = st.integers(0, 2**32 - 1)
EPS = 0.01


@pytest.fixture(autouse=True, scope="module")
def small_arrays_too():
    patch = pytest.MonkeyPatch()
    for module, name, value in (
        (channelwise, "SMALL", 1),
        (channelwise, "LONG", 16),
        (batch_norm, "BLOCK", 64),
        (batch_norm, "LARGE", 256),
    ):
        patch.setattr(module, name, value)
    yield
    patch.undo()


@st.composite
def images(draw, steps=(1, 1, 2)):
    """x and u of one layout (in C order, channels-last, or with gaps), axes, and w and b of size 1 along them."""
    n, c, size = draw(st.integers(1, 9)), draw(st.integers(1, 7)), draw(st.integers(1, 9))
    axes = draw(st.sampled_from([(0, 2), (2,), (0,), (1, 2)]))
    dtype = draw(st.sampled_from([np.float32, np.float64]))
    rng = np.random.default_rng(draw(seeds))
    order = draw(st.sampled_from([(0, 1, 2), (0, 2, 1)]))
    step = draw(st.sampled_from(steps))

    def one(centre):
        memory = np.empty([(n, c, size)[i] * step for i in order], dtype)
        a = memory.transpose(np.argsort(order))[::step, ::step, ::step]
        a[...] = rng.normal(centre, 1, a.shape)
        return a

    shape = tuple(1 if i in axes else m for i, m in enumerate((n, c, size)))
    w, b = (rng.normal(size=shape).astype(dtype) for _ in range(2))
    return one(draw(st.sampled_from([0, 30]))), one(0), w, b, axes


def formulas(x, u, w, b, axes):
    x, u, w, b = (a.astype(np.float64) for a in (x, u, w, b))
    mean, variance = x.mean(axes, keepdims=True), x.var(axes, keepdims=True)
    r = 1 / np.sqrt(variance + EPS)
    s = (x - mean) * r
    sums = np.stack([u.sum(axes, keepdims=True), (u * s).sum(axes, keepdims=True)])
    n = x.size / mean.size
    return np.stack([mean, variance]), s * w + b, sums, w * r * (u - sums[0] / n - s * sums[1] / n)


@given(images())
def test_the_formulas(case):
    x, u, w, b, axes = case
    expected = formulas(*case)
    stats = batch_norm.moments(x, axes)
    y = batch_norm.normalize(x, stats, w, b, EPS, axes)
    sums = batch_norm.correlate(u, x, stats, EPS, axes)
    dx = batch_norm.pull(u, x, w, sums, stats, EPS, axes)
    accuracy = 2e-4 if x.dtype == np.float32 else 1e-11
    for got, wanted in zip((stats, y, sums, dx), expected, strict=True):
        assert got.dtype == x.dtype
        np.testing.assert_allclose(got, wanted, rtol=accuracy, atol=accuracy * 10)
    assert y.strides == dx.strides == np.empty_like(x).strides


@given(images(steps=(1,)))
def test_results_may_be_written_over_inputs_and_computed_again(case):
    x, u, w, b, axes = case
    stats = batch_norm.moments(x, axes)
    sums = batch_norm.correlate(u, x, stats, EPS, axes)
    expected = batch_norm.normalize(x, stats, w, b, EPS, axes), batch_norm.pull(u, x, w, sums, stats, EPS, axes)
    for which, inputs in ((0, "x"), (1, "x"), (1, "u")):
        named = {"x": x.copy("K"), "u": u.copy("K")}
        out = named[inputs]
        if which == 0:
            got = batch_norm.normalize(named["x"], stats, w, b, EPS, axes, out)
        else:
            got = batch_norm.pull(named["u"], named["x"], w, sums, stats, EPS, axes, out)
        assert got is out
        np.testing.assert_array_equal(got, expected[which])

    out, measured, correlated = np.empty_like(x), np.empty_like(stats), np.empty_like(sums)
    works = (
        batch_norm.measuring(x, axes, measured),
        batch_norm.normalizing(x, stats, w, b, EPS, axes, out),
        batch_norm.correlating(u, x, stats, EPS, axes, correlated),
        batch_norm.pulling(u, x, w, sums, stats, EPS, axes, out),
    )
    for work, result, wanted in zip(
        works, (measured, out, correlated, out), (stats, expected[0], sums, expected[1]), strict=True
    ):
        if work is not None:
            call = work.prepared()
            for _ in range(2):
                result[...] = np.nan
                call()
                np.testing.assert_array_equal(result, wanted)


def test_channels_last_images_are_rows():
    x = np.moveaxis(np.ones((4, 5, 5, 3), np.float32), -1, 1)
    assert batch_norm.measuring(x, (0, 2, 3), np.empty((2, 1, 3, 1, 1), np.float32)) is not None
    assert batch_norm.measuring(x, (0, 2, 3), np.empty((2, 1, 3, 1, 1))) is None


def test_a_mean_far_from_zero_costs_no_digits():
    rng = np.random.default_rng(0)
    x = np.moveaxis((rng.normal(size=(8, 16, 16, 8)) + 1000).astype(np.float32), -1, 1)
    exact = x.astype(np.float64)
    stats = batch_norm.moments(x, (0, 2, 3))
    np.testing.assert_allclose(stats[1], exact.var((0, 2, 3), keepdims=True), rtol=1e-4)
