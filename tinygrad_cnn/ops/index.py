"""Indexing by any NumPy index: reading, writing, and the adjoint of reading. In docstrings, g is the incoming gradient."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from ..core.graph import Array, Tensor, implements, op
from ..core.tracing import tracer
from . import lists
from .data import plain
from .elementwise import copy, where
from .shape import broadcast_to, sum_to

__all__ = ["argwhere", "index_set", "masked_fill", "masked_select", "nonzero"]


@op(linear=["a"])
def getitem(a: Array, *, index: Any) -> Array:
    """y = a[index], any NumPy index; basic indices give views.   a' = g added into zeros at `index`."""
    return a[index]


@op(linear=["u"])
def add_at_zeros(u: Array, *, index: Any, shape: tuple[int, ...]) -> Array:
    """y = zeros of `shape`, with u added at `index`, summed where indices repeat: the adjoint of getitem.   u' = g[index]."""
    if _selects_once(index):
        y = np.zeros(shape, u.dtype)
        y[index] = u
        return y
    if _has_few_that_differ(index):
        y = np.zeros(shape, u.dtype)
        y[index] += u
        return y
    y = np.zeros(shape, np.result_type(u, np.float32) if u.dtype.kind == "f" else u.dtype)
    # np.add.at is several times faster on flat arrays of one dtype
    np.add.at(y.reshape(-1), _positions(index, shape).reshape(-1), u.reshape(-1).astype(y.dtype, copy=False))
    return y.astype(u.dtype, copy=False)


getitem.vjp(a=lambda g, in_shape, index: add_at_zeros(g, index=index, shape=in_shape))
add_at_zeros.vjp(u=lambda g, index: getitem(g, index=index))


def _add_at(whole: np.ndarray, u: Array, index: Any) -> bool:
    """Add u to an array at `index`, in place. False if elements may repeat: add_at_zeros then adds these up first."""
    if index.__class__ is not int and not _selects_once(index) and not _has_few_that_differ(index):
        return False
    whole[index] += u
    return True


getitem.op.adds = _add_at


@op(complex=True)
def assign(a: Array, value: Array, *, index: Any) -> Array:
    """y = a, but y[index] = value.   a' = g with zeros at `index`,  value' = g[index] where the value was written last."""
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
assign.jvp(a=lambda t, index: assign(t, 0, index=index),
           value=lambda t, index, out_shape: assign(np.zeros(out_shape, t.dtype), t, index=index))  # fmt: skip


def index_set(x: Array, index: Any, value: Array) -> Tensor:
    """A new y that equals `x`, except that y[index] = value: assignment without changing `x` in place.

    Args:
        x: an array or Tensor.
        index: any NumPy index.
        value: broadcasts to the shape of ``x[index]``. If an index repeats, the last value is kept.

    Raises:
        IndexError: if `index` is invalid for `x`.
        ValueError: if `value` does not broadcast to the selection.
        TypeError: if x's dtype cannot hold `value`.

    >>> import tinygrad_cnn as tg
    >>> tg.index_set(tg.zeros(2, 3), (0, slice(1, None)), 5.0)
    Tensor([[0., 5., 5.],
            [0., 0., 0.]], dtype=float32)
    """
    x, index = as_tensor_like_index(x, index), plain_index(index)
    try:
        size = _array(x)[index].shape
    except IndexError as error:
        raise IndexError(f"index_set: {error} (`x` has shape {np.shape(x)})") from None
    return assigned("index_set", x, index, value, size)


def _array(x: Array) -> Any:
    array = getattr(x, "_array", x)
    return array if hasattr(array, "dtype") else np.asarray(array)


def assigned(name: str, x: Array, index: Any, value: Array, size: tuple[int, ...]) -> Tensor:
    """:func:`assign` of values after a check. TypeError or ValueError, which begins with `name`, if they cannot be assigned."""
    have, got = (_array(part).dtype for part in (x, value))
    if not np.can_cast(got, have, "same_kind"):
        raise TypeError(f"{name}: an array of {have} cannot hold values of {got}; convert one of them with astype")
    if not fits(np.shape(value), size):
        raise ValueError(
            f"{name}: the values have shape {np.shape(value)}, which does not broadcast to the selection's shape {size}; "
            "from the right, sizes must be equal or 1"
        )
    return assign(x, value, index=index)


def masked_fill(a: Array, mask: Array, value: Array) -> Tensor:
    """y = value where `mask` holds, else a.   a' = g where `mask` is False, else 0;   value' = g where it is True, summed.

    Args:
        a: an array or Tensor.
        mask: Boolean; broadcasts with `a`. Their common shape is that of y.
        value: a number, or an array that broadcasts to this shape.

    Raises:
        TypeError: if `mask` is not Boolean.
        ValueError: if `mask` does not broadcast with `a`, or `value` to their common shape.
    """
    shape = _masked_shape("masked_fill", a, mask)
    if not fits(np.shape(value), shape):
        raise ValueError(
            f"masked_fill: `value` {np.shape(value)} does not broadcast to {shape}, the shape of `a` {np.shape(a)} with `mask` "
            f"{np.shape(mask)}; from the right, its sizes must be equal or 1"
        )
    return where(mask, value, a)


def masked_select(a: Array, mask: Array) -> Tensor:
    """y = the elements of `a` where `mask` holds, in C order, both broadcast to one shape.   a' = g there, else 0.

    Raises:
        TypeError: if `mask` is not Boolean.
        ValueError: if `mask` does not broadcast with `a`.
    """
    shape = _masked_shape("masked_select", a, mask)
    chosen = plain_index(mask if np.shape(mask) == shape else broadcast_to(mask, shape=shape))
    return getitem(a if np.shape(a) == shape else broadcast_to(a, shape=shape), index=chosen)


def _masked_shape(name: str, a: Array, mask: Array) -> tuple[int, ...]:
    """The common shape of an array and its mask, after a check."""
    if not hasattr(mask, "dtype") or mask.dtype != bool:
        raise TypeError(
            f"{name}: `mask` is {getattr(mask, 'dtype', type(mask).__name__)}; it must be a Boolean array, such as x > 0"
        )
    try:
        return np.broadcast_shapes(np.shape(a), np.shape(mask))
    except ValueError:
        raise ValueError(
            f"{name}: `mask` {np.shape(mask)} does not broadcast with `a` {np.shape(a)}; from the right, sizes must be equal "
            "or 1"
        ) from None


def fits(small: tuple[int, ...], large: tuple[int, ...]) -> bool:
    """Whether an array of shape `small` broadcasts to `large`."""
    extra = len(large) - len(small)
    return extra >= 0 and all(n in (1, m) for n, m in zip(small, large[extra:], strict=True))


_NOT_COPIED = frozenset({int, slice, type(None), type(Ellipsis), bool})


def plain_index(index: Any) -> Any:
    """An index with copies of the Tensors, arrays and sequences in it, because a node keeps it and they may change later."""
    return tuple(map(_plain, index)) if isinstance(index, tuple) else _plain(index)


def as_tensor_like_index(x: Array, index: Any) -> Array:
    """x, as a Tensor if there is one in its index: an op on plain arrays is not recorded, and a tracer would not see it."""
    parts = index if isinstance(index, tuple) else (index,)
    if hasattr(x, "_array") or not any(hasattr(part, "_array") for part in parts):
        return x
    return lists.tensor(np.asarray(x))


def _plain(part: Any) -> Any:
    if part.__class__ in _NOT_COPIED:
        return part
    if isinstance(part, Sequence) and not isinstance(part, str | bytes) and not hasattr(part, "__array__"):
        return np.asarray(part, dtype=None if part else np.intp)
    part = plain(part, "index")
    if not hasattr(part, "__array__"):
        return part
    if tracer().follows_rules:
        return getattr(copy(part), "_array", part)  # the tracer follows the index, which must stay an array
    array = np.array(part)
    return array if array.ndim else array[()]


def _selects_once(index: Any) -> bool:
    """Whether no element can be selected twice, because no part of `index` is an integer array."""
    if index.__class__ is slice:
        return True
    parts = index if isinstance(index, tuple) else (index,)
    return all(
        part is None or part is Ellipsis or isinstance(part, slice | int | np.integer | np.bool_)
        or (isinstance(part, np.ndarray) and part.dtype == bool)
        for part in parts
    )  # fmt: skip


FEW = 64
"""The most integers of an index that are compared with each other."""


def _has_few_that_differ(index: Any) -> bool:
    """Whether no element can be selected twice, because the only array in `index` has few integers, which all differ."""
    if isinstance(index, np.ndarray) and index.ndim != 1:
        return False
    arrays = [part for part in (index if isinstance(index, tuple) else (index,)) if isinstance(part, np.ndarray)]
    if len(arrays) != 1 or arrays[0].ndim != 1 or arrays[0].size > FEW or arrays[0].dtype.kind not in "iu":
        return False
    numbers = arrays[0].tolist()  # one from the end may be the same as one from the start
    return len(set(numbers)) == len(numbers) and min(numbers, default=0) >= 0


def _positions(index: Any, shape: tuple[int, ...]) -> np.ndarray:
    """The flat positions, in C order, of the elements that `index` selects from an array of `shape`, in their shape. Those of a
    1-d array may count from its end."""
    if isinstance(index, np.ndarray) and index.dtype.kind in "iu":
        if len(shape) == 1:
            return index.astype(np.intp, copy=False)
        # Rows of a table: avoid building an index array as large as the table.
        width = math.prod(shape[1:])
        row = index.astype(np.intp)[..., None]
        flat = np.where(row < 0, row + shape[0], row) * width + np.arange(width)
        return flat.reshape((*index.shape, *shape[1:]))
    return np.asarray(np.arange(math.prod(shape)).reshape(shape)[index])


def _written_last(index: Any, shape: tuple[int, ...]) -> np.ndarray:
    """Whether each value of a selection is the last one written to its position."""
    positions = _positions(index, shape)
    flat, turn = positions.reshape(-1), np.arange(positions.size)
    last = np.empty(math.prod(shape), np.intp)
    last[flat] = turn
    return np.asarray(last[flat] == turn).reshape(positions.shape)


@op(numpy=np.argwhere, differentiable=False)
def argwhere(a: Array) -> Array:
    """The indices of the elements of a that are not 0, in C order: integers (n, a.ndim), without a gradient."""
    return np.argwhere(a)


@implements(np.nonzero)
def nonzero(a: Array) -> tuple[Tensor, ...]:
    """The indices of the elements of a that are not 0, in C order, as integers for each axis, without a gradient.

    ``a[nonzero(a)]`` are these elements; for PyTorch's form, one row for each, use :func:`argwhere`.

    Raises:
        ValueError: if `a` has no axis.

    >>> import tinygrad_cnn as tg
    >>> [places.tolist() for places in tg.nonzero(tg.Tensor([[1.0, 0.0], [2.0, 3.0]]))]
    [[0, 1, 1], [0, 0, 1]]
    """
    if not np.ndim(a):
        raise ValueError("nonzero: `a` has no axis, so there is no index; reshape it to (1,)")
    places = argwhere(a)
    return tuple(places[:, axis] for axis in range(np.ndim(a)))
