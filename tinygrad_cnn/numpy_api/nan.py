"""Reductions and running sums that leave NaN out, by NumPy's names. An element that is NaN has gradient 0."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import DTypeLike

from ..core.graph import Array, Tensor, implements
from ..core.registry import numpy_ops
from ..core.remedies import publish
from ..ops.compare import isnan, logical_and, logical_not
from ..ops.composite import accept_lists
from ..ops.elementwise import where as chosen
from ..ops.masked import std, var
from ..ops.real import constant, dtype_if
from ..ops.reduce import all, max, mean, min, prod, sum
from ..ops.scan import cumprod, cumsum
from ..ops.shape import Axis
from .statistics import quantiles

__all__ = [
    "nancumprod", "nancumsum", "nanmax", "nanmean", "nanmedian", "nanmin", "nanpercentile", "nanprod", "nanquantile", "nanstd",
    "nansum", "nanvar",
]  # fmt: skip


def _there(a: Array, where: Array = None) -> Any:
    """Where `a` is not NaN, and `where` holds."""
    numbers = logical_not(isnan(a))
    return numbers if where is None else logical_and(numbers, where)


@implements(np.nansum)
def nansum(
    a: Array, axis: Axis = None, keepdims: bool = False, *, dtype: DTypeLike | None = None, initial: float | None = None,
    where: Array = None,
) -> Tensor:  # fmt: skip
    """y = the sum of the elements that are not NaN over `axis`, 0 if there are none.   a' = g, repeated."""
    return sum(
        a, axis=axis, keepdims=keepdims, dtype=dtype_if("nansum", dtype), initial=initial, where=_there(a, where)
    )


@implements(np.nanprod)
def nanprod(
    a: Array, axis: Axis = None, keepdims: bool = False, *, dtype: DTypeLike | None = None, initial: float | None = None,
    where: Array = None,
) -> Tensor:  # fmt: skip
    """y = the product of the elements that are not NaN over `axis`, or 1.   a' = g times the product of the others."""
    return prod(
        a, axis=axis, keepdims=keepdims, dtype=dtype_if("nanprod", dtype), initial=initial, where=_there(a, where)
    )


@implements(np.nancumsum)
def nancumsum(a: Array, axis: int | None = None, *, dtype: DTypeLike | None = None) -> Tensor:
    """y_j = the sum of a_0 to a_j without NaN.   a'_j = g_j + g_(j+1) + ... ."""
    return cumsum(chosen(isnan(a), 0, a), axis=axis, dtype=dtype)


@implements(np.nancumprod)
def nancumprod(a: Array, axis: int | None = None, *, dtype: DTypeLike | None = None) -> Tensor:
    """y_j = the product of a_0 to a_j without NaN."""
    return cumprod(chosen(isnan(a), 1, a), axis=axis, dtype=dtype)


def _extreme(extreme: Any, least: float, a: Array, axis: Axis, keepdims: bool, initial: Any, where: Array) -> Any:
    a = a if hasattr(a, "dtype") else np.asarray(a)
    if a.dtype.kind == "c":
        raise TypeError(
            f"{'nanmax' if extreme is max else 'nanmin'}: `a` is {a.dtype}, and complex numbers have no order; take abs(a)"
        )
    if a.dtype.kind != "f":  # which has no NaN
        return extreme(a, axis=axis, keepdims=keepdims, initial=initial, where=where)
    y = extreme(chosen(isnan(a), least, a), axis=axis, keepdims=keepdims, initial=initial, where=where)
    return y if initial is not None else chosen(all(isnan(a), axis=axis, keepdims=keepdims), math.nan, y)


@implements(np.nanmax)
def nanmax(
    a: Array, axis: Axis = None, keepdims: bool = False, *, initial: float | None = None, where: Array = None
) -> Tensor:
    """y = the largest element that is not NaN over `axis`, else `initial` or NaN.   Equal elements share g."""
    return _extreme(max, -math.inf, a, axis, keepdims, initial, where)  # type: ignore[no-any-return]


@implements(np.nanmin)
def nanmin(
    a: Array, axis: Axis = None, keepdims: bool = False, *, initial: float | None = None, where: Array = None
) -> Tensor:
    """y = the smallest element that is not NaN over `axis`, else `initial` or NaN.   Equal elements share g."""
    return _extreme(min, math.inf, a, axis, keepdims, initial, where)  # type: ignore[no-any-return]


@implements(np.nanmean)
def nanmean(
    a: Array, axis: Axis = None, keepdims: bool = False, *, dtype: DTypeLike | None = None, where: Array = None
) -> Tensor:
    """y = the mean of the n elements that are not NaN over `axis`, else NaN.   a' = g / n."""
    return mean(a, axis=axis, keepdims=keepdims, dtype=dtype_if("nanmean", dtype), where=_there(a, where))


@implements(np.nanvar)
def nanvar(
    a: Array, axis: Axis = None, ddof: float = 0, keepdims: bool = False, *, correction: float | None = None,
    dtype: DTypeLike | None = None, mean: Array = None, where: Array = None,
) -> Tensor:  # fmt: skip
    """y = sum of (a - mean)^2 over the n elements that are not NaN / (n - ddof).   a' = 2 g (a - mean) / (n - ddof).

    `correction` is another name of `ddof`; `dtype`, `mean` and `where` are as in ``var``. NaN where n <= ddof.
    """
    ddof = ddof if correction is None else correction
    return var(a, axis, keepdims=keepdims, ddof=ddof, dtype=dtype, mean=mean, where=_there(a, where))


@implements(np.nanstd)
def nanstd(
    a: Array, axis: Axis = None, ddof: float = 0, keepdims: bool = False, *, correction: float | None = None,
    dtype: DTypeLike | None = None, mean: Array = None, where: Array = None,
) -> Tensor:  # fmt: skip
    """y = the square root of :func:`nanvar`.   Where all elements are equal, the gradient is 0."""
    ddof = ddof if correction is None else correction
    return std(a, axis, keepdims=keepdims, ddof=ddof, dtype=dtype, mean=mean, where=_there(a, where))


@implements(np.nanmedian)
def nanmedian(a: Array, axis: Axis = None, *, keepdims: bool = False) -> Tensor:
    """y = the median of the elements that are not NaN over `axis`, else NaN."""
    return nanquantile(a, 0.5, axis, keepdims=keepdims)


@implements(np.nanpercentile)
def nanpercentile(
    a: Array, q: Array, axis: Axis = None, *, method: str = "linear", keepdims: bool = False, weights: Array = None
) -> Tensor:
    """:func:`nanquantile` of q / 100, for q from 0 to 100."""
    return nanquantile(
        a,
        np.asarray(constant("nanpercentile", "q", q), np.float64) / 100,
        axis,
        method=method,
        keepdims=keepdims,
        weights=weights,
    )


@implements(np.nanquantile)
def nanquantile(
    a: Array, q: Array, axis: Axis = None, *, method: str = "linear", keepdims: bool = False, weights: Array = None
) -> Tensor:
    """The quantile of the elements that are not NaN over `axis`, else NaN. The arguments are those of :func:`quantile`."""
    return quantiles("nanquantile", a, q, axis, method, keepdims, weights, skip=True)  # type: ignore[no-any-return]


accept_lists(globals(), numpy_ops)
publish(globals())
