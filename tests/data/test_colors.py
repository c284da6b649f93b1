"""Colour jitter against loops over pixels, with colorsys for the hue."""

from __future__ import annotations

import colorsys
import itertools
import math
import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

import tinygrad_cnn as tg
from tinygrad_cnn import data
from tinygrad_cnn.data import ColorJitter

levels = st.integers(0, 8).map(lambda n: n / 8)  # so that channels are often equal
images = hnp.arrays(
    np.float64, st.tuples(st.integers(1, 3), st.just(3), st.integers(1, 3), st.integers(1, 3)), elements=levels
)
factors = st.floats(0, 2)


def gray(pixel):
    return 0.2989 * pixel[0] + 0.587 * pixel[1] + 0.114 * pixel[2]


def pixels(image, change):
    """The image with a function applied to each pixel (red, green, blue), and clipped."""
    changed = np.empty_like(image)
    for at in np.ndindex(image.shape[1:]):
        changed[:, *at] = change(image[:, *at])
    return changed.clip(0, 1)


def brightness(image, f):
    return pixels(image, lambda pixel: f * pixel)


def contrast(image, f):
    mean = np.mean([gray(image[:, *at]) for at in np.ndindex(image.shape[1:])])
    return pixels(image, lambda pixel: f * pixel + (1 - f) * mean)


def saturation(image, f):
    return pixels(image, lambda pixel: f * pixel + (1 - f) * gray(pixel))


def hue(image, f):
    def turned(pixel):
        h, s, v = colorsys.rgb_to_hsv(*pixel)
        return np.array(colorsys.hsv_to_rgb((h + f) % 1, s, v))

    return pixels(image, turned)


CHANGES = {change.__name__: change for change in (brightness, contrast, saturation, hue)}


@pytest.mark.parametrize("name", CHANGES)
@given(images=images, f=factors)
def test_each_change_is_its_formula(name, images, f):
    f = f / 4 if name == "hue" else f
    found = ColorJitter(**{name: (f, f)})(images)
    expected = np.stack([CHANGES[name](image, f) for image in images])
    np.testing.assert_allclose(found, expected, atol=1e-12)


@given(images=images, seed=st.integers(0, 2**32))
def test_all_at_once_are_some_order_of_them(images, seed):
    fixed = {"brightness": 0.7, "contrast": 1.5, "saturation": 0.4, "hue": 0.2}
    found = ColorJitter(**{name: (f, f) for name, f in fixed.items()})(images, rng=seed)
    for image, result in zip(images, found, strict=True):
        candidates = []
        for order in itertools.permutations(fixed):
            changed = image
            for name in order:
                changed = CHANGES[name](changed, fixed[name])
            candidates.append(changed)
        assert any(np.allclose(result, candidate, atol=1e-9) for candidate in candidates)


def test_orders_and_factors_are_drawn_for_each_image_from_their_range():
    batch = np.broadcast_to(np.random.default_rng(0).random((1, 3, 2, 2)), (400, 3, 2, 2))
    fixed = ColorJitter((0.5, 0.5), (1.5, 1.5), (0.3, 0.3), (0.1, 0.1))(batch, rng=0)
    assert 4 < len(np.unique(fixed.round(9).reshape(400, -1), axis=0)) <= 24
    dark = np.full((400, 1, 1, 1), 0.4)
    drawn = ColorJitter(brightness=0.25)(dark, rng=0).ravel() / 0.4
    assert 0.75 <= drawn.min() < 0.77 < 1.23 < drawn.max() <= 1.25
    assert abs(drawn.mean() - 1) < 4 * 0.25 / math.sqrt(3 * 400)
    tg.manual_seed(3)
    first = ColorJitter(0.5)(dark)
    tg.manual_seed(3)
    np.testing.assert_array_equal(ColorJitter(0.5)(dark), first)


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_floats_keep_their_dtype_and_what_is_given_stays(dtype):
    batch = np.random.default_rng(0).random((4, 3, 5, 5)).astype(dtype)
    before = batch.copy()
    changed = ColorJitter(0.5, 0.5, 0.5, 0.3)(batch, rng=1)
    assert changed.dtype == dtype
    np.testing.assert_array_equal(batch, before)
    exact = ColorJitter(0.5, 0.5, 0.5, 0.3)(batch.astype(np.float64), rng=1)
    np.testing.assert_allclose(changed, exact, atol=40 * np.finfo(dtype).eps)


def test_bytes_are_rounded_to_the_nearest():
    batch = np.random.default_rng(0).integers(0, 256, (4, 3, 5, 5), np.uint8)
    jitter = ColorJitter(0.5, 0.5, 0.5, 0.3)
    changed = jitter(batch, rng=1)
    assert changed.dtype == np.uint8
    exact = 255 * jitter(batch / 255, rng=1)
    assert abs(changed - exact).max() < 0.5 + 1e-3


def test_one_channel_has_no_colour_and_may_be_left_out():
    batch = np.random.default_rng(0).random((6, 1, 3, 3))
    np.testing.assert_allclose(ColorJitter(saturation=(0.3, 0.3), hue=(0.2, 0.2))(batch), batch, atol=1e-15)
    jitter = ColorJitter(0.5, 0.5)
    np.testing.assert_array_equal(jitter(batch[:, 0], rng=2), jitter(batch, rng=2)[:, 0])
    assert jitter(batch[:0]).shape == (0, 1, 3, 3)


@pytest.mark.parametrize(
    ("images", "error", "message"),
    [
        (
            np.zeros((2, 2, 4, 4)),
            ValueError,
            "`images` has shape (2, 2, 4, 4); it must be a batch (N, 3, H, W), (N, 1,",
        ),
        (np.zeros((4, 4)), ValueError, "`images` has shape (4, 4)"),
        (np.zeros((2, 3, 4, 4), np.int64), TypeError, "`images` is int64; it must be uint8 or floating point"),
        (
            np.full((2, 3, 4, 4), -0.5),
            ValueError,
            "`images` is from -0.5 to -0.5; it must be from 0 to 1: put Normalize",
        ),
        (np.full((2, 3, 4, 4), np.nan), ValueError, "`images` is from nan to nan"),
    ],
)
def test_images_that_are_refused(images, error, message):
    with pytest.raises(error, match=re.escape("ColorJitter: " + message)):
        ColorJitter(0.5)(images)


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        (
            {"brightness": -0.1},
            ValueError,
            "`brightness` is -0.1; it must be a number of at least 0, or two, the lower one",
        ),
        ({"contrast": (1.5, 0.5)}, ValueError, "`contrast` is (1.5, 0.5)"),
        ({"saturation": (-0.5, 1)}, ValueError, "`saturation` is (-0.5, 1)"),
        ({"hue": 0.6}, ValueError, "`hue` is 0.6; it must be a number from 0 to 0.5, or two from -0.5 to 0.5"),
        ({"hue": (-0.6, 0)}, ValueError, "`hue` is (-0.6, 0)"),
        ({"contrast": "much"}, TypeError, "`contrast` is 'much'; it must be a finite number or two"),
        ({"brightness": np.inf}, TypeError, "`brightness` is inf"),
    ],
)
def test_arguments_that_are_refused(options, error, message):
    with pytest.raises(error, match=re.escape("ColorJitter: " + message)):
        ColorJitter(**options)


def test_it_is_one_of_the_transforms():
    jitter = data.ColorJitter(0.25, hue=0.1)
    expected = "ColorJitter(brightness=(0.75, 1.25), contrast=(1.0, 1.0), saturation=(1.0, 1.0), hue=(-0.1, 0.1))"
    assert repr(jitter) == expected
    loaders = [data.DataLoader(np.full((9, 3, 4, 4), 100, np.uint8), 3, seed=0, transform=jitter) for _ in range(2)]
    for (first,), (second,) in zip(*loaders, strict=True):
        np.testing.assert_array_equal(first, second)
        assert first.min() < first.max()
