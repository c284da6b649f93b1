"""Elements combined with others at indices along an axis, for each line separately; indices may repeat.

In docstrings, g is the incoming gradient and x' the gradient with respect to x.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.lib.array_utils import normalize_axis_index

from ..core.graph import Array, Tensor, op
from .compare import equal
from .elementwise import add, maximum, where
from .gather import add_along_axis, checked, full_index, take_along_axis
from .half import in_float32
from .index import assign
from .reduce import prod
from .shape import expand_dims, pad_constant

__all__ = ["scatter_add", "scatter_reduce"]

REDUCTIONS = ("sum", "prod", "mean", "amax", "amin")


def scatter_add(x: Array, axis: int, index: Array, src: Array) -> Tensor:
    """y = x, with each src_(..i..) added to x_(..index_(..i..)..), the index at `axis`; repeated indices add up.

    The order of arguments is that of torch.scatter_add.   x' = g,  src' = g taken at `index`, zero beyond its shape.

    Args:
        x: an array or Tensor.
        axis: the axis that `index` counts along.
        index: integers with the axes of `x`, not larger than `x` on the others; negative ones count from the end.
        src: at least as large as `index` on every axis; elements beyond the shape of `index` are not used.

    Raises:
        TypeError: if `index` are not integers.
        IndexError: if an index is outside the axis.
        ValueError: if the shapes do not match.
    """
    at, index, src, corner = _scattered("scatter_add", x, axis, index, src)
    sums = add_along_axis(src, index, axis=at, shape=corner)
    if corner != np.shape(x):
        sums = pad_constant(sums, pad_width=[(0, k - n) for n, k in zip(corner, np.shape(x), strict=True)])
    return add(x, sums)


def scatter_reduce(
    x: Array, axis: int, index: Array, src: Array, reduce: str, include_self: bool = True
) -> Tensor:  # fmt: skip
    """y = x, but an element with an index along `axis` is the reduction of itself and of all elements of `src` at that index.

    The order of arguments is that of torch.scatter_reduce.   x' and src' are those of the sum, product, mean or extreme;
    equal extremes share g evenly.

    Args:
        x, axis, index, src: as for :func:`scatter_add`; `src` has the dtype of `x`.
        reduce: "sum", "prod", "mean", "amax" or "amin". "prod" needs memory for len(x) len(index) elements of each line.
        include_self: whether elements of `x` at an index are reduced, too. All other elements are kept.

    Raises:
        TypeError: if `index` are not integers, the dtypes differ, or a mean is asked for of integers.
        IndexError: if an index is outside the axis.
        ValueError: if the shapes do not match, or for another `reduce`.

    >>> import numpy as np, tinygrad_cnn as tg
    >>> tg.scatter_reduce(tg.zeros(3), 0, np.array([0, 0, 2]), tg.Tensor([1.0, 3.0, 5.0]), "mean", include_self=False).tolist()
    [2.0, 0.0, 5.0]
    """
    if reduce not in REDUCTIONS:
        raise ValueError(
            f"scatter_reduce: `reduce` is {reduce!r}; it must be one of {', '.join(map(repr, REDUCTIONS))}"
        )
    x, src = (a if hasattr(a, "dtype") else np.asarray(a) for a in (x, src))
    if x.dtype != src.dtype or (reduce == "mean" and x.dtype.kind != "f"):
        raise TypeError(
            f"scatter_reduce: `x` is {x.dtype} and `src` {src.dtype}; they must have one dtype, of floating point for a mean: "
            "convert them with astype"
        )
    at, index, src, corner = _scattered("scatter_reduce", x, axis, index, src)
    covered = tuple(map(slice, corner))
    y = _reduced(x if corner == x.shape else x[covered], index, src, at, reduce, include_self)
    return y if corner == x.shape else assign(x, y, index=covered)


@in_float32
def _reduced(x: Array, index: Array, src: Array, axis: int, reduce: str, include_self: bool) -> Any:
    if reduce in ("amax", "amin"):
        return scatter_extreme(x, index, src, axis=axis, largest=reduce == "amax", include_self=include_self)
    n = x.shape[axis]
    counts = add_along_axis(np.ones(np.shape(index), x.dtype), index, axis=axis, shape=x.shape)
    start = x if include_self else where(counts > 0, 1 if reduce == "prod" else 0, x)
    if reduce == "prod":
        places = np.arange(n).reshape(-1, *(1,) * (x.ndim - 1 - axis))
        hits = equal(expand_dims(where(index < 0, index + n, index), axis + 1), places)
        return start * prod(where(hits, expand_dims(src, axis + 1), 1), axis=axis)
    total = add(start, add_along_axis(src, index, axis=axis, shape=x.shape))
    if reduce == "sum":
        return total
    return total / (counts + 1 if include_self else where(counts == 0, 1, counts))


@op
def scatter_extreme(
    x: Array, index: Array, src: Array, *, axis: int, largest: bool, include_self: bool
) -> Array:  # fmt: skip
    """y = the largest (or smallest) of x and all `src` at its index along `axis`, or of these alone; equals share g evenly."""
    y = np.array(x, order="C")
    lines = full_index(index, axis, y.shape)
    if not include_self:
        y[lines] = src
    (np.maximum if largest else np.minimum).at(y, lines, src)
    return y


def _shares(x: Array, index: Array, src: Array, y: Array, axis: int, include_self: bool) -> tuple[Array, Array]:
    """The part of its extreme that each element of x and of src is: 1, less if others are equal, or 0."""
    pairs = ((take_along_axis(y, index, axis=axis), src), (y, x))
    chosen, own = (equal(extreme, a).astype(np.intp) for extreme, a in pairs)
    hits = add_along_axis(chosen, index, axis=axis, shape=y.shape)
    if not include_self:
        own = where(hits > 0, 0, own)
    share = (1 / maximum(hits + own, 1)).astype(y.dtype)
    return where(own > 0, share, 0), where(chosen > 0, take_along_axis(share, index, axis=axis), 0)


scatter_extreme.vjp(
    x=lambda g, x, index, src, y, axis, include_self: g * _shares(x, index, src, y, axis, include_self)[0],
    src=lambda g, x, index, src, y, axis, include_self: (
        take_along_axis(g, index, axis=axis) * _shares(x, index, src, y, axis, include_self)[1]
    ),
)
scatter_extreme.jvp(
    x=lambda t, x, index, src, y, axis, include_self: t * _shares(x, index, src, y, axis, include_self)[0],
    src=lambda t, x, index, src, y, axis, include_self: add_along_axis(
        t * _shares(x, index, src, y, axis, include_self)[1], index, axis=axis, shape=y.shape
    ),
)


def _scattered(name: str, x: Array, axis: int, index: Array, src: Array) -> tuple[int, Any, Array, tuple[int, ...]]:
    """The axis and index, checked, the part of `src` that is used, and the shape of the first lines of x, which it meets."""
    shape, size = np.shape(x), np.shape(index)
    at = normalize_axis_index(axis, len(shape), name)
    index = checked(index, function=name, argument="index", size=shape[at])
    fits = len(size) == len(shape) == np.ndim(src) and all(
        n <= m and (i == at or n <= k) for i, (n, m, k) in enumerate(zip(size, np.shape(src), shape, strict=True))
    )
    if not fits:
        raise ValueError(
            f"{name}: `index` {size} must have as many axes as `x` {shape} and `src` {np.shape(src)}, and be no larger "
            f"than `src`, nor than `x` except on axis {axis}"
        )
    used = src if np.shape(src) == size else src[tuple(map(slice, size))]
    return at, index, used, (*size[:at], shape[at], *size[at + 1 :])
