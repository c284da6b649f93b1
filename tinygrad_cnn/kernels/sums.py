"""Sums over any axes, in any memory order, accurate to a few units in the last place of float32.

Many terms are summed by blocks (``block_sums.py``), few by NumPy, or by BLAS as a product with a vector of ones.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import lru_cache, partial
from typing import Any, TypeAlias

import numpy as np
from numpy import ndarray

from ..ops.reduce import reduced_axes
from ..ops.shape import Axis, Shape, as_shape, repeated_axes
from .block_sums import BLOCK, SHORT, SMALL, ones, plan_of, wide
from .channelwise import has_no_gaps
from .parallel.workspace import buffer

PAIRWISE = 1 << 15
"""NumPy sums fewer float64 without gaps soonest, and pairwise."""


def prepare(
    out: np.ndarray | None, a: Any, axes: tuple[int, ...], keepdims: bool = False, share: float = 1
) -> Callable[[], Any]:
    """A task for np.sum over `axes`, divided by the number `share`, and rounded once."""
    add = None
    if a.__class__ is ndarray:
        if axes == (0,) and not keepdims and a.ndim == 2:
            add = _by_ones(out, a)
        if add is None and (exact := _exactly(a.shape, a.strides, a.dtype.char, axes)) is not None:
            return exact(out, a, axes, keepdims, share)
    if add is None:
        add = partial(np.add.reduce, a, axes, None, out, keepdims)
    if share == 1:
        return add
    return lambda: add() / share if out is None else np.divide(add(), share, out)


def prepare_sum(out: np.ndarray | None, a: Any, *, axis: Axis, keepdims: bool) -> Callable[[], Any]:
    """A task for ``sum``."""
    if axis == (0,) and not keepdims and a.__class__ is ndarray and (add := _by_ones(out, a)) is not None:
        return add  # the gradient of a bias
    return prepare(out, a, reduced_axes(axis, a.ndim if a.__class__ is ndarray else np.ndim(a)), keepdims)


def prepare_mean(out: np.ndarray | None, a: Any, *, axis: Axis, keepdims: bool) -> Callable[[], Any] | None:
    """A task for ``mean`` of floats; None for empty arrays, numbers and integers."""
    if not isinstance(a, np.ndarray) or a.dtype.kind != "f" or not a.size or not a.ndim:
        return None
    axes = reduced_axes(axis, a.ndim)
    return prepare(out, a, axes, keepdims, math.prod([a.shape[i] for i in axes]))


def prepare_sum_to(out: np.ndarray | None, a: Any, *, shape: Shape) -> Callable[[], Any] | None:
    """A task for ``sum_to`` of real numbers; None if there is nothing to sum."""
    if a.__class__ is not ndarray or a.dtype.kind == "c":
        return None
    before = a.shape
    if before[1:] == shape and (add := _by_ones(out, a)) is not None:  # the gradient of a bias
        return add
    if before == (after := as_shape(shape)):
        return None
    axes = repeated_axes(before, after)
    if len(before) == len(after) + len(axes):
        return prepare(out, a, axes)
    kept = [n for i, n in enumerate(before) if i not in axes]
    add = prepare(None if out is None else out.reshape(kept), a, axes)
    return lambda: add().reshape(after)


def total(
    a: Any, axes: tuple[int, ...], keepdims: bool = False, out: np.ndarray | None = None, share: float = 1
) -> Any:
    """The result of :func:`prepare`'s task."""
    few = a.__class__ is ndarray and a.ndim == 1 == len(axes) and out is None and share == 1 and not keepdims
    if few and _exactly(a.shape, a.strides, a.dtype.char, axes) is None:
        return np.add.reduce(a)
    return prepare(out, a, axes, keepdims, share)()


Sum: TypeAlias = Callable[[np.ndarray | None, np.ndarray, tuple[int, ...], bool, float], Callable[[], Any]]
"""How :func:`prepare` makes its task."""


@lru_cache(maxsize=4096)
def _exactly(shape: tuple[int, ...], strides: tuple[int, ...], char: str, axes: tuple[int, ...]) -> Sum | None:
    """How arrays of a layout are summed in float64; None where NumPy's sum is exact enough, and no slower."""
    size = math.prod(shape)
    if char not in "efd" or not size or not axes:
        return None
    if char != "e":
        if char == "d" and len(axes) == len(shape) and size < PAIRWISE and has_no_gaps(shape, strides, 8):
            return None
        if size < SMALL and not _loses(shape, strides, axes):
            return None
    if size >= SMALL:
        return _long
    rows = _rows(shape, strides, axes) if char == "f" else None
    return partial(partial, _add) if rows is None else partial(_few_rows, *rows)  # the task is then a call of _add


def _long(
    out: np.ndarray | None, a: np.ndarray, axes: tuple[int, ...], keepdims: bool, share: float
) -> Callable[[], Any]:
    """A task for a sum of many terms."""
    add = wide(a, axes)

    def task() -> Any:
        y = add()
        if share != 1:
            y = y / share
        if keepdims:
            y = y.reshape([1 if i in axes else n for i, n in enumerate(a.shape)])
        if out is None:
            return y.astype(a.dtype)[()]
        np.copyto(out, y, casting="same_kind")
        return out

    return task


def _few_rows(
    order: tuple[int, ...], length: int, each: np.ndarray,
    out: np.ndarray | None, a: np.ndarray, axes: tuple[int, ...], keepdims: bool, share: float,
) -> Callable[[], Any]:  # fmt: skip
    if keepdims or share != 1:
        return partial(_add, out, a, axes, keepdims, share)
    rows = a.transpose(order).reshape(-1, length)
    return partial(_sum_rows, out, rows, each, None if out is None else buffer(rows.shape, each.dtype))


def _add(out: np.ndarray | None, a: np.ndarray, axes: tuple[int, ...], keepdims: bool, share: float) -> Any:
    add: Any = np.add.reduce
    y = add(a, axes, np.float64, None, keepdims)  # not in `out`, where NumPy would round between its loops
    if share != 1:
        y = y / share
    if out is None:
        return y.astype(a.dtype)
    np.copyto(out, y, casting="same_kind")
    return out


def _rows(
    shape: tuple[int, ...], strides: tuple[int, ...], axes: tuple[int, ...]
) -> tuple[tuple[int, ...], int, np.ndarray] | None:
    """How the sums of float32 are those of the rows of a matrix in memory, such as the gradient of the biases of a convolution:
    the order of the axes there, the length of a row, and ones for it; None if they are not, or have several axes."""
    if len(axes) != len(shape) - 1:
        return None
    plan = plan_of(shape, strides, axes)
    gaps = not has_no_gaps([shape[i] for i in plan.order], [strides[i] for i in plan.order], 4)
    if gaps or [reduced for reduced, _ in plan.groups] != [False, True]:
        return None
    length = plan.groups[1][1]
    return plan.order, length, ones(length, np.dtype(np.float64))


def _sum_rows(out: np.ndarray | None, rows: np.ndarray, each: np.ndarray, exact: np.ndarray | None) -> np.ndarray:
    """The sums of the rows, in float64. NumPy's sum converts numbers in pieces as it adds, which takes twice as long."""
    if out is None or exact is None:
        y: np.ndarray = rows.astype(each.dtype).dot(each)
        return y.astype(rows.dtype)
    exact[...] = rows
    out[...] = exact.dot(each)
    return out


def _by_ones(out: np.ndarray | None, a: np.ndarray) -> Callable[[], Any] | None:
    """A task for the sum of the rows of a, as a product with ones by BLAS; None for other arrays than a few short rows."""
    each = _ones_for(a.shape, a.dtype)
    if each is None or not a.flags.c_contiguous:
        return None
    if out is not None and not (out.dtype == a.dtype and out.flags.c_contiguous and out.shape == a.shape[1:]):
        return None
    if len(each) < len(a):
        return partial(
            _by_halves, each, a[: len(each)], a[len(each) :], out, out if out is None else np.empty_like(out)
        )
    if each.dtype is a.dtype:
        return partial(each.dot, a, out)
    if out is None:
        return lambda: each.dot(a.astype(each.dtype)).astype(a.dtype)
    rows = np.empty(a.shape)

    def task() -> np.ndarray:
        np.copyto(rows, a)
        np.copyto(out, each.dot(rows), casting="same_kind")
        return out

    return task


def _by_halves(each: np.ndarray, a: np.ndarray, b: np.ndarray, out: Any, more: Any) -> np.ndarray:
    """The sum of the rows of a and of b, which may have one less."""
    y: np.ndarray = np.add(each.dot(a, out), each[: len(b)].dot(b, more), out)
    return y


@lru_cache(maxsize=1024)
def _ones_for(shape: tuple[int, ...], dtype: np.dtype[Any]) -> np.ndarray | None:
    """The ones that sum the rows of an array, or each half of them; in float64 if float32 would lose precision. None if BLAS
    should not."""
    if len(shape) != 2 or not 0 < shape[0] <= BLOCK or dtype.char not in "fd" or math.prod(shape) >= 2 * SMALL:
        return None  # BLAS would use several threads from there on
    if SHORT < shape[0] <= 2 * SHORT:
        return ones(-(-shape[0] // 2), dtype)
    return ones(shape[0], dtype if shape[0] <= SHORT else np.dtype(np.float64))


def _loses(shape: tuple[int, ...], strides: tuple[int, ...], axes: tuple[int, ...]) -> bool:
    """Whether NumPy adds many terms sequentially, or within a contiguous run in its eight partial sums."""
    terms, stride, run = math.prod(shape[i] for i in axes), 0, 1
    for i in sorted((i for i, n in enumerate(shape) if n > 1), key=lambda i: abs(strides[i])):
        if i not in axes or not strides[i] or (stride and strides[i] != stride):
            break
        run, stride = run * shape[i], strides[i] * shape[i]
    return terms // run > SHORT or run > 2 * SHORT
