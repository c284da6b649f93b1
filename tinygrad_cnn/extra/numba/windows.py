"""Convolution of float32 by large filters from few channels to few channels, and its adjoints, without columns.

BLAS multiplies columns, copies of all windows, which takes longer than the products if these are few. Here lists tell where the
windows begin in an image with its padding, and where their elements are, and tiles of 8 x 32 or 8 x 16 sums are kept in
registers. The adjoint in x adds products to the windows of each pixel.

Each number is computed in one order, wherever its image is: cuts for threads do not change a bit.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ...ops.windows import last_view, output_sizes
from .compiled import helper, loop
from .images import by_images, cuts, each_part, like, order, steps, view
from .vectors import FINDS, LANES, ROWS, above, load, narrow_tile, nothing, splat, store, wide_tile

WIDE = 2 * LANES
"""The columns of a tile."""

DEEP = 256
"""The most terms of a sum over pixels; of more there are several."""

LARGE, FEWEST, MOST, OUTPUTS = 16, 64, 256, 32
"""The fewest elements of a filter for a channel, the fewest and the most for all channels, and the most filters."""

USED = 0.6
"""The least part of the lanes that compute what is wanted."""

LEAST = 1 << 15
"""Fewer products are not worth the call."""

FLOAT32 = np.dtype(np.float32)

Array = np.ndarray


def prepare(
    out: Array | None, x: Any, w: Any, b: Any = None, *, stride: Any, padding: Any, dilation: Any, groups: int
) -> Any:
    """A task for ``convolve``; None for other windows and dtypes, and where another kernel is faster."""
    if not _fits(w.shape, stride, dilation, groups) or (how := order(x, FLOAT32)) is None:
        return None
    if not _is_plain(w) or not (b is None or _is_plain(b)):
        return None
    grid = output_sizes(x.shape[2:], w.shape[2:], stride, padding, dilation)
    if not _pays(len(x) * math.prod(grid), w.shape):
        return None
    y = like("last", (len(x), len(w), *grid), FLOAT32) if out is None else out
    if out is not None and (order(y, FLOAT32) is None or not last_view(y).flags.c_contiguous):
        return None
    shift = np.zeros(len(w), np.float32) if b is None else b
    return by_images(_convolve, y, [view(how, x), last_view(y)], how == "first", w, shift, *steps(stride, padding))


def prepare_dx(
    out: Array | None, u: Any, w: Any, *, shape: Any, stride: Any, padding: Any, dilation: Any, groups: int
) -> Any:
    """A task for ``convolve_dx``."""
    if not _fits(w.shape, stride, dilation, groups) or order(u, FLOAT32) is None or not _is_plain(w):
        return None
    if not _pays(u.size // len(w), w.shape):
        return None
    x = like("last", shape, FLOAT32) if out is None else out
    if out is not None and (order(x, FLOAT32) is None or not last_view(x).flags.c_contiguous):
        return None
    return by_images(_spread, x, [last_view(u), last_view(x)], w, *steps(stride, padding))


def prepare_dw(
    out: Array | None, x: Any, u: Any, *, shape: Any, stride: Any, padding: Any, dilation: Any, groups: int
) -> Any:
    """A task for ``convolve_dw``."""
    if not _fits(shape, stride, dilation, groups) or order(u, FLOAT32) is None:
        return None
    how = order(x, FLOAT32)
    if how is None:
        return None
    if not _pays(u.size // shape[0], shape):
        return None
    w = np.empty(shape, FLOAT32) if out is None else out
    parts = cuts(max(x, u, key=lambda a: a.size))
    one = len(parts) == 1 and w.flags.c_contiguous
    totals = w[None] if one else np.empty((len(parts), *shape), np.float32)
    given = [(view(how, x)[part], last_view(u)[part], total) for part, total in zip(parts, totals, strict=True)]
    numbers = (how == "first", *steps(stride, padding))

    def correlate(part: Any) -> None:
        images, pulled, total = part
        _correlate(images, np.ascontiguousarray(pulled), total, *numbers)

    def task() -> Array:
        each_part(correlate, given)
        if not one:
            np.add.reduce(totals, 0, out=w)
        return w

    return task


def _fits(w: Any, stride: Any, dilation: Any, groups: int) -> bool:
    """Whether copying columns for BLAS would take long beside the products with them, and most lanes of vectors are used."""
    if groups != 1 or len(w) != 4 or w[2] * w[3] < LARGE or not FINDS:
        return False
    outputs, channels, tall, long = w
    if outputs > OUTPUTS or not FEWEST <= channels * tall * long <= MOST or not dilation[0] == dilation[1] == 1:
        return False
    return _are_used(outputs) and _are_used(channels * long)


def _are_used(n: int) -> bool:
    """Whether most lanes of vectors with n numbers are used."""
    return n >= USED * LANES * -(-n // LANES)


def _pays(pixels: int, w: Any) -> bool:
    """Whether there are enough products."""
    return bool(pixels * math.prod(w) >= LEAST)


@helper
def _up(n: int, step: int) -> int:
    return (n + step - 1) // step * step


def _is_plain(a: Any) -> bool:
    """Whether `a` is an array of float32 in C order."""
    return bool(a.__class__ is np.ndarray and a.dtype == FLOAT32 and a.flags.c_contiguous)


@helper
def _pad(x: Array, image: int, is_first: bool, padded: Array, rows: int, columns: int, before: Any) -> None:
    """The rows and columns of an image that windows read, in its memory order. Padding is not written."""
    channels, height, width = _shape(x, is_first)
    above, left = before
    bottom, right = min(rows, height + above), min(columns, width + left)
    if is_first:
        for c in range(channels):
            for i in range(max(0, above), bottom):
                source, at = x[image, c, i - above], (c * rows + i) * columns
                for j in range(max(0, left), right):
                    padded[at + j] = source[j - left]
    else:
        first = max(0, left)
        for i in range(max(0, above), bottom):
            source, at = x[image, i - above].reshape(-1), (i * columns + first) * channels
            start = (first - left) * channels
            for j in range((right - first) * channels):
                padded[at + j] = source[start + j]


@helper
def _shape(x: Array, is_first: bool) -> Any:
    """Channels, height and width."""
    return (x.shape[1], x.shape[2], x.shape[3]) if is_first else (x.shape[3], x.shape[1], x.shape[2])


@helper
def _list(
    is_first: bool, rows: int, columns: int, w: Any, height: int, width: int, stride: Any, p: Array, t: Array
) -> None:
    """p: where the windows begin in an image of rows and columns, the last one repeated; t: the elements of a window."""
    _, channels, tall, long = w
    apart, down, across = (rows * columns, columns, 1) if is_first else (1, columns * channels, channels)
    for i in range(height):
        for j in range(width):
            p[i * width + j] = i * stride[0] * down + j * stride[1] * across
    p[height * width :] = p[height * width - 1]
    for c in range(channels):
        for r in range(tall):
            for k in range(long):
                t[(c * tall + r) * long + k] = c * apart + r * down + k * across


@loop
def _convolve(x: Array, y: Array, is_first: bool, w: Array, b: Array, stride: Any, before: Any) -> None:
    """y (n, h, v, O) = b + the windows of x times w (O, C, k, l)."""
    height, width, outputs = y.shape[1], y.shape[2], y.shape[3]
    pixels, terms, wide = height * width, w.size // outputs, _up(outputs, LANES)
    filters, shift, flat = np.zeros(terms * wide, np.float32), np.zeros(wide, np.float32), w.reshape(outputs, -1)
    shift[:outputs] = b
    for o in range(outputs):
        for t in range(terms):
            filters[t * wide + o] = flat[o, t]
    rows, columns = (height - 1) * stride[0] + w.shape[2], (width - 1) * stride[1] + w.shape[3]
    padded = np.zeros(rows * columns * w.shape[1], np.float32)
    places, elements = np.empty(_up(pixels, ROWS), np.int64), np.empty(terms, np.int64)
    _list(is_first, rows, columns, w.shape, height, width, stride, places, elements)
    sums, last, target = np.zeros(ROWS * wide, np.float32), np.empty(ROWS * wide + LANES, np.float32), y.reshape(-1)
    for image in range(y.shape[0]):
        _pad(x, image, is_first, padded, rows, columns, before)
        for p in range(0, pixels, ROWS):
            for o in range(0, wide - wide % WIDE, WIDE):
                wide_tile(padded, p, places, elements, filters, o, wide, terms, sums, o, wide, False)
            if wide % WIDE:
                o = wide - LANES
                narrow_tile(padded, p, places, elements, filters, o, wide, terms, sums, o, wide, False)
            count, at, line = min(ROWS, pixels - p), (image * pixels + p) * outputs, target
            ends = count < ROWS or at + ROWS * outputs + LANES > target.size
            if ends:
                line, at = last, 0
            for r in range(count):
                for o in range(0, wide, LANES):  # what is behind a pixel's channels is overwritten by the next one
                    store(line, at + r * outputs + o, load(sums, r * wide + o) + load(shift, o))
            if ends:
                at = (image * pixels + p) * outputs
                for j in range(count * outputs):
                    target[at + j] = last[j]


@loop
def _correlate(x: Array, u: Array, w: Array, is_first: bool, stride: Any, before: Any) -> None:
    """w (O, C, k, l) = the sum over pixels of u (n, h, v, O) times the windows of x."""
    height, width, outputs = u.shape[1], u.shape[2], u.shape[3]
    pixels, terms, wide = height * width, w.size // outputs, _up(outputs, LANES)
    high = _up(terms, ROWS)
    rows, columns = (height - 1) * stride[0] + w.shape[2], (width - 1) * stride[1] + w.shape[3]
    padded = np.zeros(rows * columns * w.shape[1], np.float32)
    places, elements = np.empty(pixels, np.int64), np.zeros(high, np.int64)
    _list(is_first, rows, columns, w.shape, height, width, stride, places, elements)
    sums, totals = np.zeros(high * wide, np.float32), np.zeros(high * wide, np.float32)
    given, source = u.reshape(-1), np.zeros(pixels * outputs + LANES, np.float32)
    for image in range(u.shape[0]):
        _pad(x, image, is_first, padded, rows, columns, before)
        at = image * pixels * outputs
        for j in range(pixels * outputs):
            source[j] = given[at + j]
        for start in range(0, pixels, DEEP):
            count, some = min(DEEP, pixels - start), places[start:]
            for t in range(0, high, ROWS):
                for o in range(0, wide - wide % WIDE, WIDE):
                    j = start * outputs + o
                    wide_tile(padded, t, elements, some, source, j, outputs, count, sums, t * wide + o, wide, False)
                if wide % WIDE:
                    o = wide - LANES
                    j = start * outputs + o
                    narrow_tile(padded, t, elements, some, source, j, outputs, count, sums, t * wide + o, wide, False)
            for j in range(totals.size):
                totals[j] += sums[j]
    flat = w.reshape(outputs, -1)
    for o in range(outputs):
        for t in range(terms):
            flat[o, t] = totals[t * wide + o]


@loop
def _spread(u: Array, x: Array, w: Array, stride: Any, before: Any) -> None:
    """x (n, H, W, C) = the sum over the windows that hold a pixel of u (n, h, v, O) times w (O, C, k, l)."""
    height, width, outputs = u.shape[1], u.shape[2], u.shape[3]
    channels, tall, long = w.shape[1], w.shape[2], w.shape[3]
    run = long * channels
    step, pixels = _up(run, LANES), height * width
    wide = tall * step
    filters, flat, places = np.zeros(outputs * wide, np.float32), w.reshape(outputs, -1), np.empty(w[0].size, np.int64)
    for c in range(channels):
        for r in range(tall):
            for k in range(long):
                places[(c * tall + r) * long + k] = r * step + k * channels + c
    for o in range(outputs):
        for t in range(places.size):
            filters[o * wide + places[t]] = flat[o, t]
    inside = np.zeros(step, np.float32)
    inside[:run] = 1.0
    rows, pitch = (height - 1) * stride[0] + tall, ((width - 1) * stride[1] + long) * channels
    spread, sums = np.empty(rows * pitch + step, np.float32), np.empty(ROWS * wide, np.float32)
    source, last = u.reshape(-1), np.zeros(ROWS * outputs, np.float32)
    half = splat(np.float32(0.5))
    for image in range(u.shape[0]):
        spread[:] = 0.0
        i, j = 0, -1
        for p in range(0, pixels, ROWS):
            at, given, count = (image * pixels + p) * outputs, source, min(ROWS, pixels - p)
            if count < ROWS:
                for k in range(count * outputs):
                    last[k] = source[at + k]
                at, given = 0, last
            for k in range(0, wide - wide % WIDE, WIDE):
                wide_tile(given, at, outputs, 1, filters, k, wide, outputs, sums, k, wide, False)
            if wide % WIDE:
                k = wide - LANES
                narrow_tile(given, at, outputs, 1, filters, k, wide, outputs, sums, k, wide, False)
            for q in range(count):
                j += 1
                if j == width:
                    i, j = i + 1, 0
                for r in range(tall):
                    place = (i * stride[0] + r) * pitch + j * stride[1] * channels
                    for k in range(0, step, LANES):
                        v = above(load(inside, k), half, load(sums, q * wide + r * step + k), nothing())
                        store(spread, place + k, load(spread, place + k) + v)
        first = max(0, -before[1]) * channels
        stop = max(first, min(x.shape[2] * channels, pitch - before[1] * channels))
        for i in range(x.shape[1]):
            row, target = i + before[0], x[image, i].reshape(-1)
            at = row * pitch + before[1] * channels
            if not 0 <= row < rows:
                target[:] = 0.0
                continue
            for j in range(first):
                target[j] = 0.0
            for j in range(first, stop):
                target[j] = spread[at + j]
            for j in range(stop, target.size):
                target[j] = 0.0
