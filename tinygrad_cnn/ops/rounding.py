"""Quotients, remainders and parts of numbers: functions with jumps, whose derivatives are taken between the jumps."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ..core.graph import Array, OpFunction, Tensor, implements, op
from .compare import isinf, isnan, signbit
from .complex_numbers import imag, real
from .elementwise import copy, in_floats, where, zero_gradient
from .elementwise import round as rounded
from .elementwise import sign as sign_of
from .ufunc import ufuncs

__all__ = [
    "copysign", "divmod", "floor_divide", "fmod", "frexp", "heaviside", "ldexp", "modf", "nan_to_num", "positive",
    "remainder", "trunc",
]  # fmt: skip

unary, binary = ufuncs(__name__)

trunc = unary(np.trunc, "y = a without its fraction, towards 0.   a' = 0.", a=zero_gradient)
implements(np.fix)(trunc)
floor_divide = binary(
    np.floor_divide, "y = the largest integer that is not above a / b.   a' = b' = 0.", a=zero_gradient, b=zero_gradient
)
remainder = binary(
    np.remainder,
    "y = a - floor(a / b) b, with the sign of b, as Python's %.   a' = g,  b' = -g floor(a / b).",
    a=lambda g: g,
    b=lambda g, a, b: -g * floor_divide(a, b),
)
fmod = binary(
    np.fmod,
    "y = a - trunc(a / b) b, with the sign of a, as C's %.   a' = g,  b' = -g trunc(a / b).",
    a=lambda g: g,
    b=lambda g, y, a, b: -g * rounded((a - y) / b),
)
heaviside = binary(
    np.heaviside,
    "y = 0 where a < 0, 1 where a > 0, and b where a = 0.   a' = 0,  b' = g where a = 0.",
    a=zero_gradient,
    b=lambda g, a: where(a == 0, g, 0),
)


def _copysign_rule(g: Array, a: Array, b: Array) -> Array:
    turned: Array = where(signbit(b), -g, g)
    return turned * sign_of(a)


copysign = binary(
    np.copysign,
    "y = |a| with the sign of b.   a' = g where a and b have one sign, -g where they do not, 0 where a = 0;   b' = 0.",
    a=_copysign_rule,
    b=zero_gradient,
)
ldexp: OpFunction[[Any]] = binary(
    np.ldexp, "y = a 2^b, for integers b, which have no gradient.   a' = g 2^b.", a=lambda g, b: ldexp(g, b)
)


@implements(np.divmod)
def divmod(a: Array, b: Array) -> tuple[Tensor, Tensor]:
    """:func:`floor_divide` and :func:`remainder` of a and b, as Python's divmod."""
    return floor_divide(a, b), remainder(a, b)


@implements(np.modf)
def modf(a: Array) -> tuple[Tensor, Tensor]:
    """The fraction of a, which has the sign of a, and a without it.   a' = the gradient of the fraction."""
    a = in_floats(a)
    return fmod(where(isinf(a), copysign(0.0, a), a), 1.0), trunc(a)


@op(elementwise=True, differentiable=False)
def exponent(a: Array) -> Array:
    """y = the integer e with a = m 2^e and 1/2 <= |m| < 1, and 0 for a = 0; without a gradient."""
    return np.frexp(a)[1]


@implements(np.frexp)
def frexp(a: Array) -> tuple[Tensor, Tensor]:
    """The mantissa m and the integer exponent e of a = m 2^e, with 1/2 <= |m| < 1.   a' = 2^-e times that of m."""
    e = exponent(a)
    return ldexp(a, -e), e


@implements(np.positive)
def positive(a: Array) -> Tensor:
    """y = +a, a copy.   a' = g."""
    return copy(a)


@implements(np.nan_to_num)
def nan_to_num(
    x: Array, copy: bool = True, nan: float = 0.0, posinf: float | None = None, neginf: float | None = None
) -> Tensor:
    """y = x with numbers in the place of NaN and infinities.   x' = g where x is finite, else 0.

    Args:
        x: an array or Tensor.
        copy: must be True: nothing recorded is ever written.
        nan: what replaces NaN.
        posinf, neginf: what replaces the infinities; None for the largest and the smallest number of the dtype.

    Raises:
        ValueError: if `copy` is not True.
    """
    if not (isinstance(copy, bool | np.bool_) and copy):
        raise ValueError(
            f"nan_to_num: `copy` is {copy!r:.60}, but nothing recorded is ever written; leave it out, and give nan= by name"
        )
    x = x if hasattr(x, "shape") else np.asarray(x)
    dtype = x.dtype
    if dtype.kind == "c":
        parts: Any = [nan_to_num(part(x), True, nan, posinf, neginf) for part in (real, imag)]
        return parts[0] + parts[1] * 1j  # type: ignore[no-any-return]
    if dtype.kind != "f":
        return positive(x)
    limits = np.finfo(dtype)
    top = float(limits.max) if posinf is None else posinf
    bottom = float(limits.min) if neginf is None else neginf
    return where(isnan(x), nan, where(x == math.inf, top, where(x == -math.inf, bottom, x)))
