"""Interpolation and pixel shuffling: against loops, exact double backward, and what they refuse."""

from __future__ import annotations

import math
import re
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

import tinygrad_cnn as tg
from tinygrad_cnn.testing import assert_gradients

from ..rows.resize import naive_interpolate, naive_shuffle, naive_unshuffle

LINEAR = {1: "linear", 2: "bilinear", 3: "trilinear"}
seeds = st.integers(0, 2**32 - 1)


@st.composite
def resizings(draw, max_size=6):
    """The shape of x, and the keyword arguments of an interpolation of it that keeps no size by a factor other than 1."""
    ndim = draw(st.sampled_from([1, 2, 2, 3]))
    spatial = draw(st.tuples(*[st.integers(1, max_size if ndim < 3 else 3)] * ndim))
    kwargs = {"mode": draw(st.sampled_from(["nearest", LINEAR[ndim]]))}
    if draw(st.booleans()):
        kwargs["size"] = draw(st.tuples(*[st.integers(1, 7 if ndim < 3 else 4)] * ndim))
    else:
        kwargs["scale_factor"] = draw(st.sampled_from([1, 2, 3, 2.5, 1.75][: 5 if ndim < 3 else 2]))
        if draw(st.booleans()) and min(spatial) > 1:
            kwargs["scale_factor"] = (0.5, *[2] * (ndim - 1))
    if kwargs["mode"] != "nearest" and draw(st.booleans()):
        kwargs["align_corners"] = draw(st.booleans())
    return (draw(st.integers(1, 2)), draw(st.integers(1, 2)), *spatial), kwargs


@given(resizings(), seeds)
def test_interpolate_is_the_loop_of_its_definition(resizing, seed):
    shape, kwargs = resizing
    x = np.random.default_rng(seed).normal(size=shape)
    np.testing.assert_allclose(tg.interpolate(x, **kwargs), naive_interpolate(x, **kwargs), rtol=1e-11, atol=1e-12)


@given(resizings(max_size=4), seeds)
def test_interpolate_double_backward(resizing, seed):
    shape, kwargs = resizing
    x = np.random.default_rng(seed).normal(size=shape)
    assert_gradients(lambda a: tg.interpolate(a, **kwargs) ** 2, x, order=2, budget=3)


@given(resizings(), seeds)
def test_interpolate_and_its_gradient_are_adjoint_and_keep_float32(resizing, seed):
    shape, kwargs = resizing
    rng = np.random.default_rng(seed)
    x = tg.Tensor(rng.normal(size=shape).astype(np.float32), requires_grad=True)
    y = tg.interpolate(x, **kwargs)
    assert y.dtype == np.float32
    u = rng.normal(size=y.shape).astype(np.float32)
    y.backward(u)
    assert x.grad.dtype == np.float32
    form = np.vdot(y.numpy(), u)
    assert abs(form - np.vdot(x.numpy(), x.grad.numpy())) <= 1e-5 * (np.abs(y.numpy() * u).sum() + 1)


@given(st.integers(1, 60), st.integers(1, 60))
@example(30, 22)  # 11 (30 / 22) is below 15 in floating point
def test_nearest_by_size_takes_the_exact_place(n, m):
    x = np.arange(n).reshape(1, 1, n)
    assert tg.interpolate(x, size=m).ravel().tolist() == [i * n // m for i in range(m)]


@given(st.integers(2, 20), st.integers(1, 20), st.booleans())
def test_a_ramp_stays_a_ramp(n, m, align_corners):
    """Linear interpolation is exact on linear data: only the places, clipped to the ends, decide."""
    x = np.arange(n, dtype=float).reshape(1, 1, n)
    i = np.arange(m)
    places = i * (n - 1) / max(m - 1, 1) if align_corners else np.clip((i + 0.5) * n / m - 0.5, 0, n - 1)
    y = tg.interpolate(x, size=m, mode="linear", align_corners=align_corners)
    np.testing.assert_allclose(y.ravel(), places, rtol=1e-12, atol=1e-12)


def test_an_element_without_weight_takes_no_part():
    x = np.array([[[1.0, np.inf, 3.0, 4.0]]])
    y = tg.interpolate(x, size=7, mode="linear", align_corners=True).ravel()
    np.testing.assert_array_equal(np.isfinite(y), [True, False, False, False, True, True, True])
    assert not np.isnan(y).any()
    np.testing.assert_array_equal(tg.interpolate(x, size=8), x.repeat(2, -1))


def test_an_axis_that_keeps_its_size_is_left_alone():
    x = np.random.default_rng(0).normal(size=(2, 3, 5, 4))
    for align_corners in (False, True):
        np.testing.assert_array_equal(tg.interpolate(x, (5, 4), mode="bilinear", align_corners=align_corners), x)
    np.testing.assert_array_equal(tg.interpolate(x, scale_factor=1.1, mode="bilinear"), x)
    assert not np.shares_memory(tg.interpolate(x, (5, 4)), x)


def test_integers_empty_batches_and_layouts():
    x = np.arange(24).reshape(1, 2, 3, 4)
    assert tg.interpolate(x, 2).dtype == x.dtype
    assert tg.interpolate(x > 3, 2).dtype == bool
    assert tg.interpolate(x, 2, mode="bilinear").dtype == np.float64
    assert tg.interpolate(np.zeros((0, 2, 3, 3)), 5, mode="bilinear").shape == (0, 2, 5, 5)
    last = np.moveaxis(np.ascontiguousarray(np.moveaxis(x * 0.5, 1, -1)), -1, 1)
    y = tg.interpolate(last, 6, mode="bilinear")
    np.testing.assert_array_equal(y, tg.interpolate(x * 0.5, 6, mode="bilinear"))
    assert np.moveaxis(y, 1, -1).flags.c_contiguous


@given(st.integers(1, 3), st.lists(st.integers(0, 2), max_size=2), st.tuples(*[st.integers(1, 2)] * 3), seeds)
def test_pixel_shuffle_and_back(r, lead, sizes, seed):
    c, h, w = sizes
    x = np.random.default_rng(seed).normal(size=(*lead, c * r * r, h, w))
    y = tg.pixel_shuffle(x, r)
    np.testing.assert_array_equal(y, naive_shuffle(x, r))
    np.testing.assert_array_equal(tg.pixel_unshuffle(y, r), x)
    np.testing.assert_array_equal(tg.pixel_unshuffle(y, r), naive_unshuffle(y, r))
    if x.size:
        assert_gradients(lambda a: tg.pixel_shuffle(a, r) ** 2, x, order=2, budget=2)
        assert_gradients(lambda a: tg.pixel_unshuffle(a, r) ** 2, y, order=2, budget=2)


ONE = np.ones((1, 1, 4, 4))

REFUSED = [
    (lambda: tg.interpolate(ONE), ValueError, "`size` is None and `scale_factor` is None; give exactly one of them"),
    (lambda: tg.interpolate(ONE, 2, 2), ValueError, "`size` is 2 and `scale_factor` is 2; give exactly one of them"),
    (lambda: tg.interpolate(ONE, 2, mode="cubic"), ValueError,
     "interpolate: `mode` is 'cubic'; it must be one of 'nearest', 'nearest-exact', 'area', 'linear', 'bilinear', "),
    (lambda: tg.interpolate(ONE, 2, mode="linear"), ValueError,
     "interpolate: `mode` is 'linear' but `x` has 2 spatial axes; use 'bilinear'"),
    (lambda: tg.interpolate(ONE, 2, align_corners=True), ValueError, "`align_corners` is True but `mode` is 'nearest'"),
    (lambda: tg.interpolate(ONE, 0), ValueError, "interpolate: `size` is 0; it must be at least 1"),
    (lambda: tg.interpolate(ONE, (1, 2, 3)), ValueError, "`size` is (1, 2, 3); it must be one integer or 2"),
    (lambda: tg.interpolate(ONE, 2.0), TypeError, "`size` is 2.0; it must be an integer or 2 integers"),
    (lambda: tg.interpolate(ONE, scale_factor=0), ValueError, "`scale_factor` is 0; it must be positive and finite"),
    (lambda: tg.interpolate(ONE, scale_factor=float("nan")), ValueError, "`scale_factor` is nan"),
    (lambda: tg.interpolate(ONE, scale_factor=0.1), ValueError, "`scale_factor` 0.1 leaves (0, 0) of (4, 4)"),
    (lambda: tg.interpolate(ONE, scale_factor=(1, 2, 3)), ValueError, "`scale_factor` is (1, 2, 3)"),
    (lambda: tg.interpolate(ONE, scale_factor="two"), TypeError, "`scale_factor` is 'two'; it must be a number"),
    (lambda: tg.interpolate(ONE[0, 0], 2), ValueError, "interpolate: `x` has shape (4, 4)"),
    (lambda: tg.interpolate(ONE[..., :0], 2), ValueError, "every size but the batch must be at least 1"),
    (lambda: tg.interpolate([1.0], 2), TypeError, "interpolate: `x` is a list"),
    (lambda: tg.pixel_shuffle(ONE, 2), ValueError, "`x` has 1 channels, which `upscale_factor` 2 squared must divide"),
    (lambda: tg.pixel_shuffle(ONE, 0), ValueError, "pixel_shuffle: `upscale_factor` is 0"),
    (lambda: tg.pixel_shuffle(ONE, 1.5), TypeError, "pixel_shuffle: `upscale_factor` is 1.5; it must be an integer"),
    (lambda: tg.pixel_shuffle(ONE[0, 0], 1), ValueError, "pixel_shuffle: `x` has shape (4, 4)"),
    (lambda: tg.pixel_unshuffle(ONE, 3), ValueError, "`downscale_factor` is 3, which must divide both 4 and 4"),
    (lambda: tg.pixel_unshuffle(ONE, -1), ValueError, "pixel_unshuffle: `downscale_factor` is -1"),
]  # fmt: skip


@pytest.mark.parametrize(("call", "error", "message"), REFUSED, ids=[message[:60] for *_, message in REFUSED])
def test_what_is_refused_and_how(call, error, message):
    with pytest.raises(error, match=re.escape(message)):
        call()


def test_small_weights_of_bicubic_keep_their_digits():
    """The powers of Keys's polynomials cancel where a weight is small: 1e-16 beside 4e-5, and beside large elements of x."""
    n, m = 8, 100_003
    i = math.ceil(4.5 * m / n)
    t = Fraction((i + 0.5) * (n / m) - 0.5) - 4  # of the position 4 + t
    assert 0 < t < 1e-4
    weights = tg.interpolate(np.eye(n).reshape(1, n, n, 1), (m, 1), mode="bicubic")[0, :, i, 0]
    far = [Fraction(-3, 4) * (d**3 - 5 * d**2 + 8 * d - 4) for d in (1 + t, 2 - t)]
    near = [Fraction(5, 4) * d**3 - Fraction(9, 4) * d**2 + 1 for d in (t, 1 - t)]
    exact = [float(weight) for weight in (far[0], *near, far[1])]
    np.testing.assert_allclose(weights, [0, 0, 0, *exact, 0], rtol=1e-15)
