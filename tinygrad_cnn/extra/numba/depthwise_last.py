"""Loops of depthwise convolution over images whose channels are last in memory, for ``depthwise.py``.

Sixteen channels are a vector, and nothing is copied. For these channels, a part of a row is walked from left to right with the
elements of the filters in registers. There, the windows that have a pixel in common share it, too.

In shapes: n images, c channels, images H x W, outputs h x v, filters k x k. W c and v c are one axis.
"""

from __future__ import annotations

import numpy as np

from .compiled import helper, loop
from .vectors import LANES, fetch, load, nothing, store

COLUMNS = 4
"""So many windows of a row are computed for all channels before others, or memory is read with gaps, slowly."""

ROWS = 8
"""The products of so many rows are added in float32, and these sums in float64."""

Array = np.ndarray


@helper
def _taps(w: Array, flipped: bool) -> Array:
    """Filters (c, k, k) as (k k, c), maybe from the last element to the first."""
    channels, size = w.shape[0], w.shape[1] * w.shape[2]
    taps = np.empty((size, channels), np.float32)
    flat = w.reshape(channels, size)
    for t in range(size):
        for c in range(channels):
            taps[t, c] = flat[c, size - 1 - t if flipped else t]
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
def convolve_last(x: Array, y: Array, w: Array, b: Array, stride: int, top: int, left: int, flipped: bool) -> None:
    """y = b + the sum of each window of x (n, H, W c) times w (c, k, k), or that from its last element to the first."""
    k = w.shape[1]
    taps, none, flat = _taps(w, flipped), np.zeros(x.shape[2], np.float32), x.reshape(-1)
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
def spread_last(u: Array, x: Array, w: Array, stride: int, top: int, left: int) -> None:
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


@helper
def _whole(n: int) -> int:
    """n numbers or a few more, as many as some vectors have."""
    return LANES * (-(-n // LANES))


@loop
def correlate_last(x: Array, u: Array, total: Array, stride: int, top: int, left: int) -> None:
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
