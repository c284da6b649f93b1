"""Images read at other places: through a homography (3, 3) for each image, and at another size.

A homography takes a point (x, y, 1) of the new image to one of the old image, up to a factor.
"""

from __future__ import annotations

import math
from functools import lru_cache
from typing import Any, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from ...scope import contained
from .forms import formed
from .transform import Moved, Size, fills

Array: TypeAlias = NDArray[Any]

PIXELS = 1 << 14
"""Pixels that are read at once, so that intermediate arrays stay in the cache."""

BAND = 16
"""New pixels whose shares are one matrix."""


class Warp(Moved):
    """A change by homographies (N, 3, 3) from the new images of `size` to the old ones."""

    def __init__(self, matrices: Array, size: Size, interpolation: str, fill: Any, shift: Array | None = None) -> None:
        self._matrices, self._size, self._interpolation = matrices, size, interpolation
        self._fill, self._mask_fill = fills(fill)
        self._shift = shift

    def images(self, x: Array) -> Array:
        """Images (N, C, H, W)."""
        return warp(x, self._matrices, self._size, self._interpolation, self._fill)

    def masks(self, x: Array, chosen: slice) -> Array:
        """Masks, by the nearest pixel."""
        flat = x.reshape(len(x), math.prod(x.shape[1:-2]), *x.shape[-2:])
        return warp(flat, self._matrices[chosen], self._size, "nearest", self._mask_fill).reshape(
            *x.shape[:-2], *self._size
        )

    def corners(self, points: Array, n: int) -> Array:
        """Points that the homography takes to these."""
        moved: Array = (
            np.concatenate([points, np.ones_like(points[..., :1])], axis=-1)
            @ contained(np.linalg.inv, self._matrices[n]).T
        )
        moved = moved[..., :2] / moved[..., 2:]
        if self._shift is not None:
            moved = moved - self._shift[n]
        return moved


@formed
def warp(x: Array, matrices: Array, size: Size, interpolation: str, fill: Any) -> Array:
    """Images (N, C, H, W) read through homographies (N, 3, 3): bilinear or the nearest pixel, and `fill` outside of the image.

    `fill` is a number, or one for each channel. Integers are rounded to the nearest.
    """
    y = np.empty((*x.shape[:2], *size), x.dtype)
    if not y.size:
        return y
    if not x.size:
        y[:] = np.asarray(fill).reshape(-1, 1, 1)
        return y
    fills = np.broadcast_to(np.asarray(fill), x.shape[1:2])
    group, rows = max(1, PIXELS // math.prod(size)), max(1, PIXELS // size[1])
    for start in range(0, len(x), group):
        some = slice(start, start + group)
        frames = _framed(x[some], fills, interpolation)
        for top in range(0, size[0], rows):
            places = _places(matrices[some], range(top, min(top + rows, size[0])), size[1], _work(x.dtype))
            _read(frames, places, interpolation, fills, y[some, :, top : top + rows])
    return y


def _work(dtype: np.dtype[Any]) -> np.dtype[Any]:
    """The floating point of the arithmetic with images of a dtype."""
    return dtype if dtype.kind == "f" and dtype.itemsize >= 4 else np.dtype(np.float32)


def _framed(x: Array, fill: Array, interpolation: str) -> Array:
    """Images in a frame to which places outside are clipped, as (C, N, H + 3, W + 3); the first pixel is at (1, 1).

    The frame has the fill for the nearest pixel. For means of pixels, which are in floating point, it is 0, and the last line
    is only read with a share of 0.
    """
    nearest = interpolation == "nearest"
    frames = np.zeros((x.shape[1], len(x), x.shape[2] + 3, x.shape[3] + 3), x.dtype if nearest else _work(x.dtype))
    if nearest and fill.any():
        frames[:] = fill[:, None, None, None]
    frames[:, :, 1:-2, 1:-2] = x.swapaxes(0, 1)
    return frames


def _places(matrices: Array, rows: range, width: int, work: np.dtype[Any]) -> list[Array]:
    """Where the new pixels of these rows are in the old images: x and y, each (n, rows, width)."""
    m = matrices.astype(work)[:, :, :, None, None]
    column = (np.arange(width, dtype=work) + work.type(0.5))[None, None, :]
    row = (np.arange(rows.start, rows.stop, dtype=work) + work.type(0.5))[None, :, None]
    places = [m[:, i, 0] * column + (m[:, i, 1] * row + m[:, i, 2]) for i in (0, 1)]
    if (matrices[:, 2] != (0, 0, 1)).any():
        below = m[:, 2, 0] * column + (m[:, 2, 1] * row + m[:, 2, 2])
        for place in places:
            place /= below
    return places


def _read(frames: Array, places: list[Array], interpolation: str, fill: Array, out: Array) -> None:
    """Write the pixels at these places, or means of the four around them."""
    count, height, width = frames.shape[1:]
    across, down = places
    for place, n in zip(places, (width, height), strict=True):  # continuous places, as those of pixels in the frame
        place += place.dtype.type(0.5)
        np.clip(place, 0, place.dtype.type(n - 2), out=place)
    frames = frames.reshape(len(frames), -1)
    whole: Any = (
        np.int32 if count * height * width < 1 << 31 else np.intp
    )  # floats become these in a quarter of the time
    first = (np.arange(count, dtype=whole) * (height * width))[:, None, None]
    if interpolation == "nearest":
        at = (np.rint(down).astype(whole) * whole(width) + np.rint(across).astype(whole) + first).astype(np.intp)
        for channel, pixels in enumerate(frames):
            out[:, channel] = pixels.take(at)
        return
    # How much of the four pixels is inside. What is read is weighted by it once more, as in torchvision.
    ones = np.ones_like(across)
    share = np.minimum(np.minimum(across, across.dtype.type(width - 2) - across), ones)
    share *= np.minimum(np.minimum(down, down.dtype.type(height - 2) - down), ones)
    left, top = np.trunc(across), np.trunc(down)
    across -= left
    down -= top
    at = (top.astype(whole) * whole(width) + left.astype(whole) + first).astype(np.intp)
    for channel, pixels in enumerate(frames):
        a, b, c, d = (pixels[start:].take(at) for start in (0, 1, width, width + 1))
        b -= a
        b *= across
        a += b
        d -= c
        d *= across
        c += d
        c -= a
        c *= down
        a += c
        if fill[channel]:
            a -= fill[channel]
        a *= share
        if fill[channel]:
            a += fill[channel]
        out[:, channel] = np.rint(a, out=a) if out.dtype.kind in "biu" else a


@formed
def resized(x: Array, boxes: Array, size: Size, interpolation: str, antialias: bool) -> Array:
    """The boxes (N, 4), (top, left, height, width), of images (N, C, H, W), resized to (N, C, *size)."""
    y = np.empty((*x.shape[:2], *size), x.dtype)
    whole = x.dtype == np.uint8

    def bands(old: int, new: int) -> list[Band]:
        return _bands(old, new, interpolation, antialias, None if whole else _work(x.dtype))

    for some, (top, left, height, width) in equal(boxes, max(1, PIXELS // math.prod(size))):
        part = x[some, :, top : top + height, left : left + width]
        if interpolation.startswith("nearest"):
            exact = interpolation == "nearest-exact"
            rows, columns = (nearest(a, b, exact) for a, b in ((height, size[0]), (width, size[1])))
            y[some] = part.take(rows, axis=2).take(columns, axis=3)
            continue
        if width != size[1]:
            across = bands(width, size[1])
            lines = np.ascontiguousarray(part, across[0].shares.dtype).reshape(-1, width)
            new = np.empty((len(lines), size[1]), lines.dtype)
            for band in across:
                np.matmul(lines[:, band.old], band.turned, out=new[:, band.new])
            part = new.reshape(*part.shape[:-1], size[1])
            if whole:
                _rounded(part, interpolation)
                np.floor(part, out=part)  # as it is stored between the two axes
        if height != size[0]:
            down = bands(height, size[0])
            part = part.astype(down[0].shares.dtype, copy=False)
            new = np.empty((*part.shape[:2], *size), part.dtype)
            for band in down:
                np.matmul(band.shares, part[:, :, band.old], out=new[:, :, band.new])
            part = _rounded(new, interpolation) if whole else new
        y[some] = np.rint(part) if x.dtype.kind in "iu" and not whole and part.dtype.kind == "f" else part
    return y


class Band(NamedTuple):
    """New pixels along an axis, the old ones that have a share in them, and the shares: (new, old), and turned (old, new)."""

    new: slice
    old: slice
    shares: Array
    turned: Array


@lru_cache(maxsize=256)
def _bands(old: int, new: int, interpolation: str, antialias: bool, work: np.dtype[Any] | None) -> list[Band]:
    """The shares as small matrices, in the dtype `work` or in steps: a product with all old pixels is mostly zeros."""
    first, shares = shares_of(old, new, interpolation, antialias)
    shares = _exact(shares) if work is None else shares.astype(work)
    k = shares.shape[1]
    starts = np.arange(0, new, BAND)
    begins = first[starts]
    width = int((first[np.minimum(starts + BAND, new) - 1] - begins).max()) + k
    begins = np.minimum(begins, max(int(first[-1]) + k - width, 0))
    rows = np.arange(new)
    dense = np.zeros((len(starts) * BAND, width), shares.dtype)
    dense[rows[:, None], (first - begins[rows // BAND])[:, None] + np.arange(k)] = shares
    ends = [*starts[1:].tolist(), new]
    return [
        Band(slice(start, end), slice(begin, begin + width), dense[start:end], np.ascontiguousarray(dense[start:end].T))
        for start, end, begin in zip(starts.tolist(), ends, begins.tolist(), strict=True)
    ]


def equal(boxes: Array, most: int) -> list[tuple[slice, list[int]]]:
    """Runs of at most so many images with one box."""
    runs: list[tuple[slice, list[int]]] = []
    for n, box in enumerate(boxes.tolist()):
        if runs and runs[-1][1] == box and n - runs[-1][0].start < most:
            runs[-1] = slice(runs[-1][0].start, n + 1), box
        else:
            runs.append((slice(n, n + 1), box))
    return runs


def in_steps(shares: Array) -> tuple[Array, int]:
    """Shares as whole numbers of at most 15 bits, in steps of 2^-bits: the arithmetic of PyTorch for uint8 images."""
    largest, bits = shares.max(), 0
    while bits < 22 and int(0.5 + largest * (1 << (bits + 1))) < 1 << 15:
        bits += 1
    scaled = shares * (1 << bits)
    return np.trunc(scaled + np.copysign(0.5, scaled)), bits


def _exact(shares: Array) -> Array:
    """Shares in steps. Sums, and a half more, are exact in any order: below 2^24 steps in float32, and else in float64."""
    whole, bits = in_steps(shares)
    largest = np.abs(whole).sum(axis=1).max() * 255 + (1 << bits) / 2
    dtype = np.float32 if largest < 1 << 24 else np.float64
    steps: Array = (whole * 2.0**-bits).astype(dtype)
    return steps


def _rounded(sums: Array, interpolation: str) -> Array:
    """Sums, in place, whose whole parts are the rounded values of uint8 images."""
    sums += sums.dtype.type(0.5)
    if interpolation != "bilinear":  # whose shares are positive: their sums stay within the range
        np.clip(sums, 0, sums.dtype.type(255.5), out=sums)
    return sums


def nearest(old: int, new: int, exact: bool) -> Array:
    """The old pixel of each new one along an axis, (new,): of its centre if `exact`, else of its left edge, as in PyTorch."""
    places = (np.arange(new, dtype=np.float32) + np.float32(0.5 if exact else 0)) * np.float32(old / new)
    return np.minimum(places.astype(np.intp), old - 1)


def shares_of(old: int, new: int, interpolation: str, antialias: bool) -> tuple[Array, Array]:
    """The first old pixel that has a share in each new one along an axis, (new,), and the shares from it on, (new, k)."""
    ratio = old / new
    centres = (np.arange(new)[:, None] + 0.5) * ratio - 0.5
    if interpolation == "bicubic" and not antialias:  # neighbours beyond the ends are those at the ends
        before = np.floor(centres).astype(np.intp)
        first = (before - 1).clip(0, max(old - 4, 0))
        shares = np.zeros((new, min(old, 4)))
        for k in (-1, 0, 1, 2):
            place = (before + k).clip(0, old - 1) - first
            np.add.at(shares, (np.arange(new)[:, None], place), cubic(abs(before + k - centres), -0.75))
        return first[:, 0], shares / shares.sum(axis=1, keepdims=True)
    reach = max(ratio, 1.0) if antialias else 1.0
    if not antialias:
        centres = centres.clip(0, old - 1)
    width = reach if interpolation == "bilinear" else 2 * reach
    count = min(old, int(2 * width) + 2)
    first = np.ceil(centres - width).astype(np.intp).clip(0, old - count)
    distances = abs(first + np.arange(count) - centres) / reach
    shares = np.maximum(0, 1 - distances) if interpolation == "bilinear" else cubic(distances, -0.5)
    return first[:, 0], shares / shares.sum(axis=1, keepdims=True)


def cubic(d: Array, a: float) -> Array:
    """Keys's cubic kernel at distances of at least 0."""
    near = ((a + 2) * d - (a + 3)) * d * d + 1
    far = ((a * d - 5 * a) * d + 8 * a) * d - 4 * a
    return np.where(d <= 1, near, np.where(d < 2, far, 0))
