"""Exponentials, logarithms, trigonometric and hyperbolic functions, with NumPy's names.

In docstrings, g is the incoming gradient and a' the gradient with respect to a. No step of a rule overflows if the derivative
is finite: g / (1 + a^2) divides twice by ``hypot(1, a)``, and arguments are clipped where a function is flat.
"""

from __future__ import annotations

import math

import numpy as np

from ..core.graph import Array, OpFunction, Tensor, implements, op
from ..scope import errors
from .elementwise import REAL, cast, clip, exp, in_floats, pow, sqrt, where
from .half import in_float32
from .ufunc import ufuncs

__all__ = [
    "arccos", "arccosh", "arcsin", "arcsinh", "arctan", "arctan2", "arctanh", "cbrt", "cos", "cosh", "deg2rad", "erf",
    "exp2", "expm1", "float_power", "hypot", "i0", "log1p", "log2", "log10", "logaddexp", "logaddexp2", "rad2deg",
    "sigmoid", "sin", "sinc", "sinh", "tan", "tanh",
]  # fmt: skip

unary, binary = ufuncs(__name__)

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

exp2 = unary(np.exp2, "y = 2^a.   a' = g y log 2.", complex=True, a=lambda g, y: g * y * LOG2)
expm1 = unary(np.expm1, "y = e^a - 1, accurate near 0.   a' = g e^a.", complex=True, a=lambda g, a: g * exp(a))
log2 = unary(np.log2, "y = log a / log 2.   a' = g / (a log 2).", complex=True, a=lambda g, a: g / LOG2 / a)
log10 = unary(np.log10, "y = log a / log 10.   a' = g / (a log 10).", complex=True, a=lambda g, a: g / LOG10 / a)
log1p = unary(
    np.log1p, "y = log(1 + a), accurate near 0.   a' = g / (1 + a).", complex=True, a=lambda g, a: g / (1 + a)
)
cbrt = unary(np.cbrt, "y = a^(1/3), negative for a negative a.   a' = g / (3 y^2).", a=lambda g, y: g / 3 / y / y)


@implements(np.float_power)
def float_power(a: Array, b: Array) -> Tensor:
    """y = a^b in float64 at least, whatever the dtypes of a and b.   a' = g b a^(b-1),  b' = g y log a, as for pow."""
    a, b = (cast(x, dtype=np.result_type(getattr(x, "dtype", np.float64), np.float64)) for x in (a, b))
    return pow(a, b)


def _hypot_of_one(a: Array) -> Array:
    """sqrt(1 + a^2), on the branch of a complex a that arctan and arcsinh have; of a real a without overflow."""
    return sqrt(1 + a * 1j) * sqrt(1 - a * 1j) if a.dtype.kind == "c" else hypot(1, a)


DEGREE = math.pi / 180
deg2rad = unary(np.deg2rad, "y = a degrees in radians.   a' = g pi / 180.", a=lambda g: g * DEGREE)
rad2deg = unary(np.rad2deg, "y = a radians in degrees.   a' = g 180 / pi.", a=lambda g: g * (1 / DEGREE))
implements(np.radians)(deg2rad)
implements(np.degrees)(rad2deg)

sin = unary(np.sin, "y = sin a.   a' = g cos a.", complex=True, a=lambda g, a: g * cos(a))
cos: OpFunction[[]] = unary(np.cos, "y = cos a.   a' = -g sin a.", complex=True, a=lambda g, a: -g * sin(a))
tan = unary(np.tan, "y = tan a.   a' = g (1 + y^2).", complex=True, a=lambda g, y: g * (1 + y * y))
arcsin = unary(
    np.arcsin,
    "y = the angle in [-pi/2, pi/2] whose sine is a.   a' = g / sqrt(1 - a^2).",
    complex=True,
    a=lambda g, a: g / sqrt((1 - a) * (1 + a)),
)
arccos = unary(
    np.arccos,
    "y = the angle in [0, pi] whose cosine is a.   a' = -g / sqrt(1 - a^2).",
    complex=True,
    a=lambda g, a: -g / sqrt((1 - a) * (1 + a)),
)
arctan = unary(
    np.arctan,
    "y = the angle in (-pi/2, pi/2) whose tangent is a.   a' = g / (1 + a^2).",
    complex=True,
    a=lambda g, a: g / (h := _hypot_of_one(a)) / h,
)

sinh = unary(np.sinh, "y = (e^a - e^-a) / 2.   a' = g cosh a.", complex=True, a=lambda g, a: g * cosh(a))
cosh: OpFunction[[]] = unary(
    np.cosh, "y = (e^a + e^-a) / 2.   a' = g sinh a.", complex=True, a=lambda g, a: g * sinh(a)
)
tanh = unary(np.tanh, "y = sinh a / cosh a.   a' = g (1 - y^2).", complex=True, a=lambda g, y: g * (1 - y * y))
arcsinh = unary(
    np.arcsinh,
    "y = the number whose sinh is a.   a' = g / sqrt(1 + a^2).",
    complex=True,
    a=lambda g, a: g / _hypot_of_one(a),
)
arccosh = unary(
    np.arccosh,
    "y = the number from 0 up whose cosh is a.   a' = g / sqrt(a^2 - 1).",
    complex=True,
    a=lambda g, a: g / sqrt(a - 1) / sqrt(a + 1),
)
arctanh = unary(
    np.arctanh,
    "y = the number whose tanh is a.   a' = g / (1 - a^2).",
    complex=True,
    a=lambda g, a: g / ((1 - a) * (1 + a)),
)


@op(elementwise=True)
def sigmoid(a: Array) -> Array:
    """y = 1 / (1 + e^-a), to full relative precision on both sides.   a' = g y (1 - y)."""
    a = in_floats(a)
    e = np.exp(-np.abs(a))
    return where(np.less(a, 0), e, 1) / (1 + e)


@op(elementwise=True)
def sigmoid_pull(u: Array, s: Array) -> Array:
    """y = u s (1 - s), the gradient in a for s = sigmoid(a).   u' = g s (1 - s),  s' = g u (1 - 2 s)."""
    return u * (s * (1 - s))


sigmoid.vjp(a=lambda g, y: sigmoid_pull(g, y))
sigmoid_pull.vjp(u=lambda g, s: sigmoid_pull(g, s),
                 s=lambda g, u, s: g * u * (1 - 2 * s))  # fmt: skip


_overflow = errors(over="ignore")  # a - b may overflow, which does not affect the results below


@op(elementwise=True, numpy=np.logaddexp)
def logaddexp(a: Array, b: Array) -> Array:
    """y = log(e^a + e^b), without overflow.   a' = g sigmoid(a - b),  b' = g sigmoid(b - a)."""
    with _overflow:
        return np.logaddexp(a, b)


def _share(a: Array, b: Array) -> Array:
    return sigmoid(clip(a / 2 - b / 2, -FLAT, FLAT) * 2)


logaddexp.vjp(a=lambda g, a, b: g * _share(a, b),
              b=lambda g, a, b: g * _share(b, a))  # fmt: skip


@op(elementwise=True, numpy=np.logaddexp2)
def logaddexp2(a: Array, b: Array) -> Array:
    """y = log2(2^a + 2^b), without overflow.   a' = g sigmoid((a - b) log 2),  b' = g sigmoid((b - a) log 2)."""
    with _overflow:
        return np.logaddexp2(a, b)


logaddexp2.vjp(a=lambda g, a, b: g * _share(a * LOG2, b * LOG2),
               b=lambda g, a, b: g * _share(b * LOG2, a * LOG2))  # fmt: skip


@op(elementwise=True)
def sinc_derivative(a: Array, *, order: int = 0) -> Array:
    """y = the derivative of this order of sin(pi a) / (pi a), whatever a is.   a' = g times the derivative after it.

    With z = pi a, f = sin z / z fulfils z f^(n) = sin(z + n pi / 2) - n f^(n-1). Near 0 its power series is summed.
    """
    z = math.pi * np.asarray(a, np.result_type(a, np.float64))
    small = np.abs(z) <= order + 1
    far, near = np.where(small, 1, z), np.where(small, z, 0)
    y = np.sin(far) / far
    for n in range(1, order + 1):
        y = (np.sin(far + n * (math.pi / 2)) - n * y) / far
    first = (order + 1) // 2
    terms = ((-1) ** k / (2 * k + 1) / math.factorial(2 * k - order) for k in range(first, first + 16 + order))
    series = np.zeros_like(near)
    for c in reversed(list(terms)):
        series = series * near * near + c
    if order % 2:
        series = series * near
    y = np.where(small, series, y) * math.pi**order
    return y.astype(np.result_type(a, np.float16))


sinc_derivative.vjp(a=lambda g, a, order: g * sinc_derivative(a, order=order + 1))


@implements(np.sinc)
def sinc(x: Array) -> Tensor:
    """y = sin(pi x) / (pi x), and 1 at 0.   x' = g times its derivative, at 0 too, to every order."""
    return sinc_derivative(in_floats(x), order=0)


@op(elementwise=True)
def bessel(a: Array, *, order: int) -> Array:
    """y = I_n(a), the modified Bessel function: the mean of e^(a cos t) cos nt.   a' = g (I_(n-1)(a) + I_(n+1)(a)) / 2.

    The mean over 512 angles is exact to rounding for |a| up to 700, where y overflows. Of e^x only the part with the symmetry
    of cos nt counts, cosh x or sinh x: so I_1(0) is 0.
    """
    a = np.asarray(a)
    t = np.arange(512) * (2 * math.pi / 512)
    part = np.sinh if order % 2 else np.cosh
    y = np.mean(part(a[..., None] * np.cos(t)) * np.cos(order * t), axis=-1)
    return y.astype(np.result_type(a, np.float16))


def _bessel_rule(g: Array, a: Array, order: int) -> Array:
    below: Array = bessel(a, order=abs(order - 1))
    return g * ((below + bessel(a, order=order + 1)) * 0.5)


bessel.vjp(a=_bessel_rule)


@implements(np.i0)
def i0(x: Array) -> Tensor:
    """y = I_0(x), the modified Bessel function of order 0.   x' = g I_1(x)."""
    return bessel(in_floats(x), order=0)


@op(elementwise=True)
def erf(a: Array) -> Array:
    """y = 2 / sqrt(pi) times the integral of e^(-t^2) from 0 to a, to 1e-15.   a' = g 2 / sqrt(pi) e^(-a^2)."""
    a = np.asarray(a)
    if a.dtype.kind == "c":
        raise TypeError(REAL)
    y = np.asarray(np.vectorize(math.erf, otypes=[np.float64])(a))
    return y.astype(a.dtype) if a.dtype.kind == "f" else y


@in_float32
def _erf_rule(g: Array, a: Array) -> Array:
    a = clip(a, -FLAT_SQUARED, FLAT_SQUARED)
    return g * (2 / math.sqrt(math.pi)) * exp(-a * a)


erf.vjp(a=_erf_rule)
