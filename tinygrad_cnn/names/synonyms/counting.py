"""Functions of ``torch`` whose results have no gradient: they count, or look for values."""

from __future__ import annotations

from typing import Any

import numpy as np

from .common import public, tg


def unique(
    input: Any, sorted: bool = True, return_inverse: bool = False, return_counts: bool = False, dim: int | None = None
) -> Any:
    """`np.unique(x.numpy())`, as Tensors"""
    more: Any = {"return_inverse": bool(return_inverse), "return_counts": bool(return_counts), "axis": dim}
    found = np.unique(np.asarray(input), **more)
    if not isinstance(found, tuple):
        return tg().Tensor(found)
    values, *others = found
    if return_inverse and dim is not None:
        others[0] = others[0].reshape(-1)
    return tg().Tensor(values), *map(tg().Tensor, others)


def bincount(input: Any, weights: Any = None, minlength: int = 0) -> Any:
    """`np.bincount(x, weights, minlength)`, as a Tensor"""
    if weights is None:
        return tg().Tensor(np.bincount(np.asarray(input), None, minlength))
    found = np.bincount(np.asarray(input), np.asarray(weights), minlength)
    return tg().Tensor(found.astype(np.float32 if weights.dtype == np.float32 else np.float64))


def histc(input: Any, bins: int = 100, min: float = 0, max: float = 0) -> Any:
    """`np.histogram(x, bins, (min, max))[0]`, in the dtype of x; between the extremes of x if both bounds are equal"""
    x = np.asarray(input)
    bounds = (min, max) if min != max else (x.min(), x.max())
    return tg().Tensor(np.histogram(x, bins, bounds)[0].astype(x.dtype))


def count_nonzero(input: Any, dim: Any = None) -> Any:
    """`tg.sum(x != 0, axis=dim)`"""
    axis = tuple(dim) if isinstance(dim, list | tuple) else dim
    return tg().Tensor(np.asarray(np.count_nonzero(np.asarray(input), axis=axis)))


def bucketize(input: Any, boundaries: Any, *, out_int32: bool = False, right: bool = False) -> Any:
    """`tg.searchsorted(boundaries, x)`"""
    found = tg().searchsorted(boundaries, input, side="right" if right else "left")
    return tg().Tensor(np.asarray(found, np.int32)) if out_int32 else found


TABLE: dict[str, Any] = public(globals(), __name__)
