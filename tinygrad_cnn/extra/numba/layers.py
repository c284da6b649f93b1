"""Layer norm of float32 over the last axes of arrays in C order, and sums of rows.

Results may take the place of an input: they are written by way of a row, or by vectors.

Moments are taken in float64 in one pass, of the numbers less the first of their row: since that is one of them, cancellation
costs a factor of the length at most. The mean is subtracted in two steps, so that the difference is right to a unit in the last
place.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

from ...kernels.parallel import chunks
from ...ops.reduce import reduced_axes
from ...ops.shape import Axis, as_shape
from ...ops.standardize import Over
from .compiled import Number, helper, loop
from .images import at_line, each_part
from .vectors import LANES, fetch, load, nothing, splat, store, sum_of

SMALL = 1 << 9
"""Smaller arrays are not worth the preparation."""

MANY = 1 << 12
"""BLAS sums fewer numbers as soon."""

RUN = 16
"""The sums of so many rows are added in float64."""

LONG = 1 << 10
"""Products of so many elements of a row are added in float32, in several sums, and these in float64."""

AHEAD = 1 << 12
"""A loop that only reads prefetches so many numbers ahead, earlier than the processor does by itself. In one that writes, too,
that takes longer."""

FLOAT32 = np.dtype(np.float32)

Array = np.ndarray


def prepare_moments(out: Array | None, x: Any, *, over: Over) -> Any:
    """A task for ``moments``; None unless x is float32 in C order and `over` its last axes, with their mean."""
    rows = _rows(over.axis, x) if over.centred else 0
    if not rows:
        return None
    y = np.empty((2, *x.shape[: over.axis[0]], *(1 for _ in over.axis))) if out is None else out
    return _task(y, _moments, rows, x.reshape(rows, -1), y[0].reshape(rows), y[1].reshape(rows))


def prepare_normalized(
    out: Array | None, x: Any, w: Any = None, b: Any = None, stats: Any = None, *, over: Over
) -> Any:
    """A task for ``normalized``, with a scale, and maybe a shift, for each element of a row, or without."""
    rows = _rows(over.axis, x) if _known(stats) else 0
    if not rows or (w is None and b is not None):
        return None
    y = at_line(x.shape, FLOAT32) if out is None else out
    if not y.flags.c_contiguous:
        return None
    function = partial(_normalized, over.eps)
    if w is not None:
        if not _of_rows(rows, x, w, b):
            return None
        shift = np.zeros(w.size, FLOAT32) if b is None else b.reshape(-1)
        function = partial(_normalized_affine, over.eps, w.reshape(-1), shift)
    return _task(y, function, rows, x.reshape(rows, -1), *_each(stats, rows), y.reshape(rows, -1))


def prepare_correlations(out: Array | None, u: Any, x: Any, stats: Any = None, *, over: Over, shape: Any = None) -> Any:
    """A task for ``correlations``."""
    rows = _rows(over.axis, x, u) if over.centred and _known(stats) else 0
    if not rows:
        return None
    if shape is not None:
        if _repeated(shape, x) != rows:
            return None
        function = partial(_row_sums, over.eps)
        return _summed(out, function, (2, *shape), rows, u.reshape(rows, -1), x.reshape(rows, -1), *_each(stats, rows))
    y = np.empty(stats.shape, FLOAT32) if out is None else out
    flat = u.reshape(rows, -1), x.reshape(rows, -1)
    return _task(y, partial(_correlations, over.eps), rows, *flat, *_each(stats, rows), *_each(y, rows))


def prepare_normalized_dx(
    out: Array | None, u: Any, x: Any, w: Any = None, sums: Any = None, stats: Any = None, *, over: Over
) -> Any:
    """A task for ``normalized_dx``, with a scale for each element of a row, or without one and from known sums."""
    rows = _rows(over.axis, x, u) if over.centred and _known(stats) else 0
    if not rows:
        return None
    y = at_line(x.shape, FLOAT32) if out is None else out
    if not y.flags.c_contiguous:
        return None
    if sums is None and w is not None:
        if not _of_rows(rows, x, w):
            return None
        function = partial(_products_dx, over.eps, w.reshape(-1))
        return _task(
            y, function, rows, u.reshape(rows, -1), x.reshape(rows, -1), *_each(stats, rows), y.reshape(rows, -1)
        )
    if w is not None or sums.__class__ is not np.ndarray or sums.dtype != FLOAT32:
        return None
    flat = u.reshape(rows, -1), x.reshape(rows, -1), *_each(sums, rows), *_each(stats, rows), y.reshape(rows, -1)
    return _task(y, partial(_normalized_dx, over.eps), rows, *flat)


def prepare_sum_to(out: Array | None, a: Any, *, shape: Any) -> Any:
    """A task for ``sum_to``, which sums rows."""
    shape = as_shape(shape)
    rows = _repeated(shape, a) if _alike(a) else 0
    return _summed(out, _sums, shape, rows, a.reshape(rows, -1)) if rows else None


def prepare_sum(out: Array | None, a: Any, *, axis: Axis, keepdims: bool) -> Any:
    """A task for ``sum`` over all axes but the last: the gradient of a linear layer's bias."""
    if keepdims or not _alike(a) or a.size < MANY or a.ndim < 2 or not a.size:
        return None
    if reduced_axes(axis, a.ndim) != tuple(range(a.ndim - 1)):
        return None
    rows = a.size // a.shape[-1]
    return _summed(out, _sums, a.shape[-1:], rows, a.reshape(rows, -1))


def _alike(*arrays: Any) -> bool:
    """Whether the arrays are alike, float32 in C order and not small."""
    first = arrays[0]
    return (
        first.__class__ is np.ndarray
        and first.size >= SMALL
        and all(
            a.__class__ is np.ndarray and a.dtype == FLOAT32 and a.shape == first.shape and a.flags.c_contiguous
            for a in arrays
        )
    )


def _rows(axis: tuple[int, ...], x: Any, *others: Any) -> int:
    """The number of rows, if the kernels can take the arrays and `axis` are their last axes but not all; else 0."""
    if not _alike(x, *others) or not axis or axis[0] == 0 or axis != tuple(range(axis[0], x.ndim)):
        return 0
    return math.prod(x.shape[: axis[0]])


def _repeated(shape: tuple[int, ...], x: Any) -> int:
    """How often an array of this shape, the last axes of x but not all, is repeated in x; else 0."""
    if not shape or not _alike(x) or len(shape) >= x.ndim or shape != x.shape[x.ndim - len(shape) :]:
        return 0
    return int(x.size // math.prod(shape))


def _of_rows(rows: int, x: Any, w: Any, b: Any = None) -> bool:
    """Whether w, and b if it is given, have a number for each element of a row."""
    return (
        all(
            a is None
            or (a.__class__ is np.ndarray and a.dtype == FLOAT32 and a.flags.c_contiguous and a.shape == w.shape)
            for a in (w, b)
        )
        and _repeated(w.shape, x) == rows
    )


def _known(stats: Any) -> bool:
    return stats.__class__ is np.ndarray and stats.dtype == np.float64 and stats.flags.c_contiguous


def _each(pair: Array, rows: int) -> tuple[Array, Array]:
    return pair[0].reshape(rows), pair[1].reshape(rows)


def _cuts(rows: int, size: int) -> list[slice]:
    step = rows if size < chunks.LARGE else -(-rows // chunks.PARTS)
    return [slice(i, i + step) for i in range(0, rows, step)]


def _task(y: Array, function: Callable[..., object], rows: int, *arrays: Array) -> Callable[[], Array]:
    """A task that calls `function` with parts of the arrays, whose first axis are the rows, and returns y, which it fills."""
    parts = [[a[cut] for a in arrays] for cut in _cuts(rows, max(a.size for a in arrays))]

    def task() -> Array:
        each_part(lambda part: function(*part), parts)
        return y

    return task


def _summed(out: Array | None, function: Any, shape: tuple[int, ...], rows: int, *arrays: Array) -> Callable[[], Array]:
    """A task that calls `function` with parts of the arrays and a row that it fills, and adds these rows."""
    cuts = _cuts(rows, arrays[0].size)
    totals = np.empty((len(cuts), math.prod(shape)))
    parts = [[*(a[cut] for a in arrays), total] for cut, total in zip(cuts, totals, strict=True)]

    def task() -> Array:
        each_part(lambda part: function(*part), parts)
        y = np.empty(shape, FLOAT32) if out is None else out
        y[...] = np.add.reduce(totals, 0).reshape(shape)
        return y

    return task


@loop
def _moments(x: Array, mean: Array, variance: Array) -> None:
    n = x.shape[1]
    for i in range(x.shape[0]):
        row = x[i]
        first = np.float64(row[0])
        total, squares = 0.0, 0.0
        for j in range(n):
            d = np.float64(row[j]) - first
            total += d
            squares += d * d
        shift = total / n
        mean[i] = first + shift
        variance[i] = max(squares / n - shift * shift, 0.0)


@helper
def _above(x: Number, high: Number, low: Number) -> Number:
    """x less a mean that is high + low."""
    return (x - high) - low


@loop
def _normalized(eps: Number, x: Array, mean: Array, variance: Array, y: Array) -> None:
    """(x - mean) r."""
    n = x.shape[1]
    block = np.empty(n, np.float32)
    for i in range(x.shape[0]):
        high = np.float32(mean[i])
        low, r = np.float32(mean[i] - high), np.float32(1.0 / math.sqrt(variance[i] + eps))
        source, row = x[i], y[i]
        for j in range(n):
            block[j] = _above(source[j], high, low) * r
        for j in range(n):
            row[j] = block[j]


@loop
def _normalized_affine(eps: Number, w: Array, b: Array, x: Array, mean: Array, variance: Array, y: Array) -> None:
    """(x - mean) r w + b."""
    n = x.shape[1]
    for i in range(x.shape[0]):
        high = np.float32(mean[i])
        low, r = np.float32(mean[i] - high), np.float32(1.0 / math.sqrt(variance[i] + eps))
        source, row = x[i], y[i]
        for j in range(n):
            row[j] = _above(source[j], high, low) * r * w[j] + b[j]


@loop
def _correlations(eps: Number, u: Array, x: Array, mean: Array, variance: Array, first: Array, second: Array) -> None:
    """The sums of u and of u (x - mean) r."""
    for i in range(x.shape[0]):
        a, b, centre = u[i], x[i], mean[i]
        total, product = 0.0, 0.0
        for j in range(a.size):
            value = np.float64(a[j])
            total += value
            product += value * (np.float64(b[j]) - centre)
        first[i] = total
        second[i] = product / math.sqrt(variance[i] + eps)


@loop
def _normalized_dx(
    eps: Number, u: Array, x: Array, total: Array, product: Array, mean: Array, variance: Array, y: Array
) -> None:
    """r (u - total / n - (x - mean) r product / n)."""
    n = x.shape[1]
    block = np.empty(n, np.float32)
    for i in range(x.shape[0]):
        exact = 1.0 / math.sqrt(variance[i] + eps)
        high, r = np.float32(mean[i]), np.float32(exact)
        low = np.float32(mean[i] - high)
        shift, slope = np.float32(total[i] / np.float64(n)), np.float32(exact * product[i] / n)
        a, b, row = u[i], x[i], y[i]
        for j in range(n):
            block[j] = r * (a[j] - shift - _above(b[j], high, low) * slope)
        for j in range(n):
            row[j] = block[j]


@loop
def _products_dx(eps: Number, w: Array, u: Array, x: Array, mean: Array, variance: Array, y: Array) -> None:
    """r (v - mean of v - (x - mean) r^2 mean of (v (x - mean))) with v = u w."""
    n = x.shape[1]
    whole = n - n % LANES
    for i in range(x.shape[0]):
        high = np.float32(mean[i])
        low, square = np.float32(mean[i] - high), 1.0 / (variance[i] + eps)
        highs, lows, a, b, row = splat(high), splat(low), u[i], x[i], y[i]
        sum_of_v, product = 0.0, 0.0
        for start in range(0, whole, LONG):
            first, second = nothing(), nothing()
            for j in range(start, min(start + LONG, whole), LANES):
                v = load(a, j) * load(w, j)
                first, second = first + v, second + v * (load(b, j) - highs - lows)
            sum_of_v += np.float64(sum_of(first))
            product += np.float64(sum_of(second))
        for j in range(whole, n):
            sum_of_v += np.float64(a[j] * w[j])
            product += np.float64(a[j] * w[j]) * np.float64(_above(b[j], high, low))
        if not math.isfinite(product):  # too large for float32
            product = 0.0
            for j in range(n):
                product += np.float64(a[j] * w[j]) * np.float64(_above(b[j], high, low))
        shift, slope = np.float32(sum_of_v / n), np.float32(square * product / n)
        r = np.float32(math.sqrt(square))
        shifts, slopes, rs = splat(shift), splat(slope), splat(r)
        for j in range(0, whole, LANES):
            v = load(a, j) * load(w, j)
            store(row, j, rs * (v - shifts - (load(b, j) - highs - lows) * slopes))
        for j in range(whole, n):
            row[j] = r * (a[j] * w[j] - shift - _above(b[j], high, low) * slope)


@loop
def _row_sums(eps: Number, u: Array, x: Array, mean: Array, variance: Array, y: Array) -> None:
    """The sums of the rows of u, and then of u (x - mean) r."""
    n = u.shape[1]
    whole, us, xs = n - n % LANES, u.reshape(-1), x.reshape(-1)
    first, second = np.zeros(n, np.float32), np.zeros(n, np.float32)
    y[:] = 0.0
    for start in range(0, u.shape[0], RUN):
        first[:] = 0.0
        second[:] = 0.0
        for i in range(start, min(start + RUN, u.shape[0])):
            a, b, high = u[i], x[i], np.float32(mean[i])
            low, r = np.float32(mean[i] - high), np.float32(1.0 / math.sqrt(variance[i] + eps))
            highs, lows, rs = splat(high), splat(low), splat(r)
            for j in range(0, whole, LANES):
                fetch(us, i * n + j + AHEAD)
                fetch(xs, i * n + j + AHEAD)
                g = load(a, j)
                store(first, j, load(first, j) + g)
                store(second, j, load(second, j) + g * ((load(b, j) - highs - lows) * rs))
            for j in range(whole, n):
                first[j] += a[j]
                second[j] += a[j] * (_above(b[j], high, low) * r)
        for j in range(n):
            y[j] += first[j]
            y[n + j] += second[j]


@loop
def _sums(a: Array, y: Array) -> None:
    """The sum of the rows of a."""
    run = np.zeros(y.size, np.float32)
    y[:] = 0.0
    for start in range(0, a.shape[0], RUN):
        run[:] = 0.0
        for i in range(start, min(start + RUN, a.shape[0])):
            row = a[i]
            for j in range(y.size):
                run[j] += row[j]
        for j in range(y.size):
            y[j] += run[j]
