"""Blurred and sharpened images of uint8, row by row, with the bits of the definitions."""

from __future__ import annotations

import numpy as np

from ..compiled import exact

Array = np.ndarray


def blurred(x: Array, down: Array, across: Array) -> Array | None:
    """``functional.blurred``."""
    if x.dtype != np.uint8 or not x.size:
        return None
    y = np.empty(x.shape, np.uint8)
    _blurred(np.ascontiguousarray(x), down, across, y)
    return y


@exact
def _blurred(x: Array, down: Array, across: Array, y: Array) -> None:
    """Means along columns into a row with its reflection at both ends, and then along it."""
    height, width = x.shape[2:]
    below, beside = down.shape[1] // 2, across.shape[1] // 2
    line, total = np.empty(width + 2 * beside, np.float32), np.empty(width, np.float32)
    middle = line[beside : beside + width]
    for n in range(x.shape[0]):
        for c in range(x.shape[1]):
            for i in range(height):
                row, share = x[n, c, i], down[n, below]
                for j in range(width):
                    total[j] = np.float32(row[j]) * share
                for k in range(below):
                    over, under, share = abs(i - below + k), i + below - k, down[n, k]
                    under = under if under < height else 2 * height - 2 - under
                    first, second = x[n, c, over], x[n, c, under]
                    for j in range(width):
                        total[j] += (np.float32(first[j]) + np.float32(second[j])) * share
                for j in range(width):
                    middle[j] = total[j]
                for j in range(beside):
                    line[j] = total[beside - j]
                    line[beside + width + j] = total[width - 2 - j]
                share = across[n, beside]
                for j in range(width):
                    total[j] = middle[j] * share
                for k in range(beside):
                    share = across[n, k]
                    before, after = line[k : k + width], line[2 * beside - k : 2 * beside - k + width]
                    for j in range(width):
                        total[j] += (before[j] + after[j]) * share
                out = y[n, c, i]
                for j in range(width):
                    out[j] = np.uint8(np.int32(np.rint(total[j])))


def sharpened(x: Array, f: Array) -> Array | None:
    """``functional.sharpened``."""
    if x.dtype != np.uint8 or not x.size:
        return None
    y = np.empty(x.shape, np.uint8)
    _sharpened(np.ascontiguousarray(x), f.reshape(-1), y)
    return y


@exact
def _sharpened(x: Array, f: Array, y: Array) -> None:
    """f x + (1 - f) smooth inside, and x at the border."""
    height, width = x.shape[2:]
    sums, none, most = np.empty(width, np.int32), np.float32(0.0), np.float32(255.0)
    for n in range(x.shape[0]):
        rest = np.float32(1.0) - f[n]
        for c in range(x.shape[1]):
            y[n, c, 0, :] = x[n, c, 0]
            y[n, c, height - 1, :] = x[n, c, height - 1]
            for i in range(1, height - 1):
                above, row, below, out = x[n, c, i - 1], x[n, c, i], x[n, c, i + 1], y[n, c, i]
                for j in range(width):
                    sums[j] = np.int32(above[j]) + np.int32(row[j]) + np.int32(below[j])
                for j in range(1, width - 1):
                    total = sums[j - 1] + sums[j] + sums[j + 1] + np.int32(4) * np.int32(row[j])
                    middle, smooth = np.float32(row[j]), np.rint(np.float32(total) / np.float32(13.0))
                    value = middle + (smooth - middle) * rest
                    out[j] = np.uint8(np.int32(min(max(value, none), most)))
                out[0] = row[0]
                out[width - 1] = row[width - 1]
