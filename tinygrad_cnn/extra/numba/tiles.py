"""Max-pooling by tiles of 2 x 2 of images of float32 with fewer than sixteen channels, last in memory, as the first layers of
small networks have them.

A vector is the channels of a pixel and numbers of the next ones, whose results are overwritten by those of the next tile. So a
row of results is computed in scratch that is longer, and the last row of images is read from a copy that is.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ...ops.pool import Windows
from ...ops.windows import last_view
from .compiled import helper, loop
from .images import by_images, like, order, view
from .pool import FLOAT32, UINT8, are_tiles
from .vectors import LANES, equal, larger, load, load_bytes, nothing, splat, store, store_bytes

SMALL = 1 << 10
"""Smaller images are not worth the preparation."""

Array = np.ndarray


def prepare_max(out: Array | None, x: Any, *, windows: Windows) -> Any:
    """A task for ``max_pool``; None for other windows and images."""
    if not _takes(x, FLOAT32) or not _are_halves(windows, x.shape[2:]):
        return None
    y = like("last", (*x.shape[:2], *windows.grid), FLOAT32) if out is None else out
    return by_images(_max, y, [view("last", x), view("last", y)]) if _is_last(y) else None


def prepare_which(out: Array | None, x: Any, top: Any, *, windows: Windows) -> Any:
    """A task for ``max_pool_which``."""
    if not _takes(x, FLOAT32) or not _are_halves(windows, x.shape[2:]):
        return None
    y = like("last", (*x.shape[:2], *windows.grid), UINT8) if out is None else out
    return by_images(_which, y, [view("last", x), view("last", y)]) if _is_last(y) else None


def prepare_put(out: Array | None, u: Any, which: Any, *, sizes: Any, windows: Windows) -> Any:
    """A task for ``put_elements``."""
    if not _takes(which, UINT8) or order(u, FLOAT32) is None or not _are_halves(windows, sizes):
        return None
    y = like("last", (*u.shape[:2], *sizes), FLOAT32) if out is None else out
    if not _is_last(y):
        return None
    return by_images(_put, y, [view("last", u), view("last", which), view("last", y)])


def _takes(a: Any, dtype: Any) -> bool:
    if a.__class__ is not np.ndarray or a.ndim != 4 or not 1 < a.shape[1] < LANES or a.size < SMALL:
        return False
    return a.dtype == dtype and _is_last(a)


def _is_last(a: Array) -> bool:
    return last_view(a).flags.c_contiguous


def _are_halves(windows: Windows, sizes: Any) -> bool:
    """Whether the windows are all tiles of 2 x 2 that lie inside of images of these sizes."""
    return windows.size == (2, 2) and are_tiles(windows) and windows.grid == tuple(n // 2 for n in sizes)


@helper
def _larger(x: Array, i: int, channels: int) -> Any:
    """The larger one of two neighbouring pixels, and whether that is the second."""
    m, v, second = load(x, i), load(x, i + channels), splat(np.float32(1.0))
    return larger(v, m, v, m), larger(v, m, second, nothing())


@helper
def _reach(x: Array, i: int, padded: Array, n: int) -> bool:
    """Whether a vector from the n numbers x[i : i + n] on may end behind x. Then these numbers are copied."""
    short = i + n + LANES > x.size
    if short:
        for j in range(n):
            padded[j] = x[i + j]
    return short


@loop
def _max(x: Array, y: Array) -> None:
    """The largest elements of tiles: y (n, h, v, c) of x (n, H, W, c)."""
    flat, channels, line, n = x.reshape(-1), x.shape[3], x.shape[2] * x.shape[3], y.shape[2] * y.shape[3]
    row, ends = np.empty(n + LANES, np.float32), np.zeros(2 * (line + LANES), np.float32)
    for image in range(y.shape[0]):
        for i in range(y.shape[1]):
            source, first, below = flat, (image * x.shape[1] + 2 * i) * line, line
            if _reach(flat, first, ends, 2 * line):
                source, first = ends, 0
            for j in range(y.shape[2]):
                place = first + 2 * j * channels
                m, _ = _larger(source, place, channels)
                v, _ = _larger(source, place + below, channels)
                store(row, j * channels, larger(v, m, v, m))
            target = y[image, i].reshape(-1)
            for j in range(n):
                target[j] = row[j]


@loop
def _which(x: Array, y: Array) -> None:
    """The number of the largest element of each tile."""
    flat, channels, line, n = x.reshape(-1), x.shape[3], x.shape[2] * x.shape[3], y.shape[2] * y.shape[3]
    row, ends = np.empty(n + LANES, np.uint8), np.zeros(2 * (line + LANES), np.float32)
    two = np.float32(2.0)
    for image in range(y.shape[0]):
        for i in range(y.shape[1]):
            source, first, below = flat, (image * x.shape[1] + 2 * i) * line, line
            if _reach(flat, first, ends, 2 * line):
                source, first = ends, 0
            for j in range(y.shape[2]):
                place = first + 2 * j * channels
                m, k = _larger(source, place, channels)
                v, other = _larger(source, place + below, channels)
                store_bytes(row, j * channels, larger(v, m, other + splat(two), k))
            target = y[image, i].reshape(-1)
            for j in range(n):
                target[j] = row[j]


@loop
def _put(u: Array, which: Array, x: Array) -> None:
    """u at the numbered element of each tile, 0 elsewhere."""
    channels, line, n = x.shape[3], x.shape[2] * x.shape[3], u.shape[2] * u.shape[3]
    given, found = np.zeros(n + LANES, np.float32), np.zeros(n + LANES, np.uint8)
    rows = np.zeros((2, line + 2 * LANES), np.float32)
    above, under = rows[0], rows[1]
    for image in range(u.shape[0]):
        for i in range(u.shape[1]):
            a, b = u[image, i].reshape(-1), which[image, i].reshape(-1)
            for j in range(n):
                given[j] = a[j]
                found[j] = b[j]
            for j in range(u.shape[2]):
                g, k, place = load(given, j * channels), load_bytes(found, j * channels), 2 * j * channels
                store(above, place, equal(k, splat(np.float32(0.0)), g, nothing()))
                store(above, place + channels, equal(k, splat(np.float32(1.0)), g, nothing()))
                store(under, place, equal(k, splat(np.float32(2.0)), g, nothing()))
                store(under, place + channels, equal(k, splat(np.float32(3.0)), g, nothing()))
            for j in range(2 * n, line):
                above[j] = 0.0
                under[j] = 0.0
            first, second = x[image, 2 * i].reshape(-1), x[image, 2 * i + 1].reshape(-1)
            for j in range(line):
                first[j] = above[j]
                second[j] = under[j]
        x[image, 2 * u.shape[1] :] = 0.0
