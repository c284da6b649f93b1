"""Class labels: integers that select. They are inputs without a gradient; what they select from has one."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..core.graph import Array, op
from ..kernels.where import select
from .compare import not_equal
from .elementwise import where
from .index import native
from .shape import expand_dims

__all__ = ["embedding", "one_hot"]


def checked(name: str, label: str, values: Array, classes: int, ignore: int | None = None) -> Any:
    """`values` as an array of np.intp from 0 to classes - 1, or `ignore`.

    Raises:
        TypeError: if they are not integers.
        IndexError: naming the first one out of range and its position.
    """
    values = native(values)
    if values.dtype.kind not in "iu":
        raise TypeError(
            f"{name}: `{label}` is {values.dtype}; it must be integers: convert it with astype(int), or pass an integer array"
        )
    wrong = (values < 0) | (values >= classes)
    if ignore is not None:
        wrong &= values != ignore
    if wrong.any():
        at = tuple(int(i) for i in np.unravel_index(np.argmax(wrong), wrong.shape))
        also = "" if ignore is None else f", or `ignore_index` {ignore}"
        raise IndexError(f"{name}: `{label}` holds {values[at]} at {at}; it must be from 0 to {classes - 1}{also}")
    return np.asarray(values.astype(np.intp, copy=False))


@op
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
    labels = checked("one_hot", "labels", labels, num_classes)
    return (labels[..., None] == np.arange(num_classes)).astype(np.int64)


def places(labels: Array, classes: int) -> tuple[Any, Any]:
    """Where labels (N, ...) point in an array (N, classes, ...), as an index of it, and which of them are in range."""
    labels = np.asarray(labels)
    valid = (labels >= 0) & (labels < classes)
    first, *rest = (np.arange(n).reshape(-1, *(1,) * (labels.ndim - 1 - i)) for i, n in enumerate(labels.shape))
    return (first, np.where(valid, labels, 0), *rest), valid


@op
def pick(a: Array, labels: Array) -> Array:
    """y[n, ...] = a[n, labels[n, ...], ...], and 0 where a label is out of range.   a' = g put back there into zeros."""
    a = np.asarray(a)
    index, valid = places(labels, a.shape[1])
    return select(valid, a[index], 0)


@op
def put(u: Array, labels: Array, *, classes: int) -> Array:
    """y = zeros with `classes` along a new axis 1, and u where `labels` say: the adjoint of pick.   u' = pick of g."""
    u = np.asarray(u)
    index, valid = places(labels, classes)
    y = np.zeros((u.shape[0], classes, *u.shape[1:]), u.dtype)
    y[index] = select(valid, u, 0)
    return y


pick.vjp(a=lambda g, labels, in_shape: put(g, labels, classes=in_shape[1]))
put.vjp(u=lambda g, labels: pick(g, labels))


@op
def label_weights(
    target: Array, weight: Array = None, *, classes: int, ignore_index: int, function: str, dtype: np.dtype[Any]
) -> Array:
    """y = weight[target], or 1 without weights, and 0 where `target` is `ignore_index`; no gradient.

    It checks the labels too: TypeError or IndexError in the name of `function`.
    """
    target = checked(function, "target", target, classes, ignore_index)
    kept = target != ignore_index
    if weight is None:
        return kept.astype(dtype)
    return np.where(kept, np.asarray(weight, dtype)[np.where(kept, target, 0)], 0)


@op
def embedding(indices: Array, weight: Array, *, padding_idx: int | None = None) -> Array:
    """Rows of a table: y[...] = weight[indices[...]].   weight' = g added up in the rows that were read.

    Args:
        indices: integers, any shape.
        weight: the table, (rows, features).
        padding_idx: a row that gets no gradient; negative counts from the end.

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
    return np.take(weight, checked("embedding", "indices", indices, rows), axis=0)


@op
def add_rows(u: Array, indices: Array, *, rows: int) -> Array:
    """y = zeros of (rows, features), with u[...] added to row indices[...]: the adjoint of embedding.   u' = g[indices]."""
    width = np.shape(u)[-1]
    y = np.zeros((rows, width), u.dtype)
    at = np.asarray(indices, np.intp).reshape(-1, 1) * width + np.arange(width)
    np.add.at(
        y.reshape(-1), at.reshape(-1), np.reshape(u, -1)
    )  # with all of them flat, faster than to sort and add runs
    return y


def _embedding_rule(g: Array, indices: Array, in_shape: tuple[int, ...], padding_idx: int | None) -> Array:
    if padding_idx is not None:
        g = where(expand_dims(not_equal(indices, padding_idx % in_shape[0]), -1), g, 0)
    return add_rows(g, indices, rows=in_shape[0])


embedding.vjp(weight=_embedding_rule)
add_rows.vjp(u=lambda g, indices: embedding(indices, g))
