"""Gathering elements by integer indices, and the adjoints, which add where indices repeat.

Indices count along one axis, for all lines of the axis at once or for each line separately. They are inputs of ops, so that
tracers see how they were computed. In docstrings, g is the incoming gradient and a' the gradient with respect to a.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.lib.array_utils import normalize_axis_index

from ..core.graph import Array, Tensor, op
from .compare import not_equal
from .elementwise import add, maximum, minimum, mul, where
from .index import add_at_zeros, as_tensor_like_index, assigned, plain_index
from .real import real, refuse
from .shape import expand_dims

__all__ = [
    "embedding", "index_add", "one_hot", "put_along_axis", "take", "take_along_axis",
]  # fmt: skip


# For all lines of an axis


@op(numpy=np.take, linear=["a"], composed=["mode"])
def take(a: Array, indices: Array, *, axis: int | None = None, mode: str | None = None) -> Array:
    """y = a[..., indices, ...] with integer `indices` at `axis`, or into the flattened a.   a' = g added at `indices`.

    Args:
        a: an array or Tensor.
        indices: integers of any shape; this shape replaces `axis` in the result. Negative ones count from the end.
        axis: the axis to index, or None for a in C order.
        mode: what to do about an index outside the axis: "raise" by default, "wrap" to count on from the other end, or "clip"
            to take the first or the last element.

    Raises:
        TypeError: if `indices` are not integers.
        IndexError: if an index is outside the axis, in mode "raise".
    """
    shape = (np.size(a),) if axis is None else np.shape(a) or (1,)
    size = shape[normalize_axis_index(axis or 0, len(shape), "take")]
    return np.take(a, checked(indices, function="take", size=size), axis)


@op(linear=["u"])
def add_taken(u: Array, indices: Array, *, axis: int | None, shape: tuple[int, ...]) -> Array:
    """y = zeros of `shape`, with u added at `indices` of `axis`: the adjoint of take.   u' = take(g)."""
    sizes = (math.prod(shape),) if axis is None else shape or (1,)
    at = normalize_axis_index(axis or 0, len(sizes))
    if not np.size(indices):
        indices = np.zeros(np.shape(indices), np.intp)  # NumPy makes floats of the empty list
    index = (*(slice(None),) * at, indices) if at else indices
    return add_at_zeros(u, index=index, shape=sizes).reshape(shape)


@take.op.compose
def _take_in_mode(a: Array, indices: Array, *, axis: int | None, mode: str) -> Array:
    if mode not in ("raise", "wrap", "clip"):
        raise ValueError(f"take: `mode` is {mode!r}; it must be 'raise', 'wrap' or 'clip'")
    shape = (np.size(a),) if axis is None else np.shape(a) or (1,)
    size = shape[normalize_axis_index(axis or 0, len(shape), "take")]
    if mode != "raise" and size:
        indices = indices if hasattr(indices, "dtype") else np.asarray(indices)
        indices = indices % size if mode == "wrap" else minimum(maximum(indices, 0), size - 1)
    return take(a, indices, axis=axis)


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
        ValueError: if the shapes do not match.
    """
    shape = np.shape(x)
    at = normalize_axis_index(axis, len(shape), "index_add")
    index = checked(index, function="index_add", argument="index", size=shape[at])
    wanted = (*shape[:at], *np.shape(index), *shape[at + 1 :])
    if np.ndim(index) != 1 or np.shape(src) != wanted:
        raise ValueError(
            f"index_add: `src` is {np.shape(src)} and `index` is {np.shape(index)}, but `index` must be 1-D and `src` have "
            f"its length along axis {axis} of `x` {shape}"
        )
    alpha = real("index_add", "alpha", alpha)
    return add(x, add_taken(src if alpha == 1 else mul(src, alpha), index, axis=at, shape=shape))


@op(complex=True)
def embedding(indices: Array, weight: Array, *, padding_idx: int | None = None) -> Array:
    """Rows of a table: y[...] = weight[indices[...]].   weight' = g summed into the rows that were read.

    Args:
        indices: integers, any shape.
        weight: the table, (rows, features).
        padding_idx: a row that gets no gradient; a negative one counts from the end.

    Returns:
        (*indices.shape, features).

    Raises:
        TypeError: if `indices` are not integers.
        IndexError: if an index or `padding_idx` is out of range.
        ValueError: if `weight` does not have two axes.
    """
    if np.ndim(weight) != 2:
        raise ValueError(f"embedding: `weight` has shape {np.shape(weight)}; it must be (rows, features)")
    rows = np.shape(weight)[0]
    if padding_idx is not None and not -rows <= padding_idx < rows:
        raise IndexError(f"embedding: `padding_idx` is {padding_idx}; it must be from {-rows} to {rows - 1}")
    return np.take(weight, checked_labels("embedding", "indices", indices, rows), axis=0)


def _embedding_rule(g: Array, indices: Array, in_shape: tuple[int, ...], padding_idx: int | None) -> Array:
    if padding_idx is not None:
        g = where(expand_dims(not_equal(indices, padding_idx % in_shape[0]), -1), g, 0)
    return add_taken(g, indices, axis=0, shape=in_shape)


def _embedding_forward(t: Array, indices: Array, padding_idx: int | None) -> Array:
    y = take(t, indices, axis=0)
    return y if padding_idx is None else where(expand_dims(not_equal(indices, padding_idx % len(t)), -1), y, 0)


embedding.vjp(weight=_embedding_rule)
embedding.jvp(weight=_embedding_forward)


@op(differentiable=False)
def one_hot(labels: Array, *, num_classes: int = -1) -> Array:
    """y[..., c] = 1 where `labels` equals c, else 0, as int64, without a gradient.

    Args:
        labels: integers, any shape.
        num_classes: the size of the new last axis; -1 for the largest label + 1.

    Raises:
        TypeError: if `labels` are not integers.
        IndexError: if a label is negative or too large.
        ValueError: if `num_classes` is -1 and there are no labels.

    >>> import numpy as np, tinygrad_cnn as tg
    >>> tg.one_hot(np.array([0, 2])).tolist()
    [[1, 0, 0], [0, 0, 1]]
    """
    labels = np.asarray(labels)
    if num_classes == -1:
        if not labels.size:
            raise ValueError("one_hot: `num_classes` is -1 but `labels` is empty; say how many classes there are")
        num_classes = int(labels.max()) + 1
    labels = checked_labels("one_hot", "labels", labels, num_classes)
    return (labels[..., None] == np.arange(num_classes)).astype(np.int64)


# For each line of an axis


@op(numpy=np.take_along_axis, linear=["a"])
def take_along_axis(a: Array, indices: Array, *, axis: int | None = -1) -> Array:
    """y_(..i..) = a_(..indices_(..i..)..), the index at `axis`.   a' = g added at `indices`.

    Args:
        a: an array or Tensor.
        indices: integers with a's number of axes, whose sizes other than at `axis` broadcast with a's; negative ones
            count from the end.
        axis: the axis to index; None takes 1-D indices into the flattened a.

    Raises:
        TypeError: if `indices` are not integers.
        IndexError: if an index is outside the axis, or the shapes do not match.
    """
    a = np.asarray(a)
    if axis is None:
        whole: Any = checked(indices, function="take_along_axis", size=np.size(a))
        return np.take_along_axis(a, whole, None)
    return np.take_along_axis(a, _checked_lines(indices, "take_along_axis", np.shape(a), axis), axis)


@op(linear=["u"])
def add_along_axis(u: Array, indices: Array, *, axis: int | None, shape: tuple[int, ...]) -> Array:
    """y = zeros of `shape`, with u added at `indices` along `axis`: the adjoint of take_along_axis.   u' = g taken there."""
    sizes = (math.prod(shape),) if axis is None else shape
    return add_at_zeros(u, index=full_index(indices, axis or 0, sizes), shape=sizes).reshape(shape)


take_along_axis.vjp(a=lambda g, indices, in_shape, axis: add_along_axis(g, indices, axis=axis, shape=in_shape))
add_along_axis.vjp(u=lambda g, indices, axis: take_along_axis(g, indices, axis=axis))


def put_along_axis(a: Array, indices: Array, values: Array, axis: int = -1) -> Tensor:
    """A new y that equals `a`, except that y_(..indices_(..i..)..) = values_(..i..), the index at `axis`.

    Args:
        a: an array or Tensor; unlike np.put_along_axis, this does not change it.
        indices: as for :func:`take_along_axis`. If an index repeats, the last value is kept.
        values: broadcast to the shape of the selection.
        axis: the axis to index.

    Raises:
        TypeError: if `indices` are not integers, or a's dtype cannot hold `values`.
        IndexError: if an index is outside the axis, or the shapes do not match.
        ValueError: if `values` do not broadcast to the selection.
    """
    a = as_tensor_like_index(a, indices)
    lines = full_index(plain_index(_checked_lines(indices, "put_along_axis", np.shape(a), axis)), axis, np.shape(a))
    return assigned("put_along_axis", a, lines, values, np.broadcast_shapes(*(np.shape(part) for part in lines)))


def _checked_lines(indices: Array, function: str, shape: tuple[int, ...], axis: int) -> Any:
    """`indices` along `axis` of an array of `shape`, checked."""
    at, size = normalize_axis_index(axis, len(shape), function), np.shape(indices)
    if len(size) != len(shape) or any(
        i != at and n != m and 1 not in (n, m) for i, (n, m) in enumerate(zip(size, shape, strict=True))
    ):
        raise IndexError(
            f"{function}: `indices` {size} does not fit `a` {shape}; it must have as many axes, of sizes that broadcast except "
            f"on axis {at}"
        )
    return checked(indices, function=function, size=shape[at])


def full_index(indices: Any, axis: int, shape: tuple[int, ...]) -> tuple[Any, ...]:
    """The full index for one position per line: `indices` at `axis`, and every position on the other axes."""
    grid: list[Any] = list(np.ogrid[tuple(map(slice, shape))])
    grid[axis] = indices
    return tuple(grid)


# Checks, which are ops so that a tracer sees them


def _largest(array: np.ndarray) -> Any:
    """The largest of some integers, if none is negative, and else a larger number than any index."""
    if (
        array.dtype == np.intp
    ):  # read as unsigned, negative numbers are large; the place of a few takes less time than `max`
        unsigned = array.view(np.uintp)
        return unsigned.item(unsigned.argmax())
    return array.max() if array.min() >= 0 else math.inf


def _integers(function: str, argument: str, values: Array, remedy: str) -> np.ndarray:
    """`values` as an array; TypeError, which says that it must `remedy`, if they are no integers."""
    array = np.asarray(values)
    if array.dtype.kind not in "iu":
        raise TypeError(f"{function}: `{argument}` is {array.dtype}; it must {remedy}")
    return array


@op(differentiable=False)
def checked(indices: Array, *, function: str, argument: str = "indices", size: int) -> Array:
    """y = `indices` as np.intp, without a gradient. TypeError if they are not integers, IndexError if outside the axis."""
    if not np.size(indices) and np.asarray(indices).dtype.kind == "f":
        return np.asarray(indices, np.intp)  # the empty list
    array = _integers(function, argument, indices, "hold integers: convert it with astype(int)")
    span = f"run from {-size} to {size - 1}" if size else "cannot exist"
    message = f"{function}: `{argument}` holds {{value}}, but the axis has size {size}; its indices {span}"
    refuse(array, (array < -size) | (array >= size), message, IndexError)
    return array.astype(np.intp, copy=False)


def checked_labels(function: str, argument: str, values: Array, classes: int, ignore: int | None = None) -> np.ndarray:
    """`values` as an array of np.intp from 0 to classes - 1, or `ignore`.

    Raises:
        TypeError: if they are not integers.
        IndexError: naming the first one out of range and its position.
    """
    array = _integers(function, argument, values, "be integers: convert it with astype(int), or pass an integer array")
    if not array.size or _largest(array) < classes:  # the usual case, without arrays of Booleans
        return array.astype(np.intp, copy=False)
    wrong = ((array < 0) | (array >= classes)) & (array != ignore)
    also = "" if ignore is None else f", or {ignore}, which is ignored"
    message = f"{function}: `{argument}` holds {{value}} at {{at}}; it must be from 0 to {classes - 1}{also}"
    refuse(array, wrong, message, IndexError)
    return array.astype(np.intp, copy=False)
