"""Exponentials, logarithms, trigonometric and hyperbolic functions, with NumPy's names.

In docstrings, g is the incoming gradient and a' the gradient with respect to a. No step of a rule overflows if the derivative
is finite: g / (1 + a^2) divides twice by ``hypot(1, a)``, and arguments are clipped where a function is flat.
"""

from __future__ import annotations

import math

import numpy as np

from ..core.graph import Array, OpFunction, op
from .elementwise import clip, exp, sqrt, where
from .ufunc import binary, unary

__all__ = [
    "arccos", "arccosh", "arcsin", "arcsinh", "arctan", "arctan2", "arctanh", "cos", "cosh", "erf", "exp2", "expm1", "hypot",
    "log1p", "log2", "log10", "logaddexp", "sigmoid", "sin", "sinh", "tan", "tanh",
]  # fmt: skip

LOG2, LOG10 = math.log(2), math.log(10)
FLAT = 1000.0
"""From here on, e^-x is 0 in every dtype: functions of e^x may clip their argument to ±FLAT without changing the result."""
FLAT_SQUARED = 40.0
"""The same for e^(-x^2 / 2)."""


def _arctan2_rule(g: Array, a: Array, b: Array, leg: Array) -> Array:
    half = hypot(a / 2, b / 2)  # half of the hypotenuse, because the whole may overflow
    zero = half == 0
    half = where(zero, 1, half)
    return where(zero, 0, g) * (leg / half / 4) / half


def _hypot_rule(g: Array, y: Array, leg: Array) -> Array:
    zero = y == 0
    return where(zero, 0, g) * (leg / where(zero, 1, y))


arctan2 = binary(
    np.arctan2,
    "y = the angle of the point (b, a).   a' = g b / (a^2 + b^2),  b' = -g a / (a^2 + b^2), and 0 at (0, 0).",
    a=lambda g, a, b: _arctan2_rule(g, a, b, b),
    b=lambda g, a, b: -_arctan2_rule(g, a, b, a),
)
hypot = binary(
    np.hypot,
    "y = sqrt(a^2 + b^2), without overflow on the way.   a' = g a / y,  b' = g b / y, and 0 at (0, 0).",
    a=lambda g, y, a: _hypot_rule(g, y, a),
    b=lambda g, y, b: _hypot_rule(g, y, b),
)

exp2 = unary(np.exp2, "y = 2^a.   a' = g y log 2.", a=lambda g, y: g * y * LOG2)
expm1 = unary(np.expm1, "y = e^a - 1, accurate near 0.   a' = g e^a.", a=lambda g, a: g * exp(a))
log2 = unary(np.log2, "y = log a / log 2.   a' = g / (a log 2).", a=lambda g, a: g / LOG2 / a)
log10 = unary(np.log10, "y = log a / log 10.   a' = g / (a log 10).", a=lambda g, a: g / LOG10 / a)
log1p = unary(np.log1p, "y = log(1 + a), accurate near 0.   a' = g / (1 + a).", a=lambda g, a: g / (1 + a))

sin = unary(np.sin, "y = sin a.   a' = g cos a.", a=lambda g, a: g * cos(a))
cos: OpFunction[[]] = unary(np.cos, "y = cos a.   a' = -g sin a.", a=lambda g, a: -g * sin(a))
tan = unary(np.tan, "y = tan a.   a' = g (1 + y^2).", a=lambda g, y: g * (1 + y * y))
arcsin = unary(
    np.arcsin,
    "y = the angle in [-pi/2, pi/2] whose sine is a.   a' = g / sqrt(1 - a^2).",
    a=lambda g, a: g / sqrt((1 - a) * (1 + a)),
)
arccos = unary(
    np.arccos,
    "y = the angle in [0, pi] whose cosine is a.   a' = -g / sqrt(1 - a^2).",
    a=lambda g, a: -g / sqrt((1 - a) * (1 + a)),
)
arctan = unary(
    np.arctan,
    "y = the angle in (-pi/2, pi/2) whose tangent is a.   a' = g / (1 + a^2).",
    a=lambda g, a: g / (h := hypot(1, a)) / h,
)

sinh = unary(np.sinh, "y = (e^a - e^-a) / 2.   a' = g cosh a.", a=lambda g, a: g * cosh(a))
cosh: OpFunction[[]] = unary(np.cosh, "y = (e^a + e^-a) / 2.   a' = g sinh a.", a=lambda g, a: g * sinh(a))
tanh = unary(np.tanh, "y = sinh a / cosh a.   a' = g (1 - y^2).", a=lambda g, y: g * (1 - y * y))
arcsinh = unary(np.arcsinh, "y = the number whose sinh is a.   a' = g / sqrt(1 + a^2).", a=lambda g, a: g / hypot(1, a))
arccosh = unary(
    np.arccosh,
    "y = the number from 0 up whose cosh is a.   a' = g / sqrt(a^2 - 1).",
    a=lambda g, a: g / sqrt(a - 1) / sqrt(a + 1),
)
arctanh = unary(
    np.arctanh, "y = the number whose tanh is a.   a' = g / (1 - a^2).", a=lambda g, a: g / ((1 - a) * (1 + a))
)


@op(elementwise=True)
def sigmoid(a: Array) -> Array:
    """y = 1 / (1 + e^-a), to full relative precision on both sides.   a' = g y (1 - y)."""
    e = np.exp(-np.abs(a))
    return where(np.less(a, 0), e, 1) / (1 + e)


sigmoid.vjp(a=lambda g, y: g * y * (1 - y))


@op(elementwise=True, numpy=np.logaddexp)
def logaddexp(a: Array, b: Array) -> Array:
    """y = log(e^a + e^b), without overflow.   a' = g sigmoid(a - b),  b' = g sigmoid(b - a)."""
    with np.errstate(over="ignore"):  # a - b may overflow, which does not affect the result
        return np.logaddexp(a, b)


def _share(a: Array, b: Array) -> Array:
    return sigmoid(clip(a / 2 - b / 2, -FLAT, FLAT) * 2)


logaddexp.vjp(a=lambda g, a, b: g * _share(a, b),
              b=lambda g, a, b: g * _share(b, a))  # fmt: skip


@op(elementwise=True)
def erf(a: Array) -> Array:
    """y = 2 / sqrt(pi) times the integral of e^(-t^2) from 0 to a, to 1e-15.   a' = g 2 / sqrt(pi) e^(-a^2)."""
    a = np.asarray(a)
    y = np.asarray(np.vectorize(math.erf, otypes=[np.float64])(a))
    return y.astype(a.dtype) if a.dtype.kind == "f" else y


def _erf_rule(g: Array, a: Array) -> Array:
    a = clip(a, -FLAT_SQUARED, FLAT_SQUARED)
    return g * (2 / math.sqrt(math.pi)) * exp(-a * a)


erf.vjp(a=_erf_rule)
