"""Sums and elementwise chains over an array beside a small one that broadcasts along its outer axes in memory.

Such an array, images with channels last and one number for each channel, or examples and one number for each feature, is
a matrix (M, C) whose rows meet the same C numbers. NumPy runs one inner loop for each row, which for few channels costs
more than the arithmetic. So F rows are joined to one of F C elements, and the small array is repeated F times.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import lru_cache, partial
from typing import Any

import numpy as np

from .product import multiply
from .share import LARGE, share
from .threads import unbuffered

SMALL = 1 << 12
"""Arrays with fewer elements are not worth the arrangement."""

NATIVE = frozenset(map(np.dtype, (np.float32, np.float64)))
"""What BLAS multiplies as it is."""

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

    def added(self, sums: np.ndarray) -> np.ndarray:
        """The sums of a matrix's columns, as an array with `across` of size 1."""
        total = sums.reshape(self.fold, self.columns).sum(axis=0)
        back = np.argsort(self.order).tolist()
        return np.asarray(total.reshape([self.shape[i] for i in self.order]).transpose(back))


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
    fold = math.gcd(first.size // columns, 1 << max(0, (LONG // columns).bit_length() - 1))
    shape = tuple(1 if i in axes else n for i, n in enumerate(first.shape))
    return Rows(order, shape, columns, fold)


def sums(a: np.ndarray, axes: tuple[int, ...]) -> Any:
    """The sum of a over `axes`, which are kept: over rows a product of a vector of ones with the matrix, which BLAS does best.

    Every one of the F C columns has a sum of its own, so that few terms meet in each and the rounding stays small.
    """
    how = rows(axes, a)
    if how is None:
        return np.add.reduce(a, axis=axes, keepdims=True)
    matrix = how.matrix(a)
    return how.added(multiply(np.ones(len(matrix), a.dtype), matrix))


def total(a: Any, axes: tuple[int, ...], keepdims: bool = False, out: np.ndarray | None = None) -> Any:
    """np.sum over `axes`, by :func:`sums`, or along :func:`lines`."""
    given: Any = out
    if not isinstance(a, np.ndarray) or a.size < SMALL:
        if axes == (0,) and not keepdims and (ones := _meeting(a, out)) is not None:
            return ones.dot(a, out)
        return np.add.reduce(a, axis=axes, keepdims=keepdims, out=given)
    if (matrix := lines(a, axes)) is not None:
        y = np.add.reduce(matrix, axis=1)
    elif a.flags.c_contiguous and a.size >= LARGE and axes[-1] == a.ndim - 1 and (inner := _trailing(axes)) != axes:
        lead = a.shape[: a.ndim - len(inner)]  # what is adjacent first, and then the sums
        first = np.empty(lead, a.dtype)
        share(partial(_add_up, axis=1), a.reshape(math.prod(lead), -1), first.reshape(-1), axis=0)
        y = np.add.reduce(first, axis=axes[: len(axes) - len(inner)])
    elif rows(axes, a) is not None:
        y = sums(a, axes)
    else:
        return np.add.reduce(a, axis=axes, keepdims=keepdims, out=given)
    y = y.reshape([1 if i in axes else n for i, n in enumerate(a.shape) if keepdims or i not in axes])
    if out is None:
        return y
    np.copyto(out, y)
    return out


def _meeting(a: Any, out: np.ndarray | None) -> np.ndarray | None:
    """A row of ones whose product with a small matrix is the sum of its rows, sooner than NumPy sums; None for other arrays."""
    if a.__class__ is not np.ndarray or a.ndim != 2 or a.dtype not in NATIVE or not a.flags.c_contiguous:
        return None
    if out is not None and (out.dtype != a.dtype or not out.flags.c_contiguous or out.shape != a.shape[1:]):
        return None
    return _ones(len(a), a.dtype)


@lru_cache(maxsize=256)
def _ones(n: int, dtype: np.dtype[Any]) -> np.ndarray:
    ones = np.ones(n, dtype)
    ones.flags.writeable = False
    return ones


def _trailing(axes: tuple[int, ...]) -> tuple[int, ...]:
    """Those at the end that follow each other."""
    count = 1
    while count < len(axes) and axes[-count - 1] == axes[-count] - 1:
        count += 1
    return axes[-count:]


def _add_up(a: np.ndarray, out: np.ndarray, axis: int) -> None:
    np.add.reduce(a, axis=axis, out=out)


def totalling(a: Any, axes: tuple[int, ...], out: np.ndarray, keepdims: bool = False) -> Callable[[], object] | None:
    """:func:`total` of the same memory every time, where it is one call of NumPy."""
    if not isinstance(a, np.ndarray) or a.dtype != out.dtype:
        return None
    if a.size < SMALL:
        if axes == (0,) and not keepdims and (ones := _meeting(a, out)) is not None:
            return partial(ones.dot, a, out)
        return partial(np.add.reduce, a, axes, None, out, keepdims)
    matrix = lines(a, axes)
    if matrix is None or not out.flags.c_contiguous:
        return None
    return partial(np.add.reduce, matrix, 1, None, out.reshape(-1))


def summing(u: np.ndarray, sums: np.ndarray) -> Callable[[], object]:
    """What sums u (n, O, *sizes) over all axes but O, in the same memory every time."""
    return partial(total, u, (0, *range(2, u.ndim)), False, sums)


def lines(a: np.ndarray, axes: tuple[int, ...]) -> np.ndarray | None:
    """a as a matrix of which each line is summed, where NumPy would not see that the axes to be summed follow each other in
    memory, since they are apart in the shape: an array that lies channel by channel, summed over all but the channels."""
    order = sorted(range(a.ndim), key=lambda i: -a.strides[i])
    kept = [i for i in range(a.ndim) if i not in axes]
    if order[: len(kept)] != kept or kept == list(range(len(kept))) or not a.transpose(order).flags.c_contiguous:
        return None
    return a.transpose(order).reshape(math.prod(a.shape[i] for i in kept), -1)


def means(a: np.ndarray, axes: tuple[int, ...]) -> Any:
    """The mean of a over `axes`, which are kept."""
    how = rows(axes, a)
    return np.mean(a, axis=axes, keepdims=True) if how is None else sums(a, axes) * (how.columns / a.size)


def product_sums(a: np.ndarray, b: np.ndarray, axes: tuple[int, ...]) -> Any:
    """The sum of a b, of one shape, over `axes`, which are kept."""
    how = rows(axes, a, b)
    if how is not None:
        return how.added(np.einsum("ij,ij->j", how.matrix(a), how.matrix(b)))
    every = list(range(a.ndim))
    kept = np.einsum(a, every, b, every, [i for i in every if i not in axes])
    return kept.reshape([1 if i in axes else n for i, n in enumerate(a.shape)])


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
