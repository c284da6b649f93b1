"""Running sums and products along an axis. In docstrings, g is the incoming gradient, a' the gradient with respect to a.

All are based on the recurrence s_j = b_j + a_j s_(j-1). Its gradient is the same recurrence in reverse, so no rule divides,
and zeros among the factors need no special case at any order.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.lib.array_utils import normalize_axis_index
from numpy.typing import DTypeLike

from ..core.graph import Array, op
from .elementwise import astype
from .real import dtype_of
from .shape import pad_constant, reshape, slice_axis

__all__ = ["cumprod", "cumsum"]


@op(linear=["b"], complex=True)
def recurrence(a: Array, b: Array, *, axis: int = -1, reverse: bool = False) -> Array:
    """y_j = b_j + a_j y_(j-1) along `axis`, from y_(-1) = 0; with `reverse` y_j = b_j + a_j y_(j+1).

    b' = s with s_j = g_j + a_(j+1) s_(j+1), the recurrence in reverse,  a'_j = s_j y_(j-1).
    """
    y = np.array(np.broadcast_to(b, np.broadcast_shapes(np.shape(a), np.shape(b))), accumulator(b))
    factors, out = np.moveaxis(a, axis, 0), np.moveaxis(y, axis, 0)
    if reverse:
        factors, out = factors[::-1], out[::-1]
    for j in range(1, len(out)):
        out[j] += factors[j] * out[j - 1]
    return rounded(y, b)


def accumulator(a: Array) -> Any:
    """The dtype in which a scan of `a` accumulates: float64 for shorter floats, to avoid rounding at each step; else None."""
    dtype = np.asarray(a).dtype
    return np.float64 if dtype.kind == "f" and dtype.itemsize < 8 else None


def rounded(y: Any, a: Array) -> Any:
    """The result of a scan of `a`, in its dtype."""
    return y if accumulator(a) is None else y.astype(np.asarray(a).dtype)


def neighbour(a: Array, axis: int, before: bool, fill: float) -> Array:
    """For each element of `a` the one before it (or after it) along `axis`; `fill` at the end without a neighbour."""
    axis = normalize_axis_index(axis, a.ndim)
    width = [(0, 0)] * a.ndim
    width[axis] = (1, 0) if before else (0, 1)
    start = 0 if before else 1
    return slice_axis(pad_constant(a, pad_width=width, value=fill), start, start + a.shape[axis], axis)


def _pulled(g: Array, a: Array, axis: int, reverse: bool) -> Array:
    return recurrence(neighbour(a, axis, before=reverse, fill=0.0), g, axis=axis, reverse=not reverse)


recurrence.vjp(
    a=lambda g, y, a, axis, reverse: _pulled(g, a, axis, reverse) * neighbour(y, axis, before=not reverse, fill=0.0),
    b=_pulled,
)
recurrence.jvp(
    a=lambda t, y, a, axis, reverse: recurrence(
        a, t * neighbour(y, axis, before=not reverse, fill=0.0), axis=axis, reverse=reverse
    )
)


@op(numpy=np.cumsum, linear=["a"], composed=["dtype"])
def cumsum(a: Array, *, axis: int | None = None, dtype: DTypeLike | None = None) -> Array:
    """y_j = a_0 + ... + a_j along `axis`, of the flattened array by default.   a'_j = g_j + g_(j+1) + ... ."""
    return rounded(np.cumsum(a, axis=axis, dtype=accumulator(a)), a)


def _cumsum_rule(g: Array, in_shape: tuple[int, ...], axis: int | None) -> Array:
    back = reversed_along(g, axis or 0)
    return reshape(reversed_along(cumsum(back, axis=axis or 0), axis or 0), shape=in_shape)


cumsum.vjp(a=_cumsum_rule)


@op(numpy=np.cumprod, complex=True, composed=["dtype"])
def cumprod(a: Array, *, axis: int | None = None, dtype: DTypeLike | None = None) -> Array:
    """y_j = a_0 a_1 ... a_j along `axis`, of the flattened array by default.

    a'_j = y_(j-1) s_j with s_j = g_j + a_(j+1) s_(j+1): exact with zeros, at every order.
    """
    return rounded(np.cumprod(a, axis=axis, dtype=accumulator(a)), a)


def _cumprod_rule(g: Array, y: Array, a: Array, axis: int | None) -> Array:
    factors, along = (reshape(a, shape=-1), 0) if axis is None or not a.ndim else (a, axis)
    s = _pulled(g, factors, along, reverse=False)
    return reshape(neighbour(y, along, before=True, fill=1.0) * s, shape=a.shape)


def _cumprod_forward(t: Array, y: Array, a: Array, axis: int | None) -> Array:
    if axis is None or not a.ndim:
        t, a, axis = reshape(t, shape=-1), reshape(a, shape=-1), 0
    return recurrence(a, neighbour(y, axis, before=True, fill=1.0) * t, axis=axis)


cumprod.vjp(a=_cumprod_rule)
cumprod.jvp(a=_cumprod_forward)


def _converting(function: Any) -> None:
    """Let a running sum or product take `dtype`."""

    @function.op.compose  # type: ignore[untyped-decorator]
    def converted(a: Array, *, axis: int | None, dtype: DTypeLike) -> Array:
        wanted = dtype_of(function.__name__, dtype)
        return astype(function(astype(a if hasattr(a, "dtype") else np.asarray(a), wanted), axis=axis), wanted)


_converting(cumsum)
_converting(cumprod)


def reversed_along(a: Array, axis: int) -> Array:
    """`a` reversed along `axis`."""
    index = [slice(None)] * a.ndim
    index[axis] = slice(None, None, -1)
    return a[tuple(index)]
