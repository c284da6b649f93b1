"""Averages, order statistics and covariances, by NumPy's names: composed of reductions and sorting."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import DTypeLike

from ..core.graph import Array, Tensor, implements, op
from ..core.registry import numpy_ops
from ..core.remedies import publish
from ..ops.compare import isinf, isnan, logical_not
from ..ops.complex_numbers import conjugate, imag, real
from ..ops.composite import accept_lists
from ..ops.elementwise import REAL, astype, clip, floor, in_floats, maximum, minimum, sqrt, sub, where
from ..ops.gather import take_along_axis
from ..ops.matmul import matmul
from ..ops.real import constant, dtype_of, refuse
from ..ops.rearrange import diagonal
from ..ops.reduce import max, mean, min, reduced_axes, sum
from ..ops.shape import STATISTICS, Axis, broadcast_to, concatenate, moveaxis, reshape, squeeze, transpose
from ..ops.sort import argsort

__all__ = ["average", "corrcoef", "cov", "median", "percentile", "ptp", "quantile"]

_PLACES = {
    "linear": (1.0, 1.0), "weibull": (0.0, 0.0), "hazen": (0.5, 0.5), "interpolated_inverted_cdf": (0.0, 1.0),
    "median_unbiased": (1 / 3, 1 / 3), "normal_unbiased": (3 / 8, 3 / 8),
}  # fmt: skip
"""Hyndman and Fan's methods of quantiles, by the two numbers that say where one lies between the sorted elements."""
_STEPS = ("inverted_cdf", "averaged_inverted_cdf", "closest_observation")
_NEIGHBOURS = ("lower", "higher", "midpoint", "nearest")


@implements(np.ptp)
def ptp(a: Array, axis: Axis = None, keepdims: bool = False) -> Tensor:
    """y = max a - min a over `axis`.   The gradient goes to the largest, negated to the smallest; equals share it."""
    return sub(max(a, axis=axis, keepdims=keepdims), min(a, axis=axis, keepdims=keepdims))


@implements(np.average)
def average(
    a: Array, axis: Axis = None, weights: Array = None, returned: bool = False, *, keepdims: bool = False
) -> Any:
    """y = the sum of a w over `axis` / the sum of w.   a' = g w / sum w,  w' = g (a - y) / sum w.

    Args:
        a: an array or Tensor.
        axis: an axis, several, or None for all.
        weights: of a's shape, or of the sizes of `axis`; None for the plain mean.
        returned: whether to return the sum of the weights too, in a tuple.
        keepdims: keep the reduced axes with size 1.

    Raises:
        ValueError: if the shapes do not fit.
    """
    shape = np.shape(a)
    axes = reduced_axes(axis, len(shape))
    if weights is None:
        y: Any = mean(a, axis=axes, keepdims=keepdims)
        total: Any = np.full(np.shape(y), math.prod(shape[i] for i in axes), y.dtype)
    else:
        weights = full_weights("average", weights, shape, axis, axes)
        total = sum(weights, axis=axes, keepdims=keepdims)
        y = (
            sum(in_floats(a, complex=True) * weights, axis=axes, keepdims=keepdims) / total
        )  # small integers would overflow
    return (y, total if total.dtype == y.dtype else astype(total, y.dtype)) if returned else y


def full_weights(name: str, weights: Array, shape: tuple[int, ...], axis: Axis, axes: tuple[int, ...]) -> Array:
    """Weights in the `shape` of the array, given in it or in the sizes of its `axes`."""
    if np.shape(weights) != shape:
        if axis is None or np.shape(weights) != tuple(shape[i] for i in axes):
            raise ValueError(
                f"{name}: `weights` {np.shape(weights)} must have the shape of `a` {shape}, or of its {axis=}"
            )
        order = np.argsort(axes).tolist()
        weights = transpose(weights, axes=order)
        weights = reshape(weights, shape=tuple(n if i in axes else 1 for i, n in enumerate(shape)))
    return broadcast_to(weights, shape=shape)


@implements(np.median)
def median(a: Array, axis: Axis = None, *, keepdims: bool = False) -> Tensor:
    """y = the middle one of the sorted elements over `axis`, or the mean of the middle two.   a' = g there, or half each.

    NaN if an element is NaN. Of equal elements, those in the middle of a stable sort get the gradient.
    """
    return quantile(a, 0.5, axis, keepdims=keepdims)


STATISTICS.update(maximum=max, mean=mean, median=median, minimum=min)


@implements(np.percentile)
def percentile(
    a: Array, q: Array, axis: Axis = None, *, method: str = "linear", keepdims: bool = False, weights: Array = None
) -> Tensor:
    """:func:`quantile` of q / 100, for q from 0 to 100."""
    return quantile(
        a,
        np.asarray(constant("percentile", "q", q), np.float64) / 100,
        axis,
        method=method,
        keepdims=keepdims,
        weights=weights,
    )


@implements(np.quantile)
def quantile(
    a: Array, q: Array, axis: Axis = None, *, method: str = "linear", keepdims: bool = False, weights: Array = None
) -> Tensor:
    """y = the value below which the part q of the elements over `axis` lies, between sorted elements s linearly.

    y = (1 - t) s_j + t s_(j+1), with j + t = q (n - 1) for method "linear".   a' = g (1 - t) and g t, at these elements.

    Args:
        a: an array or Tensor.
        q: numbers from 0 to 1, without a gradient. Their axes come first in the result.
        axis: an axis, several, or None for all.
        method: as in NumPy: "linear", "lower", "higher", "midpoint", "nearest", "weibull", "hazen", "median_unbiased",
            "normal_unbiased", "inverted_cdf", "averaged_inverted_cdf", "interpolated_inverted_cdf" or "closest_observation".
        keepdims: keep the reduced axes with size 1.
        weights: how much each element counts, with method "inverted_cdf": of a's shape, or of the sizes of `axis`. The result
            is piecewise constant in them: they have no gradient.

    Raises:
        ValueError: if q is not in [0, 1], the method unknown, or there are no elements; if weights do not fit, are negative, or
            add up to 0.

    The result is NaN if an element is NaN.
    """
    return quantiles("quantile", a, q, axis, method, keepdims, weights, skip=False)  # type: ignore[no-any-return]


def quantiles(
    name: str, a: Array, q: Any, axis: Axis, method: str, keepdims: bool, weights: Array = None, *, skip: bool
) -> Any:
    """:func:`quantile`, with `skip` of the elements that are not NaN."""
    if method not in _PLACES and method not in _STEPS and method not in _NEIGHBOURS:
        known = ", ".join(map(repr, (*_PLACES, *_STEPS, *_NEIGHBOURS)))
        raise ValueError(f"{name}: `method` is {method!r}; it must be one of {known}")
    parts = np.asarray(constant(name, "q", q), np.float64)
    if not ((parts >= 0) & (parts <= 1)).all():
        raise ValueError(f"{name}: `q` is {q!r}; it must lie from 0 to 1 (for percentiles, to 100)")
    shape = np.shape(a)
    axes = reduced_axes(axis, len(shape))
    kept = [i for i in range(len(shape)) if i not in axes]
    n = math.prod(shape[i] for i in axes)
    if not n:
        raise ValueError(f"{name}: there are no elements over {axis=} of `a` {shape}; there must be one at least")

    def lines(x: Array) -> Any:
        return reshape(transpose(x, axes=(*kept, *axes)), shape=(*(shape[i] for i in kept), n))

    rows = lines(a)
    if rows.dtype.kind == "c":
        raise TypeError(f"{name}: {REAL}")
    order = argsort(rows)
    s: Any = take_along_axis(rows, order, axis=-1)
    if s.dtype.kind != "f":
        s = s.astype(np.float64)
    count: Any = sum(logical_not(isnan(s)), axis=-1, keepdims=True) if skip else np.full((*s.shape[:-1], 1), n)
    if weights is None:
        place = _places(parts.reshape(-1), count, method)
    else:
        if method != "inverted_cdf":
            raise ValueError(f"{name}: `method` is {method!r}; with `weights` it must be 'inverted_cdf'")
        w = take_along_axis(lines(full_weights(name, weights, shape, axis, axes)), order, axis=-1)
        place = weighed_places(where(isnan(s), 0, w) if skip else w, q=tuple(parts.reshape(-1).tolist()))
    lower: Any = minimum(maximum(floor(place), 0), maximum(count - 1, 0))
    upper: Any = minimum(lower + 1, maximum(count - 1, 0))
    t = clip(place - lower, 0.0, 1.0).astype(s.dtype)
    first, second = (take_along_axis(s, i.astype(np.intp), axis=-1) for i in (lower, upper))
    # 0 times an infinite difference would be NaN, as would be the difference of equal infinities.
    still: Any = (t == 0) | isinf(first) & (second != -first)
    y: Any = first + (where(still, 0, second) - where(still, 0, first)) * t
    if not skip:
        y = where(isnan(s[..., -1:]), math.nan, y)
    y = moveaxis(y, -1, 0)
    y = reshape(y, shape=(*parts.shape, *y.shape[1:]))
    if keepdims:
        y = reshape(y, shape=(*parts.shape, *(1 if i in axes else m for i, m in enumerate(shape))))
    return y


def _places(q: Any, count: Any, method: str) -> Any:
    """The positions of the quantiles among n sorted elements, counted from 0."""
    if method in _PLACES:
        alpha, beta = _PLACES[method]
        return count * q + (alpha + q * (1 - alpha - beta) - 1)
    if method == "inverted_cdf":
        return -floor(1 - count * q)
    if method == "averaged_inverted_cdf":
        place = count * q - 1
        return where(place == floor(place), place + 0.5, -floor(-place))
    if method == "closest_observation":
        place = count * q - 1.5
        low = floor(place)
        return where((place == low) & (low - 2 * floor(low / 2) == 1), low, low + 1)
    place = (count - 1) * q
    if method == "lower":
        return floor(place)
    if method == "higher":
        return -floor(-place)
    if method == "midpoint":
        return (floor(place) - floor(-place)) / 2
    low = floor(place)  # the nearest, of two the even one
    odd = low - 2 * floor(low / 2)
    return where((place - low > 0.5) | ((place - low == 0.5) & (odd == 1)), low + 1, low)


@op(differentiable=False)
def weighed_places(w: Array, *, q: tuple[float, ...]) -> Array:
    """y = where the quantiles q lie among sorted elements of the weights w: at the first up to which the part q of w is.

    Without a gradient. ValueError if weights are negative, not finite, or add up to 0.
    """
    if w.dtype.kind == "c":
        raise TypeError(REAL)
    refuse(w, np.less(w, 0), "quantile: `weights` hold {value}; they must not be negative")
    parts = np.cumsum(w, axis=-1, dtype=np.float64)
    total = parts[..., -1:]
    refuse(
        total,
        (total == 0) | ~np.isfinite(total),
        "quantile: `weights` add up to {value}; it must be finite and above 0",
    )
    parts = np.where(parts == 0, -1, parts / total)  # an element without weight is no quantile
    return np.sum(parts[..., None, :] < np.asarray(q)[:, None], axis=-1).astype(np.float64)


@implements(np.cov)
def cov(
    m: Array, y: Array = None, rowvar: bool = True, bias: bool = False, ddof: int | None = None,
    fweights: Any = None, aweights: Any = None, *, dtype: DTypeLike | None = None,
) -> Tensor:  # fmt: skip
    """c = (x - mean) (x - mean)^T / (n - ddof): the covariances of the rows of x.   x' = (g + g^T) (x - mean) / (n - ddof).

    Args:
        m: variables in rows, observations in columns; a vector is one variable.
        y: more variables, below those of m.
        rowvar: False for variables in columns.
        bias: divide by n, and not by n - 1.
        ddof: the number that is subtracted from n in the divisor, instead of that of `bias`.
        fweights: how often each observation counts, integers.
        aweights: the weights of the observations. Neither has a gradient.
        dtype: convert to this dtype first.

    Raises:
        ValueError: if `m` has more than two axes, or weights do not fit the observations.
    """
    if np.ndim(m) > 2 or (y is not None and np.ndim(y) > 2):
        raise ValueError(f"cov: `m` has shape {np.shape(m)}; it must have at most two axes")
    x = _variables(m, rowvar)
    if y is not None:
        x = concatenate([x, _variables(y, rowvar)], axis=0)
    if dtype is not None:
        x = astype(x if hasattr(x, "dtype") else np.asarray(x), dtype_of("cov", dtype))
    else:
        x = in_floats(x, complex=True)
    n = x.shape[1]
    weights: Any = None
    for name, given in (("fweights", fweights), ("aweights", aweights)):
        if given is not None:
            given = np.asarray(constant("cov", name, given))
            if given.shape != (n,) or (given < 0).any():
                raise ValueError(f"cov: `{name}` must be one number >= 0 for each of the {n} observations")
            weights = given if weights is None else weights * given
    ddof = (0 if bias else 1) if ddof is None else ddof
    total = n if weights is None else weights.sum()
    if ddof and aweights is not None:
        freedom = total - ddof * (weights * aweights).sum() / total
    else:
        freedom = total - ddof
    w = None if weights is None else weights.astype(x.dtype)
    centred = x - (mean(x, axis=1, keepdims=True) if w is None else sum(x * w, axis=1, keepdims=True) / float(total))
    other = centred if w is None else centred * w
    c = matmul(centred, transpose(conjugate(other))) * (1 / float(freedom) if freedom > 0 else math.nan)
    return squeeze(c)


def _variables(a: Array, rowvar: bool) -> Any:
    if np.ndim(a) < 2:
        return reshape(a, shape=(1, np.size(a)))
    return a if rowvar or np.shape(a)[0] == 1 else transpose(a)


@implements(np.corrcoef)
def corrcoef(x: Array, y: Array = None, rowvar: bool = True, *, dtype: DTypeLike | None = None) -> Tensor:
    """r_ij = c_ij / sqrt(c_ii c_jj), with the covariances c of :func:`cov`, in [-1, 1]."""
    c: Any = cov(x, y, rowvar, dtype=dtype)
    if not np.ndim(c):
        return c / c  # type: ignore[no-any-return]
    s: Any = sqrt(real(diagonal(c)))
    r: Any = c / s[:, None] / s[None, :]
    if r.dtype.kind != "c":
        return clip(r, -1.0, 1.0)
    parts: list[Any] = [clip(part, -1.0, 1.0) for part in (real(r), imag(r))]
    return parts[0] + parts[1] * 1j  # type: ignore[no-any-return]


accept_lists(globals(), numpy_ops)
publish(globals())
