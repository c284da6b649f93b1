"""Large arrays in cache-sized blocks, combined with small arrays that broadcast to them.

Channels-last images with one number for each channel, or examples with one for each feature, are a matrix (M, C) combined with
a row of C numbers. NumPy runs one inner loop for each row, which for few channels costs more than the arithmetic. So F rows are
joined to one of F C elements, and the small array is repeated F times. Other arrays are cut along their first axis.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import lru_cache, partial
from typing import Any

import numpy as np

from .parallel.task import Call, Work, halved
from .parallel.workspace import scratch

SMALL = 1 << 12
"""Smaller arrays are not worth the preparation."""

LONG = 1 << 11
"""Elements in a row that is long enough for NumPy's inner loop."""

BLOCK = 1 << 18
"""Elements in a block: the block and its temporaries stay in the L2 cache."""

ALONE, LARGE = 1 << 16, 1 << 19
"""Fewer elements are a single block, and from how many on several threads share the blocks."""

SEVERAL, REPEATED, SHORT = 4, 1 << 15, 1 << 9
"""Of SEVERAL images or more, of up to REPEATED elements and SHORT in a channel, each is combined with numbers repeated for each
element of an image. NumPy's inner loop is then an image, and not a channel."""

LONGEST = 256
"""The most rows in a block that BLAS may sum: it adds sequentially, and longer sums lose too much precision."""


class Blocks:
    """Arrays of the shape of x in blocks of several images, or all, with small arrays that have size 1 along `axes`."""

    def __init__(self, axes: tuple[int, ...], x: np.ndarray, whole: bool = False, in_order: bool = False) -> None:
        n = len(x)
        self.shape = tuple(1 if i in axes else m for i, m in enumerate(x.shape))
        channels = max((i + 1 for i in range(x.ndim) if i not in axes), default=0)
        short = math.prod(x.shape[channels:]) <= SHORT and x.size <= n * REPEATED
        repeats = in_order and 0 in axes and n >= SEVERAL and short
        self.full = (1, *x.shape[1:]) if repeats else self.shape  # of buffers
        self.size, self.dtype = x.size, x.dtype
        self.images: list[slice] | None = None if whole or x.size < LARGE else halved(n, max(1, BLOCK * n // x.size))
        self.cuts = self.images or [slice(0, n)]

    def of(self, a: np.ndarray) -> list[np.ndarray]:
        """The blocks of an array."""
        return [a[cut] for cut in self.cuts]

    def buffer(self) -> np.ndarray:
        """A buffer for a small array in the form that blocks use."""
        return np.empty(self.full, self.dtype)

    def filler(self, buffer: np.ndarray) -> Callable[[Any], object]:
        """A function that fills a buffer from a small array, or from a value that broadcasts to one."""
        return partial(buffer.__setitem__, ...)

    def split(self, buffer: np.ndarray) -> list[np.ndarray]:
        """For each block, its part of a small array."""
        return [buffer if len(buffer) == 1 else buffer[cut] for cut in self.cuts]

    def work(
        self, calls: Callable[[int], list[Call]], out: np.ndarray, before: Sequence[Call], after: Sequence[Call]
    ) -> Work:
        """Work with one part for each block; `calls(i)` gives the calls of block i."""
        return Work(range(len(self.cuts)), calls, before, after, self.images, self.size < LARGE, out)

    def chain(self, out: np.ndarray, a: np.ndarray, *steps: tuple[np.ufunc, Any], aside: bool = False) -> Work:
        """Work that computes out = a, and then out = ufunc(out, operand) for each step.

        An operand is an array of this shape, or a function that returns a small array and is called in each run. If `out` may
        be an operand, pass `aside`: all steps but the last then write to scratch.
        """
        before: list[Call] = []
        operands = []
        for _, operand in steps:
            if callable(operand):
                buffer = self.buffer()
                before.append(partial(_refill, self.filler(buffer), operand))
                operands.append(self.split(buffer))
            else:
                operands.append(self.of(operand))
        sources, targets = self.of(a), self.of(out)

        def calls(i: int) -> list[Call]:
            target = like("aside", sources[i]) if aside else targets[i]
            through = [sources[i], *[target] * (len(steps) - 1), targets[i]]
            made = zip(steps, operands, through, through[1:], strict=False)
            return [partial(ufunc, source, operand[i], to) for (ufunc, _), operand, source, to in made]

        return self.work(calls, out, before, [])


def _refill(fill: Callable[[Any], object], small: Callable[[], Any]) -> None:
    fill(small())


class Rows(Blocks):
    """Arrays that are matrices (M / F, F C) in memory, M from `axes` and C from the other axes, in blocks of rows.

    If each image is a whole number of rows in one piece, no block crosses the middle of the batch.
    """

    def __init__(self, axes: tuple[int, ...], x: np.ndarray, order: tuple[int, ...]) -> None:
        super().__init__(axes, x)
        self.order, n, self.columns = order, len(x), math.prod(self.shape)
        self.fold = joined(x.size // self.columns, n if order[0] == 0 else 1, most_joined(self.columns))
        self.width = self.fold * self.columns
        rows, step = x.size // self.width, max(1, BLOCK // self.width)
        each = rows // n
        if x.size < ALONE and rows <= LONGEST:
            self.images, self.cuts = None, [slice(0, rows)]
        elif n > 1 and order[0] == 0 and rows % n == 0 and each <= step:
            self.images = halved(n, step // each)
            self.cuts = [slice(part.start * each, part.stop * each) for part in self.images]
        else:
            self.images, self.cuts = None, [slice(i, min(i + step, rows)) for i in range(0, rows, step)]
        self.lengths = np.array([[float((cut.stop - cut.start) * self.fold)] for cut in self.cuts])
        self._each, kept = np.ones(self.fold), [i for i in order if self.shape[i] > 1]
        self._sorted = kept == sorted(kept)

    def of(self, a: np.ndarray) -> list[np.ndarray]:
        matrix = a.transpose(self.order).reshape(-1, self.width)
        return [matrix[cut] for cut in self.cuts]

    def buffer(self) -> np.ndarray:
        return np.empty(self.width, self.dtype)

    def filler(self, buffer: np.ndarray) -> Callable[[Any], object]:
        folds, values = self.folds(buffer), np.empty(self.shape, self.dtype)
        in_order = values if self._sorted else values.transpose(self.order)

        def fill(small: Any) -> None:
            values[...] = small  # NumPy would convert each of the copies
            folds[...] = in_order.reshape(-1)

        return fill

    def split(self, buffer: np.ndarray) -> list[np.ndarray]:
        return [buffer] * len(self.cuts)

    def folds(self, row: np.ndarray) -> np.ndarray:
        """Rows (..., F C) as (..., F, C)."""
        return row.reshape(*row.shape[:-1], self.fold, self.columns)

    def adder(self, rows: np.ndarray) -> Callable[[], np.ndarray]:
        """A function that sums rows (..., F C) to (..., C) in float64."""
        each, folds = self._each, self.folds(rows)
        exact = np.empty(folds.shape)

        def add() -> np.ndarray:
            exact[...] = folds
            y: np.ndarray = each @ exact
            return y

        return add

    def in_order(self, small: np.ndarray) -> np.ndarray:
        """Small arrays (..., *shape) as a view with their elements in the order of the columns."""
        first = small.ndim - len(self.order)
        return small.transpose(*range(first), *(first + i for i in self.order))


def blocks(axes: tuple[int, ...], *arrays: np.ndarray, sums: bool = False) -> Blocks | None:
    """How to cut arrays that are combined with small ones of size 1 along `axes`; None if they are small, or differ in kind.

    For `sums` over the axes, the summed axes are not cut, unless the blocks are rows.
    """
    x = arrays[0]
    if x.size < SMALL or x.dtype not in (np.float32, np.float64):
        return None
    for a in arrays:
        if a.shape != x.shape or a.dtype != x.dtype:
            return None
    return _blocks(axes, x.shape, tuple([a.strides for a in arrays]), x.dtype, sums)


@lru_cache(maxsize=1024)
def _blocks(
    axes: tuple[int, ...],
    shape: tuple[int, ...],
    strides: tuple[tuple[int, ...], ...],
    dtype: np.dtype[Any],
    sums: bool,
) -> Blocks:
    x = np.broadcast_to(np.empty((), dtype), shape)
    order = tuple(sorted(range(x.ndim), key=lambda i: -strides[0][i]))
    inner = [i not in axes for i in order if shape[i] > 1]
    dense = all(has_no_gaps([shape[i] for i in order], [own[i] for i in order], dtype.itemsize) for own in strides)
    if dense and inner == sorted(inner) and any(inner) and not all(inner):
        rows = Rows(axes, x, order)
        if not sums or rows.cuts[0].stop <= LONGEST:
            return rows
    return Blocks(axes, x, whole=sums and 0 in axes, in_order=dense and order == tuple(range(x.ndim)))


def has_no_gaps(shape: Sequence[int], strides: Sequence[int], size: int) -> bool:
    """Whether an array is in C order, with elements of this size."""
    for n, stride in zip(reversed(shape), reversed(strides), strict=True):
        if n > 1 and stride != size:
            return False
        size *= n
    return True


def most_joined(columns: int) -> int:
    """How many rows must be joined to make one long row."""
    return 1 << max(0, (LONG // columns).bit_length() - 1)


@lru_cache(maxsize=1024)
def joined(n: int, images: int, most: int) -> int:
    """How many of n rows (of several images) to join into one: a divisor of n, if possible of the rows of one image."""
    fold = math.gcd(n, most)
    for whole in (n // images, n):
        if 2 * fold <= most:
            fold = max(fold, next(i for i in range(min(most, whole), 0, -1) if whole % i == 0))
    return fold


def like(name: str, a: np.ndarray) -> np.ndarray:
    """Scratch with the shape and memory order of a."""
    if a.flags.c_contiguous:
        return scratch(name, a.shape, a.dtype)
    order = sorted(range(a.ndim), key=lambda i: -a.strides[i])
    return scratch(name, tuple([a.shape[i] for i in order]), a.dtype).transpose(np.argsort(order))
