"""Running maxima, minima and logarithms of sums along an axis, and the running sums of the array API standard."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.lib.array_utils import normalize_axis_index
from numpy.typing import DTypeLike

from ..core.graph import Array, Tensor, implements, op
from ..scope import errors
from .gather import take_along_axis
from .reduce import exp_gap, floating
from .scan import accumulator, cumprod, cumsum, neighbour, recurrence, rounded
from .shape import pad_constant

__all__ = ["cummax", "cummin", "cumulative_prod", "cumulative_sum", "logcumsumexp"]


@op(differentiable=False)
def running_argmax(a: Array, *, axis: int, least: bool = False) -> Array:
    """y_j = the index of the largest of a_0 to a_j (with `least` the smallest), the last of equals; without a gradient."""
    lines = np.moveaxis(np.asarray(a), axis, -1)
    best = (np.minimum if least else np.maximum).accumulate(lines, axis=-1)
    hit = (lines == best) | (lines != lines)
    return np.moveaxis(np.maximum.accumulate(np.where(hit, np.arange(lines.shape[-1]), 0), axis=-1), -1, axis)


_invalid = errors(invalid="ignore")


@op
def logcumsumexp(a: Array, *, axis: int) -> Array:
    """y_j = log(e^a_0 + ... + e^a_j) along `axis`, without overflow.   a'_j = the sum over k >= j of g_k e^(a_j - y_k)."""
    wide = np.asarray(floating(a), accumulator(floating(a)))
    with _invalid:
        return rounded(np.logaddexp.accumulate(wide, axis=normalize_axis_index(axis, wide.ndim)), floating(a))


def _shares(y: Array, axis: int) -> Array:
    """e^(y_(j-1) - y_j): how much of the sum at j was there before."""
    return exp_gap(neighbour(y, axis, before=True, fill=-np.inf), y)


def _logcumsumexp_rule(g: Array, y: Array, a: Array, axis: int) -> Array:
    later = neighbour(_shares(y, axis), axis, before=False, fill=0.0)
    return recurrence(later, g, axis=axis, reverse=True) * exp_gap(a, y)


logcumsumexp.vjp(a=_logcumsumexp_rule)
logcumsumexp.jvp(a=lambda t, y, a, axis: recurrence(_shares(y, axis), t * exp_gap(a, y), axis=axis))


class Extremes(NamedTuple):
    """What :func:`cummax` and :func:`cummin` return."""

    values: Tensor
    indices: Tensor


def cummax(a: Array, axis: int) -> Extremes:
    """The largest of a_0 to a_j along `axis`, and its index, of equals the last.   a' = g, summed where it was the largest.

    After a NaN, all results are NaN.
    """
    return _extremes("cummax", a, axis, least=False)


def cummin(a: Array, axis: int) -> Extremes:
    """The smallest of a_0 to a_j along `axis`, and its index, of equals the last.   a' = g, summed where it was the smallest.

    After a NaN, all results are NaN.
    """
    return _extremes("cummin", a, axis, least=True)


def _extremes(name: str, a: Array, axis: int, least: bool) -> Extremes:
    at = normalize_axis_index(axis, np.ndim(a), name)
    which = running_argmax(a, axis=at, least=least)
    return Extremes(take_along_axis(a, which, axis=at), which)


def cumulative_sum(
    x: Array, axis: int | None = None, *, dtype: DTypeLike | None = None, include_initial: bool = False
) -> Tensor:
    """y_j = x_0 + ... + x_j along `axis`, with `include_initial` after a first 0.   x'_j = g_j + g_(j+1) + ... .

    Raises:
        ValueError: if `axis` is None and x has several axes.
    """
    at = _only_axis("cumulative_sum", x, axis)
    return _after(cumsum(x, axis=at, dtype=dtype), at, 0.0, include_initial)


def cumulative_prod(
    x: Array, axis: int | None = None, *, dtype: DTypeLike | None = None, include_initial: bool = False
) -> Tensor:
    """y_j = x_0 x_1 ... x_j along `axis`, with `include_initial` after a first 1.   Exact with zeros.

    Raises:
        ValueError: if `axis` is None and x has several axes.
    """
    at = _only_axis("cumulative_prod", x, axis)
    return _after(cumprod(x, axis=at, dtype=dtype), at, 1.0, include_initial)


if hasattr(np, "cumulative_sum"):  # new in NumPy 2.1
    implements(np.cumulative_sum)(cumulative_sum)
    implements(np.cumulative_prod)(cumulative_prod)


def _only_axis(name: str, x: Array, axis: int | None) -> int:
    if axis is None and np.ndim(x) != 1:
        raise ValueError(
            f"{name}: `axis` is None, but `x` has shape {np.shape(x)}; name the axis of one that is not 1-D"
        )
    return normalize_axis_index(axis or 0, np.ndim(x), name)


def _after(y: Tensor, axis: int, first: float, wanted: bool) -> Tensor:
    width = [(int(i == axis), 0) for i in range(y.ndim)]
    return pad_constant(y, pad_width=width, value=first) if wanted else y
