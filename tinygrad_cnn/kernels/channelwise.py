"""Large arrays cut into blocks that stay in a cache, beside small arrays of which one element meets many of theirs.

Channels-last images beside one number for each channel, or examples beside one for each feature, are a matrix (M, C) whose
rows meet the same C numbers. NumPy runs one inner loop for each row, which for few channels costs more than the arithmetic. So
F rows are joined to one of F C elements, and the small array is repeated F times. Other arrays are cut along their first axis.
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
"""Arrays with fewer elements are not worth the arrangement."""

LONG = 1 << 12
"""Elements of a row that is long enough."""

BLOCK = 1 << 18
"""Elements that are worked on at a time: what is made of them, too, stays in a second-level cache."""

LARGE = 1 << 19
"""Elements from which on the blocks are shared by threads."""

LONGEST = 256
"""Rows in a block from which on BLAS, which adds them up one after the other, would lose too much."""


class Blocks:
    """Arrays of the shape of x in pieces of some images, or all of them, beside small arrays with size 1 along `axes`."""

    def __init__(self, axes: tuple[int, ...], x: np.ndarray, whole: bool = False) -> None:
        n = len(x)
        self.shape = tuple(1 if i in axes else m for i, m in enumerate(x.shape))
        self.size, self.dtype = x.size, x.dtype
        self.images: list[slice] | None = None if whole or x.size < LARGE else halved(n, max(1, BLOCK * n // x.size))
        self.cuts = self.images or [slice(0, n)]

    def of(self, a: np.ndarray) -> list[np.ndarray]:
        """The blocks of an array."""
        return [a[cut] for cut in self.cuts]

    def room(self) -> np.ndarray:
        """Memory for a small array, as blocks meet it."""
        return np.empty(self.shape, self.dtype)

    def fill(self, room: np.ndarray, small: Callable[[], Any]) -> None:
        """Put a small array, or what broadcasts to one, into its room."""
        room[...] = small()

    def beside(self, room: np.ndarray) -> list[np.ndarray]:
        """What each block meets of a small array."""
        return [room if len(room) == 1 else room[cut] for cut in self.cuts]

    def work(
        self, calls: Callable[[int], list[Call]], out: np.ndarray, before: Sequence[Call], after: Sequence[Call]
    ) -> Work:
        """The calls for each block, by its number."""
        return Work(range(len(self.cuts)), calls, before, after, self.images, self.size < LARGE, out)

    def chain(self, out: np.ndarray, a: np.ndarray, *steps: tuple[np.ufunc, Any], aside: bool = False) -> Work:
        """Work that makes out = a, and then out = ufunc(out, operand) for each step.

        An operand is an array of this shape, or a function that gives a small one and is asked each time. If `out` may be an
        operand, all but the last step work `aside`.
        """
        before: list[Call] = []
        operands = []
        for _, operand in steps:
            if callable(operand):
                room = self.room()
                before.append(partial(self.fill, room, operand))
                operands.append(self.beside(room))
            else:
                operands.append(self.of(operand))
        sources, targets = self.of(a), self.of(out)

        def calls(i: int) -> list[Call]:
            target = like("aside", sources[i]) if aside else targets[i]
            through = [sources[i], *[target] * (len(steps) - 1), targets[i]]
            made = zip(steps, operands, through, through[1:], strict=False)
            return [partial(ufunc, source, operand[i], to) for (ufunc, _), operand, source, to in made]

        return self.work(calls, out, before, [])


class Rows(Blocks):
    """Arrays that lie in memory as matrices (M / F, F C), of which `axes` are the M and the others the C, in pieces of rows.

    No piece is in two halves of the images, where these are some whole rows each, one behind the other.
    """

    def __init__(self, axes: tuple[int, ...], x: np.ndarray, order: tuple[int, ...]) -> None:
        super().__init__(axes, x)
        self.order, n, self.columns = order, len(x), math.prod(self.shape)
        self.fold = joined(x.size // self.columns, n if order[0] == 0 else 1, most_joined(self.columns))
        self.width = self.fold * self.columns
        rows, step = x.size // self.width, max(1, BLOCK // self.width)
        each = rows // n
        if n > 1 and order[0] == 0 and rows % n == 0 and each <= step:
            self.images = halved(n, step // each)
            self.cuts = [slice(part.start * each, part.stop * each) for part in self.images]
        else:
            self.images, self.cuts = None, [slice(i, min(i + step, rows)) for i in range(0, rows, step)]

    def of(self, a: np.ndarray) -> list[np.ndarray]:
        matrix = a.transpose(self.order).reshape(-1, self.width)
        return [matrix[cut] for cut in self.cuts]

    def room(self) -> np.ndarray:
        return np.empty(self.width, self.dtype)

    def fill(self, room: np.ndarray, small: Callable[[], Any]) -> None:
        self.folds(room)[...] = np.broadcast_to(small(), self.shape).transpose(self.order).reshape(-1)

    def beside(self, room: np.ndarray) -> list[np.ndarray]:
        return [room] * len(self.cuts)

    def folds(self, row: np.ndarray) -> np.ndarray:
        """Rows (..., F C) as (..., F, C)."""
        return row.reshape(*row.shape[:-1], self.fold, self.columns)

    def unfold(self, columns: np.ndarray, small: np.ndarray) -> None:
        """Put an element for each column into a small array."""
        target = small.transpose(self.order)
        target[...] = columns.reshape(target.shape)


def blocks(axes: tuple[int, ...], *arrays: np.ndarray, sums: bool = False) -> Blocks | None:
    """How to cut arrays beside small ones with size 1 along `axes`, or None where they are small or of several kinds.

    For `sums` over the axes, what is added up is not cut, unless it is rows.
    """
    x = arrays[0]
    if x.size < SMALL or x.dtype not in (np.float32, np.float64):
        return None
    if any(a.shape != x.shape or a.dtype != x.dtype for a in arrays):
        return None
    order = tuple(sorted(range(x.ndim), key=lambda i: -x.strides[i]))
    inner = [i not in axes for i in order if x.shape[i] > 1]
    dense = all(a.transpose(order).flags.c_contiguous for a in arrays)
    if dense and inner == sorted(inner) and any(inner) and not all(inner):
        rows = Rows(axes, x, order)
        if not sums or rows.cuts[0].stop <= LONGEST:
            return rows
    return Blocks(axes, x, whole=sums and 0 in axes)


def most_joined(columns: int) -> int:
    """How many rows are enough to make one that is long."""
    return 1 << max(0, (LONG // columns).bit_length() - 1)


@lru_cache(maxsize=1024)
def joined(n: int, images: int, most: int) -> int:
    """How many of n rows, those of some images, are joined to one: a divisor of n, and rather of the rows of an image."""
    fold = math.gcd(n, most)
    for whole in (n // images, n):
        if 2 * fold <= most:
            fold = max(fold, next(i for i in range(min(most, whole), 0, -1) if whole % i == 0))
    return fold


def like(name: str, a: np.ndarray) -> np.ndarray:
    """Scratch of the shape and in the memory order of a."""
    if a.flags.c_contiguous:
        return scratch(name, a.shape, a.dtype)
    order = sorted(range(a.ndim), key=lambda i: -a.strides[i])
    return scratch(name, tuple([a.shape[i] for i in order]), a.dtype).transpose(np.argsort(order))
