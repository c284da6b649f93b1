"""Normalization: moments, normalization and its gradient, in blocks that fit in the cache, so a block is read once from memory.
layer_norm.py has those of rows with a scale or shift for each element.

Where blocks are rows (see channelwise.py), BLAS computes the sums over all rows. The variance of each block is taken from the
block's mean, and the moments of the blocks are then combined: Chan, Golub and LeVeque, "Algorithms for computing the sample
variance" (1983). Values that overflow in float32 fall back to the definitions, which compute in float64.
"""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np

from ..ops.affine import repeated
from ..ops.normalization import Over, correlations, is_one_for_each, moments, normalized, normalized_dx
from . import layer_norm
from .channelwise import Blocks, Rows, blocks, like
from .layer_norm import QUIET, near
from .parallel.task import Call
from .sums import means, ones, product_sums, total

Array = np.ndarray

ALONE = 9000
"""Up to this many elements, BLAS uses one thread for a matrix-vector product, so the bits do not depend on the thread count."""

FAR = 64
"""The mean needs a second pass if its square exceeds the variance by this factor."""


def prepare_moments(out: Array | None, x: Array, *, over: Over) -> Any:
    """(mean, variance), or (0, mean of x^2)."""
    how = blocks(over.axis, x, sums=True)
    if how is None:
        return None
    y = np.empty((2, *how.shape)) if out is None else out
    if x.flags.c_contiguous and (last := layer_norm.lines(over, x)) is not None:
        return layer_norm.prepare_moments(y, x, over, last)
    again = partial(_if_too_large, moments, y, x, over=over)
    if not over.centred:
        how = Blocks(over.axis, x, whole=0 in over.axis)
    if not isinstance(how, Rows):
        parts = list(zip(how.of(x), *map(how.split, y), strict=True))
        return how.work(lambda i: [partial(_moments, over, *parts[i])], y, [QUIET], [again])
    centres = np.empty((len(how.cuts), how.width), x.dtype)
    calls, *sums = _sums_of_rows(how, x, None, centres)
    return how.work(calls, y, [QUIET], [partial(_put_together, how, y, centres, *sums), again])


def _moments(over: Over, x: Array, mean: Array, variance: Array) -> None:
    n = over.count(x.shape)
    if not over.centred:
        mean[...], variance[...] = 0, product_sums(x, x, over.axis, n)
        return
    mean[...] = means(x, over.axis)
    variance[...] = product_sums(x, x, over.axis, n) - np.square(mean)
    if near(mean, variance).all():
        return
    deviation = x - mean.astype(x.dtype)
    variance[...] = product_sums(deviation, deviation, over.axis, n)
    if np.any(np.square(mean) > FAR * variance):  # the rounding error of the mean is visible
        rest = means(deviation, over.axis)
        mean += rest
        variance -= np.square(rest)


def _put_together(how: Rows, y: Array, centres: Array, sums: Array, squares: Array) -> None:
    """Combine the blocks' sums, and their squared deviations from the block means, into the moments of all rows."""
    n = how.size // how.columns
    mean = _added(how, sums) / n
    between = np.square(np.subtract(how.folds(centres), mean, dtype=how.dtype)).reshape(centres.shape)
    between *= how.lengths
    how.unfold(mean, y[0])
    how.unfold(_added(how, between + squares) / n, y[1])


def prepare_correlations(
    out: Array | None, u: Array, x: Array, stats: Any = None, *, over: Over, shape: tuple[int, ...] | None = None
) -> Any:
    """The sums of u and of u (x - mean) r."""
    how = None if stats is None else blocks(over.axis, x, u, sums=True)
    if how is None:
        return None
    if shape is not None:
        last = layer_norm.lines(over, x, u) if shape == tuple([x.shape[i] for i in over.axis]) else None
        y = np.empty((2, *shape), x.dtype) if out is None else out
        if last is None and not (x.flags.c_contiguous and u.flags.c_contiguous):
            return _in_order(y, correlations, u, x, stats, over=over, shape=shape)
        return last and layer_norm.prepare_sums(y, u, x, stats, over, last)
    if not over.centred:
        how = Blocks(over.axis, x, whole=0 in over.axis)
    y, centre = np.empty((2, *how.shape), x.dtype) if out is None else out, how.buffer()
    by_rows = isinstance(how, Rows)

    def subtracted() -> Any:
        return stats[0] if by_rows else np.where(near(*stats), 0, stats[0])

    def scale() -> None:
        if not by_rows:
            y[1] += (subtracted() - stats[0]) * y[0]
        np.multiply(y[1], _r(stats, over), y[1], casting="same_kind")

    before: list[Call] = [QUIET, partial(how.fill, centre, subtracted)]
    after: list[Call] = [scale, partial(_if_too_large, correlations, y, u, x, stats, over=over)]
    if not isinstance(how, Rows):
        parts = list(zip(how.of(u), how.of(x), *map(how.split, (centre, *y)), strict=True))
        return how.work(lambda i: [partial(_correlations, over, *parts[i])], y, before, after)
    calls, *sums = _sums_of_rows(how, x, u, centre)

    def put_together() -> None:
        for found, part in zip(y, sums, strict=True):
            how.unfold(_added(how, part), found)

    return how.work(calls, y, before, [put_together, *after])


def _correlations(over: Over, u: Array, x: Array, centre: Array, first: Array, second: Array) -> None:
    first[...] = total(u, over.axis, True) if over.centred else 0
    second[...] = product_sums(x - centre if centre.any() else x, u, over.axis)


def _sums_of_rows(how: Rows, x: Array, u: Array | None, centre: Array) -> tuple[Any, Array, Array]:
    """A function that returns the calls for a block, and arrays for each block's sums of u and of u (x - centre).

    Without u, they are the sums of x and of (x - centre)^2, where `centre` receives the means of the blocks.
    """
    sums, products = np.empty((2, len(how.cuts), how.width), x.dtype)
    xs, us = how.of(x), how.of(x if u is None else u)

    def calls(i: int) -> list[Call]:
        each, t = ones(len(xs[i]), x.dtype), like("deviation", xs[i])
        mean = centre if u is not None else centre[i]
        return [
            partial(np.matmul, each, us[i], sums[i]),
            *([partial(np.divide, sums[i], each.dtype.type(len(each)), mean)] if u is None else []),
            partial(np.subtract, xs[i], mean, t),
            partial(np.multiply, t, t if u is None else us[i], t),
            partial(np.matmul, each, t, products[i]),
        ]

    return calls, sums, products


def _added(how: Rows, rows: Array) -> Any:
    """Rows (m, F C) summed to (C,) in float64, because there may be many rows."""
    wide = rows.reshape(-1, how.columns).astype(np.float64)
    if wide.size > ALONE:
        return np.add.reduce(wide, 0)
    return ones(len(wide), wide.dtype).dot(wide)  # faster than NumPy


def _if_too_large(function: Any, out: Array, *inputs: Array, **params: Any) -> None:
    if not np.isfinite(out[1]).all():
        np.copyto(out, function.op.raw(*inputs, **params))


def prepare_normalized(
    out: Array | None, x: Array, w: Any = None, b: Any = None, stats: Any = None, *, over: Over
) -> Any:
    """(x - mean) r w + b."""
    y = np.empty_like(x) if out is None else out
    how = blocks(over.axis, x, y) if stats is not None and _are_like(x, w, b) else None
    if how is None:
        return None
    centre = [(np.subtract, lambda: stats[0])] if over.centred else []
    if all(a is None or is_one_for_each(a.shape, x.ndim, over) for a in (w, b)):
        shift = [] if b is None else [(np.add, lambda: b)]
        return how.chain(y, x, *centre, (np.multiply, lambda: _r(stats, over, w)), *shift)
    last = layer_norm.lines(over, x, y) if layer_norm.of_columns(x, over, w, b) else None
    if last is None:
        return _in_order(y, normalized, x, w, b, stats, over=over)
    return layer_norm.prepare_normalized(y, x, w, b, stats, over, last)


def prepare_normalized_dx(
    out: Array | None, u: Array, x: Array, w: Any = None, sums: Any = None, stats: Any = None, *, over: Over
) -> Any:
    """w r (u - mean of u - s mean of (u s)), as ((x - mean) slope + u - mean of u) w r."""
    y = np.empty_like(x) if out is None else out
    how = blocks(over.axis, x, u, y) if stats is not None and _are_like(x, w) else None
    if how is None:
        return None
    n = over.count(x.shape)
    if sums is None and (w is None or is_one_for_each(w.shape, x.ndim, over)):
        return lambda: normalized_dx.op.bind(y, u, x, w, correlations(u, x, stats, over=over), stats, over=over)()
    if sums is None:
        last = layer_norm.lines(over, x, u, y) if layer_norm.of_columns(x, over, w) else None
        if last is None:
            return _in_order(y, normalized_dx, u, x, w, None, stats, over=over)
        return layer_norm.prepare_normalized_dx(y, u, x, w, stats, over, last)
    centre, shift = (
        [(np.subtract, small)] if over.centred else [] for small in (lambda: stats[0], lambda: sums[0] / n)
    )
    slope = np.multiply, lambda: -sums[1] * _r(stats, over) / n
    return how.chain(y, x, *centre, slope, (np.add, u), *shift, (np.multiply, lambda: _r(stats, over, w)), aside=True)


def _in_order(y: Array, function: Any, *inputs: Any, **params: Any) -> Any:
    """A task for `function` of arrays in another memory order than C, copied to that; by the definition if they are in it."""
    given = [a for a in (*inputs, y) if a is not None]

    def task() -> Array:
        if all(a.flags.c_contiguous for a in given):
            np.copyto(y, function.op.raw(*inputs, **params))
        else:
            np.copyto(y, function.op.run(*(a if a is None else np.ascontiguousarray(a) for a in inputs), **params))
        return y

    return task


def _are_like(x: Array, *small: Any) -> bool:
    """Whether the small arrays leave the dtype of the result unchanged."""
    return all(a is None or (isinstance(a, Array) and a.dtype == x.dtype) for a in small)


def _r(stats: Array, over: Over, w: Array | None = None) -> Any:
    """1 / sqrt(variance + eps), times w."""
    r = 1 / np.sqrt(stats[1] + over.eps)
    return r if w is None else r * w


def prepare_affine(out: Array | None, x: Array, w: Any, b: Any = None) -> Any:
    """x w + b, where w and b broadcast along some axes."""
    if not _are_like(x, w, b):
        return None
    axes = repeated(x.shape, np.broadcast_shapes(w.shape, () if b is None else b.shape))
    y = np.empty_like(x) if out is None else out
    how = blocks(axes, x, y) if axes else None
    return how and how.chain(y, x, (np.multiply, lambda: w), *([] if b is None else [(np.add, lambda: b)]))


def prepare_product_to(out: Array | None, a: Array, b: Array, *, shape: tuple[int, ...]) -> Any:
    """The sum of a b over the axes along which `shape` is broadcast."""

    def task() -> Array:
        y: Array = product_sums(a, b, repeated(a.shape, shape)).reshape(shape)
        if out is not None:
            np.copyto(out, y)
        return y

    return task if a.shape == b.shape else None
