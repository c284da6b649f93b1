"""Moments, normalization and its gradient, over images with one mean and variance for each channel.

Each is a few passes over arrays that are larger than a cache. They are made over a block of rows at a time (see rows.py), so
that a block comes from memory once; and where the variance is wanted, deviations are from the mean of the block, and the
blocks' moments are put together: Chan, Golub and LeVeque, "Algorithms for computing the sample variance" (1983).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, NamedTuple

import numpy as np

from .channelwise import Rows, rows
from .parallel.task import Call, Work, halved
from .parallel.workspace import scratch
from .sums import means, ones, product_sums, total

BLOCK = 1 << 18
"""Elements that are worked on at a time: what is made of them, too, stays in a second-level cache."""

LONGEST = 256
"""Rows in a block from which on BLAS, which adds them up one after the other, would lose too much."""

ALONE = 9000
"""Elements up to which BLAS multiplies with a vector on one thread, so that the bits do not depend on their number."""

FAR = 64
"""How many times the variance the square of the mean is where it needs a second pass."""

LARGE, PARTS = 1 << 19, 4
"""Elements from which on the blocks are shared by threads, in so many parts."""


def moments(x: np.ndarray, axes: tuple[int, ...], out: np.ndarray | None = None) -> np.ndarray:
    """(mean, variance) of x over `axes`, which are kept."""
    shape = (2, *(1 if i in axes else n for i, n in enumerate(x.shape)))
    y = np.empty(shape, x.dtype if x.dtype.kind == "f" else np.float64) if out is None else out
    work = measuring(x, axes, y)
    if work is None:
        with np.errstate(over="ignore", invalid="ignore"):
            mean = np.asarray(means(x, axes), y.dtype)
            deviation = x - mean
            variance = product_sums(deviation, deviation, axes, x.size / (mean.size or 1) or 1)
            if np.any(mean * mean > FAR * variance):  # then its rounding shows
                rest = means(deviation, axes)
                mean, variance = mean + rest, variance - rest * rest
            y[0], y[1] = mean, variance
        _mend(y, x, axes)
    else:
        with np.errstate(over="ignore", invalid="ignore"):
            work.do()
    return y


def _mend(stats: np.ndarray, x: np.ndarray, axes: tuple[int, ...]) -> None:
    """Compute in float64 what was too large for float32."""
    if stats.size and not np.maximum.reduce(stats[1], None) < np.inf:
        with np.errstate(over="ignore", invalid="ignore"):
            stats[...] = _exact(x, axes)


def _exact(x: np.ndarray, axes: tuple[int, ...], centred: bool = True) -> np.ndarray:
    """(mean, variance) in float64."""
    wide = np.asarray(x, np.float64)
    mean = np.mean(wide, axes, keepdims=True) * centred
    return np.stack([mean, np.mean(np.square(wide - mean), axes, keepdims=True)])


def rstd(x: np.ndarray, stats: np.ndarray, eps: float, axes: tuple[int, ...], centred: bool = True) -> Any:
    """1 / sqrt(variance + eps), also where the variance is too large for its dtype."""
    variance = stats[1]
    if variance.size and np.maximum.reduce(variance, None) == np.inf:
        variance = _exact(x, axes, centred)[1]
    return np.asarray(1 / np.sqrt(variance + eps), stats.dtype)


def measuring(x: np.ndarray, axes: tuple[int, ...], out: np.ndarray) -> Work | None:
    """:func:`moments` where x is rows."""
    how = rows(axes, x)
    if how is None or out.dtype != x.dtype:
        return None
    matrix = how.matrix(x)
    mean, variance = how.vector(out[0]), how.vector(out[1])
    if not (np.may_share_memory(mean, out) and np.may_share_memory(variance, out)):
        return None
    cuts = _cuts(how, x)
    if cuts.step > LONGEST:
        return None
    sums, means, squares, between = np.empty((4, len(cuts.blocks), matrix.shape[1]), x.dtype)
    counts = np.array([[block.stop - block.start] for block in cuts.blocks], x.dtype)
    n = len(matrix) * how.fold

    def arrange(part: range) -> list[Call]:
        calls: list[Call] = []
        deviation, each = scratch("deviation", (cuts.step, matrix.shape[1]), x.dtype), ones(cuts.step, x.dtype)
        for i in part:
            block = matrix[cuts.blocks[i]]
            m = len(block)
            calls += [
                partial(np.matmul, each[:m], block, sums[i]),
                partial(np.divide, sums[i], counts[i], means[i]),
                partial(np.subtract, block, means[i], deviation[:m]),
                partial(np.square, deviation[:m], deviation[:m]),
                partial(np.matmul, each[:m], deviation[:m], squares[i]),
            ]
        return calls

    def put_together() -> None:
        np.divide(_added(how, sums), n, mean, casting="same_kind")
        np.subtract(how.folds(means), mean, how.folds(between))
        np.square(between, between)
        np.multiply(between, counts, between)
        np.add(between, squares, between)
        np.divide(_added(how, between), n, variance, casting="same_kind")
        _mend(out, x, axes)

    return cuts.work(arrange, (), [put_together])


def normalize(
    x: np.ndarray, stats: np.ndarray, w: np.ndarray, b: np.ndarray, eps: float, axes: tuple[int, ...],
    out: np.ndarray | None = None,
) -> np.ndarray:  # fmt: skip
    """y = (x - mean) / sqrt(variance + eps) w + b, all but x of size 1 along `axes`."""
    y = np.empty_like(x, np.result_type(x, stats, w, b)) if out is None else out
    work = normalizing(x, stats, w, b, eps, axes, y)
    if work is None:
        np.subtract(x, stats[0], out=y)
        np.multiply(y, w * rstd(x, stats, eps, axes), out=y)
        np.add(y, b, out=y)
    else:
        work.do()
    return y


def normalizing(
    x: np.ndarray, stats: np.ndarray, w: np.ndarray, b: np.ndarray, eps: float, axes: tuple[int, ...], out: np.ndarray
) -> Work | None:
    """:func:`normalize` where x and `out` are rows."""
    how = rows(axes, x, out)
    if how is None or any(a.dtype != out.dtype for a in (x, stats, w, b)):
        return None
    source, target = how.matrix(x), how.matrix(out)
    row = np.empty((3, source.shape[1]), out.dtype)
    folds, centre = how.folds(row), how.vector(stats[0])

    def settle() -> None:
        folds[0] = centre
        folds[1] = how.vector(w * rstd(x, stats, eps, axes))
        folds[2] = how.vector(np.broadcast_to(b, stats.shape[1:]))

    mean, factor, shift = row
    cuts = _cuts(how, x)

    def arrange(part: range) -> list[Call]:
        calls: list[Call] = []
        for i in part:
            a, y = (matrix[cuts.blocks[i]] for matrix in (source, target))
            calls += [
                partial(np.subtract, a, mean, y),
                partial(np.multiply, y, factor, y),
                partial(np.add, y, shift, y),
            ]
        return calls

    return cuts.work(arrange, [settle])


def correlate(
    u: np.ndarray, x: np.ndarray, stats: np.ndarray, eps: float, axes: tuple[int, ...], out: np.ndarray | None = None
) -> np.ndarray:
    """(sum of u, sum of u s) over `axes`, which are kept, with s = (x - mean) / sqrt(variance + eps)."""
    y = np.empty(stats.shape, np.result_type(u, x, stats)) if out is None else out
    work = correlating(u, x, stats, eps, axes, y)
    if work is None:
        y[0] = total(u, axes, True)
        with np.errstate(over="ignore", invalid="ignore"):
            y[1] = product_sums(np.asarray(x - stats[0], y.dtype), np.asarray(u, y.dtype), axes)
            _finish(y, u, x, stats, eps, axes)
    else:
        with np.errstate(over="ignore", invalid="ignore"):
            work.do()
    return y


def correlating(
    u: np.ndarray, x: np.ndarray, stats: np.ndarray, eps: float, axes: tuple[int, ...], out: np.ndarray
) -> Work | None:
    """:func:`correlate` where u and x are rows."""
    how = rows(axes, u, x)
    if how is None or any(a.dtype != out.dtype for a in (u, x, stats)):
        return None
    slopes, values = how.matrix(u), how.matrix(x)
    first, second = how.vector(out[0]), how.vector(out[1])
    if not (np.may_share_memory(first, out) and np.may_share_memory(second, out)):
        return None
    cuts = _cuts(how, x)
    if cuts.step > LONGEST:
        return None
    mean, sums = np.empty(values.shape[1], x.dtype), np.empty((2, len(cuts.blocks), values.shape[1]), x.dtype)
    centre = how.vector(stats[0])

    def settle() -> None:
        how.folds(mean)[...] = centre

    def arrange(part: range) -> list[Call]:
        calls: list[Call] = []
        product, each = scratch("deviation", (cuts.step, values.shape[1]), x.dtype), ones(cuts.step, x.dtype)
        for i in part:
            g, a = (matrix[cuts.blocks[i]] for matrix in (slopes, values))
            n = len(a)
            calls += [
                partial(np.matmul, each[:n], g, sums[0, i]),
                partial(np.subtract, a, mean, product[:n]),
                partial(np.multiply, product[:n], g, product[:n]),
                partial(np.matmul, each[:n], product[:n], sums[1, i]),
            ]
        return calls

    def put_together() -> None:
        for vector, parts in zip((first, second), sums, strict=True):
            vector[...] = _added(how, parts)
        _finish(out, u, x, stats, eps, axes)

    return cuts.work(arrange, [settle], [put_together])


def _finish(
    sums: np.ndarray, u: np.ndarray, x: np.ndarray, stats: np.ndarray, eps: float, axes: tuple[int, ...]
) -> None:
    """From the sum of u (x - mean) that of u s."""
    r = rstd(x, stats, eps, axes)
    sums[1] *= r
    if not np.isfinite(sums[1]).all():  # the product was too large for float32
        s = (np.asarray(x, np.float64) - stats[0]) * r
        sums[1] = np.add.reduce(s * u, axes, keepdims=True)


def _added(how: Rows, parts: np.ndarray) -> Any:
    """Rows (m, F C) added up to C, in float64: there may be many, and few columns."""
    wide = parts.reshape(-1, how.columns).astype(np.float64)
    if wide.size > ALONE:
        return np.add.reduce(wide, 0)
    return ones(len(wide), wide.dtype).dot(wide)  # sooner than NumPy


def pull(
    u: np.ndarray, x: np.ndarray, w: np.ndarray, sums: np.ndarray, stats: np.ndarray, eps: float, axes: tuple[int, ...],
    out: np.ndarray | None = None,
) -> np.ndarray:  # fmt: skip
    """y = w r (u - (sum of u + s sum of (u s)) / n), r = 1 / sqrt(variance + eps), s = (x - mean) r: see :func:`correlate`."""
    y = np.empty_like(x, np.result_type(u, x, w, sums, stats)) if out is None else out
    work = pulling(u, x, w, sums, stats, eps, axes, y)
    if work is None:
        share = stats[0].size / (x.size or 1)
        r = rstd(x, stats, eps, axes)
        deviation = (x - stats[0]) * (sums[1] * r * -share)  # y may be u or x
        np.multiply(deviation + u - sums[0] * share, w * r, out=y)
    else:
        work.do()
    return y


def pulling(
    u: np.ndarray, x: np.ndarray, w: np.ndarray, sums: np.ndarray, stats: np.ndarray, eps: float, axes: tuple[int, ...],
    out: np.ndarray,
) -> Work | None:  # fmt: skip
    """:func:`pull` where u, x and `out` are rows."""
    how = rows(axes, u, x, out)
    if how is None or any(a.dtype != out.dtype for a in (u, x, w, sums, stats)):
        return None
    slopes, values, target = how.matrix(u), how.matrix(x), how.matrix(out)
    row = np.empty((4, values.shape[1]), out.dtype)
    folds, share = how.folds(row), out.dtype.type(stats[0].size / x.size)
    centre, total, product = how.vector(stats[0]), how.vector(sums[0]), sums[1]

    def settle() -> None:
        r = rstd(x, stats, eps, axes)
        folds[0] = centre
        folds[1] = how.vector(product * r)
        folds[2] = total
        np.multiply(row[1], -share, row[1])
        np.multiply(row[2], share, row[2])
        folds[3] = how.vector(w * r)

    mean, slope, shift, factor = row
    cuts = _cuts(how, x)

    def arrange(part: range) -> list[Call]:
        calls: list[Call] = []
        memory = scratch("deviation", (cuts.step, values.shape[1]), out.dtype)
        for i in part:
            g, a, y = (matrix[cuts.blocks[i]] for matrix in (slopes, values, target))
            t = memory[: len(a)]  # y may be u or x
            calls += [
                partial(np.subtract, a, mean, t), partial(np.multiply, t, slope, t), partial(np.add, t, g, t),
                partial(np.subtract, t, shift, t), partial(np.multiply, t, factor, y),
            ]  # fmt: skip
        return calls

    return cuts.work(arrange, [settle])


class _Cuts(NamedTuple):
    """The rows of a matrix in blocks of up to `step`, which are shared as `parts`."""

    blocks: list[slice]
    step: int
    parts: list[range]
    images: list[slice] | None
    little: bool

    def work(self, arrange: Callable[[range], list[Call]], before: Sequence[Call], after: Sequence[Call] = ()) -> Work:
        return Work(self.parts, arrange, before, after, self.images, self.little)


def _cuts(how: Rows, x: np.ndarray) -> _Cuts:
    """For the rows of x, no block in two halves of its images where these are some whole rows each, one behind the other."""
    n, little = len(x), x.size < LARGE
    rows = x.size // (how.fold * how.columns)
    step = max(1, BLOCK // (how.fold * how.columns))
    if n < 2 or how.order[0] != 0 or rows % n or rows // n > step:
        blocks = [slice(i, min(i + step, rows)) for i in range(0, rows, step)]
        share = -(-len(blocks) // PARTS)
        parts = [range(i, min(i + share, len(blocks))) for i in range(0, len(blocks), share)]
        return _Cuts(blocks, step, parts, None, little)
    each = rows // n
    images = halved(n, max(1, step // each))
    blocks = [slice(part.start * each, part.stop * each) for part in images]
    return _Cuts(blocks, blocks[0].stop, [range(i, i + 1) for i in range(len(blocks))], images, little)
