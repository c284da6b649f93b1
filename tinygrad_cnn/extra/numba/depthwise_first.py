"""Loops of depthwise convolution over images whose channels are first in memory, for ``depthwise.py``.

An image of one channel is copied between zeros. Then the elements of a window lie at fixed distances, and one loop runs over
all rows; its sums for the gaps between rows are thrown away. With stride 2, sixteen windows of a row are a vector: 32 numbers
are loaded, and those of even and of odd columns are a vector each.

In shapes: n images, c channels, images H x W, outputs h x v, filters k x k.
"""

from __future__ import annotations

import numpy as np

from .compiled import Number, helper, loop
from .vectors import LANES, evens, interleave, load, nothing, odds, splat, store, sum_of

Array = np.ndarray


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
def convolve_first(x: Array, y: Array, w: Array, b: Array, stride: int, top: int, left: int, flipped: bool) -> None:
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
                    f[row, column] = w[c, k - 1 - row, k - 1 - column] if flipped else w[c, row, column]
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
def spread_first(u: Array, x: Array, w: Array, stride: int, top: int, left: int) -> None:
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
def correlate_first(x: Array, u: Array, total: Array, stride: int, top: int, left: int) -> None:
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
