"""Changes of colours and values of images (N, C, H, W), with torchvision's names, formulas and rounding.

Images are uint8, or floating point from 0 to 1. A parameter is one number, or (N,), one for each image.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from ...core.remedies import publish
from .forms import formed

__all__ = [
    "adjust_brightness", "adjust_contrast", "adjust_gamma", "adjust_hue", "adjust_saturation", "adjust_sharpness",
    "autocontrast", "equalize", "gaussian_blur", "invert", "posterize", "rgb_to_grayscale", "solarize",
]  # fmt: skip

Array: TypeAlias = NDArray[Any]

PIXELS = 1 << 14
"""Pixels that are changed at once, so that intermediate arrays stay in the cache."""


def images_of(name: str, images: Any, channels: tuple[int, ...] = (1, 3)) -> Array:
    """Images (N, C, H, W) of one of these numbers of channels; TypeError or ValueError otherwise."""
    x: Array = np.asarray(images)
    if x.ndim != 4 or (channels and x.shape[1] not in channels):
        wanted = " or ".join(map(str, channels)) or "C"
        raise ValueError(f"{name}: `images` has shape {x.shape}; it must be (N, {wanted}, H, W)")
    if x.dtype != np.uint8 and x.dtype.kind != "f":
        raise TypeError(f"{name}: `images` is {x.dtype}; it must be uint8, or floating point from 0 to 1")
    return x


def _factors(name: str, label: str, value: Any, count: int, low: float, high: float) -> Array:
    """One number for each image, in float64."""
    given = np.asarray(value, np.float64)
    if given.shape not in ((), (count,)) or not ((given >= low) & (given <= high)).all():
        rule = f"from {low:g} to {high:g}" if np.isfinite(high) else f"at least {low:g}"
        raise ValueError(f"{name}: `{label}` is {value!r:.60}; it must be a number of {rule}, or one for each image")
    return np.broadcast_to(given, count)


@formed
def translated(x: Array, tables: Array) -> Array:
    """tables[n, value] for the values of each uint8 image; ``translate`` needs no index of eight bytes for each.

    That of a bytearray takes half the time of that of bytes, which looks whether anything has changed.
    """
    y = np.empty(x.shape, np.uint8)
    for image, table, out in zip(x, tables, y.reshape(len(x), -1), strict=True):
        values = bytearray(np.ascontiguousarray(image).data)
        out[:] = np.frombuffer(values.translate(table.tobytes()), np.uint8)
    return y


def _valued(x: Array, change: Callable[[Array], Array]) -> Array:
    """change(v) of each value v, in float32 or the images' dtype: of uint8 images by a table of 256 values for each image.

    `change` gets values that broadcast to (N, C, H, W).
    """
    if x.dtype != np.uint8:
        return change(x).astype(x.dtype, copy=False)
    values = np.arange(256, dtype=np.float32).reshape(1, 1, 1, 256)
    tables = change(values).clip(0, 255).astype(np.uint8)
    return translated(x, np.broadcast_to(tables, (len(x), 1, 1, 256)))


def _whole(x: Array) -> int:
    return 255 if x.dtype == np.uint8 else 1


def _per_image(f: Array, x: Array) -> Array:
    """Factors as (N, 1, 1, 1) in the dtype of the work."""
    return f.reshape(-1, 1, 1, 1).astype(np.float32 if x.dtype == np.uint8 else x.dtype)


def _by_pixel(x: Array, change: Callable[[Array, slice], Array], channels: int = 0) -> Array:
    """change(part, its images) of parts (n, C, rows, W), as new images, which have so many channels if not the same."""
    y = np.empty((len(x), channels or x.shape[1], *x.shape[2:]), x.dtype)
    for some, rows in _parts(x):
        y[some, :, rows] = change(x[some, :, rows], some)
    return y


def _parts(x: Array) -> Iterator[tuple[slice, slice]]:
    """Images and rows of at most PIXELS pixels."""
    height, width = x.shape[2:]
    group, rows = max(1, PIXELS // max(1, height * width)), max(1, PIXELS // max(1, width))
    return (
        (slice(start, start + group), slice(top, top + rows))
        for start in range(0, len(x), group) for top in range(0, height, rows)
    )  # fmt: skip


def _by_channel(x: Array, change: Callable[[Array, Array], Array], *each: Array) -> Array:
    """change(channels (n, H, W), their numbers of `each` image) of each channel on its own."""
    y = np.empty_like(x, order="C")
    flat, out = x.reshape(-1, *x.shape[2:]), y.reshape(-1, *x.shape[2:])
    image = np.arange(len(x)).repeat(x.shape[1])
    group = max(1, PIXELS // max(1, flat[:1].size))
    for start in range(0, len(flat), group):
        some = slice(start, start + group)
        out[some] = change(flat[some], image[some])
    return y


def _gray(x: Array) -> Array:
    """0.2989 red + 0.587 green + 0.114 blue, (N, 1, H, W), in floating point; of uint8 images rounded down."""
    work = np.dtype(np.float32) if x.dtype == np.uint8 else x.dtype
    if x.shape[1] == 1:
        return x.astype(work, copy=False)
    gray, term = x[:, 0].astype(work), np.empty((len(x), *x.shape[2:]), work)
    gray *= work.type(0.2989)
    for channel, weight in ((1, 0.587), (2, 0.114)):
        np.copyto(term, x[:, channel])
        term *= work.type(weight)
        gray += term
    y: Array = (np.floor(gray, gray) if x.dtype == np.uint8 else gray)[:, None]
    return y


def rgb_to_grayscale(images: Array, num_output_channels: int = 1) -> Array:
    """Images of one channel, 0.2989 red + 0.587 green + 0.114 blue, or of three equal ones.

    >>> import numpy as np, tinygrad_cnn as tg
    >>> red = np.array([255, 0, 0], np.uint8).reshape(1, 3, 1, 1)
    >>> tg.vision.transforms.functional.rgb_to_grayscale(red).ravel()
    array([76], dtype=uint8)
    """
    if num_output_channels not in (1, 3):
        raise ValueError(f"rgb_to_grayscale: `num_output_channels` is {num_output_channels!r}; it must be 1 or 3")
    return grayed(images_of("rgb_to_grayscale", images), num_output_channels)


@formed
def grayed(x: Array, channels: int) -> Array:
    """The gray images, of so many equal channels."""
    return _by_pixel(x, lambda part, some: _gray(part).astype(x.dtype, copy=False), channels)


@formed
def gray_sums(x: Array) -> Array:
    """The sum of each gray image of uint8, in float64."""
    sums = np.zeros(len(x))
    for some, rows in _parts(x):  # of at most 2^16 whole numbers: they are exact in float32
        gray = _gray(x[some, :, rows])
        sums[some] += gray.reshape(len(gray), -1) @ np.ones(gray[0].size, gray.dtype)
    return sums


def _blend(x: Array, other: Array, f: Array) -> Array:
    """f x + (1 - f) other, within the range of the images, as they are stored: rounded down."""
    y = x.astype(f.dtype)
    y *= f
    y += other * (1 - f)
    if f.max() > 1:  # else it is between the two
        np.clip(y, 0, _whole(x), out=y)
    return y.astype(x.dtype, copy=False)


def adjust_brightness(images: Array, brightness_factor: Any) -> Array:
    """y = f x.

    >>> import numpy as np, tinygrad_cnn as tg
    >>> tg.vision.transforms.functional.adjust_brightness(np.full((1, 3, 1, 1), 100, np.uint8), 1.5).ravel()
    array([150, 150, 150], dtype=uint8)
    """
    x = images_of("adjust_brightness", images)
    f = _per_image(_factors("adjust_brightness", "brightness_factor", brightness_factor, len(x), 0, np.inf), x)
    return _valued(x, lambda v: (v * f).clip(0, _whole(x)))


def adjust_contrast(images: Array, contrast_factor: Any) -> Array:
    """y = f x + (1 - f) m, where m is the mean of the gray image."""
    x = images_of("adjust_contrast", images)
    f = _per_image(_factors("adjust_contrast", "contrast_factor", contrast_factor, len(x), 0, np.inf), x)
    mean = np.empty((len(x), 1, 1, 1), f.dtype)
    if x.dtype == np.uint8:
        mean[:, 0, 0, 0] = gray_sums(x) / max(1, math.prod(x.shape[2:]))
    else:
        mean[:, 0, 0, 0] = [_gray(image[None]).mean() for image in x]
    return _valued(x, lambda v: (v * f + mean * (1 - f)).clip(0, _whole(x)))


def adjust_saturation(images: Array, saturation_factor: Any) -> Array:
    """y = f x + (1 - f) gray; an image of one channel has nothing to change."""
    x = images_of("adjust_saturation", images)
    f = _per_image(_factors("adjust_saturation", "saturation_factor", saturation_factor, len(x), 0, np.inf), x)
    if x.shape[1] == 1:
        return x.copy()
    return saturated(x, f)


@formed
def saturated(x: Array, f: Array) -> Array:
    """f x + (1 - f) gray, of images of three channels and factors (N, 1, 1, 1)."""
    return _by_pixel(x, lambda part, some: _blend(part, _gray(part), f[some]))


def adjust_hue(images: Array, hue_factor: Any) -> Array:
    """The hue turned by f of a whole circle, f from -0.5 to 0.5; an image of one channel has none."""
    x = images_of("adjust_hue", images)
    f = _per_image(_factors("adjust_hue", "hue_factor", hue_factor, len(x), -0.5, 0.5), x)
    if x.shape[1] == 1:
        return x.copy()
    return turned(x, 6 * f)


@formed
def turned(x: Array, turns: Array) -> Array:
    """The hue of images of three channels turned by so many sixths of a circle, (N, 1, 1, 1)."""
    return _by_pixel(x, lambda part, some: _turned(part, turns[some, 0]))


def _turned(x: Array, turn: Array) -> Array:
    """The hue turned by so many sixths of a circle."""
    red, green, blue = (x[:, c].astype(turn.dtype) for c in range(3))
    most = np.maximum(np.maximum(red, green), blue)
    chroma = most - np.minimum(np.minimum(red, green), blue)
    safe = np.where(chroma == 0, 1, chroma)
    hue = np.where(most == red, green - blue, np.where(most == green, blue - red, red - green))
    hue /= safe
    hue += np.where(most == red, 0, np.where(most == green, turn.dtype.type(2), turn.dtype.type(4)))
    hue += turn  # from -4 to 8
    if x.dtype == np.uint8:  # the steps of a conversion from [0, 1]: a value is rounded down a little above
        chroma *= turn.dtype.type(255.999 / 255)
        most *= turn.dtype.type(255.999 / 255)
    y = np.empty_like(x)
    for channel, start in enumerate((5, 3, 1)):
        place = hue + turn.dtype.type(start)
        place -= 6 * np.floor(place * turn.dtype.type(1 / 6))
        np.minimum(place, 4 - place, out=place)
        np.clip(place, 0, 1, out=place)
        place *= chroma
        y[:, channel] = np.subtract(most, place, out=place)
    return y


def adjust_gamma(images: Array, gamma: Any, gain: float = 1.0) -> Array:
    """y = gain x^gamma, with x from 0 to 1."""
    x = images_of("adjust_gamma", images)
    f = _per_image(_factors("adjust_gamma", "gamma", gamma, len(x), 0, np.inf), x)
    if x.dtype == np.uint8:
        return _valued(x, lambda v: ((v / 255) ** f * np.float32(gain)).clip(0, 1) * np.float32(255.999))
    y: Array = (x**f * x.dtype.type(gain)).clip(0, 1)
    return y


def adjust_sharpness(images: Array, sharpness_factor: Any) -> Array:
    """y = f x + (1 - f) smooth, but at the border: smooth is the mean of 3 x 3 pixels, the middle one counted five times."""
    x = images_of("adjust_sharpness", images)
    f = _per_image(_factors("adjust_sharpness", "sharpness_factor", sharpness_factor, len(x), 0, np.inf), x)
    return x.copy() if min(x.shape[2:]) < 3 else sharpened(x, f)


@formed
def sharpened(x: Array, f: Array) -> Array:
    """Images of at least 3 x 3 pixels, sharpened by factors (N, 1, 1, 1)."""

    def change(part: Array, image: Array) -> Array:
        y = part.astype(f.dtype)
        rows = y[:, :-2] + y[:, 1:-1]
        rows += y[:, 2:]
        smooth = rows[..., :-2] + rows[..., 1:-1]
        smooth += rows[..., 2:]
        middle = y[:, 1:-1, 1:-1]
        smooth += np.multiply(middle, 4, out=rows[..., 2:])
        smooth /= 13
        if x.dtype == np.uint8:
            np.rint(smooth, out=smooth)
        smooth -= middle
        smooth *= 1 - f[image, 0]
        middle += smooth
        return np.clip(y, 0, _whole(x), out=y)

    return _by_channel(x, change)


def posterize(images: Array, bits: Any) -> Array:
    """The first `bits` bits of each value, from 0 to 8.

    >>> import numpy as np, tinygrad_cnn as tg
    >>> tg.vision.transforms.functional.posterize(np.full((1, 1, 1, 1), 255, np.uint8), 2).item()
    192
    """
    x = images_of("posterize", images)
    count = np.rint(_factors("posterize", "bits", bits, len(x), 0, 8)).astype(np.int64).reshape(-1, 1, 1, 1)
    if x.dtype == np.uint8:
        return x & (255 & ~((1 << (8 - count)) - 1)).astype(np.uint8)
    levels = (1 << count).astype(x.dtype)
    y: Array = np.floor(x * levels).clip(0, levels - 1) / levels
    return y


def solarize(images: Array, threshold: Any) -> Array:
    """Values that are at least `threshold` inverted."""
    x = images_of("solarize", images)
    f = _per_image(_factors("solarize", "threshold", threshold, len(x), -np.inf, _whole(x)), x)
    return _valued(x, lambda v: np.where(v >= f, _whole(x) - v, v))


def invert(images: Array) -> Array:
    """255 - x, or 1 - x for floating point."""
    x = images_of("invert", images, ())
    y: Array = ~x if x.dtype == np.uint8 else 1 - x
    return y


def autocontrast(images: Array) -> Array:
    """Each channel stretched to the whole range of values."""
    x = images_of("autocontrast", images)
    if not x.size:
        return x.copy()
    low, high = (a.astype(np.float32 if x.dtype == np.uint8 else x.dtype)
                 for a in (x.min(axis=(2, 3), keepdims=True), x.max(axis=(2, 3), keepdims=True)))  # fmt: skip
    flat = low == high
    scale = np.where(flat, 1, (high - low) * np.asarray(1 / _whole(x), low.dtype))
    low = np.where(flat, 0, low)
    channels = x.reshape(-1, 1, *x.shape[2:])
    low, scale = low.reshape(-1, 1, 1, 1), scale.reshape(-1, 1, 1, 1)
    return _valued(channels, lambda v: ((v - low) / scale).clip(0, _whole(x))).reshape(x.shape)


def equalize(images: Array) -> Array:
    """Each channel with values that are about equally frequent: Pillow's table of the histogram."""
    x = images_of("equalize", images)
    if not x.size:
        return x.copy()
    given = x if x.dtype == np.uint8 else (x * np.asarray(255.999, x.dtype)).astype(np.uint8)
    counts = histograms(given.reshape(-1, math.prod(x.shape[2:])))
    sums = counts.cumsum(axis=1)
    last = 255 - (counts[:, ::-1] > 0).argmax(axis=1)  # the brightest value
    step = (sums[:, -1] - counts[np.arange(len(counts)), last])[:, None] // 255
    tables = np.tile(np.arange(256), (len(counts), 1))
    some = np.flatnonzero(step)
    tables[some, 0] = 0
    tables[some, 1:] = ((sums[some, :-1] + step[some] // 2) // step[some]).clip(0, 255)
    y = translated(given.reshape(-1, 1, *x.shape[2:]), tables.astype(np.uint8)).reshape(x.shape)
    return y if x.dtype == np.uint8 else y.astype(x.dtype) / 255


@formed
def histograms(x: Array) -> Array:
    """How often each value is in each row of uint8, (n, 256)."""
    counts = np.empty((len(x), 256), np.int64)
    group = max(1, PIXELS // x.shape[1])
    for start in range(0, len(x), group):
        part = x[start : start + group]
        numbered = part + np.arange(0, 256 * len(part), 256)[:, None]
        counts[start : start + group] = np.bincount(numbered.ravel(), minlength=256 * len(part)).reshape(-1, 256)
    return counts


def gaussian_blur(images: Array, kernel_size: Any, sigma: Any = None) -> Array:
    """Each pixel as the mean of its neighbours, weighted by exp(-d^2 / (2 sigma^2)); beyond the border the image is reflected.

    Args:
        images: (N, C, H, W).
        kernel_size: odd, one number or two: (width, height).
        sigma: one number or two, (x, y), or (N, 2); by default 0.15 of the kernel size and 0.35.
    """
    x = images_of("gaussian_blur", images, ())
    width, height = np.broadcast_to(np.asarray(kernel_size), 2).tolist()
    if not all(isinstance(k, int) and k > 0 and k % 2 for k in (width, height)):
        raise ValueError(f"gaussian_blur: `kernel_size` is {kernel_size!r}; it must be odd, one number or two")
    if width // 2 >= x.shape[3] or height // 2 >= x.shape[2]:
        raise ValueError(f"gaussian_blur: `kernel_size` is {kernel_size!r}, too large to reflect images {x.shape[2:]}")
    given = np.asarray([0.15 * width + 0.35, 0.15 * height + 0.35] if sigma is None else sigma, np.float64)
    sigmas = np.broadcast_to(given, (len(x), 2))
    if not (sigmas > 0).all():
        raise ValueError(f"gaussian_blur: `sigma` is {sigma!r:.60}; it must be above 0")
    work = np.float32 if x.dtype == np.uint8 else x.dtype
    return blurred(x, *(_bell(size, s).astype(work) for size, s in ((height, sigmas[:, 1]), (width, sigmas[:, 0]))))


@formed
def blurred(x: Array, down: Array, across: Array) -> Array:
    """Means of neighbours with weights (N, size) along both axes, which are symmetric."""

    def change(part: Array, image: Array) -> Array:
        y = _weighted(part, down[image].T[..., None, None], 1)
        y = _weighted(y, across[image].T[..., None, None], 2)
        return np.rint(y, out=y) if x.dtype == np.uint8 else y

    return _by_channel(x, change)


def _weighted(x: Array, weights: Array, axis: int) -> Array:
    """Means of neighbours along an axis of (n, H, W) with weights (size, n, 1, 1), which are symmetric."""
    reach, length = len(weights) // 2, x.shape[axis]
    shape = [*x.shape]
    shape[axis] += 2 * reach
    wide = np.empty(shape, weights.dtype)
    lines, old = wide.swapaxes(0, axis), x.swapaxes(0, axis)
    lines[reach : reach + length] = old
    lines[:reach] = old[reach:0:-1]
    lines[reach + length :] = old[-2 : -2 - reach : -1]

    def shifted(k: int) -> Array:
        return wide[(slice(None),) * axis + (slice(k, k + length),)]

    y: Array = shifted(reach) * weights[reach]
    term = np.empty_like(y)
    for k in range(reach):
        np.add(shifted(k), shifted(2 * reach - k), out=term)
        term *= weights[k]
        y += term
    return y


def _bell(size: int, sigma: Array) -> Array:
    """Weights (N, size)."""
    weights: Array = np.exp(-0.5 * ((np.arange(size) - (size - 1) / 2) / sigma[:, None]) ** 2)
    weights /= weights.sum(axis=1, keepdims=True)
    return weights


@formed
def scaled(x: Array) -> Array:
    """x / 255 of uint8 images, in float32."""
    y: Array = x * np.float32(1 / 255)
    return y


@formed
def normalized(x: Array, mean: Array, std: Array) -> Array:
    """(x - mean) / std of images in floating point, with means and divisors (C or 1, 1, 1) in their dtype."""
    y = np.empty_like(x)
    group = max(1, PIXELS // max(1, x[:1].size))
    for start in range(0, len(x), group):
        out = y[start : start + group]
        np.divide(np.subtract(x[start : start + group], mean, out=out), std, out=out)
    return y


def __dir__() -> list[str]:
    """Public names only."""
    return list(__all__)


publish(globals())
