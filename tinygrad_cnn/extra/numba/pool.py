"""Max-pooling of images of float32, the elements that it selects, and its gradient.

Where sixteen channels or more are last in memory, the loops take any windows; where channels are first, tiles of 2 x 2. If the
channels are no multiple of sixteen, the last sixteen are a vector, too, and some are computed twice.

Of equal elements, the first is selected. A NaN counts as larger than any element before it, so the last NaN is selected.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ...ops.pool import Windows
from .compiled import Number, helper, loop
from .images import by_images, like, order, view
from .vectors import LANES, equal, fetch, larger, load, load_bytes, nothing, splat, store, store_bytes

MANY = 255
"""The most elements in a window."""

FLOAT32, UINT8 = np.dtype(np.float32), np.dtype(np.uint8)

Array = np.ndarray


def prepare_max(out: Array | None, x: Any, *, windows: Windows) -> Any:
    """A task for ``max_pool``; None for images or windows that the loops do not take."""
    how = _order(x, windows)
    if how is None:
        return None
    y = like(how, (*x.shape[:2], *windows.grid), FLOAT32) if out is None else out
    if out is not None and order(y, FLOAT32) != how:
        return None
    return by_images(
        _max_last if how == "last" else _max_first, y, [view(how, x), view(how, y)], *_numbers(how, windows)
    )


def prepare_which(out: Array | None, x: Any, top: Any, *, windows: Windows) -> Any:
    """A task for ``max_pool_which``."""
    how = _order(x, windows)
    if how is None:
        return None
    y = like(how, (*x.shape[:2], *windows.grid), UINT8) if out is None else out
    if out is not None and order(y, UINT8) != how:
        return None
    return by_images(
        _which_last if how == "last" else _which_first, y, [view(how, x), view(how, y)], *_numbers(how, windows)
    )


def prepare_put(out: Array | None, u: Any, which: Any, *, sizes: Any, windows: Windows) -> Any:
    """A task for ``put_elements``."""
    how = order(which, UINT8) if order(u, FLOAT32) else None
    if how is None or not _takes(how, u.shape[1], sizes, windows):
        return None
    y = like(how, (*u.shape[:2], *sizes), FLOAT32) if out is None else out
    if out is not None and order(y, FLOAT32) != how:
        return None
    views = [view(how, u), view(how, which), view(how, y)]
    if how == "first":
        return by_images(_put_first, y, views)
    whole = are_tiles(windows) and all(o * k == n for o, k, n in zip(windows.grid, windows.size, sizes, strict=True))
    return by_images(_put_last, y, views, *_numbers(how, windows), whole)


def _order(x: Any, windows: Windows) -> Any:
    how = order(x, FLOAT32)
    return how if how and _takes(how, x.shape[1], x.shape[2:], windows) else None


def _takes(how: str, channels: int, sizes: Any, windows: Windows) -> bool:
    if how == "last" and channels < LANES:  # NumPy's pieces of rows are longer than one vector
        return False
    if len(sizes) != 2 or windows.size[0] * windows.size[1] > MANY:
        return False
    if how == "last":
        return True
    (rows, columns), (height, width) = windows.grid, sizes
    return windows.size == (2, 2) and are_tiles(windows) and 2 * rows <= height and 2 * columns <= width


def are_tiles(windows: Windows) -> bool:
    """Whether the windows are neighbours that do not overlap, without padding."""
    return windows.size == windows.stride and windows.before == (0, 0) and windows.dilation == (1, 1)


def _numbers(how: str, windows: Windows) -> list[Any]:
    """What the loops must know of windows."""
    return [windows.size, windows.stride, windows.before, windows.dilation] if how == "last" else []


@helper
def _is_larger(a: Number, b: Number) -> Number:
    return a > b or a != a


@loop
def _max_first(x: Array, y: Array) -> None:
    """The largest elements of tiles: y (n, c, h, v) of x (n, c, H, W)."""
    for n in range(y.shape[0]):
        for c in range(y.shape[1]):
            for i in range(y.shape[2]):
                above, below, row = x[n, c, 2 * i], x[n, c, 2 * i + 1], y[n, c, i]
                for j in range(row.size):
                    m = above[2 * j]
                    a, b, d = above[2 * j + 1], below[2 * j], below[2 * j + 1]
                    m = a if _is_larger(a, m) else m
                    m = b if _is_larger(b, m) else m
                    row[j] = d if _is_larger(d, m) else m


@loop
def _which_first(x: Array, y: Array) -> None:
    """The number of the largest element of each tile, found in a row of numbers as wide as the elements."""
    found = np.empty(y.shape[3], np.int32)
    for n in range(y.shape[0]):
        for c in range(y.shape[1]):
            for i in range(y.shape[2]):
                above, below, row = x[n, c, 2 * i], x[n, c, 2 * i + 1], y[n, c, i]
                for j in range(row.size):
                    m, k = above[2 * j], np.int32(0)
                    a, b, d = above[2 * j + 1], below[2 * j], below[2 * j + 1]
                    k = np.int32(1) if _is_larger(a, m) else k
                    m = a if _is_larger(a, m) else m
                    k = np.int32(2) if _is_larger(b, m) else k
                    m = b if _is_larger(b, m) else m
                    found[j] = np.int32(3) if _is_larger(d, m) else k
                for j in range(row.size):
                    row[j] = found[j]


@loop
def _put_first(u: Array, which: Array, x: Array) -> None:
    """u at the numbered element of each tile, 0 elsewhere."""
    rows, columns = 2 * u.shape[2], 2 * u.shape[3]
    even, odd = np.empty(u.shape[3], np.float32), np.empty(u.shape[3], np.float32)
    k = np.empty(u.shape[3], np.int32)
    zero = np.float32(0.0)
    for n in range(u.shape[0]):
        for c in range(u.shape[1]):
            for i in range(u.shape[2]):
                given, found = u[n, c, i], which[n, c, i]
                for j in range(k.size):
                    k[j] = found[j]
                for below in range(2):
                    target, first, second = x[n, c, 2 * i + below], np.int32(2 * below), np.int32(2 * below + 1)
                    for j in range(k.size):
                        even[j] = given[j] if k[j] == first else zero
                        odd[j] = given[j] if k[j] == second else zero
                    for j in range(k.size):
                        target[2 * j] = even[j]
                        target[2 * j + 1] = odd[j]
            x[n, c, rows:] = 0.0
            x[n, c, :rows, columns:] = 0.0


@helper
def _span(i: int, size: int, k: int, stride: int, before: int, dilation: int) -> tuple[int, int, int]:
    """Where window i begins, and its first element inside of an image, and the one after the last."""
    start = i * stride - before
    first = max(0, (dilation - 1 - start) // dilation)
    return start, first, min(k, (size - 1 - start) // dilation + 1)


@helper
def _lanes(
    x: Array, first: int, rows: tuple[int, int], columns: tuple[int, int], pitches: tuple[int, int], width: int,
    below: int,
) -> Any:  # fmt: skip
    """The largest elements of a window for sixteen channels, and their numbers. `pitches` lie between rows and columns, and
    `below` between this window and that in the next row, whose elements are fetched."""
    place = first + rows[0] * pitches[0] + columns[0] * pitches[1]
    m, k = load(x, place), splat(np.float32(rows[0] * width + columns[0]))
    for row in range(rows[0], rows[1]):
        for column in range(columns[0], columns[1]):
            place = first + row * pitches[0] + column * pitches[1]
            fetch(x, place + below)
            v = load(x, place)
            k = larger(v, m, splat(np.float32(row * width + column)), k)
            m = larger(v, m, v, m)
    return m, k


@loop
def _max_last(
    x: Array, y: Array, sizes: tuple[int, int], strides: tuple[int, int], befores: tuple[int, int],
    dilations: tuple[int, int],
) -> None:  # fmt: skip
    """The largest elements of windows: y (n, h, v, c) of x (n, H, W, c)."""
    flat, channels, whole = x.reshape(-1), x.shape[3], x.shape[3] - x.shape[3] % LANES
    line = x.shape[2] * channels
    pitches, below = (dilations[0] * line, dilations[1] * channels), strides[0] * line
    for n in range(y.shape[0]):
        for i in range(y.shape[1]):
            above, top, bottom = _span(i, x.shape[1], sizes[0], strides[0], befores[0], dilations[0])
            for j in range(y.shape[2]):
                before, left, right = _span(j, x.shape[2], sizes[1], strides[1], befores[1], dilations[1])
                first, m = ((n * x.shape[1] + above) * x.shape[2] + before) * channels, y[n, i, j]
                for c in range(0, whole, LANES):
                    store(m, c, _lanes(flat, first + c, (top, bottom), (left, right), pitches, sizes[1], below)[0])
                if whole < channels:
                    c = channels - LANES
                    store(m, c, _lanes(flat, first + c, (top, bottom), (left, right), pitches, sizes[1], below)[0])


@loop
def _which_last(
    x: Array, y: Array, sizes: tuple[int, int], strides: tuple[int, int], befores: tuple[int, int],
    dilations: tuple[int, int],
) -> None:  # fmt: skip
    """The number of the largest element of each window."""
    flat, channels, whole = x.reshape(-1), x.shape[3], x.shape[3] - x.shape[3] % LANES
    line = x.shape[2] * channels
    pitches, below = (dilations[0] * line, dilations[1] * channels), strides[0] * line
    for n in range(y.shape[0]):
        for i in range(y.shape[1]):
            above, top, bottom = _span(i, x.shape[1], sizes[0], strides[0], befores[0], dilations[0])
            for j in range(y.shape[2]):
                before, left, right = _span(j, x.shape[2], sizes[1], strides[1], befores[1], dilations[1])
                first, k = ((n * x.shape[1] + above) * x.shape[2] + before) * channels, y[n, i, j]
                for c in range(0, whole, LANES):
                    store_bytes(
                        k, c, _lanes(flat, first + c, (top, bottom), (left, right), pitches, sizes[1], below)[1]
                    )
                if whole < channels:
                    c = channels - LANES
                    store_bytes(
                        k, c, _lanes(flat, first + c, (top, bottom), (left, right), pitches, sizes[1], below)[1]
                    )


@loop
def _put_last(
    u: Array, which: Array, x: Array, sizes: tuple[int, int], strides: tuple[int, int], befores: tuple[int, int],
    dilations: tuple[int, int], whole: bool,
) -> None:  # fmt: skip
    """u added to the numbered element of each window; written, if `whole`: each element is in one window."""
    channels, lanes = u.shape[3], u.shape[3] - u.shape[3] % LANES
    rest, new = channels - LANES, np.zeros(LANES, np.float32)
    new[lanes - rest :] = 1.0  # of the last sixteen channels, those that are not among the others
    line, below = u.shape[2] * channels, strides[0] * x.shape[2] * channels
    if not whole:
        x[:] = 0.0
    for n in range(u.shape[0]):
        for i in range(u.shape[1]):
            above, top, bottom = _span(i, x.shape[1], sizes[0], strides[0], befores[0], dilations[0])
            for j in range(u.shape[2]):
                before, left, right = _span(j, x.shape[2], sizes[1], strides[1], befores[1], dilations[1])
                given, found = u[n, i, j], which[n, i, j]
                for c in range(0, lanes, LANES):
                    fetch(given, line + c)
                    fetch(found, line + c)
                for row in range(top, bottom):
                    for column in range(left, right):
                        pixel = x[n, above + row * dilations[0], before + column * dilations[1]]
                        k = np.uint8(row * sizes[1] + column)
                        number = splat(np.float32(k))
                        for c in range(0, lanes, LANES):
                            fetch(pixel, below + c)
                            share = equal(load_bytes(found, c), number, load(given, c), nothing())
                            store(pixel, c, share if whole else load(pixel, c) + share)
                        if lanes < channels:
                            share = equal(load_bytes(found, rest), number, load(given, rest), nothing())
                            if not whole:
                                share = load(pixel, rest) + equal(
                                    load(new, 0), splat(np.float32(1.0)), share, nothing()
                                )
                            store(pixel, rest, share)
