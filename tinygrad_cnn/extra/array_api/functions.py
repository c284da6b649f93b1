"""The functions of the standard, in its groups. Each calls the library's function of NumPy's name."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from ...numpy_api import difference, join, products, select
from ...ops import compare, elementwise, gather, index, masked, rearrange, reduce, running
from ...ops import matmul as matrices
from ...ops import shape as shapes
from ...ops import sort as sorting
from ...ops.index import getitem
from ...tensor import Tensor
from .wrapping import BINARY, UNARY, on_tensors, tensor, tensors

_ELEMENTWISE = {
    UNARY: """
        abs acos acosh asin asinh atan atanh bitwise_invert ceil conj cos cosh exp expm1 floor imag isfinite isinf isnan log
        log10 log1p log2 logical_not negative positive real reciprocal round sign signbit sin sinh sqrt square tan tanh
        trunc""",
    BINARY: """
        add atan2 bitwise_and bitwise_left_shift bitwise_or bitwise_right_shift bitwise_xor copysign divide equal floor_divide
        greater greater_equal hypot less less_equal logaddexp logical_and logical_or logical_xor maximum minimum multiply
        nextafter not_equal pow remainder subtract""",
}
"""Functions that work element by element, as NumPy has them."""

for _signature, _names in _ELEMENTWISE.items():
    for _name in _names.split():
        _function = globals()[_name] = on_tensors(getattr(np, _name), _signature)
        _function.__name__ = _function.__qualname__ = _name
        _function.__signature__ = _signature  # type: ignore[attr-defined]
        _function.__module__ = __name__


def clip(x: Any, /, min: Any = None, max: Any = None) -> Tensor:
    """The elements of x, at least `min` and at most `max`, in the dtype of x."""
    x = tensor(x)
    y = elementwise.clip(x, min, max)
    return y if y.dtype == x.dtype else y.astype(x.dtype)


# Linear algebra


def matmul(x1: Any, x2: Any, /) -> Tensor:
    """Products of matrices."""
    return matrices.matmul(tensor(x1), tensor(x2))


def matrix_transpose(x: Any, /) -> Tensor:
    """Matrices with rows and columns exchanged."""
    return shapes.matrix_transpose(tensor(x))


def tensordot(x1: Any, x2: Any, /, *, axes: Any = 2) -> Tensor:
    """Sums of products over axes of both arrays."""
    return matrices.tensordot(tensor(x1), tensor(x2), axes)


def vecdot(x1: Any, x2: Any, /, *, axis: int = -1) -> Tensor:
    """Sums of products along an axis."""
    return products.vecdot(tensor(x1), tensor(x2), axis=axis)


# Manipulation


def broadcast_arrays(*arrays: Any) -> list[Tensor]:
    """The arrays in their common shape."""
    return list(join.broadcast_arrays(*map(tensor, arrays)))


def broadcast_to(x: Any, /, shape: Any) -> Tensor:
    """x in a larger shape."""
    return shapes.broadcast_to(tensor(x), shape)


def concat(arrays: Any, /, *, axis: int | None = 0) -> Tensor:
    """The arrays joined along an axis, or flattened and joined."""
    return shapes.concatenate([tensor(x) for x in arrays], axis)


def expand_dims(x: Any, /, axis: Any) -> Tensor:
    """x with a new axis of size 1."""
    return shapes.expand_dims(tensor(x), axis)


def flip(x: Any, /, *, axis: Any = None) -> Tensor:
    """x in reverse order along axes."""
    return rearrange.flip(tensor(x), axis)


def moveaxis(x: Any, source: Any, destination: Any, /) -> Tensor:
    """x with axes at other positions."""
    return shapes.moveaxis(tensor(x), source, destination)


def permute_dims(x: Any, /, axes: Any) -> Tensor:
    """x with its axes in another order."""
    return shapes.transpose(tensor(x), tuple(axes))


def repeat(x: Any, repeats: Any, /, *, axis: int | None = None) -> Tensor:
    """Each element of x several times."""
    counts: Any = repeats.numpy() if isinstance(repeats, Tensor) else repeats
    return rearrange.repeat(tensor(x), counts, axis)


def reshape(x: Any, /, shape: Any, *, copy: bool | None = None) -> Tensor:
    """The elements of x in another shape.

    Raises:
        ValueError: without a copy (`copy=False`), where one is needed.
    """
    x = tensor(x)
    y = shapes.reshape(x, shape)
    if copy is False and not np.may_share_memory(x._array, y._array):
        raise ValueError(f"reshape: {x.shape} cannot become {y.shape} without a copy")
    return y.copy() if copy and np.may_share_memory(x._array, y._array) else y


def roll(x: Any, /, shift: Any, *, axis: Any = None) -> Tensor:
    """x moved along axes, where what leaves at one end comes in at the other."""
    return rearrange.roll(tensor(x), shift, axis)


def squeeze(x: Any, /, axis: Any) -> Tensor:
    """x without axes of size 1."""
    return shapes.squeeze(tensor(x), axis)


def stack(arrays: Any, /, *, axis: int = 0) -> Tensor:
    """The arrays joined along a new axis."""
    return shapes.stack([tensor(x) for x in arrays], axis)


def tile(x: Any, repetitions: Any, /) -> Tensor:
    """x several times along each axis."""
    return rearrange.tile(tensor(x), repetitions)


def unstack(x: Any, /, *, axis: int = 0) -> tuple[Tensor, ...]:
    """The parts of x along an axis."""
    return tuple(join.unstack(tensor(x), axis))


# Indexing and searching


def take(x: Any, indices: Any, /, *, axis: int | None = None) -> Tensor:
    """The elements of x at indices along an axis, the only one if `axis` is None."""
    return gather.take(tensor(x), indices, 0 if axis is None else axis)


def take_along_axis(x: Any, indices: Any, /, *, axis: int = -1) -> Tensor:
    """The elements of x at an index along an axis for each line."""
    return gather.take_along_axis(tensor(x), indices, axis)


def argmax(x: Any, /, *, axis: int | None = None, keepdims: bool = False) -> Tensor:
    """The first index of the largest element."""
    return reduce.argmax(tensor(x), axis, keepdims)


def argmin(x: Any, /, *, axis: int | None = None, keepdims: bool = False) -> Tensor:
    """The first index of the smallest element."""
    return reduce.argmin(tensor(x), axis, keepdims)


def count_nonzero(x: Any, /, *, axis: Any = None, keepdims: bool = False) -> Tensor:
    """The number of elements that are not zero."""
    return reduce.sum(compare.not_equal(tensor(x), 0), axis, keepdims)


def nonzero(x: Any, /) -> tuple[Tensor, ...]:
    """The indices of the elements that are not zero, one Tensor for each axis.

    Raises:
        ValueError: if x has no axes.
    """
    return tuple(index.nonzero(tensor(x)))


def searchsorted(x1: Any, x2: Any, /, *, side: Any = "left", sorter: Any = None) -> Tensor:
    """The positions in x1, which is sorted, at which the elements of x2 would be inserted."""
    return select.searchsorted(tensor(x1), tensor(x2), side, sorter)


def where(condition: Any, x1: Any, x2: Any, /) -> Tensor:
    """The elements of x1 where `condition` holds, else those of x2."""
    return elementwise.where(tensor(condition), x1, x2)


# Sets. Their values can have no gradient: which elements are equal is no smooth property.


class UniqueAll(NamedTuple):
    """The result of :func:`unique_all`."""

    values: Tensor
    indices: Tensor
    inverse_indices: Tensor
    counts: Tensor


class UniqueCounts(NamedTuple):
    """The result of :func:`unique_counts`."""

    values: Tensor
    counts: Tensor


class UniqueInverse(NamedTuple):
    """The result of :func:`unique_inverse`."""

    values: Tensor
    inverse_indices: Tensor


def unique_all(x: Any, /) -> UniqueAll:
    """The different elements in order, the first index of each, the position of each element of x among them, and counts.

    The elements are recorded; NaNs count as different.
    """
    x = tensor(x)
    found = np.unique(
        x.numpy().reshape(-1), return_index=True, return_inverse=True, return_counts=True, equal_nan=False
    )
    _, indices, inverse, counts = found
    values = getitem(x.reshape(-1), index=indices)
    return UniqueAll(values, *map(tensors, (indices, inverse.reshape(x.shape), counts)))


def unique_counts(x: Any, /) -> UniqueCounts:
    """The different elements, and how often each occurs."""
    found = unique_all(x)
    return UniqueCounts(found.values, found.counts)


def unique_inverse(x: Any, /) -> UniqueInverse:
    """The different elements, and the position of each element of x among them."""
    found = unique_all(x)
    return UniqueInverse(found.values, found.inverse_indices)


def unique_values(x: Any, /) -> Tensor:
    """The different elements, in order."""
    return unique_all(x).values


# Sorting


def argsort(x: Any, /, *, axis: int = -1, descending: bool = False, stable: bool = True) -> Tensor:
    """The indices that sort x along an axis; equal elements keep their order."""
    return sorting.argsort(tensor(x), axis, descending)


def sort(x: Any, /, *, axis: int = -1, descending: bool = False, stable: bool = True) -> Tensor:
    """x in order along an axis."""
    return sorting.sort(tensor(x), axis, descending)


# Statistics


def cumulative_prod(x: Any, /, *, axis: int | None = None, dtype: Any = None, include_initial: bool = False) -> Tensor:
    """Products of the first elements along an axis."""
    return running.cumulative_prod(tensor(x), axis, dtype=dtype, include_initial=include_initial)


def cumulative_sum(x: Any, /, *, axis: int | None = None, dtype: Any = None, include_initial: bool = False) -> Tensor:
    """Sums of the first elements along an axis."""
    return running.cumulative_sum(tensor(x), axis, dtype=dtype, include_initial=include_initial)


def max(x: Any, /, *, axis: Any = None, keepdims: bool = False) -> Tensor:
    """The largest element."""
    return reduce.max(tensor(x), axis, keepdims)


def mean(x: Any, /, *, axis: Any = None, keepdims: bool = False) -> Tensor:
    """The mean."""
    return reduce.mean(tensor(x), axis, keepdims)


def min(x: Any, /, *, axis: Any = None, keepdims: bool = False) -> Tensor:
    """The smallest element."""
    return reduce.min(tensor(x), axis, keepdims)


def prod(x: Any, /, *, axis: Any = None, dtype: Any = None, keepdims: bool = False) -> Tensor:
    """The product."""
    return reduce.prod(tensor(x), axis, keepdims, dtype=dtype)


def std(x: Any, /, *, axis: Any = None, correction: float = 0.0, keepdims: bool = False) -> Tensor:
    """The standard deviation, with n - `correction` in the denominator."""
    return masked.std(tensor(x), axis, correction=correction, keepdims=keepdims)


def sum(x: Any, /, *, axis: Any = None, dtype: Any = None, keepdims: bool = False) -> Tensor:
    """The sum."""
    return reduce.sum(tensor(x), axis, keepdims, dtype=dtype)


def var(x: Any, /, *, axis: Any = None, correction: float = 0.0, keepdims: bool = False) -> Tensor:
    """The variance, with n - `correction` in the denominator."""
    return masked.var(tensor(x), axis, correction=correction, keepdims=keepdims)


# Utilities


def all(x: Any, /, *, axis: Any = None, keepdims: bool = False) -> Tensor:
    """Whether all elements are true."""
    return reduce.all(tensor(x), axis, keepdims)


def any(x: Any, /, *, axis: Any = None, keepdims: bool = False) -> Tensor:
    """Whether an element is true."""
    return reduce.any(tensor(x), axis, keepdims)


def diff(x: Any, /, *, axis: int = -1, n: int = 1, prepend: Any = None, append: Any = None) -> Tensor:
    """Differences of neighbours along an axis, taken n times."""
    return difference.diff(tensor(x), n, axis, prepend, append)


__all__ = [
    *" ".join(_ELEMENTWISE.values()).split(), "UniqueAll", "UniqueCounts", "UniqueInverse", "all", "any", "argmax", "argmin",
    "argsort", "broadcast_arrays", "broadcast_to", "clip", "concat", "count_nonzero", "cumulative_prod", "cumulative_sum",
    "diff", "expand_dims", "flip", "matmul", "matrix_transpose", "max", "mean", "min", "moveaxis", "nonzero", "permute_dims",
    "prod", "repeat", "reshape", "roll", "searchsorted", "sort", "squeeze", "stack", "std", "sum", "take", "take_along_axis",
    "tensordot", "tile", "unique_all", "unique_counts", "unique_inverse", "unique_values", "unstack", "var", "vecdot", "where",
]  # fmt: skip
