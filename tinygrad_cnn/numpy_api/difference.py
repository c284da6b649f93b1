"""Differences, slopes and integrals of sampled functions, by NumPy's names: composed of slices and sums."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.lib.array_utils import normalize_axis_index

from ..core.graph import Array, Tensor, implements
from ..core.registry import numpy_ops
from ..core.remedies import publish
from ..ops.compare import not_equal
from ..ops.composite import accept_lists
from ..ops.elementwise import abs, floor, in_floats, where
from ..ops.gather import take
from ..ops.lists import members
from ..ops.rearrange import roll
from ..ops.reduce import sum
from ..ops.rounding import remainder
from ..ops.scan import cumsum
from ..ops.shape import Axis, broadcast_to, concatenate, different_axes, ravel, reshape, slice_axis
from ..ops.sort import argsort
from .select import searchsorted

__all__ = ["diff", "ediff1d", "gradient", "interp", "trapezoid", "unwrap"]


def _array(a: Array) -> Any:
    return a if hasattr(a, "shape") else np.asarray(a)


def _steps(a: Array, axis: int) -> Any:
    n = a.shape[axis]
    after, before = slice_axis(a, 1, max(n, 1), axis), slice_axis(a, 0, max(n - 1, 0), axis)
    return not_equal(after, before) if a.dtype == bool else after - before


@implements(np.diff)
def diff(a: Array, n: int = 1, axis: int = -1, prepend: Array = None, append: Array = None) -> Tensor:
    """y_i = a_(i+1) - a_i along `axis`, `n` times over.   a'_i = g_(i-1) - g_i.

    Args:
        a: an array or Tensor with one axis at least. Of Booleans, y says where neighbours differ.
        n: how often, 0 or more.
        axis: the axis.
        prepend, append: numbers or arrays to put before and after a along `axis` first.

    Raises:
        ValueError: if `a` is 0-d, or `n` negative.
    """
    if n < 0 or not np.ndim(a):
        raise ValueError(f"diff: `n` is {n} and `a` has shape {np.shape(a)}; n must be >= 0 and a have an axis")
    a = _array(a)
    at = normalize_axis_index(axis, a.ndim, "diff")
    if n and (prepend is not None or append is not None):
        one = (*a.shape[:at], 1, *a.shape[at + 1 :])
        parts = [p for p in (prepend, a, append) if p is not None]
        a = concatenate(members([p if np.ndim(p) else broadcast_to(p, shape=one) for p in parts]), axis=at)
    for _ in range(n):
        a = _steps(a, at)
    return a  # type: ignore[no-any-return]


@implements(np.ediff1d)
def ediff1d(ary: Array, to_end: Array = None, to_begin: Array = None) -> Tensor:
    """y_i = a_(i+1) - a_i of the flattened array, between `to_begin` and `to_end`.   a'_i = g_(i-1) - g_i."""
    parts = [to_begin, _steps(ravel(ary), 0), to_end]
    parts = [ravel(p) for p in parts if p is not None]
    return parts[0] if len(parts) == 1 else concatenate(members(parts), axis=0)


@implements(np.gradient)
def gradient(f: Array, *varargs: Array, axis: Axis = None, edge_order: int = 1) -> Any:
    """The derivative of sampled values along each axis, to second order of the distance, at the edges one-sided.

    y_i = (f_(i+1) - f_(i-1)) / 2h for even distances h, and else the slope at i of the parabola through three samples. It is
    linear in f.

    Args:
        f: the samples.
        varargs: nothing for distances of 1; one distance for all axes; or for each axis a distance or the coordinates.
        axis: an axis, several, or None for all.
        edge_order: 1 or 2, of the one-sided differences.

    Returns:
        An array for one axis, else a tuple of one for each.

    Raises:
        ValueError: if an axis has too few samples, `edge_order` is neither 1 nor 2, or coordinates do not fit.
        TypeError: if there are not as many `varargs` as axes.
    """
    f = in_floats(f, complex=True)
    axes = tuple(range(f.ndim)) if axis is None else different_axes("gradient", axis, f.ndim)
    if len(varargs) not in (0, 1, len(axes)):
        raise TypeError(
            f"gradient: there are {len(varargs)} distances for {len(axes)} axes; give none, one, or one each"
        )
    given: tuple[Any, ...] = varargs or (1.0,)
    if edge_order not in (1, 2):
        raise ValueError(f"gradient: `edge_order` is {edge_order!r}; it must be 1 or 2")
    found = []
    for at, spacing in zip(axes, given * len(axes) if len(given) < len(axes) else given, strict=True):
        n = f.shape[at]
        if n <= edge_order:
            raise ValueError(f"gradient: axis {at} of {f.shape} has {n} samples; it needs at least {edge_order + 1}")
        if np.ndim(spacing) > 1 or np.shape(spacing) not in ((), (n,)):
            raise ValueError(
                f"gradient: coordinates {np.shape(spacing)} must be one for each of the {n} samples of axis {at}"
            )
        if hasattr(spacing, "shape") and not isinstance(spacing, np.generic):
            spacing = in_floats(spacing)
        found.append(_slopes(f, spacing, at, edge_order))
    return found[0] if len(found) == 1 else tuple(found)


def _slopes(f: Any, spacing: Any, axis: int, order: int) -> Any:
    n = f.shape[axis]
    ones = [1] * f.ndim

    def at(start: int, stop: int) -> Any:
        return slice_axis(f, start, stop, axis)

    steps: Any = None
    if np.ndim(spacing):
        steps = reshape(diff(spacing), shape=(*ones[:axis], n - 1, *ones[axis + 1 :]))

    def h(start: int, stop: int) -> Any:
        return spacing if steps is None else slice_axis(steps, start, stop, axis)

    parts = []
    if order == 1:
        parts.append((at(1, 2) - at(0, 1)) / h(0, 1))
    else:
        p, q = h(0, 1), h(1, 2)
        parts.append(
            at(1, 2) * ((p + q) / (p * q)) - at(0, 1) * ((2 * p + q) / (p * (p + q))) - at(2, 3) * (p / (q * (p + q)))
        )
    if n > 2 and steps is None:  # f_i has no part in it, even if it is NaN
        parts.append((at(2, n) - at(0, n - 2)) / (2 * spacing))
    elif n > 2:
        p, q = h(0, n - 2), h(1, n - 1)
        parts.append(
            at(2, n) * (p / (q * (p + q))) + at(1, n - 1) * ((q - p) / (p * q)) - at(0, n - 2) * (q / (p * (p + q)))
        )
    if order == 1:
        parts.append((at(n - 1, n) - at(n - 2, n - 1)) / h(n - 2, n - 1))
    else:
        p, q = h(n - 3, n - 2), h(n - 2, n - 1)
        parts.append(
            at(n - 1, n) * ((2 * q + p) / (q * (p + q)))
            - at(n - 2, n - 1) * ((p + q) / (p * q))
            + at(n - 3, n - 2) * (q / (p * (p + q)))
        )
    return concatenate(parts, axis=axis)


@implements(np.trapezoid)
def trapezoid(y: Array, x: Array = None, dx: Array = 1.0, axis: int = -1) -> Tensor:
    """The integral of y along `axis` by the trapezoidal rule: the sum of (x_(i+1) - x_i) (y_i + y_(i+1)) / 2.

    Args:
        y: the samples.
        x: where they were taken: a vector, or an array that broadcasts with y; None for distances of `dx`.
        dx: the distance, a number.
        axis: the axis.
    """
    y = _array(y)
    n = y.shape[at := normalize_axis_index(axis, y.ndim, "trapezoid")]
    d: Any = dx
    if x is not None:
        x = _array(x)
        d = diff(x, axis=0 if x.ndim == 1 else axis)
        if x.ndim == 1:
            d = reshape(d, shape=(*(1,) * at, -1, *(1,) * (y.ndim - at - 1)))
    return sum(d * (slice_axis(y, 1, max(n, 1), at) + slice_axis(y, 0, max(n - 1, 0), at)) / 2, axis=at)


if "trapz" in vars(np):  # an old name, not in every version
    implements(vars(np)["trapz"])(trapezoid)


@implements(np.interp)
def interp(
    x: Array, xp: Array, fp: Array, left: Array = None, right: Array = None, period: float | None = None
) -> Tensor:
    """y = the piecewise linear function through the points (xp, fp), at x.   x' = g times its slope, at a point the right one.

    Args:
        x: where to evaluate, any shape.
        xp: the places of the points, increasing; with `period`, in any order.
        fp: their heights, as many.
        left, right: y below the first and above the last point; None for the height there.
        period: of the places: x and xp are taken modulo it, and left and right are ignored.

    Raises:
        ValueError: if `xp` and `fp` are not vectors of one length, and not empty, or `period` is 0.

    Gradients reach x, xp, fp, left and right.
    """
    x, xp, fp = map(in_floats, (x, xp, fp))
    if xp.ndim != 1 or xp.shape != fp.shape or not xp.size:
        raise ValueError(f"interp: `xp` {xp.shape} and `fp` {fp.shape} must be vectors of one length, not empty")
    if period is not None:
        if not period:
            raise ValueError("interp: `period` is 0; it must be another number")
        period = math.fabs(period)
        x, xp = remainder(x, period), remainder(xp, period)
        order = argsort(xp)
        xp, fp = take(xp, order), take(fp, order)
        xp = concatenate([xp[-1:] - period, xp, xp[:1] + period], axis=0)
        fp = concatenate([fp[-1:], fp, fp[:1]], axis=0)
    n = xp.shape[0]
    if n > 1:
        j = searchsorted(xp[1:-1], x, side="right")
        x0, f0, x1, f1 = take(xp, j), take(fp, j), take(xp, j + 1), take(fp, j + 1)
        jumps: Any = x0 == x1  # at an end, where two points have one place
        y: Any = where(jumps, f1, f0 + (x - x0) * ((f1 - f0) / where(jumps, 1, x1 - x0)))
    else:
        y = broadcast_to(fp[0], shape=x.shape)
    y = where(x < xp[0], fp[0] if left is None or period is not None else left, y)
    return where(x > xp[-1], fp[-1] if right is None or period is not None else right, y)


@implements(np.unwrap)
def unwrap(p: Array, discont: float | None = None, axis: int = -1, *, period: float = 2 * math.pi) -> Tensor:
    """y = p with multiples of `period` added so that neighbours along `axis` differ by at most half of it.   p' = g.

    Args:
        p: an array or Tensor, of angles for example.
        discont: smaller differences do not change; half of `period` if it is less, or None.
        axis: the axis.
        period: the length after which the values repeat.
    """
    p = _array(p)
    at = normalize_axis_index(axis, p.ndim, "unwrap")
    half = period / 2
    steps: Any = diff(p, axis=at)
    turns: Any = floor((steps + half) / period)
    turns = where((steps - turns * period == -half) & (steps > 0), turns - 1, turns)
    turns = where(abs(steps) < (half if discont is None else max(half, discont)), 0, turns)
    return concatenate(
        [slice_axis(p, 0, 1, at), slice_axis(p, 1, max(p.shape[at], 1), at) - cumsum(turns, axis=at) * period], axis=at
    )


@implements(np.fft.fftshift)
def _fftshift(x: Array, axes: Axis = None) -> Tensor:
    """np.fft.fftshift of a Tensor: the zero frequency at the middle."""
    return _shifted(x, axes, 1)


@implements(np.fft.ifftshift)
def _ifftshift(x: Array, axes: Axis = None) -> Tensor:
    """np.fft.ifftshift of a Tensor, the inverse of fftshift."""
    return _shifted(x, axes, -1)


def _shifted(x: Array, axes: Axis, sign: int) -> Tensor:
    chosen = different_axes("fftshift", tuple(range(np.ndim(x))) if axes is None else axes, np.ndim(x))
    return roll(x, shift=[sign * (np.shape(x)[i] // 2) for i in chosen], axis=chosen)


accept_lists(globals(), numpy_ops)
publish(globals())
