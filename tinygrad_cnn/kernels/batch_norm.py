"""Batch and layer norm: moments, normalization and its gradient, in blocks that fit in the cache, so a block is read once from
memory. With a scale or shift for each element of what is normalized together, blocks are parts of the first axis.

Where blocks are rows (see channelwise.py), BLAS computes the sums over all rows. The variance of each block is taken from the
block's mean, and the moments of the blocks are then combined: Chan, Golub and LeVeque, "Algorithms for computing the sample
variance" (1983). Values that overflow in float32 fall back to the definitions, which compute in float64.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import partial
from typing import Any

import numpy as np

from ..ops.affine import repeated
from ..ops.normalization import Over, correlations, is_one_for_each, moments, normalized_dx
from .channelwise import Blocks, Rows, blocks, joined, like, most_joined
from .parallel.task import Call, Work
from .sums import SHORT, means, ones, product_sums, total

Array = np.ndarray

ALONE = 9000
"""Up to this many elements, BLAS uses one thread for a matrix-vector product, so the bits do not depend on the thread count."""

FAR = 64
"""The mean needs a second pass if its square exceeds the variance by this factor."""

NEAR = 4
"""Where the square of the mean exceeds the variance by no more than this factor, the sum of (x - mean)^2, or of u (x - mean),
loses no digits if the mean is taken out of the sum, which saves a pass to subtract it."""

QUIET = partial(np.seterr, over="ignore", invalid="ignore")
"""Silences overflow warnings: a result that overflows is computed again. Work restores NumPy's error state afterwards."""


def prepare_moments(out: Array | None, x: Array, *, over: Over) -> Any:
    """(mean, variance), or (0, mean of x^2)."""
    how = blocks(over.axis, x, sums=True)
    if how is None:
        return None
    y = np.empty((2, *how.shape)) if out is None else out
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
    if _near(mean, variance).all():
        return
    deviation = x - mean.astype(x.dtype)
    variance[...] = product_sums(deviation, deviation, over.axis, n)
    if np.any(np.square(mean) > FAR * variance):  # the rounding error of the mean is visible
        rest = means(deviation, over.axis)
        mean += rest
        variance -= np.square(rest)


def _near(mean: Array, variance: Array) -> Array:
    """Where the mean is small beside the standard deviation, or both are 0."""
    return np.asarray(np.square(mean) <= NEAR * variance)


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
        return _to_shape(out, u, x, stats, over, shape)
    if not over.centred:
        how = Blocks(over.axis, x, whole=0 in over.axis)
    y, centre = np.empty((2, *how.shape), x.dtype) if out is None else out, how.buffer()
    by_rows = isinstance(how, Rows)

    def subtracted() -> Any:
        return stats[0] if by_rows else np.where(_near(*stats), 0, stats[0])

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


def _to_shape(out: Array | None, u: Array, x: Array, stats: Any, over: Over, shape: tuple[int, ...]) -> Any:
    """The sums of u and of u (x - mean) r over the first axes; None unless `over` has the last axes, of this shape."""
    first = x.ndim - len(shape)
    if not first or over.axis != tuple(range(first, x.ndim)) or shape != x.shape[first:]:
        return None
    y, n, how = np.empty((2, *shape), x.dtype) if out is None else out, math.prod(shape), Blocks(over.axis, x)
    centre, spread, r = (how.buffer() for _ in range(3))
    sums = np.empty((len(how.cuts), 2, n))
    parts = list(zip(*map(how.of, (u, x)), *map(how.split, (centre, spread, r)), sums, strict=True))
    small = (centre, lambda: stats[0]), (spread, lambda: stats[1]), (r, lambda: _r(stats, over))

    def part(u: Array, x: Array, mean: Array, variance: Array, r: Array, y: Array) -> None:
        t, weights = x, [np.ones_like(r), mean * r]
        if over.centred and not _near(mean, variance).all():
            t = np.subtract(x, mean, like("deviation", x))
            weights[1] = np.zeros_like(r)
        t = np.multiply(u, t, like("deviation", x))
        y[0], y[1] = 0, _weighed(t, n, [r])[0]
        if over.centred:
            first, second = _weighed(u, n, weights)
            y[0], y[1] = first, y[1] - second

    def add() -> None:
        np.copyto(y, np.add.reduce(sums, 0).reshape(y.shape), casting="same_kind")

    again = partial(_if_too_large, correlations, y, u, x, stats, over=over, shape=shape)
    before: list[Call] = [QUIET, *(partial(how.fill, *each) for each in small)]
    return how.work(lambda i: [partial(part, *parts[i])], y, before, [add, again])


def _weighed(a: Array, n: int, weights: Sequence[Array]) -> Array:
    """The sums of the rows of `a`, of n elements, times each of the weights, in float64: BLAS adds up to SHORT rows."""
    rows, w = np.ascontiguousarray(a).reshape(-1, n), np.reshape(weights, (len(weights), -1)).astype(a.dtype)
    whole = len(rows) - len(rows) % SHORT
    sums = np.matmul(w[:, :whole].reshape(len(w), -1, SHORT).swapaxes(0, 1), rows[:whole].reshape(-1, SHORT, n))
    y: Array = np.add.reduce(sums, 0, np.float64)
    y += np.matmul(w[:, whole:], rows[whole:])
    return y


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
    return _for_each_element(y, x, w, b, stats, over)


def _for_each_element(y: Array, x: Array, w: Any, b: Any, stats: Any, over: Over) -> Work:
    """(x - mean) r w + b, with numbers in w and b for each element."""
    how = _uncut(over, x, w, b)
    centre, r = how.buffer(), how.buffer()
    before: list[Call] = [partial(how.fill, centre, lambda: stats[0]), partial(how.fill, r, lambda: _r(stats, over))]
    parts = list(zip(how.of(x), how.split(centre), how.split(r), how.of(y), strict=True))

    def part(x: Array, mean: Array, r: Array, y: Array) -> None:
        np.multiply(np.subtract(x, mean, y) if over.centred else x, r, y)
        for ufunc, a in ((np.multiply, w), (np.add, b)):
            if a is not None:
                _by_rows(ufunc, y, a, y)

    return how.work(lambda i: [partial(part, *parts[i])], y, before, [])


def _uncut(over: Over, x: Array, *numbers: Any) -> Blocks:
    """Blocks of whole means, each with all the numbers of arrays that broadcast to x."""
    cut = any(a is not None and a.ndim == x.ndim and len(a) > 1 for a in numbers)
    return Blocks(over.axis, x, whole=cut or 0 in over.axis)


def _by_rows(ufunc: np.ufunc, a: Array, w: Array, out: Array) -> Array:
    """ufunc(a, w), with several rows of `a` joined to a long one, and w repeated, if w is such a row."""
    if w.size and a.flags.c_contiguous and out.flags.c_contiguous and w.shape == a.shape[a.ndim - w.ndim :]:
        fold = joined(a.size // w.size, 1, most_joined(w.size))
        if fold > 1:
            ufunc(a.reshape(-1, fold * w.size), np.tile(w.reshape(-1), fold), out.reshape(-1, fold * w.size))
            return out
    ufunc(a, w, out)
    return out


def prepare_normalized_dx(
    out: Array | None, u: Array, x: Array, w: Any = None, sums: Any = None, stats: Any = None, *, over: Over
) -> Any:
    """w r (u - mean of u - s mean of (u s)), as ((x - mean) slope + u - mean of u) w r."""
    y = np.empty_like(x) if out is None else out
    how = blocks(over.axis, x, u, y) if stats is not None and _are_like(x, w) else None
    if how is None:
        return None
    n = over.count(x.shape)
    if sums is None:
        return _dx_of_products(y, u, x, w, stats, over, n)
    centre, shift = (
        [(np.subtract, small)] if over.centred else [] for small in (lambda: stats[0], lambda: sums[0] / n)
    )
    slope = np.multiply, lambda: -sums[1] * _r(stats, over) / n
    return how.chain(y, x, *centre, slope, (np.add, u), *shift, (np.multiply, lambda: _r(stats, over, w)), aside=True)


def _dx_of_products(y: Array, u: Array, x: Array, w: Array | None, stats: Any, over: Over, n: int) -> Work:
    """r (v - mean of v - (x - mean) r^2 mean of (v (x - mean))) with v = u w."""
    how = _uncut(over, x, w)
    parts = list(zip(*map(how.of, (u, x, y)), *map(how.split, stats), strict=True))

    def part(u: Array, x: Array, y: Array, mean: Array, variance: Array) -> None:
        v = u if w is None else _by_rows(np.multiply, u, w, like("product", x))
        near = not over.centred or _near(mean, variance).all()
        t = x if near else np.subtract(x, mean.astype(x.dtype), like("aside", x))
        product = product_sums(v, t, over.axis, n).astype(np.float64)
        shift: Any = total(v, over.axis, True, None, n).astype(np.float64) if over.centred else 0
        product -= mean * shift if near else 0
        if not np.isfinite(product).all():
            np.copyto(y, normalized_dx.op.raw(u, x, w, None, np.array([mean, variance]), over=over))
            return
        slope = product / (variance + over.eps)
        shift -= mean * slope if near else 0
        r = 1 / np.sqrt(variance + over.eps)
        t = np.subtract(v, np.multiply(t, slope.astype(x.dtype), like("aside", x)), like("aside", x))
        np.multiply(np.subtract(t, shift.astype(x.dtype), t) if over.centred else t, r.astype(x.dtype), y)

    return how.work(lambda i: [partial(part, *parts[i])], y, [QUIET], [])


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
