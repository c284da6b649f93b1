"""Layer norm: the rows of a matrix in memory, each with its own moments, and a scale and a shift for each column.

NumPy runs one inner loop for each row that is combined with a number of its own, which for short rows costs more than the
arithmetic. So BLAS makes what is multiplied with elements, or added to them: the product of matrices of two numbers for each
row and for each column. The mean is taken out of such a sum if that loses no digits; else it is subtracted first.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import cached_property, lru_cache, partial
from typing import Any

import numpy as np

from ..ops.normalization import Over, correlations, moments, normalized, normalized_dx
from . import channelwise
from .blas import Matrix, Products, Term
from .parallel.task import Call, Work, halved
from .parallel.workspace import buffer, scratch
from .sums import SHORT, ones

Array = np.ndarray

FEW = 1 << 15
"""Fewer elements are computed sooner by the definitions."""

LONGEST = 256
"""The most terms of a row that BLAS adds: it adds several at a time, so that each of its sums is short."""

LONG, SHORT_ROWS = 1 << 10, 1 << 6
"""Elements in a row from which on NumPy's inner loop is as fast as BLAS, and up to which calls of BLAS for each row take longer
than a second pass."""

NEAR = 4
"""Where the square of the mean exceeds the variance by no more than this factor, the sum of (x - mean)^2, or of u (x - mean),
loses no digits if the mean is taken out of the sum, which saves a pass to subtract it."""

WITHIN = 1e9
"""Up to this factor from 1, numbers of rows and columns have products, also of three, without overflow or underflow."""

QUIET = partial(np.seterr, over="ignore", invalid="ignore")
"""Silences overflow warnings: a result that overflows is computed again. Work restores NumPy's error state afterwards."""


def near(mean: Array, variance: Array) -> Array:
    """Where the mean is small beside the standard deviation, or both are 0."""
    return np.asarray(np.square(mean) <= NEAR * variance)


def every(flags: Array) -> bool:
    """``flags.all()``, which takes several times as long for a few."""
    return b"\0" not in flags.tobytes()


class Lines:
    """An array x as a matrix (m, n) in blocks of rows, n from the last axes, and m from the others in their order in memory. If
    an image has no more rows than a block, a block has whole images, and none crosses the middle of the batch."""

    def __init__(self, shape: tuple[int, ...], order: tuple[int, ...], dtype: np.dtype[Any]) -> None:
        first = len(order)
        self.order, self.m, self.n = order, math.prod(shape[:first]), math.prod(shape[first:])
        each, step = self.m // shape[0] if first else 1, max(1, channelwise.BLOCK // self.n)
        self.dtype, self.images, self.little = dtype, None, self.m * self.n < channelwise.LARGE
        if order[:1] == (0,) and each <= step:
            self.images = halved(shape[0], step // each)
            self.cuts = [slice(part.start * each, part.stop * each) for part in self.images]
        else:
            self.cuts = [slice(i, min(i + step, self.m)) for i in range(0, self.m, step)]

    def of(self, a: Array) -> list[Array]:
        """The blocks of an array."""
        matrix = _in_order(a, self.order).reshape(self.m, self.n)
        return [matrix[cut] for cut in self.cuts]

    def moments(self, stats: Array) -> Array:
        """Moments as a matrix (2, m); a view of them if they are in this order in memory."""
        return _in_order(stats, (0, *(i + 1 for i in self.order))).reshape(2, self.m)

    @cached_property
    def shifts(self) -> Products:
        """For each block, c += a b with the last two of four numbers for each row and for each column."""
        n, right = self.n, Matrix(2, self.n, 2 * self.n, self.n)
        sizes = [(cut.start, cut.stop - cut.start) for cut in self.cuts]
        return Products(
            [Term(Matrix(m, 2, 4 * i + 2, 4), right, Matrix(m, n, i * n, n), True) for i, m in sizes], self.dtype
        )

    def work(self, calls: Callable[[int], list[Call]], out: Array, before: list[Call], after: list[Call]) -> Work:
        """Work with one part for each block; `calls(i)` gives the calls of block i."""
        return Work(range(len(self.cuts)), calls, before, after, self.images, self.little, out)


def lines(over: Over, *arrays: Array) -> Lines | None:
    """How to cut arrays that are normalized over their last axes; None if they are not, or not of one kind."""
    x = arrays[0]
    first = x.ndim - len(over.axis)
    if x.dtype not in (np.float32, np.float64) or over.axis != tuple(range(first, x.ndim)):
        return None
    order = tuple(range(first))
    if not x.flags.c_contiguous:
        order = tuple(sorted(order, key=lambda i: -x.strides[i]))
    if any(a.shape != x.shape or a.dtype != x.dtype or not _in_order(a, order).flags.c_contiguous for a in arrays):
        return None
    return _lines(x.shape, order, x.dtype)


_lines = lru_cache(maxsize=1024)(Lines)


def _in_order(a: Array, order: tuple[int, ...]) -> Array:
    """An array with its first axes in this order."""
    return a.transpose(*order, *range(len(order), a.ndim))


def of_columns(x: Array, over: Over, *small: Any) -> bool:
    """Whether small arrays, or None, have a number for each column."""
    last = x.shape[x.ndim - len(over.axis) :]
    return all(a is None or (a.size == math.prod(last) and a.shape[a.ndim - len(last) :] == last) for a in small)


class Factors:
    """What rows are centred with and scaled by; and four numbers for each row, and for each column, whose products make what
    an element is multiplied with, r w of the first two, and what is added."""

    def __init__(self, how: Lines, stats: Array, over: Over) -> None:
        self.how, self.stats, self.over = how, stats, over
        self.centre = buffer((how.m, 1), how.dtype)
        self.off, self.r = buffer((2, how.m), np.dtype(float))
        self.left, self.right = buffer((how.m, 4), how.dtype), buffer((4, how.n), how.dtype)
        self.fit, self.far = True, False

    def fill(self, w: Array | None) -> None:
        """Fill them, but for the numbers of what is added. A row of x less its `centre`, which is 0 for a small mean, still has
        the mean `off`. If r or w are not `fit`, the definition computes."""
        mean, variance = self.how.moments(self.stats)
        self.r[...] = 1 / np.sqrt(variance + self.over.eps)
        self.far, self.off[...] = False, mean
        if self.over.centred and not every(small := near(mean, variance)):
            self.far, self.centre[:, 0] = True, np.where(small, 0, mean)
            self.off -= self.centre[:, 0]
        self.left[:, 0], self.left[:, 1] = self.r, 0
        self.right[0], self.right[1] = 1 if w is None else w.reshape(-1), 0
        most = max(float(self.r.max()), float(np.abs(self.right[0]).max()))
        self.fit = most < WITHIN and float(self.r.min()) > 1 / WITHIN

    def deviations(self, cut: slice, x: Array) -> Array:
        """Rows of x less their centre: x itself if all are 0."""
        return np.subtract(x, self.centre[cut], scratch("deviation", x.shape, x.dtype)) if self.far else x

    def times(self, cut: slice, x: Array, out: Array) -> None:
        """The product of rows with the factors of their elements."""
        factor = scratch("factor", x.shape, x.dtype)
        if self.how.n < LONG:
            np.matmul(self.left[cut, :2], self.right[:2], factor)
        else:
            np.multiply(self.left[cut, :1], self.right[0], factor)
        np.multiply(x, factor, out)

    def shifts(self, y: Array) -> Sequence[Call]:
        """For each block, the call that adds to rows of y what is added to their elements."""
        return self.how.shifts.each_on(self.left, self.right, _in_order(y, self.how.order))

    def stated(self, cut: slice) -> Array:
        """The moments of rows, as the definitions take them."""
        return self.how.moments(self.stats)[:, cut, None]


def prepare_moments(y: Array, x: Array, over: Over, how: Lines) -> Work:
    """(mean, variance), or (0, mean of x^2), in y."""
    found, row = how.moments(y), Over((1,), over.eps, over.centred)

    def part(x: Array, y: Array) -> None:
        n = x.shape[1]
        y[0], y[1] = 0, dots(x, x)
        y[1] /= n
        if over.centred:
            y[0] = dots(x, ones(n, x.dtype))
            y[0] /= n
            y[1] -= np.square(y[0])
            if not every(near(*y)):
                centre = y[0].astype(x.dtype)
                deviation = np.subtract(x, centre[:, None], scratch("deviation", x.shape, x.dtype))
                rest = dots(deviation, ones(n, x.dtype)) / n
                y[0], y[1] = centre + rest, dots(deviation, deviation) / n - np.square(rest)
        if not every(np.isfinite(y[1])):
            y[...] = moments.op.raw(x, over=row)[:, :, 0]

    def put_back() -> None:
        if not np.may_share_memory(found, y):
            ordered = _in_order(y, (0, *(i + 1 for i in how.order)))
            ordered[...] = found.reshape(ordered.shape)

    parts = [(rows, found[:, cut]) for rows, cut in zip(how.of(x), how.cuts, strict=True)]
    return how.work(lambda i: [partial(part, *parts[i])], y, [QUIET], [put_back])


def dots(a: Array, b: Array) -> Array:
    """The sums of a b along the rows of a, in float64, for a matrix or a row b."""
    n = a.shape[1]
    if b.ndim > 1 and n <= SHORT_ROWS:
        a, b = np.multiply(a, b, scratch("product", a.shape, a.dtype)), ones(n, a.dtype)
    if n <= LONGEST:
        return np.asarray(np.matmul(a, b) if b.ndim == 1 else np.vecdot(a, b), np.float64)
    whole = n - n % LONGEST
    parts = np.vecdot(*(m[..., :whole].reshape(*m.shape[:-1], -1, LONGEST) for m in (a, b)))
    y: Array = np.add.reduce(parts, 1, np.float64)
    if whole < n:
        y += dots(a[:, whole:], b[..., whole:])
    return y


def prepare_normalized(y: Array, x: Array, w: Any, b: Any, stats: Array, over: Over, how: Lines) -> Work:
    """(x - mean) r w + b, in y, which may be x."""
    factors, row = Factors(how, stats, over), Over((1,), over.eps, over.centred)

    def fill() -> None:
        factors.fill(w)
        factors.left[:, 2], factors.left[:, 3] = -factors.off * factors.r, 1
        factors.right[2], factors.right[3] = factors.right[0], 0 if b is None else b.reshape(-1)

    def part(cut: slice, x: Array, y: Array, shift: Call) -> None:
        if factors.fit:
            factors.times(cut, factors.deviations(cut, x), y)
            shift()
        else:
            flat = [None if a is None else a.reshape(-1) for a in (w, b)]
            y[...] = normalized.op.raw(x, *flat, factors.stated(cut), over=row)

    parts = list(zip(how.cuts, how.of(x), how.of(y), factors.shifts(y), strict=True))
    return how.work(lambda i: [partial(part, *parts[i])], y, [QUIET, fill], [])


def prepare_normalized_dx(y: Array, u: Array, x: Array, w: Array, stats: Array, over: Over, how: Lines) -> Work:
    """r (v - mean of v - (x - mean) r^2 mean of (v (x - mean))) with v = u w, in y, which may be u or x."""
    factors, row = Factors(how, stats, over), Over((1,), over.eps, over.centred)
    slopes, share, cube = buffer((how.m, 2), how.dtype), *buffer((2, how.m), np.dtype(float))

    def fill() -> None:
        factors.fill(w)
        factors.left[:, 3], factors.right[2], factors.right[3], slopes[:, 1] = 0, 1, 0, 0
        np.divide(factors.r, how.n, share)
        np.multiply(np.square(factors.r), share, cube)

    def part(cut: slice, u: Array, x: Array, y: Array, shift: Call) -> None:
        w, off, t = factors.right[0], factors.off[cut], scratch("product", x.shape, x.dtype)
        deviations = factors.deviations(cut, x)
        slope = dots(np.multiply(u, deviations, t), w)
        total = dots(u, w) if over.centred else np.zeros(len(off))
        slope = (slope - off * total) * cube[cut]
        if not factors.fit or not every(np.isfinite(slope)):
            y[...] = normalized_dx.op.raw(u, x, w, None, factors.stated(cut), over=row)
            return
        slopes[cut, 0], factors.left[cut, 2] = slope, off * slope - total * share[cut]
        sloped = slopes[cut, :1] if how.n >= LONG else np.matmul(slopes[cut], factors.right[2:], t)
        np.multiply(deviations, sloped, t)
        factors.times(cut, u, y)
        np.subtract(y, t, y)
        if how.n < LONG:
            shift()
        else:
            np.add(y, factors.left[cut, 2:3], y)

    parts = list(zip(how.cuts, *map(how.of, (u, x, y)), factors.shifts(y), strict=True))
    return how.work(lambda i: [partial(part, *parts[i])], y, [QUIET, fill], [])


def prepare_sums(y: Array, u: Array, x: Array, stats: Array, over: Over, how: Lines) -> Work:
    """The sums of the columns of u, or 0 if not centred, and of u (x - mean) r, in y."""
    factors = Factors(how, stats, over)
    sums, weights = buffer((len(how.cuts), 2, how.n), np.dtype(float)), buffer((3, how.m), x.dtype)

    def fill() -> None:
        factors.fill(None)
        weights[0], weights[1], weights[2] = 1, factors.off * factors.r, factors.r

    def part(cut: slice, u: Array, x: Array, y: Array) -> None:
        t = np.multiply(u, factors.deviations(cut, x), scratch("product", x.shape, x.dtype))
        y[0], y[1] = 0, _columns(t, weights[2:, cut])[0]
        if over.centred:
            first, second = _columns(u, weights[:2, cut])
            y[0], y[1] = first, y[1] - second

    def add() -> None:
        np.copyto(y, np.add.reduce(sums, 0).reshape(y.shape), casting="same_kind")
        if not factors.fit or not np.isfinite(y[1]).all():
            np.copyto(y, correlations.op.raw(u, x, stats, over=over, shape=y.shape[1:]))

    parts = list(zip(how.cuts, *map(how.of, (u, x)), sums, strict=True))
    return how.work(lambda i: [partial(part, *parts[i])], y, [QUIET, fill], [add])


def _columns(a: Array, weights: Array) -> Array:
    """The sums of the rows of `a` times weights (k, rows), in float64: BLAS adds up to SHORT rows one after another."""
    (k, rows), n = weights.shape, a.shape[1]
    left = rows % SHORT
    y = np.zeros((k, n))
    if left < rows:
        pieces = weights[:, : rows - left].reshape(k, -1, SHORT).swapaxes(0, 1)
        parts = np.matmul(pieces, a[: rows - left].reshape(-1, SHORT, n)).astype(np.float64).reshape(-1, k * n)
        y += ones(len(parts), parts.dtype).dot(parts).reshape(k, n)
    if left == 1:  # NumPy does not ask BLAS
        y += weights[:, rows - 1 :] * a[rows - 1 :]
    elif left:
        y += np.matmul(weights[:, rows - left :], a[rows - left :])
    return y
