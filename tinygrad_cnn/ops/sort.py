"""Sorting: an index order without a gradient, and elements gathered in that order. g: incoming gradient, a': gradient in a."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.lib.array_utils import normalize_axis_index

from ..core.graph import Array, Tensor, implements, op
from .gather import take_along_axis
from .real import is_integer
from .shape import slice_axis

__all__ = ["argsort", "sort", "topk"]


@op(numpy=np.argsort, differentiable=False)
def argsort(a: Array, *, axis: int | None = -1, descending: bool = False) -> Array:
    """The indices that sort a along `axis` (of the flattened a for None); stable; no gradient.

    NaN counts as the largest value.
    """
    if not descending:
        return np.argsort(a, axis, stable=True)
    # Flip, sort, and flip back: a stable sort in descending order.
    order = np.flip(np.argsort(np.flip(a, axis), axis, stable=True), axis)
    return (np.size(a) if axis is None else np.shape(a)[axis]) - 1 - order


@implements(np.sort)
def sort(a: Array, axis: int | None = -1, descending: bool = False) -> Tensor:
    """y = a sorted along `axis`, or the flattened a for None.   a' = g, moved back to the original positions.

    Equal elements keep their order, and so do their gradients. NaN counts as the largest value.

    >>> import tinygrad_cnn as tg
    >>> tg.sort(tg.Tensor([3.0, 1.0, 2.0]), descending=True)
    Tensor([3., 2., 1.], dtype=float32)
    """
    return take_along_axis(a, argsort(a, axis=axis, descending=descending), axis=axis)


class TopK(NamedTuple):
    """What :func:`topk` returns."""

    values: Tensor
    indices: Tensor


def topk(a: Array, k: int, axis: int = -1, largest: bool = True) -> TopK:
    """The k largest elements along `axis`, or the smallest, in order, and their indices; ties go to the first.

    a' = the gradient of the values at their original positions, else 0.

    Args:
        a: an array or Tensor.
        k: how many elements, from 0 to the size of the axis.
        axis: the axis along which to choose.
        largest: whether to choose the largest.

    Returns:
        The `values` and the integer `indices`, both of a's shape with k at `axis`.

    Raises:
        ValueError: if `k` is negative or exceeds the axis.
        TypeError: if `k` is not an integer.
    """
    at = normalize_axis_index(axis, np.ndim(a), "topk")
    n = np.shape(a)[at]
    if not is_integer(k):
        raise TypeError(f"topk: `k` is {k!r}; it must be an integer")
    if not 0 <= k <= n:
        raise ValueError(f"topk: `k` is {k}, but axis {axis} has size {n}; `k` must be from 0 to {n}")
    order = slice_axis(argsort(a, axis=at, descending=largest), 0, k, at)
    return TopK(take_along_axis(a, order, axis=at), order)
