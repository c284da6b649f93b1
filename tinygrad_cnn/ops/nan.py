"""Reductions and running sums that leave NaN out, by NumPy's names. An element that is NaN has gradient 0."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ..core.graph import Array, Tensor, implements
from .compare import isnan, logical_not
from .elementwise import sqrt, square, where
from .reduce import all, max, min, prod, sum
from .scan import cumprod, cumsum
from .shape import Axis
from .statistics import quantiles

__all__ = [
    "nancumprod", "nancumsum", "nanmax", "nanmean", "nanmedian", "nanmin", "nanpercentile", "nanprod", "nanquantile", "nanstd",
    "nansum", "nanvar",
]  # fmt: skip


@implements(np.nansum)
def nansum(a: Array, axis: Axis = None, keepdims: bool = False) -> Tensor:
    """y = the sum of what is not NaN over `axis`, 0 of nothing.   a' = g, repeated."""
    return sum(where(isnan(a), 0, a), axis=axis, keepdims=keepdims)


@implements(np.nanprod)
def nanprod(a: Array, axis: Axis = None, keepdims: bool = False) -> Tensor:
    """y = the product of what is not NaN over `axis`, 1 of nothing.   a' = g times the product of the others."""
    return prod(where(isnan(a), 1, a), axis=axis, keepdims=keepdims)


@implements(np.nancumsum)
def nancumsum(a: Array, axis: int | None = None) -> Tensor:
    """y_j = the sum of a_0 to a_j without NaN.   a'_j = g_j + g_(j+1) + ... ."""
    return cumsum(where(isnan(a), 0, a), axis=axis)


@implements(np.nancumprod)
def nancumprod(a: Array, axis: int | None = None) -> Tensor:
    """y_j = the product of a_0 to a_j without NaN."""
    return cumprod(where(isnan(a), 1, a), axis=axis)


@implements(np.nanmax)
def nanmax(a: Array, axis: Axis = None, keepdims: bool = False) -> Tensor:
    """y = the largest of what is not NaN over `axis`; NaN of nothing.   Equals share g."""
    y = max(where(isnan(a), -math.inf, a), axis=axis, keepdims=keepdims)
    return where(all(isnan(a), axis=axis, keepdims=keepdims), math.nan, y)


@implements(np.nanmin)
def nanmin(a: Array, axis: Axis = None, keepdims: bool = False) -> Tensor:
    """y = the smallest of what is not NaN over `axis`; NaN of nothing.   Equals share g."""
    y = min(where(isnan(a), math.inf, a), axis=axis, keepdims=keepdims)
    return where(all(isnan(a), axis=axis, keepdims=keepdims), math.nan, y)


def _count(a: Array, axis: Axis, keepdims: bool) -> Any:
    """How many elements are not NaN, in the dtype of a."""
    return sum(logical_not(isnan(a)), axis=axis, keepdims=keepdims).astype(
        a.dtype if a.dtype.kind == "f" else np.float64
    )


def _over(total: Any, n: Any) -> Any:
    return where(n > 0, total / where(n > 0, n, 1), math.nan)


@implements(np.nanmean)
def nanmean(a: Array, axis: Axis = None, keepdims: bool = False) -> Tensor:
    """y = the mean of what is not NaN over `axis`; NaN of nothing.   a' = g / n."""
    a = a if hasattr(a, "dtype") else np.asarray(a)
    return _over(nansum(a, axis, keepdims), _count(a, axis, keepdims))  # type: ignore[no-any-return]


@implements(np.nanvar)
def nanvar(
    a: Array, axis: Axis = None, ddof: float = 0, keepdims: bool = False, *, correction: float | None = None
) -> Tensor:
    """y = the sum of (a - mean)^2 of what is not NaN over `axis` / (n - ddof).   a' = 2 g (a - mean) / (n - ddof).

    `correction` is another name of `ddof`. NaN where n <= ddof.
    """
    a = a if hasattr(a, "dtype") else np.asarray(a)
    centred: Any = where(isnan(a), 0, a - nanmean(a, axis, True))
    n = _count(a, axis, keepdims) - float(ddof if correction is None else correction)
    return _over(sum(square(centred), axis=axis, keepdims=keepdims), n)  # type: ignore[no-any-return]


@implements(np.nanstd)
def nanstd(
    a: Array, axis: Axis = None, ddof: float = 0, keepdims: bool = False, *, correction: float | None = None
) -> Tensor:
    """y = the square root of :func:`nanvar`.   Where all elements are equal, the gradient is 0."""
    v = nanvar(a, axis, ddof, keepdims, correction=correction)
    flat = v == 0
    return where(flat, 0, sqrt(where(flat, 1, v)))


@implements(np.nanmedian)
def nanmedian(a: Array, axis: Axis = None, *, keepdims: bool = False) -> Tensor:
    """y = the median of what is not NaN over `axis`; NaN of nothing."""
    return nanquantile(a, 0.5, axis, keepdims=keepdims)


@implements(np.nanpercentile)
def nanpercentile(a: Array, q: Array, axis: Axis = None, *, method: str = "linear", keepdims: bool = False) -> Tensor:
    """:func:`nanquantile` of q / 100, for q from 0 to 100."""
    return nanquantile(a, np.asarray(q, np.float64) / 100, axis, method=method, keepdims=keepdims)


@implements(np.nanquantile)
def nanquantile(a: Array, q: Array, axis: Axis = None, *, method: str = "linear", keepdims: bool = False) -> Tensor:
    """The quantile of what is not NaN over `axis`, with the arguments of :func:`quantile`; NaN of nothing."""
    return quantiles("nanquantile", a, q, axis, method, keepdims, skip=True)  # type: ignore[no-any-return]
