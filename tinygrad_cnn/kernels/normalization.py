"""Normalization in blocks that stay in the cache. lines.py has the rows with a scale or shift for each element.

The variance of each block is taken from a number near the block's mean, and the moments of the blocks are then combined: Chan,
Golub and LeVeque, "Algorithms for computing the sample variance" (1983). Sums that overflow in float32 are computed again in
float64.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import lru_cache, partial
from typing import Any

import numpy as np

from ..ops.affine import repeated
from ..ops.standardize import NEAR, Limits, Over, by_channel, correlations, moments
from . import lines
from .cells import QUIET, Cells, Copied, cells, cells_of, fit, is_alike
from .parallel.chunks import LARGE
from .parallel.task import Work
from .parallel.workspace import scratch
from .product_sums import product_sums

Array = np.ndarray

FEW = 10_000
"""Fewer elements are computed sooner by the definitions."""

FEW_SCALED = 1 << 16
"""Fewer elements are scaled and shifted sooner by the definitions."""

LEAST = {"f": 1e-30, "d": 1e-270}
"""The eps from which on a variance whose squares underflow does not matter."""

WITHIN = 50
"""Up to this power of 2, a reciprocal standard deviation can be squared in float32, and multiplied with its square."""


def every(flags: Array) -> bool:
    """``flags.all()``, which takes several times as long for a few."""
    return b"\0" not in flags.tobytes()


def prepare_moments(out: Array | None, x: Array, *, over: Over) -> Work | None:
    """(mean, variance), or (0, mean of x^2)."""
    kept = [i not in over.axis for i in range(x.ndim)]
    how = (grouped(over, [x]) or grouped(over, [x], _innermost(x, kept))) if x.size >= FEW else None
    if how is None or over.eps < LEAST[x.dtype.char]:
        return None
    y = np.empty((2, *(n if own else 1 for n, own in zip(x.shape, kept, strict=True)))) if out is None else out
    blocks, n = how.of(x), over.count(x.shape)
    found = np.empty((2, how.lead, y[0].size // how.lead)) if not how.whole else np.empty((2, len(blocks), y[0].size))
    counts = np.array([[block.size / y[0].size] for block in blocks])

    def part(i: int, x: Array, found: Array) -> None:
        found[0], found[1] = _moments(how, x, float(counts[i, 0]) if how.whole else n, over.centred)

    def put_together() -> None:
        mean, variance = found
        if how.whole:
            means, squares = found
            mean = means[:1] + np.add.reduce(counts * (means - means[0]), 0, keepdims=True) / n
            squares = squares + np.square(means - mean) if over.centred else squares
            variance = np.add.reduce(counts * squares, 0, keepdims=True) / n
        if every(np.isfinite(variance)):
            how.put(mean, y[0])
            how.put(variance, y[1])
        else:
            np.copyto(y, moments.op.raw(x, over=over))

    own = [found[:, i : i + 1] for i in range(len(blocks))] if how.whole else [found[:, cut] for cut in how.cuts]
    parts = list(zip(range(len(blocks)), blocks, own, strict=True))
    return how.work(lambda i: [partial(part, *parts[i])], y, [QUIET], [put_together])


def _moments(how: Cells, x: Array, n: float, centred: bool) -> tuple[Any, Array]:
    """The mean and variance of the cells, or groups of cells, of a block; or 0 and the mean square."""
    if not centred:
        return 0.0, how.of_groups(how.products(x, x)) / n
    if how.fold > 1 or (how.whole and how.last):
        few = x[:, : -(-x.shape[1] // NEAR)]  # whose mean is off by at most NEAR variances
        centre = how.sums(few) * (x.shape[1] / few.shape[1] / n)
    else:
        mean = how.of_groups(how.sums(x)) / n
        variance = how.of_groups(how.products(x, x)) / n - np.square(mean)
        if every(np.square(mean) <= NEAR * variance):
            return mean, variance
        centre = mean
    t = np.subtract(x, how.spread(centre, x.dtype), scratch("deviation", x.shape, x.dtype))
    rest = how.of_groups(how.sums(t)) / n
    return centre.astype(x.dtype) + rest, how.of_groups(how.sums(np.multiply(t, t, t))) / n - np.square(rest)


def _innermost(x: Array, kept: Sequence[bool]) -> tuple[int, ...]:
    """The shape of a small array that varies along the axes between two elements of the innermost axis that is kept: where the
    channels of a group are last, each is a cell."""
    strides = [abs(x.strides[i]) for i, own in enumerate(kept) if own and x.shape[i] > 1]
    return tuple([n if abs(x.strides[i]) < min(strides, default=0) else 1 for i, n in enumerate(x.shape)])


def grouped(over: Over, arrays: Sequence[Array], *small: tuple[int, ...]) -> Cells | None:
    """How to cut arrays of one layout that are normalized, with small arrays of these shapes; None if they do not repeat."""
    x = arrays[0]
    return _grouped(over, x.shape, x.strides, x.dtype.itemsize, small) if fit(*arrays) else None


@lru_cache(maxsize=1024)
def _grouped(
    over: Over, shape: tuple[int, ...], strides: tuple[int, ...], size: int, small: tuple[tuple[int, ...], ...]
) -> Cells | None:
    kept = tuple([i not in over.axis for i in range(len(shape))])
    varies = tuple([own or any(each[i] > 1 for each in small) for i, own in enumerate(kept)])
    how = cells_of(shape, strides, size, varies, kept)
    return None if how is None or (how.whole and how.group > 1) else how


def numbers_of(how: Cells, a: Array) -> Array:
    """A small array as numbers (M, C) of cells."""
    return how.numbers(a.reshape((1,) * (len(how.order) - a.ndim) + a.shape), of_cells=True)


def full(ndim: int, *small: Any) -> list[tuple[int, ...]]:
    """The shapes of small arrays, or None, as shapes of so many axes."""
    return [(1,) * (ndim - a.ndim) + a.shape for a in small if a is not None]


def _alike(x: Array, *small: Any) -> bool:
    """Whether the small arrays, or None, leave the dtype of the result unchanged."""
    return all(a is None or (isinstance(a, Array) and a.dtype == x.dtype) for a in small)


class Centred:
    """Arrays x less numbers near their means, where these are far from 0: so no digits are lost to a mean.

    `m` and `r` are the means that are left, and the reciprocal standard deviations, for groups of cells (M, C).
    """

    def __init__(self, how: Cells, stats: Array, over: Over, dtype: Any) -> None:
        self.how, self.stats, self.over, self.dtype = how, stats, over, dtype
        self.m = self.r = stats[0]
        self.centres: list[Array] | None = None

    def fill(self) -> None:
        """Find the numbers, from the moments as they are now."""
        self.m, variance = self.how.numbers(self.stats)
        self.r, self.centres = 1 / np.sqrt(variance + self.over.eps), None
        if self.over.centred and not every(np.square(self.m) <= NEAR * variance):
            centre = self.m.astype(self.dtype)
            self.m, self.centres = self.m - centre, self.how.spread_all(centre, self.dtype)

    def block(self, i: int, x: Array, out: Array | None = None) -> Array:
        """Block i of x, less its centres."""
        if self.centres is None:
            return x
        y: Array = np.subtract(x, self.centres[i], scratch("centred", x.shape, x.dtype) if out is None else out)
        return y


def prepare_normalized(
    out: Array | None, x: Array, w: Any = None, b: Any = None, stats: Any = None, *, over: Over
) -> Work | None:
    """(x - mean) r w + b, in y, which may be x."""
    if x.size < FEW or stats is None or not _alike(x, w, b):
        return None
    y = np.empty_like(x) if out is None else out
    if (rows := lines.rows(over, [x, y], w, b)) is not None:
        return lines.prepare_normalized(y, x, w, b, Centred(rows, stats, over, x.dtype), over)
    how = grouped(over, [x, y], *full(x.ndim, w, b))
    if how is None:
        return None
    small, numbers = Centred(how, stats, over, x.dtype), _Numbers(how, x.dtype)
    blocks, adds = list(zip(how.of(x), how.of(y), strict=True)), over.centred or b is not None

    def fill() -> None:
        small.fill()
        m, factor = how.of_cells(small.m), how.of_cells(small.r)
        factor = factor if w is None else factor * numbers_of(how, w)
        numbers.fill(factor, (0 if b is None else numbers_of(how, b)) - m * factor)

    def part(i: int, x: Array, y: Array) -> None:
        factor, shift = numbers.of(i)
        np.multiply(small.block(i, x, y), factor, y)
        if adds:
            np.add(y, shift, y)

    return how.work(lambda i: [partial(part, i, *blocks[i])], y, [QUIET, fill], [])


class _Numbers:
    """Numbers of cells or groups for the blocks, as each run finds them."""

    def __init__(self, how: Cells, dtype: Any) -> None:
        self.how, self.dtype = how, dtype
        self.found: list[list[Array]] = []

    def fill(self, *small: Array) -> None:
        self.found = [self.how.spread_all(a, self.dtype) for a in small]

    def of(self, i: int) -> list[Array]:
        """Those of block i, in a form that broadcasts to it."""
        return [own[i] for own in self.found]


def prepare_normalized_dx(
    out: Array | None, u: Array, x: Array, w: Any = None, sums: Any = None, stats: Any = None, *, over: Over
) -> Work | None:
    """r (v - mean of v - s mean of (v s)) with v = u w, in y, which may be u or x."""
    if x.size < FEW or stats is None or u.shape != x.shape or not _alike(x, u, w):
        return None
    y = np.empty_like(x) if out is None else out
    u, copied = laid_out(u, x)
    if sums is None and (rows := lines.rows(over, [x, y], w)) is not None:
        return lines.prepare_dx(y, u, x, w, Centred(rows, stats, over, x.dtype), over, copied)
    how = grouped(over, [x, y], *full(x.ndim, w))
    if how is None or (sums is None and how.whole) or (sums is not None and how.group > 1):
        return None
    small, numbers, n = Centred(how, stats, over, x.dtype), _Numbers(how, x.dtype), over.count(x.shape)
    blocks = list(zip(how.of(u), how.of(x), how.of(y), strict=True))

    def fill() -> None:
        small.fill()
        first, second = how.numbers(sums).astype(np.float64) / n
        slope = -small.r * second
        shift = -first * over.centred - slope * small.m
        numbers.fill(small.r if w is None else small.r * numbers_of(how, w), slope, shift)

    def part(i: int, u: Array, x: Array, y: Array) -> None:
        factor, slope, shift = numbers.of(i)
        t = np.multiply(small.block(i, x), slope, scratch("slope", x.shape, x.dtype))
        np.add(t, u, t)
        np.add(t, shift, t)
        np.multiply(t, factor, y)

    if sums is not None:
        return how.work(lambda i: [partial(part, i, *blocks[i])], y, [QUIET, fill], [], copied)
    split: list[Any] = []

    def local() -> None:
        small.fill()
        scale = np.ones((how.lead, 1)) if w is None else numbers_of(how, w).astype(np.float64)
        split[:] = zip(*map(how.split, (small.m, small.r, scale)), strict=True)

    def pull(i: int, u: Array, x: Array, y: Array) -> None:
        _pull(how, n, over.centred, u, small.block(i, x), y, *split[i])

    return how.work(lambda i: [partial(pull, i, *blocks[i])], y, [QUIET, local], [], copied)


def _pull(how: Cells, n: int, centred: bool, u: Array, d: Array, y: Array, m: Array, r: Array, scale: Array) -> None:
    """The gradient of a block, with the sums of its groups of cells; d has the means m."""
    total = how.of_groups(how.sums(u) * scale) / n
    product = how.of_groups(how.products(u, d) * scale) / n - m * total
    if d.dtype.char == "f" and not (every(np.abs(np.log2(r)) < WITHIN) and every(np.isfinite(product))):
        exact = np.empty(d.shape)
        _pull(how, n, centred, u.astype(np.float64), d.astype(np.float64), exact, m, r, scale)
        y[...] = exact
        return
    slope = -(r**3) * product
    small = how.of_cells(r) * scale, slope, -r * total * centred - slope * m
    factor, slope, shift = (how.spread(a, d.dtype) for a in small)
    t = np.multiply(d, slope, scratch("slope", d.shape, d.dtype))
    np.add(t, shift, t)
    np.multiply(u, factor, y)
    np.add(y, t, y)


def laid_out(u: Array, like: Array) -> tuple[Array, Copied]:
    """An array in the memory order of another one, and what must be copied if it is in another order.

    The parts of a task copy it: other tasks may make the images of u part by part, so not all of u is there before.
    """
    if is_alike(u, like):
        return u, None
    copied = np.empty_like(like)
    return copied, (copied, u)


def prepare_correlations(
    out: Array | None, u: Array, x: Array, stats: Any = None, *, over: Over, shape: tuple[int, ...] | None = None
) -> Work | None:
    """The sums of u, or 0 if not centred, and of u (x - mean) r to an array of `shape`."""
    if x.size < FEW or stats is None or u.shape != x.shape or not _alike(x, u) or x.dtype.char not in "fd":
        return None
    kept = tuple([1 if i in over.axis else n for i, n in enumerate(x.shape)])
    shape = kept if shape is None else shape
    own = (1,) * (x.ndim - len(shape)) + shape
    if any(n not in (1, m) for n, m in zip(own, x.shape, strict=True)):
        return None
    y = np.empty((2, *shape), x.dtype) if out is None else out
    u, copied = laid_out(u, x)
    varies = [n > 1 or m > 1 for n, m in zip(own, kept, strict=True)]
    how = cells(varies, [m > 1 for m in kept], x)
    if how is None:
        rows = lines.rows_of(kept, own, x)
        return None if rows is None else lines.prepare_sums(y, u, x, Centred(rows, stats, over, x.dtype), over, copied)
    if how.whole and how.group > 1:
        return None
    each = tuple([n if v else 1 for n, v in zip(x.shape, varies, strict=True)])
    small, count = Centred(how, stats, over, x.dtype), len(how.cuts) if how.whole else how.lead
    found = np.empty((2, count, math.prod(each) // (1 if how.whole else how.lead)))
    sums, repeated = np.empty((2, *each)), tuple([i + 1 for i, n in enumerate(own) if n == 1 and varies[i]])

    def part(i: int, u: Array, x: Array, found: Array) -> None:
        found[0], found[1] = how.sums(u), how.products(u, small.block(i, x))

    def put_together() -> None:
        first, second = (np.add.reduce(a, 0, keepdims=True) if how.whole else a for a in found)
        second = (second - how.of_cells(small.m) * first) * how.of_cells(small.r)
        if not every(np.isfinite(second)):
            np.copyto(y, correlations.op.raw(u, x, stats, over=over, shape=shape))
            return
        how.put(first * over.centred, sums[0])
        how.put(second, sums[1])
        np.copyto(y, (np.add.reduce(sums, repeated) if repeated else sums).reshape(y.shape), casting="same_kind")

    parts = [found[:, i : i + 1] for i in range(count)] if how.whole else [found[:, cut] for cut in how.cuts]
    blocks = list(zip(how.of(u), how.of(x), parts, strict=True))
    return how.work(lambda i: [partial(part, i, *blocks[i])], y, [QUIET, small.fill], [put_together], copied)


def prepare_product_to(out: Array | None, a: Array, b: Array, *, shape: tuple[int, ...]) -> Any:
    """The sum of a b over the axes along which `shape` is broadcast."""
    if a.shape != b.shape or a.size < FEW:
        return None

    def task() -> Array:
        y: Array = product_sums(a, b, repeated(a.shape, shape)).reshape(shape)
        if out is not None:
            np.copyto(out, y)
        return y

    return task


def prepare_affine(out: Array | None, x: Array, w: Any, b: Any = None) -> Any:
    """x w + b, where w and b vary along some axes only. NumPy multiplies rows by a number each as fast, on one thread."""
    if x.size < FEW_SCALED or not _alike(x, w, b):
        return None
    varies = [any(shape[i] > 1 for shape in full(x.ndim, w, b)) for i in range(x.ndim)]
    if all(varies) or (b is None and x.size < LARGE and x.flags.c_contiguous and not varies[-1]):
        return None
    return _affine(out, x, varies, lambda: (w,) if b is None else (w, b))


def prepare_normalized_by(
    out: Array | None, x: Array, mean: Any, variance: Any, w: Any = None, b: Any = None, *, eps: float
) -> Any:
    """(x - mean) r w + b, with numbers for the channels."""
    if x.size < FEW_SCALED or x.ndim < 2 or not _alike(x, mean, variance, w, b):
        return None
    return _affine(out, x, [i == 1 for i in range(x.ndim)], lambda: by_channel(x, mean, variance, w, b, eps))


def prepare_clipped_by(
    out: Array | None, x: Array, mean: Any, variance: Any, w: Any = None, b: Any = None, *, eps: float, limits: Limits
) -> Any:
    """The same between the limits."""
    if x.size < FEW_SCALED or x.ndim < 2 or not _alike(x, mean, variance, w, b):
        return None
    small, bounds = [i == 1 for i in range(x.ndim)], tuple([np.array(limit, x.dtype) for limit in limits])
    return _affine(out, x, small, lambda: by_channel(x, mean, variance, w, b, eps), bounds)


def _affine(
    out: Array | None, x: Array, varies: Sequence[bool], small: Callable[[], Sequence[Array]], bounds: Any = None
) -> Work | None:
    """x w + b, or x w, where `small` gives w and b in each run; between the bounds."""
    y = np.empty_like(x) if out is None else out
    how = cells(varies, varies, x, y)
    if how is None:
        return None
    blocks, numbers = list(zip(how.of(x), how.of(y), strict=True)), _Numbers(how, x.dtype)

    def fill() -> None:
        numbers.fill(*(numbers_of(how, a) for a in small()))

    def part(i: int, x: Array, y: Array) -> None:
        w, *b = numbers.of(i)
        np.multiply(x, w, y)
        for shift in b:
            np.add(y, shift, y)
        if bounds is not None:
            y.clip(bounds[0], bounds[1], y)

    return how.work(lambda i: [partial(part, i, *blocks[i])], y, [fill], [])
