"""Normalization: moments, normalization and its gradient, in blocks that fit in the cache, so a block is read once from memory.
layer_norm.py has those of rows with a scale or shift for each element.

Where blocks are rows (see channelwise.py), BLAS computes the sums over all rows. The variance of each block is taken from the
block's mean, and the moments of the blocks are then combined: Chan, Golub and LeVeque, "Algorithms for computing the sample
variance" (1983). Values that overflow in float32 fall back to the definitions, which compute in float64.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import lru_cache, partial
from typing import Any

import numpy as np

from ..ops.affine import repeated
from ..ops.normalization import Over, correlations, is_one_for_each, moments, normalized, normalized_dx
from . import group_norm, layer_norm
from .channelwise import Blocks, Rows, blocks, like
from .layer_norm import NEAR, QUIET, every, near
from .parallel.task import Call, Work
from .sums import means, ones, product_sums, total

Array = np.ndarray

FEW = 10_000
"""Fewer elements are computed sooner by the definitions."""

FAR = 64
"""The mean needs a second pass if its square exceeds the variance by this factor."""


def prepare_moments(out: Array | None, x: Array, *, over: Over) -> Any:
    """(mean, variance), or (0, mean of x^2)."""
    how = None if x.size < FEW else blocks(over.axis, x, sums=True)
    if how is None:
        return None
    last = layer_norm.lines(over, x)
    if last is not None and x.size < layer_norm.FEW:
        return None
    y = np.empty((2, *how.shape)) if out is None else out
    if last is None and y.flags.c_contiguous and (grouped := group_norm.groups_of(over, x)):
        return group_norm.prepare_moments(y, x, over, grouped)
    if last is not None:
        return layer_norm.prepare_moments(y, x, over, last)
    again = partial(_if_too_large, moments, y, x, over=over)
    if not over.centred:
        how = Blocks(over.axis, x, whole=0 in over.axis)
    if not isinstance(how, Rows):
        parts = list(zip(how.of(x), *map(how.split, y), strict=True))
        return how.work(lambda i: [partial(_moments, over, *parts[i])], y, [QUIET], [again])
    return _moments_of_rows(how, y, x, again)


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


def _moments_of_rows(how: Rows, y: Array, x: Array, again: Call) -> Work:
    """Moments in y, from a centre of each block, and the sums of the deviations from it and of their squares.

    The centre is the mean of 1 / NEAR of the rows, so the square of its distance from the mean of all is at most NEAR times the
    variance.
    """
    centres, both = np.empty((len(how.cuts), how.width), x.dtype), np.empty((2, len(how.cuts), how.width), x.dtype)
    xs, (sums, squares) = how.of(x), both

    def calls(i: int) -> list[Call]:
        rows, few, t = len(xs[i]), -(-len(xs[i]) // NEAR), like("deviation", xs[i])
        each, some = ones(rows, x.dtype), ones(few, x.dtype)
        return [
            partial(np.matmul, some, xs[i][:few], sums[i]),
            partial(np.matmul, _average(how.fold, few, x.dtype), how.folds(sums[i]), how.folds(centres[i])),
            partial(np.subtract, xs[i], centres[i], t),
            partial(np.matmul, each, t, sums[i]),
            partial(np.multiply, t, t, t),
            partial(np.matmul, each, t, squares[i]),
        ]

    n, first, added = how.size // how.columns, centres[:, : how.columns], how.adder(both)
    mean, variance = how.in_order(y)

    def put_together() -> None:
        centre, found = first.astype(np.float64), added()
        if len(centre) > 1:  # the deviations from the first centre, instead of from each block's own
            rest, square = found
            apart = centre - centre[0]
            square += (2 * rest + how.lengths * apart) * apart
            rest += how.lengths * apart
            found[:, 0] = np.add.reduce(found, 1)
        off, square = found[:, 0]
        off /= n
        square /= n
        mean[...] = np.add(centre[0], off, centre[0]).reshape(mean.shape)
        square -= np.square(off, off)
        variance[...] = square.reshape(variance.shape)

    return how.work(calls, y, [QUIET], [put_together, again])


@lru_cache(maxsize=256)
def _average(fold: int, rows: int, dtype: np.dtype[Any]) -> Array:
    """A matrix whose product with sums of rows (F, C) has the mean of all in each row."""
    return np.full((fold, fold), 1 / (fold * rows), dtype)


class Small:
    """Small arrays in the form that blocks use: what is subtracted from x first where its mean is large, and others."""

    def __init__(self, how: Blocks, stats: Array, over: Over, others: int = 0) -> None:
        self.how, self.over, self.far = how, over, False
        self.mean, self.variance = stats
        self.off, self.r = self.mean, np.empty_like(self.variance)
        buffers = [how.buffer() for _ in range(1 + others)]
        self.fillers = [how.filler(buffer) for buffer in buffers]
        self.parts = list(zip(*map(how.split, buffers), strict=True))

    def fill(self, others: Callable[[], Sequence[Any]] = tuple) -> None:
        """Fill them. `off` is the mean after the subtraction, r = 1 / sqrt(variance + eps), and `others` may use both."""
        mean, variance, r = self.mean, self.variance, self.r
        self.far, self.off = False, mean
        np.divide(1, np.sqrt(np.add(variance, self.over.eps, r), r), r)
        if self.over.centred and not every(small := near(mean, variance)):
            centre = np.where(small, 0, mean).astype(self.how.dtype)
            self.far, self.off = True, mean - centre
            self.fillers[0](centre)
        for fill, values in zip(self.fillers[1:], others(), strict=True):
            fill(values)

    def centred(self, x: Array, centre: Array, out: Any) -> Array:
        """A block of x less its part of what is subtracted first, in `out`; x itself if that is 0."""
        return np.subtract(x, centre, out) if self.far else x


def prepare_correlations(
    out: Array | None, u: Array, x: Array, stats: Any = None, *, over: Over, shape: tuple[int, ...] | None = None
) -> Any:
    """The sums of u and of u (x - mean) r."""
    how = None if x.size < FEW or stats is None else blocks(over.axis, x, u, sums=True)
    if how is None:
        return None
    if shape is not None and (grouped := group_norm.groups(over, x, [shape], u)):
        y = np.empty((2, *shape), x.dtype) if out is None else out
        return group_norm.prepare_sums(y, u, x, stats, over, grouped, shape)
    if shape is not None and x.size < layer_norm.FEW:
        return None
    if shape is not None:
        last = layer_norm.lines(over, x, u) if shape == tuple([x.shape[i] for i in over.axis]) else None
        y = np.empty((2, *shape), x.dtype) if out is None else out
        if last is None and not (x.flags.c_contiguous and u.flags.c_contiguous):
            return _copied(y, correlations, u, x, stats, over=over, shape=shape)
        return last and layer_norm.prepare_sums(y, u, x, stats, over, last)
    if not over.centred:
        how = Blocks(over.axis, x, whole=0 in over.axis)
    y, exact = np.empty((2, *how.shape), x.dtype) if out is None else out, np.empty((2, *how.shape))
    small = Small(how, stats, over)
    if isinstance(how, Rows):
        calls, after = _correlations_of_rows(how, small, exact, u, x)
    else:
        parts = list(zip(how.of(u), how.of(x), small.parts, *map(how.split, exact), strict=True))
        calls, after = lambda i: [partial(_correlations, small, *parts[i])], []

    def finish() -> None:
        y[0] = exact[0]
        np.multiply(exact[1] - small.off * exact[0], small.r, y[1], casting="same_kind")

    again = partial(_if_too_large, correlations, y, u, x, stats, over=over)
    return how.work(calls, y, [QUIET, small.fill], [*after, finish, again])


def _correlations(small: Small, u: Array, x: Array, parts: Sequence[Array], first: Array, second: Array) -> None:
    first[...] = total(u, small.over.axis, True) if small.over.centred else 0
    second[...] = product_sums(small.centred(x, parts[0], None), u, small.over.axis)


def _correlations_of_rows(how: Rows, small: Small, exact: Array, u: Array, x: Array) -> tuple[Any, list[Call]]:
    """A function that returns the calls for a block, and calls that write the sums of u and of u (x - centre) to `exact`."""
    both, us, xs = np.empty((2, len(how.cuts), how.width), x.dtype), how.of(u), how.of(x)
    sums, products = both

    def calls(i: int) -> list[Call]:
        each, t = ones(len(xs[i]), x.dtype), like("deviation", xs[i])
        return [
            partial(np.matmul, each, us[i], sums[i]),
            lambda: np.multiply(small.centred(xs[i], small.parts[i][0], t), us[i], t),
            partial(np.matmul, each, t, products[i]),
        ]

    added, found = how.adder(both), how.in_order(exact)

    def put_together() -> None:
        columns = added()
        columns = columns[:, 0] if columns.shape[1] == 1 else np.add.reduce(columns, 1)
        found[...] = columns.reshape(found.shape)

    return calls, [put_together]


def _if_too_large(function: Any, out: Array, *inputs: Array, **params: Any) -> None:
    if not every(np.isfinite(out[1])):
        np.copyto(out, function.op.raw(*inputs, **params))


def prepare_normalized(
    out: Array | None, x: Array, w: Any = None, b: Any = None, stats: Any = None, *, over: Over
) -> Any:
    """(x - mean) r w + b."""
    if x.size < FEW or stats is None or not _are_like(x, w, b):
        return None
    y = np.empty_like(x) if out is None else out
    if (how := blocks(over.axis, x, y)) is None:
        return None
    if all(a is None or is_one_for_each(a.shape, x.ndim, over) for a in (w, b)):
        return _scaled(how, y, x, w, b, stats, over)
    if grouped := group_norm.groups(over, x, [a if a is None else a.shape for a in (w, b)], y):
        return group_norm.prepare_normalized(y, x, w, b, stats, over, grouped)
    if x.size < layer_norm.FEW:
        return None
    last = layer_norm.lines(over, x, y) if layer_norm.of_columns(x, over, w, b) else None
    if last is None:
        return _copied(y, normalized, x, w, b, stats, over=over)
    return layer_norm.prepare_normalized(y, x, w, b, stats, over, last)


def _scaled(how: Blocks, y: Array, x: Array, w: Any, b: Any, stats: Array, over: Over) -> Work:
    """x r w + b - mean r w, in y."""
    small, adds = Small(how, stats, over, 2), over.centred or b is not None

    def others() -> Sequence[Any]:
        factor = small.r if w is None else small.r * w
        return factor, -small.off * factor if b is None else b - small.off * factor

    def part(x: Array, y: Array, centre: Array, factor: Array, shift: Array) -> None:
        np.multiply(small.centred(x, centre, y), factor, y)
        if adds:
            np.add(y, shift, y)

    parts = [(*own, *smalls) for *own, smalls in zip(how.of(x), how.of(y), small.parts, strict=True)]
    return how.work(lambda i: [partial(part, *parts[i])], y, [QUIET, partial(small.fill, others)], [])


def prepare_normalized_dx(
    out: Array | None, u: Array, x: Array, w: Any = None, sums: Any = None, stats: Any = None, *, over: Over
) -> Any:
    """w r (u - mean of u - s mean of (u s)), as (x slope + u + shift) w r."""
    if x.size < FEW or stats is None or not _are_like(x, w):
        return None
    y = np.empty_like(x) if out is None else out
    if (how := blocks(over.axis, x, u, y)) is None:
        return None
    n = over.count(x.shape)
    if sums is None and (w is None or is_one_for_each(w.shape, x.ndim, over)):
        return lambda: normalized_dx.op.bind(y, u, x, w, correlations(u, x, stats, over=over), stats, over=over)()
    if sums is None and (grouped := group_norm.groups(over, x, [w.shape], u, y)):
        return group_norm.prepare_normalized_dx(y, u, x, w, stats, over, grouped)
    if sums is None and x.size < layer_norm.FEW:
        return None
    if sums is None:
        last = layer_norm.lines(over, x, u, y) if layer_norm.of_columns(x, over, w) else None
        if last is None:
            return _copied(y, normalized_dx, u, x, w, None, stats, over=over)
        return layer_norm.prepare_normalized_dx(y, u, x, w, stats, over, last)
    small = Small(how, stats, over, 3)

    def others() -> Sequence[Any]:
        first, second = sums * (-1 / n)
        slope = second * small.r
        return slope, first - small.off * slope, small.r if w is None else small.r * w

    def part(u: Array, x: Array, y: Array, centre: Array, slope: Array, shift: Array, factor: Array) -> None:
        t = like("aside", x)
        np.multiply(small.centred(x, centre, t), slope, t)
        np.add(t, u, t)
        if over.centred:
            np.add(t, shift, t)
        np.multiply(t, factor, y)

    parts = [(*own, *smalls) for *own, smalls in zip(*map(how.of, (u, x, y)), small.parts, strict=True)]
    return how.work(lambda i: [partial(part, *parts[i])], y, [QUIET, partial(small.fill, others)], [])


def _copied(y: Array, function: Any, *inputs: Any, **params: Any) -> Any:
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
