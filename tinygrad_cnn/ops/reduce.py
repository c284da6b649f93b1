"""Reductions over axes. Every rule first restores the reduced axes of g with size 1, and then lets g broadcast.

In docstrings, g is the incoming gradient and a' the gradient with respect to a.
"""

from __future__ import annotations

import math
from contextlib import nullcontext
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.lib.array_utils import normalize_axis_tuple
from numpy.typing import DTypeLike

from ..core.graph import Array, Tensor, implements, op
from ..scope import errors
from .complex_numbers import imag
from .complex_numbers import real as real_part
from .elementwise import REAL, abs, in_floats, pow, sign, where, zero_gradient
from .half import in_float32
from .real import is_integer, real
from .scan import accumulator, cumprod, neighbour, reversed_along, rounded
from .shape import Axis, broadcast_to, reshape, stack, sum_to, transpose

__all__ = [
    "all", "amax", "amin", "any", "argmax", "argmin", "logsumexp", "max", "mean", "min", "norm", "prod", "sum",
]  # fmt: skip


def reduced_axes(axis: Axis, ndim: int) -> tuple[int, ...]:
    """`axis` as a tuple of non-negative axes: all of them for None. As in NumPy, 0-d arrays are reduced over 0 and -1."""
    if axis is None or (not ndim and axis in (0, -1)):
        return tuple(range(ndim))
    return (_normalized if axis.__class__ in (int, tuple) else _normalized_list)(axis, ndim)


def _normalized_list(axis: Any, ndim: int) -> tuple[int, ...]:
    """The axes of a list or of an integer that is not Python's. TypeError for all else, such as PyTorch's std(x, False)."""
    for part in axis if isinstance(axis, list) else [axis]:
        if isinstance(part, bool | np.bool_) or not (
            is_integer(part) or getattr(part, "dtype", np.dtype("O")).kind in "iu"
        ):
            raise TypeError(
                f"`axis` is {axis!r:.60}; it must be an integer, a tuple of them, or None; give keepdims= and correction= by "
                "name; maximum and minimum compare two arrays"
            )
    return normalize_axis_tuple(axis, ndim)


def _axes_of_mean(axis: Axis, ndim: int) -> tuple[int, ...]:
    """:func:`reduced_axes` for means and variances; NumPy takes none of a 0-d array over an axis."""
    return reduced_axes(axis, ndim) if ndim or axis is None else normalize_axis_tuple(axis, 0)


_normalized = lru_cache(maxsize=1024)(normalize_axis_tuple)


def restore(g: Array, in_shape: tuple[int, ...], axis: Axis, keepdims: bool) -> Array:
    """g with the reduced axes restored as axes of size 1; as it is where that changes nothing for broadcasting."""
    if keepdims or not g.ndim:
        return g
    shape = list(in_shape)
    for i in reduced_axes(axis, len(shape)):
        shape[i] = 1
    return reshape(g, shape=tuple(shape))


def floating(a: Array) -> Any:
    """`a` as an array that can hold -inf: integers become floats, as in np.exp. TypeError for complex numbers."""
    dtype = np.result_type(a, np.float16)
    if dtype.kind == "c":
        raise TypeError(REAL)
    return np.asarray(a, dtype)


@op(numpy=np.sum, linear=["a"], composed=["dtype", "initial", "where"])
def sum(
    a: Array, *, axis: Axis = None, keepdims: bool = False, dtype: DTypeLike | None = None,
    initial: float | None = None, where: Array = None,
) -> Array:  # fmt: skip
    """y = sum of a over `axis`.   a' = g, broadcast."""
    return np.sum(a, axis=reduced_axes(axis, np.ndim(a)), keepdims=keepdims)


sum.vjp(a=lambda g, in_shape, axis, keepdims: broadcast_to(restore(g, in_shape, axis, keepdims), shape=in_shape))


@op(numpy=np.mean, linear=["a"], composed=["dtype", "where"])
def mean(
    a: Array, *, axis: Axis = None, keepdims: bool = False, dtype: DTypeLike | None = None, where: Array = None,
) -> Array:  # fmt: skip
    """y = sum of a over `axis` / n.   a' = g / n, broadcast."""
    return np.mean(a, axis=_axes_of_mean(axis, np.ndim(a)), keepdims=keepdims)


def _mean_rule(g: Array, in_shape: tuple[int, ...], axis: Axis, keepdims: bool) -> Array:
    n = math.prod(in_shape[i] for i in reduced_axes(axis, len(in_shape)))
    g = g / (n or 1) if n < 1 << 16 else g * (1 / n)  # float16 overflows at this size
    return broadcast_to(restore(g, in_shape, axis, keepdims), shape=in_shape)


mean.vjp(a=_mean_rule)


@op(numpy=np.max, composed=["initial", "where"])
def max(
    a: Array, *, axis: Axis = None, keepdims: bool = False, initial: float | None = None, where: Array = None,
) -> Array:  # fmt: skip
    """y = largest element of a over `axis`.   a' = g, split evenly among the elements equal to y, else 0."""
    return np.max(a, axis=reduced_axes(axis, np.ndim(a)), keepdims=keepdims)


@op(numpy=np.min, composed=["initial", "where"])
def min(
    a: Array, *, axis: Axis = None, keepdims: bool = False, initial: float | None = None, where: Array = None,
) -> Array:  # fmt: skip
    """y = smallest element of a over `axis`.   a' = g, split evenly among the elements equal to y, else 0."""
    return np.min(a, axis=reduced_axes(axis, np.ndim(a)), keepdims=keepdims)


@op(linear=["u"])
def share(u: Array, hits: Array, *, axis: Axis = None) -> Array:
    """y = u / n where `hits` holds, with n their number over `axis`, else 0; NaN if there are none.   u' = g / n there, summed.

    u has the shape of `hits`, or size 1 over `axis`.
    """
    n = np.sum(hits, axis=reduced_axes(axis, np.ndim(hits)), keepdims=True).astype(np.result_type(u, np.float32))
    return rounded(np.where(hits, u, u.dtype.type(0)) / n, u)


share.vjp(u=lambda g, hits, axis, in_shape: sum_to(share(g, hits, axis=axis), shape=in_shape))


@in_float32
def _extremum_rule(g: Array, y: Array, a: Array, axis: Axis, keepdims: bool) -> Array:
    return share(restore(g, a.shape, axis, keepdims), a == restore(y, a.shape, axis, keepdims), axis=axis)


def _along(t: Array, slope: Array, axis: Axis, keepdims: bool) -> Array:
    """The forward rule of a reduction: t times the gradient of the result, summed over `axis`."""
    return sum(t * slope, axis=axis, keepdims=keepdims)


def _ones(t: Array, shape: tuple[int, ...]) -> np.ndarray:
    return np.ones(shape, t.dtype)


@in_float32
def _extremum_forward(t: Array, y: Array, a: Array, axis: Axis, keepdims: bool) -> Array:
    return sum(share(t, a == restore(y, a.shape, axis, keepdims), axis=axis), axis=axis, keepdims=keepdims)


amax, amin = max, min  # NumPy's other names
implements(np.amax)(max)
implements(np.amin)(min)
max.vjp(a=_extremum_rule)
min.vjp(a=_extremum_rule)
max.jvp(a=_extremum_forward)
min.jvp(a=_extremum_forward)


@op(numpy=np.argmax, differentiable=False)
def argmax(a: Array, *, axis: int | None = None, keepdims: bool = False) -> Array:
    """y = index of the largest element along `axis`, the first of equal ones; of the flattened array by default."""
    return np.argmax(a, axis=axis, keepdims=keepdims)


@op(numpy=np.argmin, differentiable=False)
def argmin(a: Array, *, axis: int | None = None, keepdims: bool = False) -> Array:
    """y = index of the smallest element along `axis`, the first of equal ones; of the flattened array by default."""
    return np.argmin(a, axis=axis, keepdims=keepdims)


@op(numpy=np.any, composed=["where"], differentiable=False)
def any(
    a: Array, *, axis: Axis = None, keepdims: bool = False, where: Array = None,
) -> Array:  # fmt: skip
    """y = whether some element over `axis` is not zero, Boolean, without a gradient."""
    return np.any(a, axis=reduced_axes(axis, np.ndim(a)), keepdims=keepdims)


@op(numpy=np.all, composed=["where"], differentiable=False)
def all(
    a: Array, *, axis: Axis = None, keepdims: bool = False, where: Array = None,
) -> Array:  # fmt: skip
    """y = whether no element over `axis` is zero, Boolean, without a gradient."""
    return np.all(a, axis=reduced_axes(axis, np.ndim(a)), keepdims=keepdims)


@op(numpy=np.prod, complex=True, composed=["dtype", "initial", "where"])
def prod(
    a: Array, *, axis: Axis = None, keepdims: bool = False, dtype: DTypeLike | None = None,
    initial: float | None = None, where: Array = None,
) -> Array:  # fmt: skip
    """y = product of a over `axis`.   a' = g times the product of the other elements: exact with zeros, at every order."""
    return rounded(np.prod(a, axis=reduced_axes(axis, np.ndim(a)), keepdims=keepdims, dtype=accumulator(a)), a)


def _others(a: Array, axis: Axis) -> Array:
    """For each element of `a` the product of all others over `axis`: those before it times those after it."""
    axes = reduced_axes(axis, a.ndim)
    order = [*(i for i in range(a.ndim) if i not in axes), *axes]
    moved = transpose(a, axes=order)
    rows = reshape(moved, shape=(*moved.shape[: a.ndim - len(axes)], math.prod(a.shape[i] for i in axes)))
    before = neighbour(cumprod(rows, axis=-1), -1, before=True, fill=1.0)
    backward = cumprod(reversed_along(rows, -1), axis=-1)
    after = neighbour(reversed_along(backward, -1), -1, before=False, fill=1.0)
    return transpose(reshape(before * after, shape=moved.shape), axes=np.argsort(order).tolist())


prod.vjp(a=lambda g, a, axis, keepdims: restore(g, a.shape, axis, keepdims) * _others(a, axis))
prod.jvp(a=lambda t, a, axis, keepdims: _along(t, _others(a, axis), axis, keepdims))


@op(linear=["a"])
def centre(a: Array, *, axis: Axis = None) -> Array:
    """y = a - mean of a over `axis`, exactly zero where all elements are equal.   a' = g - mean of g (self-adjoint)."""
    return rounded(_centred(a, axis), a)


def _centred(a: Array, axis: Axis) -> Any:
    """a - its mean over `axis`, in at least float64. The second pass corrects the rounding error of the first mean."""
    y: Any = np.asarray(a, np.result_type(a, np.float64))
    for _ in range(2):
        y = y - mean(y, axis=reduced_axes(axis, y.ndim), keepdims=True)
    return y


centre.vjp(a=lambda g, axis: centre(g, axis=axis))


def _variance(a: Array, axis: Axis, keepdims: bool, correction: float) -> Any:
    """The variance in at least float64, so that squares neither overflow nor underflow."""
    axes = _axes_of_mean(axis, np.ndim(a))
    return sum(np.square(_centred(in_floats(a), axis)), axis=axes, keepdims=keepdims) * _freedom(
        np.shape(a), axis, correction
    )


@op
def variance(a: Array, *, axis: Axis = None, keepdims: bool = False, correction: float = 0) -> Array:
    """y = sum of (a - mean)^2 over `axis` / (n - correction).   a' = 2 g (a - mean) / (n - correction)."""
    return rounded(_variance(a, axis, keepdims, correction), a)


@op
def deviation(a: Array, *, axis: Axis = None, keepdims: bool = False, correction: float = 0) -> Array:
    """y = the square root of the variance.   a' = g (a - mean) / ((n - correction) y), and 0 where y = 0."""
    return rounded(np.sqrt(_variance(a, axis, keepdims, correction)), a)


def _freedom(shape: tuple[int, ...], axis: Axis, correction: float) -> float:
    """1 / (n - correction), or NaN if n - correction is not positive."""
    n = math.prod(shape[i] for i in reduced_axes(axis, len(shape))) - correction
    return 1 / n if n > 0 else math.nan


def _variance_rule(g: Array, a: Array, axis: Axis, keepdims: bool, correction: float) -> Array:
    g = restore(g, a.shape, axis, keepdims)
    return g * (2 * _freedom(a.shape, axis, correction)) * centre(a, axis=axis)


def _deviation_rule(g: Array, y: Array, a: Array, axis: Axis, keepdims: bool, correction: float) -> Array:
    g, y = restore(g, a.shape, axis, keepdims), restore(y, a.shape, axis, keepdims)
    flat = y == 0
    slope = where(flat, 0, g) * _freedom(a.shape, axis, correction)
    return slope * (centre(a, axis=axis) / where(flat, 1, y))


variance.vjp(a=_variance_rule)
deviation.vjp(a=_deviation_rule)
variance.jvp(
    a=lambda t, a, axis, keepdims, correction, out_shape: _along(
        t, _variance_rule(_ones(t, out_shape), a, axis, keepdims, correction), axis, keepdims
    )
)
deviation.jvp(
    a=lambda t, y, a, axis, keepdims, correction, out_shape: _along(
        t, _deviation_rule(_ones(t, out_shape), y, a, axis, keepdims, correction), axis, keepdims
    )
)


_infinities = errors(invalid="ignore", over="ignore")
_zeros = errors(divide="ignore", over="ignore")


@op(elementwise=True)
def exp_gap(a: Array, b: Array) -> Array:
    """y = e^(a - b), and 0 where both are -inf.   a' = g y,  b' = -g y."""
    with _infinities:
        gap = np.subtract(a, b)
        return np.exp(np.where(np.equal(a, -np.inf), -np.inf, gap))


exp_gap.vjp(a=lambda g, y: g * y,
            b=lambda g, y: -g * y)  # fmt: skip


@op
def logsumexp(a: Array, *, axis: Axis = None, keepdims: bool = False) -> Array:
    """y = log of the sum of e^a over `axis`, without overflow.   a' = g e^(a - y).

    If every element is -inf, y is -inf and its gradient 0; if one is inf, y is inf and its gradient NaN.
    """
    a = floating(a)
    axes = reduced_axes(axis, a.ndim)
    top = np.max(a, axis=axes, keepdims=True, initial=-np.inf)
    top = np.where(np.isfinite(top), top, 0)
    with _zeros:
        parts = np.exp(np.subtract(a, top, dtype=np.result_type(a, np.float32)))
        y = (np.log(sum(parts, axis=axes, keepdims=True)) + top).astype(a.dtype)
    return y if keepdims else np.squeeze(y, axis=axes)


logsumexp.vjp(
    a=lambda g, y, a, axis, keepdims: (
        restore(g, a.shape, axis, keepdims) * exp_gap(a, restore(y, a.shape, axis, keepdims))
    )
)
logsumexp.jvp(
    a=lambda t, y, a, axis, keepdims: _along(t, exp_gap(a, restore(y, a.shape, axis, keepdims)), axis, keepdims)
)


@op
def power_norm(a: Array, *, p: float, axis: Axis = None, keepdims: bool = False) -> Array:
    """y = (sum of |a|^p over `axis`)^(1/p), without overflow.   a' = g sign(a) (|a| / y)^(p-1), and 0 where y = 0.

    For p = 0 it is the number of nonzero elements, with a gradient of 0.
    """
    a = floating(np.abs(a))
    axes = reduced_axes(axis, a.ndim)
    if not p:
        return np.asarray(np.count_nonzero(a, axis=axes, keepdims=keepdims)).astype(a.dtype)
    scale = np.max(a, axis=axes, keepdims=True, initial=0) if p > 0 else np.min(a, axis=axes, keepdims=True)
    scale = np.where((scale > 0) & np.isfinite(scale), scale, 1)
    with _zeros if p < 0 else nullcontext():  # 0^p is infinite
        powers = np.divide(a, scale, dtype=np.result_type(a, np.float32)) ** p
        root = sum(powers, axis=axes, keepdims=True).astype(np.float64) ** (1 / p)  # the rule takes powers of y
        y = (scale * root).astype(a.dtype)
    return y if keepdims else np.squeeze(y, axis=axes)


def _power_norm_rule(g: Array, y: Array, a: Array, p: float, axis: Axis, keepdims: bool) -> Array:
    g, y = restore(g, a.shape, axis, keepdims), restore(y, a.shape, axis, keepdims)
    if not p:
        return broadcast_to(zero_gradient(g), shape=a.shape)
    zero = y == 0
    ratio = a / where(zero, 1, y)
    if p < 0:  # then y is 0 if any element is 0
        ratio = where(zero, 0, ratio)
    return where(zero, 0, g) * _signed_power(ratio, p - 1)


def _signed_power(t: Array, q: float) -> Array:
    """sign(t) |t|^q, smooth at 0 to every order if the function is, and with derivatives 0 at 0 if it is not."""
    if q == 1:
        return t
    if q > 0 and q % 2 == 1:
        return pow(t, q)
    if q > 0 and q % 2 == 0:
        return abs(t) * pow(t, q - 1)
    zero = t == 0
    return where(zero, 0, sign(t) * pow(abs(where(zero, 1, t)), q))


power_norm.vjp(a=_power_norm_rule)
power_norm.jvp(
    a=lambda t, y, a, p, axis, keepdims, out_shape: _along(
        t, _power_norm_rule(_ones(t, out_shape), y, a, p, axis, keepdims), axis, keepdims
    )
)


@implements(np.linalg.vector_norm)
def norm(
    a: Array, ord: float | None = None, axis: Axis = None, keepdims: bool = False, *, p: float | None = None
) -> Tensor:
    """The norm of the vectors along `axis`, of all elements by default: (sum of |a|^ord)^(1/ord).

    a' = g sign(a) (|a| / y)^(ord-1). A norm of 0 has gradient zero; ties of the largest |a| share the gradient evenly.

    Args:
        a: any shape.
        ord: a number; inf for the largest |a|, -inf for the smallest, 0 for the number of nonzero elements, with a gradient
            of zero. 2 by default.
        axis: an axis, several (whose elements then form one vector), or None for all.
        keepdims: keep the reduced axes with size 1.
        p: PyTorch's name for `ord`.

    Raises:
        TypeError: if `ord` is not a real number.
        ValueError: if `ord` is NaN or a string, or negative and there are no elements.

    >>> import tinygrad_cnn as tg
    >>> tg.norm(tg.Tensor([[3.0, 4.0], [0.0, 2.0]]), axis=1)
    Tensor([5., 2.], dtype=float32)
    """
    ord = p if ord is None else ord
    if isinstance(ord, str):
        raise ValueError(f"norm: `ord` is {ord!r}; it must be a number, inf or -inf")
    ord = real("norm", "ord", 2 if ord is None else ord)
    a = in_floats(a, complex=True)
    if a.dtype.kind == "c":
        if ord == 2:  # of the real and imaginary parts, which is smooth where single elements are 0
            parts = stack([real_part(a), imag(a)])
            y: Any = power_norm(parts, p=2, axis=(0, *(i + 1 for i in reduced_axes(axis, a.ndim))), keepdims=keepdims)
            return y[0] if keepdims else y  # type: ignore[no-any-return]
        a = abs(a)
    if ord == 1:
        return sum(abs(a), axis=axis, keepdims=keepdims)
    if math.isinf(ord):
        return (max if ord > 0 else min)(abs(a), axis=axis, keepdims=keepdims)
    return power_norm(a, p=ord, axis=axis, keepdims=keepdims)
