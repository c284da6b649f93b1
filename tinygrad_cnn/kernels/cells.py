"""Large arrays in cache-sized blocks, beside small arrays of numbers that many elements share.

A *cell* is what shares a number: a channel, a channel of an example, a row. A block of an array is a view (m, C, L), or
(m, L, C) where channels are last, of m C cells of L elements. NumPy's inner loop over few channels costs more than the
arithmetic. So where cells go through all rows, F rows are joined to one of F C elements, and the numbers are repeated F times.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import lru_cache, partial
from typing import Any, TypeAlias

import numpy as np

from .block_sums import ones
from .channelwise import has_no_gaps, joined, most_joined
from .parallel.task import Call, Work, halved
from .parallel.workspace import scratch

Array = np.ndarray

BLOCK = 1 << 18
"""Elements in a block: the block and its temporaries stay in the L2 cache."""

LARGE = 1 << 19
"""From how many elements on several threads share the blocks."""

LONGEST = 256
"""The most terms that BLAS may add one after another: longer sums lose too much precision."""

LEAST = 8
"""The fewest rows that BLAS sums at a time."""

SHORT_ROWS = 1 << 6
"""Elements in a row up to which calls of BLAS for each row take longer than a second pass."""


QUIET = partial(np.seterr, over="ignore", invalid="ignore")
"""Silences warnings of results that are computed again. Work restores NumPy's error state afterwards."""

Copied: TypeAlias = "tuple[Array, Array] | None"
"""An array in another memory order, and the one from which it is copied; None if that has the order already."""


class Cells:
    """How arrays of one layout are cut into blocks.

    Axes that are neighbours in memory form `runs`, which count cells (True) or the elements of a cell (False). If `whole`, each
    block has a part of every cell; else each cell is in one block. `group` neighbouring cells share a mean.
    """

    def __init__(
        self,
        shape: tuple[int, ...],
        order: tuple[int, ...],
        runs: list[tuple[bool, int]],
        cells: Sequence[bool],
        group: int,
    ) -> None:
        self.order, self.group, self.size = order, group, math.prod(shape)
        self.sizes = [shape[i] if cells[i] else 1 for i in order]  # of the cells, in memory order
        self.whole, self.last = not runs[0][0], runs[-1][0]
        lead, n = order[0] == 0, shape[0]
        *_, (_, inner) = runs
        self.fold = joined(runs[0][1], n if lead else 1, most_joined(inner)) if self.whole and len(runs) == 2 else 1
        if len(runs) == 3:
            self.view = tuple([size for _, size in runs])
        elif self.whole:
            self.view = (1, runs[0][1] // self.fold, self.fold * inner)
        else:
            each = runs[0][1] // n if lead and runs[0][1] // n % group == 0 and group > 1 else group
            self.view = (runs[0][1] // each, each, inner)
        self.axis = int(self.whole and len(runs) == 2)  # of the view, which is cut
        self.lead = 1 if self.whole else self.view[0]
        count = self.view[self.axis]
        step = max(1, BLOCK * count // self.size)
        step = min(step, LONGEST) if self.axis else step
        self.images: list[slice] | None = None
        if lead and count % n == 0 and count // n <= step:
            self.images = halved(n, step * n // count)
            self.cuts = [slice(own.start * count // n, own.stop * count // n) for own in self.images]
        else:
            self.cuts = [slice(i, min(i + step, count)) for i in range(0, count, step)]
        length = self.view[1 if self.last else 2]
        self.piece = next(k for k in range(min(length, LONGEST), 0, -1) if length % k == 0)

    def of(self, a: Array) -> list[Array]:
        """The blocks of an array."""
        whole = a.transpose(self.order).reshape(self.view)
        return [whole[:, cut] if self.axis else whole[cut] for cut in self.cuts]

    def split(self, small: Array | None) -> list[Any]:
        """For each block, its part of the numbers (M, C) of cells or groups."""
        return [small] * len(self.cuts) if small is None or self.whole else [small[cut] for cut in self.cuts]

    def numbers(self, small: Array, of_cells: bool = False) -> Array:
        """Small arrays (..., *1 for axes within cells or groups) as numbers (..., M, C) of groups or cells."""
        lead = small.shape[: small.ndim - len(self.order)]
        own = small.transpose(*range(len(lead)), *[len(lead) + i for i in self.order])
        if of_cells and own.shape != (*lead, *self.sizes):
            own = np.broadcast_to(own, (*lead, *self.sizes))
        return own.reshape(*lead, self.lead, -1)

    def of_cells(self, numbers: Array) -> Array:
        """Numbers (M, C) of groups for each of their cells."""
        return numbers if self.group == 1 else np.repeat(numbers, self.group, 1)

    def put(self, numbers: Array, y: Array) -> None:
        """Write numbers (M, C) of cells or groups to a small array."""
        own = y.transpose(self.order)
        own[...] = numbers.reshape(own.shape)

    def sums(self, a: Array) -> Array:
        """The sums of the cells (M, C) of a block, in float64."""
        if not self.last:
            m, c, n = a.shape
            y = dots(a.reshape(m * c, n), ones(n, a.dtype)).reshape(m, c)
            return np.add.reduce(y, 0, keepdims=True) if self.whole else y
        if self.whole:
            y = np.matmul(ones(a.shape[1], a.dtype), a).astype(np.float64)
            return np.asarray(np.add.reduce(y.reshape(1, self.fold, -1), 1)) if self.fold > 1 else y
        if self.piece < LEAST:
            return np.asarray(np.add.reduce(a, 1, np.float64))
        parts = np.matmul(ones(self.piece, a.dtype), a.reshape(len(a), -1, self.piece, a.shape[2]))
        return np.asarray(np.add.reduce(parts, 1, np.float64))

    def products(self, a: Array, b: Array) -> Array:
        """The sums of a b of the cells of a block, in float64."""
        if self.last or self.view[2] <= SHORT_ROWS:
            return self.sums(np.multiply(a, b, scratch("products", a.shape, a.dtype)))
        m, c, n = a.shape
        y = dots(a.reshape(m * c, n), b.reshape(m * c, n)).reshape(m, c)
        return np.add.reduce(y, 0, keepdims=True) if self.whole else y

    def of_groups(self, y: Array) -> Array:
        """The sums over the cells of each group."""
        return y if self.group == 1 else np.add.reduce(y.reshape(len(y), -1, self.group), 2)

    def spread(self, small: Array, dtype: Any) -> Array:
        """The numbers of cells or groups of a block, in a form that broadcasts to it."""
        among = self.view[2] // self.fold if self.last else self.view[1]
        y = np.empty((len(small), self.fold, small.shape[1], among // small.shape[1]), dtype)
        y[...] = small[:, None, :, None]  # each for all cells of its group, and for all joined rows
        y = y.reshape(len(small), -1)
        return y[:, None] if self.last else y[:, :, None]

    def spread_all(self, small: Array, dtype: Any) -> list[Array]:
        """For each block, the numbers of its cells or groups in a form that broadcasts to it."""
        return self.split(self.spread(small, dtype))

    def work(
        self,
        calls: Callable[[int], list[Call]],
        out: Any,
        before: list[Call],
        after: list[Call],
        copied: Copied = None,
    ) -> Work:
        """Work with one part for each block; `calls(i)` gives the calls of block i, for which images are `copied`."""
        images = self.images
        if copied is not None and images is not None:
            to, source = copied
            return Work(
                range(len(images)), lambda i: [partial(np.copyto, to[images[i]], source[images[i]]), *calls(i)], before, after,
                images, self.size < LARGE, out,
            )  # fmt: skip
        if copied is not None:
            before = [partial(np.copyto, *copied), *before]
        return Work(range(len(self.cuts)), calls, before, after, self.images, self.size < LARGE, out)


def cells(varies: Sequence[bool], kept: Sequence[bool], *arrays: Array) -> Cells | None:
    """How to cut arrays of one layout. They are combined with numbers that vary along some axes; their means are over the axes
    that are not `kept`. None for other arrays, or if there are fewer numbers than BLAS or NumPy needs in a row."""
    x = arrays[0]
    return cells_of(x.shape, x.strides, x.dtype.itemsize, tuple(varies), tuple(kept)) if fit(*arrays) else None


def fit(*arrays: Array) -> bool:
    """Whether arrays of one shape can be cut together."""
    x = arrays[0]
    return x.dtype.char in "fd" and bool(x.size) and all(is_alike(a, x) for a in arrays[1:])


def is_alike(a: Array, x: Array) -> bool:
    """Whether arrays of one shape have one dtype and memory order; the strides of axes of size 1 do not matter."""
    if a.dtype != x.dtype:
        return False
    return a.strides == x.strides or all(s == t for s, t, n in zip(a.strides, x.strides, x.shape, strict=True) if n > 1)


@lru_cache(maxsize=1024)
def cells_of(
    shape: tuple[int, ...], strides: tuple[int, ...], size: int, varies: tuple[bool, ...], kept: tuple[bool, ...]
) -> Cells | None:
    """:func:`cells`, for arrays of this shape, these strides and so many bytes in an element."""
    order = sorted([i for i in range(len(shape)) if shape[i] > 1], key=lambda i: -strides[i])
    if not has_no_gaps([shape[i] for i in order], [strides[i] for i in order], size):
        return None
    runs: list[tuple[bool, int]] = []
    for i in order:
        if runs and runs[-1][0] == varies[i]:
            runs[-1] = varies[i], runs[-1][1] * shape[i]
        else:
            runs.append((varies[i], shape[i]))
    if [kind for kind, _ in runs] == [False]:
        runs.insert(0, (True, 1))
    if [kind for kind, _ in runs] not in ([True, False], [False, True], [True, False, True], [False, True, False]):
        return None
    among = [kept[i] for i in order if varies[i]]
    group = math.prod([shape[i] for i in order if varies[i] and not kept[i]])
    if among != sorted(among, reverse=True) or (len(runs) == 3 and runs[-1][0] and runs[-1][1] % group):
        return None  # the cells of a group are not neighbours
    single = [i for i in range(len(shape)) if shape[i] == 1]
    return Cells(shape, (*order, *single), runs, varies, group)


def dots(a: Array, b: Array) -> Array:
    """The sums of a b along the rows of a, in float64, for a matrix or a row b."""
    n = a.shape[1]
    if n <= LONGEST:
        return np.asarray(np.matmul(a, b) if b.ndim == 1 else np.vecdot(a, b), np.float64)
    whole = n - n % LONGEST
    parts = np.vecdot(*(m[..., :whole].reshape(*m.shape[:-1], -1, LONGEST) for m in (a, b)))
    y: Array = np.add.reduce(parts, 1, np.float64)
    if whole < n:
        y += dots(a[:, whole:], b[..., whole:])
    return y
