"""Arrays joined, taken apart and given axes, by NumPy's names: composed of the ops of shape and rearrange."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.lib.array_utils import normalize_axis_index
from numpy.typing import DTypeLike

from ..core.graph import Array, Tensor, implements
from ..core.registry import numpy_ops
from ..core.remedies import publish
from ..ops.composite import accept_lists
from ..ops.elementwise import astype, converted
from ..ops.gather import take
from ..ops.index import plain_index
from ..ops.lists import gather, members
from ..ops.real import is_integer
from ..ops.rearrange import split
from ..ops.shape import Shape, broadcast_to, concatenate, expand_dims, moveaxis, ravel, reshape

__all__ = [
    "append", "atleast_1d", "atleast_2d", "atleast_3d", "block", "broadcast_arrays", "column_stack", "delete",
    "dsplit", "dstack", "hsplit", "hstack", "insert", "resize", "unstack", "vsplit", "vstack",
]  # fmt: skip


def _each(name: str, arrays: tuple[Any, ...], view: Any) -> Any:
    given = [gather(a, name) for a in arrays]
    pairs = zip(given, members(given), strict=True)  # a list takes the dtype of a Tensor in the call
    found = tuple([view(a if hasattr(a, "shape") else np.asarray(getattr(b, "_array", b))) for a, b in pairs])
    return found[0] if len(found) == 1 else found


@implements(np.atleast_1d)
def atleast_1d(*arrays: Array) -> Any:
    """Each array with one axis at least: a number becomes (1,). One result for one array, else a tuple.   a' = g."""
    return _each("atleast_1d", arrays, lambda a: a if np.ndim(a) else reshape(a, shape=(1,)))


@implements(np.atleast_2d)
def atleast_2d(*arrays: Array) -> Any:
    """Each array with two axes at least: (n,) becomes (1, n). One result for one array, else a tuple.   a' = g."""
    return _each("atleast_2d", arrays, _two_axes)


@implements(np.atleast_3d)
def atleast_3d(*arrays: Array) -> Any:
    """Each array with three axes at least: (n,) becomes (1, n, 1), (m, n) becomes (m, n, 1).   a' = g."""
    return _each("atleast_3d", arrays, _three_axes)


def _two_axes(a: Array) -> Any:
    return reshape(a, shape=(1, np.size(a))) if np.ndim(a) < 2 else a


def _three_axes(a: Array) -> Any:
    return expand_dims(_two_axes(a), -1) if np.ndim(a) < 3 else a


@implements(np.vstack)
def vstack(tup: Sequence[Array], *, dtype: DTypeLike | None = None, casting: str = "same_kind") -> Tensor:
    """y = arrays joined along their first axis, of which vectors are a row each.   Each gets its own slice of g.

    With `dtype`, y has that dtype. TypeError if `casting` does not allow it.
    """
    y = concatenate([_two_axes(a) for a in members(tup)], axis=0)
    return converted("vstack", y, dtype, casting)  # type: ignore[no-any-return]


if "row_stack" in vars(np):  # an old name, not in every version
    implements(vars(np)["row_stack"])(vstack)


@implements(np.hstack)
def hstack(tup: Sequence[Array], *, dtype: DTypeLike | None = None, casting: str = "same_kind") -> Tensor:
    """y = arrays joined along their second axis, vectors along their only one.   Each gets its own slice of g.

    With `dtype`, y has that dtype. TypeError if `casting` does not allow it.
    """
    arrays = [atleast_1d(a) for a in members(tup)]
    y = concatenate(arrays, axis=0 if arrays and np.ndim(arrays[0]) == 1 else 1)
    return converted("hstack", y, dtype, casting)  # type: ignore[no-any-return]


@implements(np.dstack)
def dstack(tup: Sequence[Array]) -> Tensor:
    """y = arrays joined along their third axis, after :func:`atleast_3d`.   Each gets its own slice of g."""
    return concatenate([_three_axes(a) for a in members(tup)], axis=2)


@implements(np.column_stack)
def column_stack(tup: Sequence[Array]) -> Tensor:
    """y = matrices joined along their second axis; a vector is a column.   Each gets its own slice of g."""
    return concatenate([a if np.ndim(a) > 1 else reshape(a, shape=(-1, 1)) for a in members(tup)], axis=1)


@implements(np.append)
def append(arr: Array, values: Array, axis: int | None = None) -> Tensor:
    """y = `arr` and then `values` along `axis`, both flattened for None.   Each gets its own slice of g."""
    arrays = members([arr, values])
    return concatenate([ravel(a) for a in arrays], axis=0) if axis is None else concatenate(arrays, axis=axis)


@implements(np.block)
def block(arrays: Any) -> Tensor:
    """y = nested lists of arrays joined: the innermost along the last axis, the next along the one before it.

    Each gets its own part of g.

    Raises:
        ValueError: if the lists are empty, or not nested equally deep.
    """
    depth = _depth(arrays)
    ndim = max(depth, _most_axes(arrays))

    def joined(part: Any, level: int) -> Any:
        if isinstance(part, list):
            return concatenate(members([joined(p, level + 1) for p in part]), axis=ndim - depth + level)
        return reshape(part, shape=(1,) * (ndim - np.ndim(part)) + np.shape(part))

    return joined(arrays, 0)  # type: ignore[no-any-return]


def _depth(arrays: Any) -> int:
    if not isinstance(arrays, list):
        return 0
    depths = {_depth(a) for a in arrays}
    if len(depths) != 1:
        raise ValueError(
            f"block: lists are nested {sorted(depths)} deep side by side; they must be full and equally deep"
        )
    return 1 + depths.pop()


def _most_axes(arrays: Any) -> int:
    return max(map(_most_axes, arrays)) if isinstance(arrays, list) else np.ndim(arrays)


@implements(np.broadcast_arrays)
def broadcast_arrays(*args: Array) -> tuple[Tensor, ...]:
    """Arrays broadcast to their common shape, as views.   Each gets g summed over the repeats."""
    arrays = members(args)
    shape = np.broadcast_shapes(*map(np.shape, arrays))
    return tuple(broadcast_to(a, shape=shape) for a in arrays)


FEW = 4
"""Slices are taken from slices of more than FEW, the square root of their number: the gradient of each is as large as what it
is taken from."""


def unstack(x: Array, axis: int = 0) -> tuple[Tensor, ...]:
    """The slices of x along `axis`, without that axis.   Each adds its g to x's gradient at its own place.

    Raises:
        ValueError: if `x` has no axis.
    """
    if not np.ndim(x):
        raise ValueError("unstack: `x` is 0-d; it must have an axis to take slices of")
    moved = moveaxis(x, axis, 0)
    n = moved.shape[0]
    if (size := math.isqrt(n)) <= FEW:
        return tuple(moved[i] for i in range(n))
    parts = (moved[i : i + size] for i in range(0, n, size))
    return tuple(part[i] for part in parts for i in range(part.shape[0]))


if hasattr(np, "unstack"):  # new in NumPy 2.1
    implements(np.unstack)(unstack)


@implements(np.vsplit)
def vsplit(ary: Array, indices_or_sections: Any) -> list[Tensor]:
    """:func:`split` along the first axis of an array with two axes at least."""
    return split(_splittable("vsplit", ary, 2), indices_or_sections, 0)


@implements(np.hsplit)
def hsplit(ary: Array, indices_or_sections: Any) -> list[Tensor]:
    """:func:`split` along the second axis, or along the only one of a vector."""
    return split(_splittable("hsplit", ary, 1), indices_or_sections, 1 if np.ndim(ary) > 1 else 0)


@implements(np.dsplit)
def dsplit(ary: Array, indices_or_sections: Any) -> list[Tensor]:
    """:func:`split` along the third axis of an array with three axes at least."""
    return split(_splittable("dsplit", ary, 3), indices_or_sections, 2)


def _splittable(name: str, a: Array, ndim: int) -> Array:
    if np.ndim(a) < ndim:
        raise ValueError(f"{name}: `ary` has shape {np.shape(a)}; it must have at least {ndim} axes")
    return a if hasattr(a, "shape") else np.asarray(a)


@implements(np.delete)
def delete(arr: Array, obj: Any, axis: int | None = None) -> Tensor:
    """y = `arr` without the slices `obj` of `axis`, or without elements of the flattened array.   arr' = g, 0 where deleted.

    Args:
        arr: an array or Tensor.
        obj: a position, a slice, integers, or a Boolean for each slice.
        axis: the axis along which to delete.

    Raises:
        IndexError: if a position is outside the axis.
    """
    a, at = _along("delete", arr, axis)
    kept = np.delete(np.arange(np.shape(a)[at]), _places(obj))
    return take(a, kept, axis=at)


@implements(np.insert)
def insert(arr: Array, obj: Any, values: Array, axis: int | None = None) -> Tensor:
    """y = `arr` with `values` before the positions `obj` of `axis`, or of the flattened array.   Each gets its part of g.

    Args:
        arr: an array or Tensor.
        obj: a position, a slice, or integers, which count in `arr`, not in the result.
        values: broadcast to the slices that are inserted: of the shape of one slice at a single position, else with `axis`.
        axis: the axis along which to insert.

    Raises:
        IndexError: if a position is outside the axis.
        ValueError: if `values` do not broadcast to the inserted shape.
    """
    a, at = _along("insert", arr, axis)
    obj = _places(obj)
    a, values = members([a, values])
    shape, dtype = np.shape(a), getattr(a, "dtype", None) or np.asarray(a).dtype
    n, ndim = shape[at], len(shape)
    values = reshape(values, shape=(1,) * (ndim - np.ndim(values)) + np.shape(values))
    if np.ndim(obj) == 0 and not isinstance(obj, slice):
        values = moveaxis(values, 0, at)  # as in a[:, 0] = values, which differs from a[:, [0]] = values
    if isinstance(obj, slice) or np.asarray(obj).dtype == bool:
        obj = np.arange(n)[obj]  # NumPy 2.0 would take Booleans for the integers 0 and 1
    chosen = np.asarray(obj)
    count = np.shape(values)[at] if chosen.size == 1 else chosen.size
    sizes = (*shape[:at], count, *shape[at + 1 :])
    try:
        whole: Any = broadcast_to(values, shape=sizes)
    except ValueError:
        raise ValueError(
            f"insert: `values` {np.shape(values)} does not broadcast to {sizes}, what is inserted into {shape}"
        ) from None
    whole = astype(whole, dtype)
    order = np.insert(np.arange(n), obj, np.arange(n, n + count))  # of a, and then of the values
    return take(concatenate([a, whole], axis=at), order, axis=at)


def _places(obj: Any) -> Any:
    """Positions whose values are used without ops, which a tracer is told."""
    return plain_index(obj.numpy() if hasattr(obj, "_array") else obj)


def _along(name: str, a: Array, axis: int | None) -> tuple[Any, int]:
    """The array and axis along which to work: the flattened one for None."""
    return (ravel(a), 0) if axis is None else (a, normalize_axis_index(axis, np.ndim(a), name))


@implements(np.resize)
def resize(a: Array, new_shape: Shape) -> Tensor:
    """y = the elements of a in C order, repeated from the start until `new_shape` is full.   a' = g added up over the repeats.

    Raises:
        ValueError: if a size is negative.
    """
    sizes = (new_shape,) if is_integer(new_shape) else tuple(new_shape)
    if any(n < 0 for n in sizes):
        raise ValueError(f"resize: `new_shape` is {new_shape!r}; sizes must not be negative")
    count, n = int(np.prod(sizes, dtype=np.int64)), np.size(a)
    if not n:  # zeros that depend on `a`, as the result of a Tensor is a Tensor
        a, n = concatenate([ravel(a), np.zeros(1, getattr(a, "dtype", np.float64))], axis=0), 1
    return reshape(take(ravel(a), np.arange(count) % n, axis=0), shape=sizes)


accept_lists(globals(), numpy_ops)
publish(globals())
