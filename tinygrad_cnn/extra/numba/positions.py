"""Convolution of small images of float32 with many filters, and its adjoint in x, by the products that are not with padding.

In images of 4 x 4, windows of 3 x 3 lie in the padding for 31 of 100 products. So each position of the output is a product of
its own, of all images with the elements of filters that lie inside: in tiles of 8 images x 32 filters, which are summed up in
registers. The filters of a tile are copied for it, so that their elements for one pixel are a matrix.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ...kernels.parallel import chunks
from ...ops.windows import last_view, output_sizes
from .compiled import helper, loop
from .images import each_part, like, steps
from .vectors import FINDS, LANES, ROWS, transpose, wide_tile

WIDE = 2 * LANES
"""The filters of a tile."""

DEEP = 256
"""The most terms of a sum; of more there are several."""

MOST, LEAST = 16, 1 << 16
"""The most positions, and the fewest pairs of channels: for other images and filters, other kernels are as fast."""

USED = 0.75
"""The least part of the rows of tiles that are images: the last tile begins earlier."""

INSIDE = 0.8
"""The most products that are not with padding, as a part of all."""

FLOAT32 = np.dtype(np.float32)

Array = np.ndarray


def prepare(
    out: Array | None, x: Any, w: Any, b: Any = None, *, stride: Any, padding: Any, dilation: Any, groups: int
) -> Any:
    """A task for ``convolve``; None for other windows and dtypes, and where another kernel is faster."""
    if not _fits(len(x), x.shape[2:], w.shape, stride, padding, dilation, groups) or not _are_floats(x, w):
        return None
    if not (w.flags.c_contiguous and (b is None or (_are_floats(b) and b.flags.c_contiguous))):
        return None
    grid = output_sizes(x.shape[2:], w.shape[2:], stride, padding, dilation)
    y = like("last", (len(x), len(w), *grid), FLOAT32) if out is None else out
    images, target = last_view(x), last_view(y)
    if not (images.flags.c_contiguous and target.flags.c_contiguous):
        return None
    shift, numbers = np.zeros(len(w), np.float32) if b is None else b, steps(stride, padding)
    parts = _cut(len(w))

    def task() -> Array:
        each_part(lambda part: _convolve(images, target, w, shift, *numbers, *part), parts)
        return y

    return task


def prepare_dx(
    out: Array | None, u: Any, w: Any, *, shape: Any, stride: Any, padding: Any, dilation: Any, groups: int
) -> Any:
    """A task for ``convolve_dx``."""
    if not _fits(len(u), shape[2:], w.shape, stride, padding, dilation, groups) or not _are_floats(u, w):
        return None
    x = like("last", shape, FLOAT32) if out is None else out
    pulled, target = last_view(u), last_view(x)
    if not (w.flags.c_contiguous and pulled.flags.c_contiguous and target.flags.c_contiguous):
        return None
    numbers, parts = steps(stride, padding), _cut(shape[1])

    def task() -> Array:
        each_part(lambda part: _pull(pulled, target, w, *numbers, *part), parts)
        return x

    return task


def _fits(n: int, sizes: Any, w: Any, stride: Any, padding: Any, dilation: Any, groups: int) -> bool:
    if groups != 1 or len(w) != 4 or w[0] * w[1] < LEAST or n < USED * ROWS * -(-n // ROWS) or n < ROWS or not FINDS:
        return False
    if w[0] % WIDE or w[1] % WIDE or max(dilation) > 1:
        return False
    positions = math.prod(output_sizes(sizes, w[2:], stride, padding, dilation))
    if not 0 < positions <= MOST:
        return False
    inside = math.prod(map(_inside, sizes, w[2:], stride, padding))
    return bool(inside <= INSIDE * positions * math.prod(w[2:]))


def _inside(size: int, k: int, step: int, pair: tuple[int, int]) -> int:
    """How many elements of windows along an axis are not padding."""
    starts = range(-pair[0], size + pair[1] - k + 1, step)
    return sum(max(0, min(size, start + k) - max(0, start)) for start in starts)


def _are_floats(*arrays: Any) -> bool:
    return all(a.__class__ is np.ndarray and a.dtype == FLOAT32 for a in arrays)


def _cut(channels: int) -> list[tuple[int, int]]:
    """Channels in parts for several threads."""
    step = -(-channels // (WIDE * chunks.PARTS)) * WIDE
    return [(i, min(i + step, channels)) for i in range(0, channels, step)]


@helper
def _add(
    a: Array, at: int, down: int, depth: int, panel: Array, first: int, pitch: int, y: Array, place: int, below: int,
    more: bool,
) -> None:  # fmt: skip
    """Add a product of a tile's images and `depth` rows of a panel to 8 x 32 results, or put it there."""
    for k in range(0, depth, DEEP):
        wide_tile(
            a, at + k, down, 1, panel, first + k * pitch, pitch, min(DEEP, depth - k), y, place, below, more or k > 0
        )


@helper
def _clear(y: Array, place: int, below: int) -> None:
    for r in range(ROWS):
        y[place + r * below : place + r * below + WIDE] = 0.0


@loop
def _convolve(x: Array, y: Array, w: Array, b: Array, stride: Any, before: Any, start: int, stop: int) -> None:
    """y (n, h, v, O) = b + the windows of x (n, H, W, C) times w (O, C, k, l), for filters from `start` to `stop`."""
    n, rows, columns, channels = x.shape
    height, width, outputs = y.shape[1], y.shape[2], y.shape[3]
    tall, long = w.shape[2], w.shape[3]
    elements = tall * long
    terms, down, below = channels * elements, rows * columns * channels, height * width * outputs
    source, filters, target = x.reshape(-1), w.reshape(-1), y.reshape(-1)
    panel = np.empty(terms * WIDE, np.float32)
    for o in range(start, stop, WIDE):
        for q in range(0, WIDE, LANES):  # terms are a multiple of LANES, as channels are
            for t in range(0, terms, LANES):
                transpose(filters, (o + q) * terms + t, terms, panel, t * WIDE + q, WIDE)
        for i in range(height):
            for j in range(width):
                for r in range(0, n, ROWS):
                    m = min(r, n - ROWS)
                    place, more = m * below + (i * width + j) * outputs + o, False
                    for e in range(elements):
                        row, column = i * stride[0] + e // long - before[0], j * stride[1] + e % long - before[1]
                        if 0 <= row < rows and 0 <= column < columns:
                            at = m * down + (row * columns + column) * channels
                            _add(
                                source, at, down, channels, panel, e * WIDE, elements * WIDE, target, place, below, more
                            )
                            more = True
                    if not more:
                        _clear(target, place, below)
    for p in range(n * height * width):
        for o in range(start, stop):
            target[p * outputs + o] += b[o]


@loop
def _pull(u: Array, x: Array, w: Array, stride: Any, before: Any, start: int, stop: int) -> None:
    """x (n, H, W, C) = the sum over the windows that hold a pixel of u (n, h, v, O) times w (O, C, k, l), for channels from
    `start` to `stop`."""
    n, rows, columns, channels = x.shape
    height, width, outputs = u.shape[1], u.shape[2], u.shape[3]
    tall, long = w.shape[2], w.shape[3]
    elements = tall * long
    down, below = height * width * outputs, rows * columns * channels
    source, filters, target = u.reshape(-1), w.reshape(-1), x.reshape(-1)
    panel = np.empty(elements * outputs * WIDE, np.float32)
    for c in range(start, stop, WIDE):
        for o in range(outputs):
            at = (o * channels + c) * elements
            for e in range(elements):
                to = (e * outputs + o) * WIDE
                for q in range(WIDE):
                    panel[to + q] = filters[at + q * elements + e]
        for row in range(rows):
            for column in range(columns):
                for r in range(0, n, ROWS):
                    m = min(r, n - ROWS)
                    place, more = m * below + (row * columns + column) * channels + c, False
                    for e in range(elements):
                        i, j = row + before[0] - e // long, column + before[1] - e % long
                        if i >= 0 and j >= 0 and i % stride[0] == 0 and j % stride[1] == 0:
                            i, j = i // stride[0], j // stride[1]
                            if i < height and j < width:
                                at = m * down + (i * width + j) * outputs
                                _add(
                                    source,
                                    at,
                                    down,
                                    outputs,
                                    panel,
                                    e * outputs * WIDE,
                                    WIDE,
                                    target,
                                    place,
                                    below,
                                    more,
                                )
                                more = True
                    if not more:
                        _clear(target, place, below)
