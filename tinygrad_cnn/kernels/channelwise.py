"""Elementwise chains over an array beside a small one that broadcasts along its outer axes in memory.

Such an array, images with channels last and one number for each channel, or examples and one number for each feature, is
a matrix (M, C) whose rows meet the same C numbers. NumPy runs one inner loop for each row, which for few channels costs
more than the arithmetic. So F rows are joined to one of F C elements, and the small array is repeated F times.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import numpy as np

from .parallel.threads import unbuffered

SMALL = 1 << 12
"""Arrays with fewer elements are not worth the arrangement."""

LONG = 1 << 12
"""Elements of a row that is long enough."""


class Rows:
    """Arrays of one shape and layout as matrices (M / F, F C), of which axes `across` are the M and the others the C."""

    def __init__(self, order: tuple[int, ...], shape: tuple[int, ...], columns: int, fold: int) -> None:
        self.order, self.shape, self.columns, self.fold = order, shape, columns, fold

    def matrix(self, a: np.ndarray) -> np.ndarray:
        """A view of an array of this layout."""
        return a.transpose(self.order).reshape(-1, self.fold * self.columns)

    def repeated(self, small: np.ndarray) -> np.ndarray:
        """A broadcast array of one element, or one for each column, as a row."""
        if small.size == 1:
            return small.reshape(1)
        row = np.empty(self.fold * self.columns, small.dtype)
        self.folds(row)[...] = self.vector(small.reshape((1,) * (len(self.order) - small.ndim) + small.shape))
        return row

    def vector(self, small: np.ndarray) -> np.ndarray:
        """An array with `across` of size 1, as one element for each column; a view of it, unless its axes are out of order."""
        return small.transpose(self.order).reshape(-1)

    def folds(self, row: np.ndarray) -> np.ndarray:
        """Rows (..., F C) as (..., F, C)."""
        return row.reshape(*row.shape[:-1], self.fold, self.columns)


def rows(axes: tuple[int, ...], *arrays: np.ndarray) -> Rows | None:
    """How to see the arrays as rows that lie across `axes`, or None where their memory is otherwise or they are small."""
    first = arrays[0]
    if first.size < SMALL or any(a.shape != first.shape or a.dtype.char not in "fd" for a in arrays):
        return None
    order = tuple(sorted(range(first.ndim), key=lambda i: -first.strides[i]))
    inner = [i not in axes for i in order if first.shape[i] > 1]
    if inner != sorted(inner) or all(inner) or not any(inner):
        return None
    if not all(a.transpose(order).flags.c_contiguous for a in arrays):
        return None
    columns = math.prod(n for i, n in enumerate(first.shape) if i not in axes)
    fold = joined(first.size // columns, len(first) if order[0] == 0 else 1, most_joined(columns))
    shape = tuple(1 if i in axes else n for i, n in enumerate(first.shape))
    return Rows(order, shape, columns, fold)


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


def chain(a: np.ndarray, *steps: tuple[np.ufunc, Any], out: np.ndarray | None = None) -> np.ndarray:
    """y = a, and then y = ufunc(y, operand) for each step, in one array: operands are of a's shape, or broadcast to it.

    `out` must not be an operand; it may be a.
    """
    operands = [np.asarray(operand) for _, operand in steps]
    whole = [a, *(o for o in operands if o.shape == a.shape)]
    spread = [o.shape for o in operands if o.shape != a.shape]
    small = np.broadcast_shapes(*spread) if spread else ()
    across = tuple(i for i in range(a.ndim) if i < a.ndim - len(small) or small[i - a.ndim] == 1)
    y = np.empty_like(a, np.result_type(a, *operands)) if out is None else out
    how = rows(across, *whole, y) if all(math.prod(s) in (1, math.prod(small)) for s in spread) else None
    if how is None:
        source, target = a, y
    else:
        source, target = how.matrix(a), how.matrix(y)
        operands = [how.matrix(o) if o.shape == a.shape else how.repeated(o) for o in operands]
    unbuffered(_in_a_row, [ufunc for ufunc, _ in steps], source, operands, target)
    return y


def _in_a_row(
    ufuncs: Sequence[np.ufunc], source: np.ndarray, operands: Sequence[np.ndarray], target: np.ndarray
) -> None:
    for ufunc, operand in zip(ufuncs, operands, strict=True):
        source = ufunc(source, operand, out=target)
