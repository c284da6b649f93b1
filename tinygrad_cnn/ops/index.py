"""Indexing: reading a selection, writing one, and the adjoint of reading: adding values into a field of zeros.

Three ways to select, each with its adjoint: any NumPy index (a parameter), a list of positions on one axis, and one
position per line along an axis (both inputs, so that whoever observes op calls sees where positions came from).
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.lib.array_utils import normalize_axis_index

from ..core.graph import Array, op
from ..core.tracing import tracer
from .elementwise import add, cast_discrete, copy, mul, where
from .real import real
from .shape import pad_constant, sum_to

if TYPE_CHECKING:
    from ..tensor import Tensor

__all__ = [
    "index_add", "index_set", "masked_fill", "put_along_axis", "scatter_add", "take", "take_along_axis",
]  # fmt: skip


# Any index


@op
def getitem(a: Array, *, index: Any) -> Array:
    """y = a[index], any NumPy index; basic indices give views.   a' = g added into zeros at `index`."""
    return a[index]


@op
def add_at_zeros(u: Array, *, index: Any, shape: tuple[int, ...]) -> Array:
    """y = zeros of `shape`, with u added at `index`, repeats adding up: the adjoint of getitem.   u' = g[index]."""
    if not _selects_once(index):
        return _added(u, _positions(index, shape), shape)
    out = np.zeros(shape, u.dtype)
    out[index] = u
    return out


getitem.vjp(a=lambda g, in_shape, index: add_at_zeros(g, index=index, shape=in_shape))
add_at_zeros.vjp(u=lambda g, index: getitem(g, index=index))


@op
def assign(a: Array, value: Array, *, index: Any) -> Array:
    """y = a, but y[index] = value.   a' = g with zeros there,  value' = g[index] where it was the last one written."""
    out = np.array(a, order="C")
    if _selects_once(index):
        out[index] = value
    else:
        positions = _positions(index, out.shape)
        out.reshape(-1)[positions.reshape(-1)] = np.broadcast_to(value, positions.shape).reshape(-1)
    return out


def _assign_value(g: Array, in_shape: tuple[int, ...], index: Any) -> Array:
    seen = getitem(g, index=index)
    return sum_to(seen if _selects_once(index) else where(_written_last(index, g.shape), seen, 0), shape=in_shape)


assign.vjp(a=lambda g, index: assign(g, 0, index=index), value=_assign_value)


def index_set(x: Array, index: Any, value: Array) -> Tensor:
    """A new y that equals `x`, except that y[index] = value: assignment without writing into what is recorded.

    Args:
        x: an array or Tensor.
        index: any NumPy index.
        value: broadcasts to the shape of ``x[index]``. Where an index repeats, the last one written stays.

    Raises:
        IndexError: if `index` does not fit `x`.
        ValueError: if `value` does not broadcast to the selection.
        TypeError: if x's dtype cannot hold `value`.

    >>> import tinygrad_cnn as tg
    >>> tg.index_set(tg.zeros(2, 3), (0, slice(1, None)), 5.0)
    Tensor([[0., 5., 5.],
            [0., 0., 0.]], dtype=float32)
    """
    index = plain_index(index)
    try:
        size = np.asarray(getattr(x, "_array", x))[index].shape
    except IndexError as error:
        raise IndexError(f"index_set: {error} (`x` has shape {np.shape(x)})") from None
    return _set("index_set", x, index, value, size)


def _set(name: str, x: Array, index: Any, value: Array, size: tuple[int, ...]) -> Tensor:
    have, got = (np.asarray(getattr(part, "_array", part)).dtype for part in (x, value))
    if not np.can_cast(got, have, "same_kind"):
        raise TypeError(f"{name}: an array of {have} cannot hold values of {got}; convert one of them with astype")
    if not _fits(np.shape(value), size):
        raise ValueError(
            f"{name}: the values have shape {np.shape(value)}, which does not broadcast to the selection's shape {size}; "
            "from the right, sizes must be equal or 1"
        )
    return assign(x, value, index=index)


def masked_fill(a: Array, mask: Array, value: Array) -> Tensor:
    """y = value where `mask` holds, else a.   a' = g where it does not,  value' = g where it does, summed.

    Args:
        a: an array or Tensor.
        mask: Boolean; broadcasts with `a`. Their common shape is that of y.
        value: a number, or an array that broadcasts to this shape.

    Raises:
        TypeError: if `mask` is not Boolean.
        ValueError: if `mask` does not broadcast with `a`, or `value` to their common shape.
    """
    if not hasattr(mask, "dtype") or mask.dtype != bool:
        raise TypeError(
            f"masked_fill: `mask` is {getattr(mask, 'dtype', type(mask).__name__)}; it must be a Boolean array, such as "
            "x > 0"
        )
    shapes = np.shape(a), np.shape(mask)
    try:
        shape = np.broadcast_shapes(*shapes)
    except ValueError:
        raise ValueError(
            f"masked_fill: `mask` {shapes[1]} does not broadcast with `a` {shapes[0]}; from the right, sizes must be equal or 1"
        ) from None
    if not _fits(np.shape(value), shape):
        raise ValueError(
            f"masked_fill: `value` {np.shape(value)} does not broadcast to {shape}, the shape of `a` {shapes[0]} with `mask` "
            f"{shapes[1]}; from the right, its sizes must be equal or 1"
        )
    return where(mask, value, a)


def _fits(small: tuple[int, ...], large: tuple[int, ...]) -> bool:
    extra = len(large) - len(small)
    return extra >= 0 and all(n in (1, m) for n, m in zip(small, large[extra:], strict=True))


# Positions on one axis


@op(numpy=np.take)
def take(a: Array, indices: Array, *, axis: int | None = None) -> Array:
    """y = a[..., indices, ...] with integer `indices` at `axis`, or into the flattened a.   a' = g added back there.

    Args:
        a: an array or Tensor.
        indices: integers of any shape, which replaces `axis` in the result's shape; negative ones count from the end.
        axis: the axis to index, or None for a in C order.

    Raises:
        TypeError: if `indices` are not integers.
        IndexError: if an index is outside the axis.
    """
    return np.take(a, checked("take", "indices", indices, _length("take", a, axis)), axis)


@op
def add_taken(u: Array, indices: Array, *, axis: int | None, shape: tuple[int, ...]) -> Array:
    """y = zeros of `shape`, with u added at `indices` of `axis`: the adjoint of take.   u' = take(g)."""
    if axis is None or not shape:
        return _added(u, _wrapped(indices, math.prod(shape)), shape)
    axis = normalize_axis_index(axis, len(shape))
    before, n, after = math.prod(shape[:axis]), shape[axis], math.prod(shape[axis + 1 :])
    lines = np.arange(before).reshape(-1, 1) * n + _wrapped(indices, n).reshape(1, -1)  # (before, indices)
    return _added(u, lines[..., None] * after + np.arange(after), shape)


take.vjp(a=lambda g, indices, in_shape, axis: add_taken(g, indices, axis=axis, shape=in_shape))
add_taken.vjp(u=lambda g, indices, axis: take(g, indices, axis=axis))


def index_add(x: Array, axis: int, index: Array, src: Array, *, alpha: float = 1) -> Tensor:
    """y = x with the slices of alpha `src` added to those of `x` at positions `index` of `axis`, repeats adding up.

    The order of arguments is that of torch.index_add.   x' = g,  src' = alpha take(g, index).

    Args:
        x: an array or Tensor.
        axis: the axis that `index` counts along.
        index: 1-D integers; negative ones count from the end.
        src: x's shape, but with len(index) along `axis`.
        alpha: a number.

    Raises:
        TypeError: if `index` are not integers, or `alpha` is not a real number.
        IndexError: if an index is outside the axis.
        ValueError: if the shapes do not fit.
    """
    shape = np.shape(x)
    at = normalize_axis_index(axis, len(shape), "index_add")
    _ensure("index_add", "index", index, shape[at])
    wanted = (*shape[:at], *np.shape(index), *shape[at + 1 :])
    if np.ndim(index) != 1 or np.shape(src) != wanted:
        raise ValueError(
            f"index_add: `src` is {np.shape(src)} and `index` is {np.shape(index)}, but `index` must be 1-D and `src` have "
            f"its length along axis {axis} of `x` {shape}"
        )
    real("index_add", "alpha", alpha)
    return add(x, add_taken(src if alpha == 1 else mul(src, alpha), index, axis=at, shape=shape))


# One position per line along an axis


@op(numpy=np.take_along_axis)
def take_along_axis(a: Array, indices: Array, *, axis: int | None = -1) -> Array:
    """y_(..i..) = a_(..indices_(..i..)..), the index standing at `axis`.   a' = g added back there.

    Args:
        a: an array or Tensor.
        indices: integers with a's number of axes, whose sizes other than at `axis` broadcast with a's; negative ones
            count from the end.
        axis: the axis to index; None takes 1-D indices into the flattened a.

    Raises:
        TypeError: if `indices` are not integers.
        IndexError: if an index is outside the axis, or the shapes do not fit.
    """
    return np.take_along_axis(a, _lines("take_along_axis", np.shape(a), indices, axis), axis)


@op
def add_along_axis(u: Array, indices: Array, *, axis: int | None, shape: tuple[int, ...]) -> Array:
    """y = zeros of `shape`, with u added at `indices` along `axis`: the adjoint of take_along_axis.   u' = take there."""
    if axis is None:
        return _added(u, _wrapped(indices, math.prod(shape)), shape)
    return _added(u, np.ravel_multi_index(_along(indices, axis, shape), shape), shape)


take_along_axis.vjp(a=lambda g, indices, in_shape, axis: add_along_axis(g, indices, axis=axis, shape=in_shape))
add_along_axis.vjp(u=lambda g, indices, axis: take_along_axis(g, indices, axis=axis))


def put_along_axis(a: Array, indices: Array, values: Array, axis: int = -1) -> Tensor:
    """A new y that equals `a`, except that y_(..indices_(..i..)..) = values_(..i..), the index standing at `axis`.

    Args:
        a: an array or Tensor; it is left as it is, which is where this differs from np.put_along_axis.
        indices: as for :func:`take_along_axis`. Where one repeats, the last value written stays.
        values: broadcast to the shape of the selection.
        axis: the axis to index.

    Raises:
        TypeError: if `indices` are not integers, or a's dtype cannot hold `values`.
        IndexError: if an index is outside the axis, or the shapes do not fit.
        ValueError: if `values` do not broadcast to the selection.
    """
    at = normalize_axis_index(axis, np.ndim(a), "put_along_axis")
    _check_lines("put_along_axis", np.shape(a), np.shape(indices), at)
    _ensure("put_along_axis", "indices", indices, np.shape(a)[at])
    lines = _along(indices, at, np.shape(a))
    return _set("put_along_axis", a, lines, values, np.broadcast_shapes(*(part.shape for part in lines)))


def scatter_add(x: Array, axis: int, index: Array, src: Array) -> Tensor:
    """y = x, with each src_(..i..) added at x_(..index_(..i..)..), the index standing at `axis`; repeats add up.

    The order of arguments is that of torch.scatter_add.   x' = g,  src' = g taken at `index`, zero outside of it.

    Args:
        x: an array or Tensor.
        axis: the axis that `index` counts along.
        index: integers with the axes of `x`, not larger than `x` on the others; negative ones count from the end.
        src: not smaller than `index` on any axis; what lies beyond it is not used.

    Raises:
        TypeError: if `index` are not integers.
        IndexError: if an index is outside the axis.
        ValueError: if the shapes do not fit.
    """
    shape, size = np.shape(x), np.shape(index)
    at = normalize_axis_index(axis, len(shape), "scatter_add")
    _ensure("scatter_add", "index", index, shape[at])
    fits = len(size) == len(shape) == np.ndim(src) and all(
        n <= m and (i == at or n <= k) for i, (n, m, k) in enumerate(zip(size, np.shape(src), shape, strict=True))
    )
    if not fits:
        raise ValueError(
            f"scatter_add: `index` {size} must have as many axes as `x` {shape} and `src` {np.shape(src)}, and be no larger "
            f"than `src`, nor than `x` except on axis {axis}"
        )
    used = src if np.shape(src) == size else src[tuple(map(slice, size))]
    corner = (*size[:at], shape[at], *size[at + 1 :])  # an index smaller than x stands for the first lines only
    sums = add_along_axis(used, index, axis=at, shape=corner)
    if corner != shape:
        sums = pad_constant(sums, pad_width=[(0, k - n) for n, k in zip(corner, shape, strict=True)])
    return add(x, sums)


# Checks and positions


def native(a: Array) -> np.ndarray:
    """`a` as an array in native byte order: of another, NumPy before 2.2 may crash on a comparison with a Python number."""
    array = np.asarray(a)
    return array if array.dtype.isnative else array.astype(array.dtype.newbyteorder())


def checked(name: str, argument: str, indices: Array, size: int) -> np.ndarray:
    """`indices` as an array of np.intp whose values lie from -size to size - 1.

    Raises:
        TypeError: if they are not integers.
        IndexError: if one lies outside.
    """
    array = native(indices)
    if not array.size and array.dtype.kind == "f":
        return array.astype(np.intp)  # the empty list
    if array.dtype.kind not in "iu":
        raise TypeError(f"{name}: `{argument}` is {array.dtype}; it must hold integers: convert it with astype(int)")
    outside = (array < -size) | (array >= size)
    if outside.any():
        span = f"run from {-size} to {size - 1}" if size else "cannot exist"
        raise IndexError(
            f"{name}: `{argument}` holds {array[outside].flat[0]}, but the axis has size {size}; its indices {span}"
        )
    return array.astype(np.intp, copy=False)


def _ensure(name: str, argument: str, indices: Array, size: int) -> None:
    """:func:`checked`, now and whenever a captured run is repeated."""
    array = np.asarray(getattr(indices, "_array", indices))
    checked(name, argument, array, size)
    if tracer().captures:
        tracer().effect(lambda array: _discard(checked(name, argument, array, size)), array)


def _discard(_: Any) -> None:
    pass


def _length(name: str, a: Array, axis: int | None) -> int:
    shape = np.shape(a) if axis is None else np.shape(a) or (1,)
    return math.prod(shape) if axis is None else shape[normalize_axis_index(axis, len(shape), name)]


def _lines(name: str, shape: tuple[int, ...], indices: Array, axis: int | None) -> np.ndarray:
    """Indices along an axis of an array of `shape`, checked."""
    if axis is None:
        return checked(name, "indices", indices, math.prod(shape))
    at = normalize_axis_index(axis, len(shape), name)
    _check_lines(name, shape, np.shape(indices), at)
    return checked(name, "indices", indices, shape[at])


def _check_lines(name: str, shape: tuple[int, ...], size: tuple[int, ...], at: int) -> None:
    if len(size) != len(shape) or any(
        i != at and n != m and 1 not in (n, m) for i, (n, m) in enumerate(zip(size, shape, strict=True))
    ):
        raise IndexError(
            f"{name}: `indices` {size} does not fit `a` {shape}; it must have as many axes, of sizes that broadcast except "
            f"on axis {at}"
        )


def _along(indices: Array, axis: int, shape: tuple[int, ...]) -> tuple[np.ndarray, ...]:
    """The full index that stands for one position per line: that position at `axis`, every position elsewhere."""
    grid = list(np.ogrid[tuple(map(slice, shape))])
    axis = normalize_axis_index(axis, len(shape))
    grid[axis] = _wrapped(indices, shape[axis])
    return tuple(grid)


def _wrapped(indices: Array, size: int) -> np.ndarray:
    """Indices counted from the start."""
    whole = cast_discrete(indices, dtype=np.dtype(np.intp))
    wrapped: Any = where(whole < 0, whole + size, whole)
    return wrapped if isinstance(wrapped, np.ndarray) else np.asarray(getattr(wrapped, "_array", wrapped))


def plain_index(index: Any) -> Any:
    """An index with arrays of its own for the Tensors, arrays and lists in it: a node keeps it, whatever they become."""
    return tuple(map(_plain, index)) if isinstance(index, tuple) else _plain(index)


def _plain(part: Any) -> Any:
    if isinstance(part, list):
        return np.asarray(part, dtype=None if part else np.intp)
    if not hasattr(part, "__array__"):
        return part
    if tracer().captures:
        return getattr(copy(part), "_array", part)  # the index is a value of the captured run, and stays an array
    array = np.array(part)
    return array if array.ndim else array[()]


def _selects_once(index: Any) -> bool:
    """Whether no element can be selected twice: no part of `index` is an integer array."""
    parts = index if isinstance(index, tuple) else (index,)
    return all(
        part is None or part is Ellipsis or isinstance(part, slice | int | np.integer | np.bool_)
        or (isinstance(part, np.ndarray) and part.dtype == bool)
        for part in parts
    )  # fmt: skip


def _positions(index: Any, shape: tuple[int, ...]) -> np.ndarray:
    """The positions, in C order, of what `index` selects from an array of `shape`, in the selection's shape."""
    if (
        isinstance(index, np.ndarray) and index.dtype.kind in "iu"
    ):  # rows of a table that may be large: see no more of it
        width = math.prod(shape[1:])
        flat = _wrapped(index, shape[0]).reshape(-1, 1) * width + np.arange(width)
        return flat.reshape(*index.shape, *shape[1:])
    return np.asarray(np.arange(math.prod(shape)).reshape(shape)[index])


def _added(u: Array, positions: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """Zeros of `shape` with u added at positions in C order: with both flat, np.add.at is several times faster."""
    out = np.zeros(shape, u.dtype)
    np.add.at(out.reshape(-1), positions.reshape(-1), u.reshape(-1))
    return out


def _written_last(index: Any, shape: tuple[int, ...]) -> np.ndarray:
    """Whether each value of a selection is the last one that is written to its place."""
    positions = _positions(index, shape)
    flat, turn = positions.reshape(-1), np.arange(positions.size)
    last = np.empty(math.prod(shape), np.intp)
    last[flat] = turn
    return np.asarray(last[flat] == turn).reshape(positions.shape)
