"""Reductions over axes. Every rule first puts the reduced axes of g back as size 1, and then lets it broadcast."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.lib.array_utils import normalize_axis_tuple

from ..graph import Array, op
from .shape import Axis, broadcast_to, reshape

__all__ = ["max", "mean", "min", "sum"]


def reduced_axes(axis: Axis, ndim: int) -> tuple[int, ...]:
    """`axis` as a tuple of non-negative axes: all of them for None."""
    return tuple(range(ndim)) if axis is None else normalize_axis_tuple(axis, ndim)


def restore(g: Array, in_shape: tuple[int, ...], axis: Axis, keepdims: bool) -> Array:
    """g with the axes that the reduction dropped back in place, of size 1."""
    if keepdims:
        return g
    axes = reduced_axes(axis, len(in_shape))
    return reshape(g, shape=tuple(1 if i in axes else n for i, n in enumerate(in_shape)))


def _numpy_axis(axis: Axis) -> Any:
    return axis if axis is None or isinstance(axis, int) else tuple(axis)


@op(numpy=np.sum)
def sum(a: Array, *, axis: Axis = None, keepdims: bool = False) -> Array:
    """y = sum of a over `axis`.   a' = g, repeated."""
    return np.sum(a, axis=_numpy_axis(axis), keepdims=keepdims)


sum.vjp(a=lambda g, in_shape, axis, keepdims: broadcast_to(restore(g, in_shape, axis, keepdims), shape=in_shape))


@op(numpy=np.mean)
def mean(a: Array, *, axis: Axis = None, keepdims: bool = False) -> Array:
    """y = sum of a over `axis` / n.   a' = g / n, repeated."""
    return np.mean(a, axis=_numpy_axis(axis), keepdims=keepdims)


def _mean_rule(g: Array, in_shape: tuple[int, ...], axis: Axis, keepdims: bool) -> Array:
    n = math.prod(in_shape[i] for i in reduced_axes(axis, len(in_shape)))
    return broadcast_to(restore(g / (n or 1), in_shape, axis, keepdims), shape=in_shape)


mean.vjp(a=_mean_rule)


@op(numpy=np.max)
def max(a: Array, *, axis: Axis = None, keepdims: bool = False) -> Array:
    """y = largest element of a over `axis`.   The gradient is split evenly among those that equal it."""
    return np.max(a, axis=_numpy_axis(axis), keepdims=keepdims)


@op(numpy=np.min)
def min(a: Array, *, axis: Axis = None, keepdims: bool = False) -> Array:
    """y = smallest element of a over `axis`.   The gradient is split evenly among those that equal it."""
    return np.min(a, axis=_numpy_axis(axis), keepdims=keepdims)


def _extremum_rule(g: Array, y: Array, a: Array, axis: Axis, keepdims: bool) -> Array:
    g, y = restore(g, a.shape, axis, keepdims), restore(y, a.shape, axis, keepdims)
    hits = (a == y).astype(g.dtype)
    return g * (hits / hits.sum(axis=_numpy_axis(axis), keepdims=True))


max.vjp(a=_extremum_rule)
min.vjp(a=_extremum_rule)
