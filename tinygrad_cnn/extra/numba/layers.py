"""Layer norm of float32 over the last axes of arrays in C order, and what scales and shifts its result.

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
from ...kernels.parallel.threads import each
from ...ops.normalization import Over
from ...ops.shape import as_shape
from .compiled import Number, helper, loop

SMALL = 1 << 9
"""Smaller arrays are not worth the preparation."""

BLOCK = 4096
"""Results are written by way of a block: they may take the place of an input."""

RUN = 64
"""The sums of so many rows are added in float64."""

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
    """A task for ``normalized`` without scale and shift."""
    rows = _rows(over.axis, x) if w is None and b is None and _known(stats) else 0
    y = np.empty_like(x) if out is None else out
    if not rows or not y.flags.c_contiguous:
        return None
    return _task(y, partial(_normalized, over.eps), rows, x.reshape(rows, -1), *_each(stats, rows), y.reshape(rows, -1))


def prepare_correlations(out: Array | None, u: Any, x: Any, stats: Any = None, *, over: Over) -> Any:
    """A task for ``correlations``."""
    rows = _rows(over.axis, x, u) if over.centred and _known(stats) else 0
    if not rows:
        return None
    y = np.empty(stats.shape, FLOAT32) if out is None else out
    flat = u.reshape(rows, -1), x.reshape(rows, -1)
    return _task(y, partial(_correlations, over.eps), rows, *flat, *_each(stats, rows), *_each(y, rows))


def prepare_normalized_dx(
    out: Array | None, u: Any, x: Any, w: Any = None, sums: Any = None, stats: Any = None, *, over: Over
) -> Any:
    """A task for ``normalized_dx`` without a scale, from known sums."""
    rows = (
        _rows(over.axis, x, u) if over.centred and w is None and _known(stats) and sums.__class__ is np.ndarray else 0
    )
    y = np.empty_like(x) if out is None else out
    if not rows or sums.dtype != FLOAT32 or not y.flags.c_contiguous:
        return None
    flat = u.reshape(rows, -1), x.reshape(rows, -1), *_each(sums, rows), *_each(stats, rows), y.reshape(rows, -1)
    return _task(y, partial(_normalized_dx, over.eps), rows, *flat)


def prepare_affine(out: Array | None, x: Any, w: Any, b: Any = None) -> Any:
    """A task for ``affine``, with a scale, and maybe a shift, for each element of a row."""
    rows = _repeated(w.shape, x) if w.__class__ is np.ndarray and w.dtype == FLOAT32 else 0
    if not rows or not (b is None or (b.__class__ is np.ndarray and b.dtype == FLOAT32 and b.shape == w.shape)):
        return None
    y = np.empty_like(x) if out is None else out
    if not all(a is None or a.flags.c_contiguous for a in (w, b, y)):
        return None
    function = partial(_scaled, w.reshape(-1)) if b is None else partial(_affine, w.reshape(-1), b.reshape(-1))
    return _task(y, function, rows, x.reshape(rows, -1), y.reshape(rows, -1))


def prepare_product_to(out: Array | None, a: Any, b: Any, *, shape: tuple[int, ...]) -> Any:
    """A task for ``product_to``, which sums rows."""
    rows = _repeated(shape, a) if _alike(a, b) else 0
    return _summed(out, _products, shape, rows, a.reshape(rows, -1), b.reshape(rows, -1)) if rows else None


def prepare_sum_to(out: Array | None, a: Any, *, shape: Any) -> Any:
    """A task for ``sum_to``, which sums rows."""
    shape = as_shape(shape)
    rows = _repeated(shape, a) if _alike(a) else 0
    return _summed(out, _sums, shape, rows, a.reshape(rows, -1)) if rows else None


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
        each(lambda part: function(*part), parts)
        return y

    return task


def _summed(out: Array | None, function: Any, shape: tuple[int, ...], rows: int, *arrays: Array) -> Callable[[], Array]:
    """A task that calls `function` with parts of the arrays and a row that it fills, and adds these rows."""
    cuts = _cuts(rows, arrays[0].size)
    totals = np.empty((len(cuts), arrays[0].shape[1]))
    parts = [[*(a[cut] for a in arrays), total] for cut, total in zip(cuts, totals, strict=True)]

    def task() -> Array:
        each(lambda part: function(*part), parts)
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
    block = np.empty(BLOCK, np.float32)
    for i in range(x.shape[0]):
        high = np.float32(mean[i])
        low, r = np.float32(mean[i] - high), np.float32(1.0 / math.sqrt(variance[i] + eps))
        for start in range(0, x.shape[1], BLOCK):
            source, row = x[i, start : start + BLOCK], y[i, start : start + BLOCK]
            for j in range(source.size):
                block[j] = _above(source[j], high, low) * r
            for j in range(source.size):
                row[j] = block[j]


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
    block = np.empty(BLOCK, np.float32)
    length = x.shape[1]
    for i in range(x.shape[0]):
        exact = 1.0 / math.sqrt(variance[i] + eps)
        high, r = np.float32(mean[i]), np.float32(exact)
        low = np.float32(mean[i] - high)
        shift, slope = np.float32(total[i] / np.float64(length)), np.float32(exact * product[i] / length)
        for start in range(0, length, BLOCK):
            a, b, row = u[i, start : start + BLOCK], x[i, start : start + BLOCK], y[i, start : start + BLOCK]
            for j in range(a.size):
                block[j] = r * (a[j] - shift - _above(b[j], high, low) * slope)
            for j in range(a.size):
                row[j] = block[j]


@loop
def _affine(w: Array, b: Array, x: Array, y: Array) -> None:
    """x w + b for rows."""
    for i in range(x.shape[0]):
        source, row = x[i], y[i]
        for j in range(source.size):
            row[j] = source[j] * w[j] + b[j]


@loop
def _scaled(w: Array, x: Array, y: Array) -> None:
    """x w for rows."""
    for i in range(x.shape[0]):
        source, row = x[i], y[i]
        for j in range(source.size):
            row[j] = source[j] * w[j]


@loop
def _products(a: Array, b: Array, y: Array) -> None:
    """The sum of the rows of a b."""
    run = np.zeros(y.size, np.float32)
    y[:] = 0.0
    for start in range(0, a.shape[0], RUN):
        run[:] = 0.0
        for i in range(start, min(start + RUN, a.shape[0])):
            left, right = a[i], b[i]
            for j in range(y.size):
                run[j] += left[j] * right[j]
        for j in range(y.size):
            y[j] += run[j]


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
