"""Depthwise convolution of images by one filter of 3 x 3 or 7 x 7 for each channel, and its adjoints, in both memory orders.

Channels first, an image of one channel is copied between zeros. Then a window's elements lie at fixed distances, rows are not
distinguished, and the sums for the gaps between rows are thrown away. With stride 2, sixteen windows of a row are a vector: 32
numbers are loaded, and those of even and of odd columns are vectors.

Channels last, sixteen channels are a vector, and nothing is copied. For these channels, a part of a row is walked from left to
right with the elements of the filters in registers. There, the windows that have a pixel in common share it, too.

Loops read and write few arrays: the compiler makes sure, before each loop, that no two overlap, and gives up at nine pairs.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ...kernels.parallel.task import Call, Work
from ...ops.windows import output_sizes
from .compiled import Number, helper, loop
from .images import LARGE, by_images, cuts, like, order, view
from .vectors import LANES, evens, fetch, interleave, load, nothing, odds, splat, store, sum_of

SMALL = 1 << 10
"""Smaller images are not worth the preparation."""

SIZES = {((3, 3), 1), ((3, 3), 2), ((7, 7), 1)}
"""Kernels and strides."""

COLUMNS = 4
"""Channels last, so many windows of a row are computed for all channels before others, or memory is read with gaps, slowly."""

ROWS = 8
"""Channels last, the products of so many rows are added in float32, and these sums in float64."""

FLOAT32 = np.dtype(np.float32)

Array = np.ndarray


def prepare(
    out: Array | None, x: Any, w: Any, b: Any = None, *, stride: Any, padding: Any, dilation: Any, groups: int
) -> Any:
    """A task for ``convolve``; None if it is not depthwise, or of other sizes, or not of float32."""
    if not _fits(w.shape, x.shape, stride, padding, dilation, groups) or not _plain(w):
        return None
    how = _order(x)
    if how is None or not (b is None or _plain(b)):
        return None
    (top, _), (left, _) = padding
    grid = output_sizes(x.shape[2:], w.shape[2:], stride, padding, dilation)
    y = like(how, (*x.shape[:2], *grid), FLOAT32) if out is None else out
    if order(y, FLOAT32) != how:
        return None
    views = [_rows(how, view(how, a)) for a in (x, y)]
    shift = np.zeros(len(w), FLOAT32) if b is None else b
    return by_images(_convolve(how), y, views, w[:, 0], shift, stride[0], top, left, False)


def prepare_dx(
    out: Array | None, u: Any, w: Any, *, shape: Any, stride: Any, padding: Any, dilation: Any, groups: int
) -> Any:
    """A task for ``convolve_dx``."""
    if not _fits(w.shape, shape, stride, padding, dilation, groups) or not _plain(w):
        return None
    how = _order(u)
    x = like(how or "first", shape, FLOAT32) if out is None else out
    if how is None or order(x, FLOAT32) != how:
        return None
    (top, _), (left, _) = padding
    views = [_rows(how, view(how, a)) for a in (u, x)]
    if stride[0] == 1:
        before = w.shape[2] - 1 - top, w.shape[3] - 1 - left
        if min(before) < 0:
            return None
        return by_images(_convolve(how), x, views, w[:, 0], np.zeros(len(w), FLOAT32), 1, *before, True)
    return by_images(_spread_last if how == "last" else _spread_first, x, views, w[:, 0], stride[0], top, left)


def prepare_dw(
    out: Array | None, x: Any, u: Any, *, shape: Any, stride: Any, padding: Any, dilation: Any, groups: int
) -> Any:
    """A task for ``convolve_dw``."""
    if not _fits(shape, x.shape, stride, padding, dilation, groups):
        return None
    how = _order(x)
    if how is None or order(u, FLOAT32) is None:
        return None
    w = np.empty(shape, FLOAT32) if out is None else out
    (top, _), (left, _) = padding
    images = cuts(x)
    totals = np.empty((len(images), *shape[:1], *shape[2:]))
    function: Any = _correlate_last if how == "last" else _correlate_first
    xs, us = view(how, x), view(how, u)

    def arrange(i: int) -> list[Call]:
        def call() -> None:
            pulled = np.ascontiguousarray(us[images[i]])
            function(_rows(how, xs[images[i]]), _rows(how, pulled), totals[i], stride[0], top, left)

        return [call]

    def add() -> None:
        np.copyto(w[:, 0], np.add.reduce(totals, 0), casting="same_kind")

    return Work(range(len(images)), arrange, (), [add], images, x.size < LARGE, w)


def _fits(w: Any, x: Any, stride: Any, padding: Any, dilation: Any, groups: int) -> bool:
    """Whether the loops can take a convolution with filters and images of these shapes."""
    return (
        len(x) == 4 and w[1] == 1 and groups == x[1] == w[0] and stride[0] == stride[1] and tuple(dilation) == (1, 1)
        and (tuple(w[2:]), stride[0]) in SIZES and min(x) > 0 and x[0] * x[1] * x[2] * x[3] >= SMALL
        and all(n + sum(p) >= k for n, p, k in zip(x[2:], padding, w[2:], strict=True))
    )  # fmt: skip


def _order(a: Any) -> Any:
    """The memory order of images; None for few channels that are last, which fill no vector."""
    how = order(a, FLOAT32)
    return None if how == "last" and a.shape[1] < LANES else how


def _plain(a: Any) -> bool:
    return a.__class__ is np.ndarray and a.dtype == FLOAT32 and a.flags.c_contiguous


def _convolve(how: str) -> Any:
    return _convolve_first if how == "first" else _convolve_last


def _rows(how: str, a: Array) -> Array:
    """Images as in memory; channels last, with the pixels of a row as one row of numbers."""
    return a if how == "first" else a.reshape(len(a), a.shape[1], -1)


# Channels first


@helper
def _whole(n: int) -> int:
    """n numbers or a few more, as many as some vectors have."""
    return LANES * (-(-n // LANES))


@helper
def _copy(source: Array, i: int, target: Array, j: int, n: int) -> None:
    """target[j : j + n] = source[i : i + n]."""
    if n < LANES:
        for at in range(n):
            target[j + at] = source[i + at]
    for start in range(0, n if n >= LANES else 0, LANES):
        at = min(start, n - LANES)
        store(target, j + at, load(source, i + at))


@helper
def _lay(x: Array, plane: Array, top: int, left: int) -> None:
    """Copy an image to its place between zeros."""
    for i in range(x.shape[0]):
        _copy(x[i], 0, plane[top + i], left, x.shape[1])


@helper
def _plane(x: Array, y: Array, k: int, stride: int, top: int, left: int) -> Array:
    """Zeros for an image of x and for what windows have around it; with stride 2, for whole vectors of windows."""
    rows, columns = y.shape[2], y.shape[3]
    reach = columns - 1 if stride == 1 else 2 * _whole(columns)
    return np.zeros((max((rows - 1) * stride + k, top + x.shape[2]) + 1, max(reach + k, left + x.shape[3])), np.float32)


@loop
def _convolve_first(x: Array, y: Array, w: Array, b: Array, stride: int, top: int, left: int, turned: bool) -> None:
    """y = b + the sum of each window of x (n, c, H, W) times w (c, k, k), or that from its last element to the first."""
    rows, columns = y.shape[2], y.shape[3]
    k = w.shape[1]
    plane = _plane(x, y, k, stride, top, left)
    pitch, flat = plane.shape[1], plane.reshape(-1)
    size = (rows - 1) * pitch + columns
    total = np.empty(rows * pitch, np.float32)
    f = np.empty((k, k), np.float32)
    for i in range(x.shape[0]):
        for c in range(x.shape[1]):
            for row in range(k):
                for column in range(k):
                    f[row, column] = w[c, k - 1 - row, k - 1 - column] if turned else w[c, row, column]
            _lay(x[i, c], plane, top, left)
            if stride == 2:
                _three_apart(flat, f, b[c], pitch, y[i, c])
                continue
            if k == 3:
                _three(flat, f, b[c], pitch, total[:size])
            else:
                total[:] = b[c]
                for row in range(7):
                    _seven(flat[row * pitch :], f[row], total[:size])
            for row in range(rows):
                _copy(total, row * pitch, y[i, c, row], 0, columns)


@helper
def _three(x: Array, f: Array, b: Number, pitch: int, y: Array) -> None:
    a0, a1, a2 = f[0, 0], f[0, 1], f[0, 2]
    b0, b1, b2 = f[1, 0], f[1, 1], f[1, 2]
    c0, c1, c2 = f[2, 0], f[2, 1], f[2, 2]
    second, third = x[pitch:], x[2 * pitch :]
    for i in range(y.size):
        y[i] = (
            b + a0 * x[i] + a1 * x[i + 1] + a2 * x[i + 2]
            + b0 * second[i] + b1 * second[i + 1] + b2 * second[i + 2]
            + c0 * third[i] + c1 * third[i + 1] + c2 * third[i + 2]
        )  # fmt: skip


@helper
def _three_apart(x: Array, f: Array, b: Number, pitch: int, y: Array) -> None:
    a0, a1, a2 = splat(f[0, 0]), splat(f[0, 1]), splat(f[0, 2])
    b0, b1, b2 = splat(f[1, 0]), splat(f[1, 1]), splat(f[1, 2])
    c0, c1, c2 = splat(f[2, 0]), splat(f[2, 1]), splat(f[2, 2])
    shift, last, few = splat(b), max(y.shape[1] - LANES, 0), np.empty(LANES, np.float32)
    for row in range(y.shape[0]):
        for at in range(0, y.shape[1], LANES):
            i = 2 * (row * pitch + min(at, last))
            j, k = i + pitch, i + 2 * pitch
            total = shift + a0 * evens(x, i) + a1 * odds(x, i) + a2 * evens(x, i + 2)
            total = total + b0 * evens(x, j) + b1 * odds(x, j) + b2 * evens(x, j + 2)
            total = total + c0 * evens(x, k) + c1 * odds(x, k) + c2 * evens(x, k + 2)
            if y.shape[1] < LANES:
                store(few, 0, total)
                _copy(few, 0, y[row], 0, y.shape[1])
            else:
                store(y[row], min(at, last), total)


@helper
def _seven(x: Array, f: Array, y: Array) -> None:
    a, b, c, d, e, g, h = f[0], f[1], f[2], f[3], f[4], f[5], f[6]
    for i in range(y.size):
        y[i] += a * x[i] + b * x[i + 1] + c * x[i + 2] + d * x[i + 3] + e * x[i + 4] + g * x[i + 5] + h * x[i + 6]


@loop
def _spread_first(u: Array, x: Array, w: Array, stride: int, top: int, left: int) -> None:
    """The adjoint of the convolution of 3 x 3 with stride 2: x (n, c, H, W) of u (n, c, h, v).

    A row 2 q of the padded image is the first of the windows q, and the last of the windows q - 1; 2 q + 1 is the middle one of
    the windows q. So are columns.
    """
    height, width = x.shape[2], x.shape[3]
    lines, pairs = (top + height + 1) // 2, (left + width + 1) // 2
    pitch, span = max(u.shape[3], pairs) + 1, 2 * _whole(pairs)
    rows = max(u.shape[2], lines) + 2 + LANES // pitch  # the last vector reaches further
    plane = np.zeros((rows, pitch), np.float32)  # u, after a row and a column of zeros
    flat, spread = plane.reshape(-1), np.empty(2 * lines * span, np.float32)
    for i in range(x.shape[0]):
        for c in range(x.shape[1]):
            _lay(u[i, c], plane, 1, 1)
            a0, a1, a2 = splat(w[c, 0, 0]), splat(w[c, 0, 1]), splat(w[c, 0, 2])
            b0, b1, b2 = splat(w[c, 1, 0]), splat(w[c, 1, 1]), splat(w[c, 1, 2])
            c0, c1, c2 = splat(w[c, 2, 0]), splat(w[c, 2, 1]), splat(w[c, 2, 2])
            for line in range(lines):
                for at in range(0, pairs, LANES):
                    j, place = line * pitch + at, 2 * (line * span + at)
                    q, p, r, s = load(flat, j + pitch + 1), load(flat, j + pitch), load(flat, j + 1), load(flat, j)
                    interleave(spread, place, a0 * q + a2 * p + c0 * r + c2 * s, a1 * q + c1 * r)
                    interleave(spread, place + span, b0 * q + b2 * p, b1 * q)
            for row in range(height):
                _copy(spread, (top + row) * span + left, x[i, c, row], 0, width)


@loop
def _correlate_first(x: Array, u: Array, total: Array, stride: int, top: int, left: int) -> None:
    """total (c, k, k) = the sum over images and positions of u (n, c, h, v) times each element of the windows of x."""
    rows, columns = u.shape[2], u.shape[3]
    k = total.shape[1]
    plane = _plane(x, u, k, stride, top, left)
    pitch, flat = plane.shape[1], plane.reshape(-1)
    given = np.zeros((rows, pitch if stride == 1 else _whole(columns)), np.float32)
    g = given.reshape(-1)[: (rows - 1) * pitch + columns]
    total[:] = 0.0
    for c in range(x.shape[1]):
        f = total[c]
        for i in range(x.shape[0]):
            _lay(u[i, c], given, 0, 0)
            _lay(x[i, c], plane, top, left)
            if stride == 2:
                _add_three_apart(given, flat, pitch, f)
            elif k == 3:
                for row in range(3):
                    _add_three(g, flat[row * pitch :], f[row])
            else:
                for row in range(7):
                    _add_seven(g, flat[row * pitch :], f[row])


@loop
def _add_three(u: Array, x: Array, f: Array) -> None:
    a, b, c = np.float32(0.0), np.float32(0.0), np.float32(0.0)
    for i in range(u.size):
        a += u[i] * x[i]
        b += u[i] * x[i + 1]
        c += u[i] * x[i + 2]
    f[0] += a
    f[1] += b
    f[2] += c


@helper
def _add_three_apart(u: Array, x: Array, pitch: int, f: Array) -> None:
    """f (3, 3) += the products of u (rows, whole vectors) and of the elements of the windows."""
    a0 = a1 = a2 = b0 = b1 = b2 = c0 = c1 = c2 = nothing()
    for row in range(u.shape[0]):
        for at in range(0, u.shape[1], LANES):
            g, i = load(u[row], at), 2 * (row * pitch + at)
            j, k = i + pitch, i + 2 * pitch
            a0, a1, a2 = a0 + g * evens(x, i), a1 + g * odds(x, i), a2 + g * evens(x, i + 2)
            b0, b1, b2 = b0 + g * evens(x, j), b1 + g * odds(x, j), b2 + g * evens(x, j + 2)
            c0, c1, c2 = c0 + g * evens(x, k), c1 + g * odds(x, k), c2 + g * evens(x, k + 2)
    for column, v, w, z in ((0, a0, b0, c0), (1, a1, b1, c1), (2, a2, b2, c2)):
        f[0, column] += sum_of(v)
        f[1, column] += sum_of(w)
        f[2, column] += sum_of(z)


@loop
def _add_seven(u: Array, x: Array, f: Array) -> None:
    a, b, c, d = np.float32(0.0), np.float32(0.0), np.float32(0.0), np.float32(0.0)
    e, g, h = np.float32(0.0), np.float32(0.0), np.float32(0.0)
    for i in range(u.size):
        a += u[i] * x[i]
        b += u[i] * x[i + 1]
        c += u[i] * x[i + 2]
        d += u[i] * x[i + 3]
        e += u[i] * x[i + 4]
        g += u[i] * x[i + 5]
        h += u[i] * x[i + 6]
    f[0] += a
    f[1] += b
    f[2] += c
    f[3] += d
    f[4] += e
    f[5] += g
    f[6] += h


# Channels last


@helper
def _taps(w: Array, turned: bool) -> Array:
    """Filters (c, k, k) as (k k, c), maybe from the last element to the first."""
    channels, size = w.shape[0], w.shape[1] * w.shape[2]
    taps = np.empty((size, channels), np.float32)
    flat = w.reshape(channels, size)
    for t in range(size):
        for c in range(channels):
            taps[t, c] = flat[c, size - 1 - t if turned else t]
    return taps


@helper
def _three_rows(
    y: Array, s: Array, p: Array, q: Array, r: Array, f: Array, stride: int, left: int, x: Array, after: int
) -> None:
    """y = s + the windows of rows p, q and r times f (9, c): for sixteen channels, columns of pixels enter one by one, and stay
    in registers as long as windows have them, as the filters do. The rows that come next begin at x[after]."""
    channels = s.size
    windows = y.size // channels
    for begin in range(0, windows, COLUMNS):
        left_of, end = begin * stride, min(begin + COLUMNS, windows)
        for at in range(0, channels, LANES):
            c = min(at, channels - LANES)
            shift, a0, a1, a2 = load(s, c), load(f[0], c), load(f[1], c), load(f[2], c)
            b0, b1, b2 = load(f[3], c), load(f[4], c), load(f[5], c)
            c0, c1, c2 = load(f[6], c), load(f[7], c), load(f[8], c)
            p1 = p2 = q1 = q2 = r1 = r2 = nothing()
            place = begin * channels + c
            for column in range((end - begin - 1) * stride + 3):
                p0, q0, r0, p1, q1, r1 = p1, q1, r1, p2, q2, r2
                j = (left_of + column - left) * channels
                if 0 <= j < p.size:
                    p2, q2, r2 = load(p, j + c), load(q, j + c), load(r, j + c)
                    fetch(x, after + j + c)
                    if stride == 2:
                        fetch(x, after + p.size + j + c)
                else:
                    p2, q2, r2 = nothing(), nothing(), nothing()
                if column >= 2 and column & (stride - 1) == 0:
                    total = shift + a0 * p0 + a1 * p1 + a2 * p2 + b0 * q0 + b1 * q1 + b2 * q2
                    fetch(y, place + y.size)
                    store(y, place, total + c0 * r0 + c1 * r1 + c2 * r2)
                    place += channels


@helper
def _seven_rows(y: Array, s: Array, x: Array, r: int, f: Array, left: int) -> None:
    """y = s + the windows of seven rows of an image from the row r on, times f (49, c)."""
    channels = s.size
    for at in range(0, channels, LANES):
        c = min(at, channels - LANES)
        shift = load(s, c)
        for i in range(y.size // channels):
            store(y, i * channels + c, shift)
        for t in range(max(0, -r), min(7, x.shape[0] - r)):
            row, g = x[r + t], f[7 * t :]
            g0, g1, g2, g3 = load(g[0], c), load(g[1], c), load(g[2], c), load(g[3], c)
            g4, g5, g6 = load(g[4], c), load(g[5], c), load(g[6], c)
            x1 = x2 = x3 = x4 = x5 = x6 = nothing()
            for column in range(y.size // channels + 6):
                j = (column - left) * channels
                x0, x1, x2, x3, x4, x5 = x1, x2, x3, x4, x5, x6
                x6 = load(row, j + c) if 0 <= j < row.size else nothing()
                if column >= 6:
                    place = (column - 6) * channels + c
                    total = load(y, place) + g0 * x0 + g1 * x1 + g2 * x2 + g3 * x3
                    store(y, place, total + g4 * x4 + g5 * x5 + g6 * x6)


@loop
def _convolve_last(x: Array, y: Array, w: Array, b: Array, stride: int, top: int, left: int, turned: bool) -> None:
    """y = b + the sum of each window of x (n, H, W c) times w (c, k, k), or that from its last element to the first."""
    k = w.shape[1]
    taps, none, flat = _taps(w, turned), np.zeros(x.shape[2], np.float32), x.reshape(-1)
    for n in range(x.shape[0]):
        for i in range(y.shape[1]):
            r = i * stride - top
            if k == 3:
                p = x[n, r] if 0 <= r < x.shape[1] else none
                q = x[n, r + 1] if 0 <= r + 1 < x.shape[1] else none
                below = x[n, r + 2] if 0 <= r + 2 < x.shape[1] else none
                _three_rows(y[n, i], b, p, q, below, taps, stride, left, flat, (n * x.shape[1] + r + 3) * x.shape[2])
            else:
                _seven_rows(y[n, i], b, x[n], r, taps, left)


@helper
def _add(y: Array, a: Array, b: Array) -> None:
    for c in range(b.size):
        y[c] += a[c] * b[c]


@loop
def _spread_last(u: Array, x: Array, w: Array, stride: int, top: int, left: int) -> None:
    """The adjoint of the convolution: x (n, H, W c) of u (n, h, v c)."""
    channels, k = w.shape[0], w.shape[1]
    taps, width = _taps(w, False), x.shape[2] // channels
    x[:] = 0.0
    for n in range(x.shape[0]):
        for i in range(u.shape[1]):
            for j in range(u.shape[2] // channels):
                pulled = u[n, i, j * channels : (j + 1) * channels]
                above, before = i * stride - top, j * stride - left
                for row in range(max(0, -above), min(k, x.shape[1] - above)):
                    for at in range(max(0, -before), min(k, width - before)):
                        _add(x[n, above + row, (before + at) * channels :], pulled, taps[row * k + at])


@helper
def _add_three_rows(
    u: Array, p: Array, q: Array, r: Array, f: Array, stride: int, left: int, channels: int, x: Array, after: int
) -> None:
    """f (9, ...) += the products of u and of the elements of the windows of rows p, q and r. The rows that come next begin at
    x[after], and another row of u behind this one."""
    windows = u.size // channels
    for begin in range(0, windows, COLUMNS):
        left_of, end = begin * stride, min(begin + COLUMNS, windows)
        for at in range(0, channels, LANES):
            c = min(at, channels - LANES)
            a0, a1, a2 = load(f[0], at), load(f[1], at), load(f[2], at)
            b0, b1, b2 = load(f[3], at), load(f[4], at), load(f[5], at)
            c0, c1, c2 = load(f[6], at), load(f[7], at), load(f[8], at)
            p1 = p2 = q1 = q2 = r1 = r2 = nothing()
            place = begin * channels + c
            for column in range((end - begin - 1) * stride + 3):
                p0, q0, r0, p1, q1, r1 = p1, q1, r1, p2, q2, r2
                j = (left_of + column - left) * channels
                if 0 <= j < p.size:
                    p2, q2, r2 = load(p, j + c), load(q, j + c), load(r, j + c)
                    fetch(x, after + j + c)
                    if stride == 2:
                        fetch(x, after + p.size + j + c)
                else:
                    p2, q2, r2 = nothing(), nothing(), nothing()
                if column >= 2 and column & (stride - 1) == 0:
                    g = load(u, place)
                    fetch(u, place + u.size)
                    a0, a1, a2 = a0 + g * p0, a1 + g * p1, a2 + g * p2
                    b0, b1, b2 = b0 + g * q0, b1 + g * q1, b2 + g * q2
                    c0, c1, c2 = c0 + g * r0, c1 + g * r1, c2 + g * r2
                    place += channels
            store(f[0], at, a0), store(f[1], at, a1), store(f[2], at, a2)
            store(f[3], at, b0), store(f[4], at, b1), store(f[5], at, b2)
            store(f[6], at, c0), store(f[7], at, c1), store(f[8], at, c2)


@helper
def _add_seven_of_row(u: Array, x: Array, f: Array, left: int, channels: int) -> None:
    """f (7, ...) += the products of u and of the elements of a row of the windows of x."""
    for at in range(0, channels, LANES):
        c = min(at, channels - LANES)
        f0, f1, f2, f3 = load(f[0], at), load(f[1], at), load(f[2], at), load(f[3], at)
        f4, f5, f6 = load(f[4], at), load(f[5], at), load(f[6], at)
        x1 = x2 = x3 = x4 = x5 = x6 = nothing()
        for column in range(u.size // channels + 6):
            j = (column - left) * channels
            x0, x1, x2, x3, x4, x5 = x1, x2, x3, x4, x5, x6
            x6 = load(x, j + c) if 0 <= j < x.size else nothing()
            if column >= 6:
                g = load(u, (column - 6) * channels + c)
                f0, f1, f2, f3 = f0 + g * x0, f1 + g * x1, f2 + g * x2, f3 + g * x3
                f4, f5, f6 = f4 + g * x4, f5 + g * x5, f6 + g * x6
        store(f[0], at, f0), store(f[1], at, f1), store(f[2], at, f2), store(f[3], at, f3)
        store(f[4], at, f4), store(f[5], at, f5), store(f[6], at, f6)


@loop
def _correlate_last(x: Array, u: Array, total: Array, stride: int, top: int, left: int) -> None:
    """total (c, k, k) = the sum over images and positions of u (n, h, v c) times each element of the windows of x."""
    channels, k = total.shape[0], total.shape[1]
    lanes, none, flat = _whole(channels), np.zeros(x.shape[2], np.float32), x.reshape(-1)
    sums, line = np.zeros((k * k, lanes)), np.zeros((k * k, lanes), np.float32)
    for n in range(x.shape[0]):
        for i in range(u.shape[1]):
            r = i * stride - top
            if k == 3:
                p = x[n, r] if 0 <= r < x.shape[1] else none
                q = x[n, r + 1] if 0 <= r + 1 < x.shape[1] else none
                below = x[n, r + 2] if 0 <= r + 2 < x.shape[1] else none
                _add_three_rows(
                    u[n, i], p, q, below, line, stride, left, channels, flat, (n * x.shape[1] + r + 3) * x.shape[2]
                )
            else:
                for t in range(max(0, -r), min(7, x.shape[1] - r)):
                    _add_seven_of_row(u[n, i], x[n, r + t], line[7 * t :], left, channels)
            if i % ROWS == ROWS - 1 or i == u.shape[1] - 1:
                for t in range(k * k):
                    for c in range(lanes):
                        sums[t, c] += line[t, c]
                line[:] = 0.0
    for t in range(k * k):
        for at in range(0, channels, LANES):
            c = min(at, channels - LANES)  # the last vector begins in the one before
            for j in range(LANES):
                total[c + j, t // k, t % k] = sums[t, at + j]
