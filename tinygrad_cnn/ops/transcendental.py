"""Exponentials, logarithms, trigonometric and hyperbolic functions, by NumPy's names.

Rules are written so that no step of them overflows where the derivative itself is finite: ``1 + a^2`` is ``hypot(1, a)``
squared one factor at a time, and what has long reached its limit is clipped before it is squared.
"""

from __future__ import annotations

import math

import numpy as np

from ..core.graph import Array, op
from ..kernels import erf as kernel
from ..kernels.where import select
from .elementwise import clip, exp, sqrt, where

__all__ = [
    "arccos", "arccosh", "arcsin", "arcsinh", "arctan", "arctan2", "arctanh", "cos", "cosh", "erf", "exp2", "expm1", "hypot",
    "log1p", "log2", "log10", "logaddexp", "sigmoid", "sin", "sinh", "tan", "tanh",
]  # fmt: skip

LOG2, LOG10 = math.log(2), math.log(10)
FLAT = 1000.0
"""e^-x is 0 from here on, in every dtype: functions of e^x may clip their argument to ±FLAT and change nothing."""
FLAT_SQUARED = 40.0
"""The same for e^(-x^2 / 2)."""


@op(ufunc=np.exp2)
def exp2(a: Array) -> Array:
    """y = 2^a.   a' = g y log 2."""


exp2.vjp(a=lambda g, y: g * y * LOG2)


@op(ufunc=np.expm1)
def expm1(a: Array) -> Array:
    """y = e^a - 1, accurate near 0.   a' = g e^a."""


expm1.vjp(a=lambda g, a: g * exp(a))


@op(ufunc=np.log2)
def log2(a: Array) -> Array:
    """y = log a / log 2.   a' = g / (a log 2)."""


log2.vjp(a=lambda g, a: g / LOG2 / a)


@op(ufunc=np.log10)
def log10(a: Array) -> Array:
    """y = log a / log 10.   a' = g / (a log 10)."""


log10.vjp(a=lambda g, a: g / LOG10 / a)


@op(ufunc=np.log1p)
def log1p(a: Array) -> Array:
    """y = log(1 + a), accurate near 0.   a' = g / (1 + a)."""


log1p.vjp(a=lambda g, a: g / (1 + a))


@op(ufunc=np.sin)
def sin(a: Array) -> Array:
    """y = sin a.   a' = g cos a."""


@op(ufunc=np.cos)
def cos(a: Array) -> Array:
    """y = cos a.   a' = -g sin a."""


@op(ufunc=np.tan)
def tan(a: Array) -> Array:
    """y = tan a.   a' = g (1 + y^2)."""


sin.vjp(a=lambda g, a: g * cos(a))
cos.vjp(a=lambda g, a: -g * sin(a))
tan.vjp(a=lambda g, y: g * (1 + y * y))


@op(ufunc=np.arcsin)
def arcsin(a: Array) -> Array:
    """y = the angle in [-pi/2, pi/2] whose sine is a.   a' = g / sqrt(1 - a^2)."""


@op(ufunc=np.arccos)
def arccos(a: Array) -> Array:
    """y = the angle in [0, pi] whose cosine is a.   a' = -g / sqrt(1 - a^2)."""


@op(ufunc=np.arctan)
def arctan(a: Array) -> Array:
    """y = the angle in (-pi/2, pi/2) whose tangent is a.   a' = g / (1 + a^2)."""


@op(ufunc=np.arctan2)
def arctan2(a: Array, b: Array) -> Array:
    """y = the angle of the point (b, a).   a' = g b / (a^2 + b^2),  b' = -g a / (a^2 + b^2), and 0 at (0, 0)."""


@op(ufunc=np.hypot)
def hypot(a: Array, b: Array) -> Array:
    """y = sqrt(a^2 + b^2), without overflow on the way.   a' = g a / y,  b' = g b / y, and 0 at (0, 0)."""


def _arctan_rule(g: Array, a: Array) -> Array:
    h = hypot(1, a)
    return g / h / h


def _arctan2_rule(g: Array, a: Array, b: Array, leg: Array) -> Array:
    half = hypot(a / 2, b / 2)  # where the hypotenuse itself may overflow
    zero = half == 0
    half = where(zero, 1, half)
    return where(zero, 0, g) * (leg / half / 4) / half


def _hypot_rule(g: Array, y: Array, leg: Array) -> Array:
    zero = y == 0
    return where(zero, 0, g) * (leg / where(zero, 1, y))


arcsin.vjp(a=lambda g, a: g / sqrt((1 - a) * (1 + a)))
arccos.vjp(a=lambda g, a: -g / sqrt((1 - a) * (1 + a)))
arctan.vjp(a=_arctan_rule)
arctan2.vjp(a=lambda g, a, b: _arctan2_rule(g, a, b, b),
            b=lambda g, a, b: -_arctan2_rule(g, a, b, a))  # fmt: skip
hypot.vjp(a=lambda g, y, a: _hypot_rule(g, y, a),
          b=lambda g, y, b: _hypot_rule(g, y, b))  # fmt: skip


@op(ufunc=np.sinh)
def sinh(a: Array) -> Array:
    """y = (e^a - e^-a) / 2.   a' = g cosh a."""


@op(ufunc=np.cosh)
def cosh(a: Array) -> Array:
    """y = (e^a + e^-a) / 2.   a' = g sinh a."""


@op(ufunc=np.tanh)
def tanh(a: Array) -> Array:
    """y = sinh a / cosh a.   a' = g (1 - y^2)."""


sinh.vjp(a=lambda g, a: g * cosh(a))
cosh.vjp(a=lambda g, a: g * sinh(a))
tanh.vjp(a=lambda g, y: g * (1 - y * y))


@op(ufunc=np.arcsinh)
def arcsinh(a: Array) -> Array:
    """y = the number whose sinh is a.   a' = g / sqrt(1 + a^2)."""


@op(ufunc=np.arccosh)
def arccosh(a: Array) -> Array:
    """y = the number from 0 up whose cosh is a.   a' = g / sqrt(a^2 - 1)."""


@op(ufunc=np.arctanh)
def arctanh(a: Array) -> Array:
    """y = the number whose tanh is a.   a' = g / (1 - a^2)."""


arcsinh.vjp(a=lambda g, a: g / hypot(1, a))
arccosh.vjp(a=lambda g, a: g / sqrt(a - 1) / sqrt(a + 1))
arctanh.vjp(a=lambda g, a: g / ((1 - a) * (1 + a)))


@op(elementwise=True)
def sigmoid(a: Array) -> Array:
    """y = 1 / (1 + e^-a), to full relative precision on both sides.   a' = g y (1 - y)."""
    e = np.exp(-np.abs(a))
    y = select(np.less(a, 0), e, 1)
    return np.divide(y, 1 + e, out=y)


sigmoid.vjp(a=lambda g, y: g * y * (1 - y))


@op(elementwise=True, numpy=np.logaddexp)
def logaddexp(a: Array, b: Array) -> Array:
    """y = log(e^a + e^b), without overflow.   a' = g sigmoid(a - b),  b' = g sigmoid(b - a)."""
    with np.errstate(over="ignore"):  # of a - b, which then does not matter
        return np.logaddexp(a, b)


def _share(a: Array, b: Array) -> Array:
    return sigmoid(clip(a / 2 - b / 2, -FLAT, FLAT) * 2)


logaddexp.vjp(a=lambda g, a, b: g * _share(a, b),
              b=lambda g, a, b: g * _share(b, a))  # fmt: skip


@op(elementwise=True)
def erf(a: Array) -> Array:
    """y = 2 / sqrt(pi) times the integral of e^(-t^2) from 0 to a, to 1e-15.   a' = g 2 / sqrt(pi) e^(-a^2)."""
    return kernel.erf(np.asarray(a))


def _erf_rule(g: Array, a: Array) -> Array:
    a = clip(a, -FLAT_SQUARED, FLAT_SQUARED)
    return g * (2 / math.sqrt(math.pi)) * exp(-a * a)


erf.vjp(a=_erf_rule)
