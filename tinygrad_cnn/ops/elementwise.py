"""Elementwise arithmetic: inputs broadcast as in NumPy, and the backward walk sums gradients back to their shapes."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import DTypeLike

from ..core.graph import Array, implements, op
from ..kernels.blocking import copy_channels_last
from ..kernels.where import select, selecting
from .binders import bind
from .compare import isfinite
from .windows import last_view

if TYPE_CHECKING:
    from ..tensor import Tensor

__all__ = [
    "abs", "add", "ceil", "clip", "copy", "div", "exp", "floor", "lerp", "log", "maximum", "minimum", "mul", "neg", "pow",
    "reciprocal", "round", "sign", "sqrt", "square", "sub", "where",
]  # fmt: skip


@op(elementwise=True, numpy=np.where)
def where(condition: Array, a: Array, b: Array, *, out: Array = None) -> Array:
    """y = a where `condition` holds, else b.   Each input gets the gradient of the places it was taken at."""
    return select(condition, a, b, out)


where.vjp(a=lambda g, condition: where(condition, g, 0),
          b=lambda g, condition: where(condition, 0, g))  # fmt: skip
bind(where)(selecting)


@op(ufunc=np.add)
def add(a: Array, b: Array) -> Array:
    """y = a + b.   a' = g,  b' = g."""


add.vjp(a=lambda g: g,
        b=lambda g: g)  # fmt: skip


@op(ufunc=np.subtract)
def sub(a: Array, b: Array) -> Array:
    """y = a - b.   a' = g,  b' = -g."""


sub.vjp(a=lambda g: g,
        b=lambda g: -g)  # fmt: skip


@op(ufunc=np.multiply)
def mul(a: Array, b: Array) -> Array:
    """y = a b.   a' = g b,  b' = g a."""


mul.vjp(a=lambda g, b: g * b,
        b=lambda g, a: g * a)  # fmt: skip


@op(ufunc=np.divide)
def div(a: Array, b: Array) -> Array:
    """y = a / b.   a' = g / b,  b' = -g y / b."""


div.vjp(a=lambda g, b: g / b,
        b=lambda g, y, b: -g * y / b)  # fmt: skip


@op(ufunc=np.negative)
def neg(a: Array) -> Array:
    """y = -a.   a' = -g."""


neg.vjp(a=lambda g: -g)


@op(ufunc=np.power)
def pow(a: Array, b: Array) -> Array:
    """y = a^b.   a' = g b a^(b-1), and 0 where b = 0;   b' = g y log a, and 0 where a = 0 and b >= 0."""


# Where a factor of a product is 0 and the other one is not finite, the argument of the other is replaced before it is used.
def _pow_base(g: Array, a: Array, b: Array) -> Array:
    if isinstance(b, int | float):
        return g * b * pow(a, b - 1) if b else nothing(g)
    return g * b * pow(where(((a == 0) | (a != a)) & (b == 0), 1, a), b - 1)


def _pow_exponent(g: Array, y: Array, a: Array) -> Array:
    if isinstance(a, int | float):
        a = np.asarray(a, y.dtype)
    return g * y * log(where((a == 0) & isfinite(y), 1, a))


pow.vjp(a=_pow_base, b=_pow_exponent)


@op(ufunc=np.exp)
def exp(a: Array) -> Array:
    """y = e^a.   a' = g y."""


exp.vjp(a=lambda g, y: g * y)


@op(ufunc=np.log)
def log(a: Array) -> Array:
    """y = log a.   a' = g / a."""


log.vjp(a=lambda g, a: g / a)


@op(ufunc=np.sqrt)
def sqrt(a: Array) -> Array:
    """y = a^(1/2).   a' = g / (2 y)."""


sqrt.vjp(a=lambda g, y: g / (2 * y))


@op(ufunc=np.abs)
def abs(a: Array) -> Array:
    """y = |a|.   a' = g sign(a), which is 0 at 0."""


abs.vjp(a=lambda g, a: where(a > 0, g, where(a < 0, -g, 0)))


@op(ufunc=np.maximum)
def maximum(a: Array, b: Array) -> Array:
    """y = max(a, b).   The gradient goes to the larger input, half to each where they are equal."""


@op(ufunc=np.minimum)
def minimum(a: Array, b: Array) -> Array:
    """y = min(a, b).   The gradient goes to the smaller input, half to each where they are equal."""


def _share(g: Array, wins: Array, ties: Array) -> Array:
    return where(ties, g * 0.5, where(wins, g, 0))


maximum.vjp(a=lambda g, a, b: _share(g, a > b, a == b),
            b=lambda g, a, b: _share(g, b > a, a == b))  # fmt: skip
minimum.vjp(a=lambda g, a, b: _share(g, a < b, a == b),
            b=lambda g, a, b: _share(g, b < a, a == b))  # fmt: skip


@op(elementwise=True)
def clip(a: Array, min: Array = None, max: Array = None) -> Array:
    """y = a brought into the interval from min to max: min(max(a, min), max). The bounds belong to the interval:

    a' = g where min <= a <= max, else 0;   min' = g where a < min,  max' = g where a > max (or max < min).

    Args:
        a: any shape.
        min, max: numbers or arrays that broadcast with `a`; None for no bound on that side.

    Raises:
        ValueError: if both bounds are None.
    """
    if min is None and max is None:
        raise ValueError("clip: `min` and `max` are both None; give at least one bound")
    return np.clip(a, min, max)


def _clip_rule(g: Array, a: Array, min: Array, max: Array) -> Array:
    if min is not None:
        g = where(a >= min, g, 0)
    return g if max is None else where(a <= max, g, 0)


def _clip_min_rule(g: Array, a: Array, min: Array, max: Array) -> Array:
    return where(a < min if max is None else (a < min) & (min <= max), g, 0)


def _clip_max_rule(g: Array, a: Array, min: Array, max: Array) -> Array:
    return where(a > max if min is None else (a > max) | (min > max), g, 0)


clip.vjp(a=_clip_rule, min=_clip_min_rule, max=_clip_max_rule)


@implements(np.clip)
def _numpy_clip(a: Array, a_min: Array = None, a_max: Array = None, *, min: Array = None, max: Array = None) -> Tensor:
    """np.clip of a Tensor, which has two names for each bound."""
    return clip(a, a_min if min is None else min, a_max if max is None else max)


@op(elementwise=True)
def lerp(a: Array, b: Array, weight: Array) -> Array:
    """y = a (1 - weight) + b weight.   a' = g (1 - weight),  b' = g weight,  weight' = g (b - a)."""
    return a * (1 - weight) + b * weight


lerp.vjp(a=lambda g, weight: g * (1 - weight),
         b=lambda g, weight: g * weight,
         weight=lambda g, a, b: g * (b - a))  # fmt: skip


@op(ufunc=np.square)
def square(a: Array) -> Array:
    """y = a^2.   a' = 2 g a."""


square.vjp(a=lambda g, a: g * a * 2)


@op(ufunc=np.reciprocal)
def reciprocal(a: Array) -> Array:
    """y = 1 / a.   a' = -g y^2."""


reciprocal.vjp(a=lambda g, y: -g * y * y)


# Steps: flat wherever they have a derivative, and a gradient of zero everywhere.


@op(ufunc=np.sign)
def sign(a: Array) -> Array:
    """y = -1, 0 or 1: the sign of a.   a' = 0."""


@op(ufunc=np.floor)
def floor(a: Array) -> Array:
    """y = the largest integer that is not above a.   a' = 0."""


@op(ufunc=np.ceil)
def ceil(a: Array) -> Array:
    """y = the smallest integer that is not below a.   a' = 0."""


@implements(np.around, np.rint)
@op(elementwise=True, numpy=np.round)
def round(a: Array, *, decimals: int = 0, out: Array = None) -> Array:
    """y = a to so many decimals, halves to the even neighbour.   a' = 0."""
    return np.round(a, decimals, out=out)


def nothing(g: Array) -> Array:
    """The rule of a step: zeros."""
    return where(False, g, 0)


sign.vjp(a=nothing)
floor.vjp(a=nothing)
ceil.vjp(a=nothing)
round.vjp(a=nothing)


@op(elementwise=True)
def laid_out(a: Array, *, axes: tuple[int, ...], out: Array = None) -> Array:
    """y = a, in memory of its own in which the axes follow each other in this order.   a' = g."""
    if out is None:
        out = np.empty([a.shape[i] for i in axes], a.dtype).transpose([axes.index(i) for i in range(a.ndim)])
    if axes == (0, *range(2, a.ndim), 1):
        copy_channels_last(last_view(out), a)
    else:
        np.copyto(out, a)
    return out


laid_out.vjp(a=lambda g: g)


@op(elementwise=True, numpy=np.copy)
def copy(a: Array, *, order: str = "K", out: Array = None) -> Array:
    """y = a, in memory of its own, in C order or ("K") as a lies.   a' = g."""
    if out is None:
        return np.array(a, order=order)  # type: ignore[call-overload]
    np.copyto(out, a)
    return out


copy.vjp(a=lambda g: g)


@op(elementwise=True)
def cast(a: Array, *, dtype: DTypeLike) -> Array:
    """y = a in another floating-point dtype.   a' = g, in a's dtype."""
    return np.asarray(a, dtype=dtype)


cast.vjp(a=lambda g: g)  # the backward walk brings every gradient to the dtype of its input


@op(elementwise=True)
def cast_discrete(a: Array, *, dtype: DTypeLike) -> Array:
    """y = a as integers or Booleans, without a gradient."""
    return np.asarray(a).astype(dtype)
