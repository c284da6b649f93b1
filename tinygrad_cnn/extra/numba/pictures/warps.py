"""Images of uint8 read through homographies, row by row.

Three loops compute a row: the places to read, the bytes there, and their means. The first and the last use vector registers.
The second reads single bytes, from a copy of the image that fits into the cache.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ..compiled import exact

Array = np.ndarray


def warp(x: Array, matrices: Array, size: tuple[int, int], interpolation: str, fill: Any) -> Array | None:
    """``warp.warp`` of uint8 images."""
    if x.dtype != np.uint8 or not x.size or not math.prod(size) or x.shape[2] * x.shape[3] >= 1 << 30:
        return None
    fills = np.broadcast_to(np.asarray(fill), x.shape[1:2])
    if not ((fills >= 0) & (fills <= 255) & (fills == np.rint(fills))).all():
        return None
    y = np.empty((*x.shape[:2], *size), np.uint8)
    m = matrices.astype(np.float32)
    flat = bool((matrices[:, 2] == (0, 0, 1)).all())
    x = np.ascontiguousarray(x)
    if interpolation == "nearest":
        _nearest(x, m, flat, fills.astype(np.uint8), y)
    else:
        _bilinear(x, m, flat, fills.astype(np.float32), bool(fills.any()), y)
    return y


@exact
def _framed(image: Array, fill: int, frame: Array) -> None:
    """An image in a frame (H + 3, W + 3) of `fill`; its first pixel is at (1, 1)."""
    height, width = image.shape
    for row in (0, height + 1, height + 2):
        for j in range(width + 3):
            frame[row, j] = fill
    for i in range(height):
        line, row_of = image[i], frame[i + 1]
        row_of[0] = fill
        for j in range(width):
            row_of[j + 1] = line[j]
        row_of[width + 1] = fill
        row_of[width + 2] = fill


@exact
def _places(m: Array, flat: bool, i: int, height: int, width: int, across: Array, down: Array) -> None:
    """Where the pixels of row i are in the frame of an image."""
    row = np.float32(i) + np.float32(0.5)
    half, none = np.float32(0.5), np.float32(0.0)
    right, bottom = np.float32(width + 1), np.float32(height + 1)
    first, second, third = m[0, 1] * row + m[0, 2], m[1, 1] * row + m[1, 2], m[2, 1] * row + m[2, 2]
    for j in range(across.size):
        column = np.float32(j) + half
        u, v = m[0, 0] * column + first, m[1, 0] * column + second
        across[j], down[j] = u, v
    if not flat:
        for j in range(across.size):
            below = m[2, 0] * (np.float32(j) + half) + third
            across[j] /= below
            down[j] /= below
    for j in range(across.size):
        u, v = across[j] + half, down[j] + half
        u, v = (u if u > none else none), (v if v > none else none)  # a NaN becomes 0
        across[j], down[j] = (u if u < right else right), (v if v < bottom else bottom)


@exact
def _nearest(x: Array, m: Array, flat: bool, fill: Array, y: Array) -> None:
    """The nearest pixels."""
    count, channels, height, width = x.shape
    frames = np.empty((channels, height + 3, width + 3), np.uint8)
    lines = frames.reshape(channels, -1)
    across, down = np.empty(y.shape[3], np.float32), np.empty(y.shape[3], np.float32)
    at = np.empty(y.shape[3], np.int32)
    for n in range(count):
        for c in range(channels):
            _framed(x[n, c], fill[c], frames[c])
        for i in range(y.shape[2]):
            _places(m[n], flat, i, height, width, across, down)
            for j in range(at.size):
                at[j] = np.int32(np.rint(down[j])) * np.int32(width + 3) + np.int32(np.rint(across[j]))
            for c in range(channels):
                line, out = lines[c], y[n, c, i]
                for j in range(at.size):
                    out[j] = line[at[j]]


@exact
def _bilinear(x: Array, m: Array, flat: bool, fill: Array, filled: bool, y: Array) -> None:
    """Means of the four pixels around, weighted by how much of these is inside."""
    count, channels, height, width = x.shape
    pitch = width + 3
    frames = np.empty((channels, height + 3, pitch), np.uint8)
    lines = frames.reshape(channels, -1)
    size = y.shape[3]
    across, down, share = np.empty(size, np.float32), np.empty(size, np.float32), np.empty(size, np.float32)
    at, corners = np.empty(size, np.int32), np.empty((4, size), np.uint8)
    one, right, bottom = np.float32(1.0), np.float32(width + 1), np.float32(height + 1)
    for n in range(count):
        for c in range(channels):
            _framed(x[n, c], 0, frames[c])
        for i in range(y.shape[2]):
            _places(m[n], flat, i, height, width, across, down)
            for j in range(size):
                u, v = across[j], down[j]
                inside, other = min(min(u, right - u), one), min(min(v, bottom - v), one)
                left, top = np.int32(u), np.int32(v)
                share[j] = inside * other
                across[j], down[j] = u - np.float32(left), v - np.float32(top)
                at[j] = top * np.int32(pitch) + left
            for c in range(channels):
                line, out, value = lines[c], y[n, c, i], fill[c]
                for j in range(size):
                    first = at[j]
                    corners[0, j], corners[1, j] = line[first], line[first + 1]
                    corners[2, j], corners[3, j] = line[first + pitch], line[first + pitch + 1]
                for j in range(size):
                    a, b = np.float32(corners[0, j]), np.float32(corners[1, j])
                    d, e = np.float32(corners[2, j]), np.float32(corners[3, j])
                    a = a + (b - a) * across[j]
                    d = d + (e - d) * across[j]
                    a = a + (d - a) * down[j]
                    if filled and value != 0:
                        a = (a - value) * share[j] + value
                    else:
                        a = a * share[j]
                    out[j] = np.uint8(np.int32(np.rint(a)))
