"""Elementwise arithmetic: inputs broadcast as in NumPy, and the backward pass sums gradients back to the inputs' shapes.

In the docstrings of ops, y is the output, g the incoming gradient, and a' the gradient with respect to a.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import DTypeLike

from ..core.graph import Array, OpFunction, Tensor, implements, op
from .compare import isfinite, isnan
from .real import dtype_of
from .ufunc import ufuncs

__all__ = [
    "abs", "add", "ceil", "clip", "conj", "copy", "div", "exp", "fabs", "floor", "fmax", "fmin", "lerp", "log", "maximum",
    "minimum", "mul", "neg", "pow", "reciprocal", "round", "sign", "sqrt", "square", "sub", "where",
]  # fmt: skip

unary, binary = ufuncs(__name__)


@op(elementwise=True, numpy=np.where, complex=True)
def where(condition: Array, a: Array, b: Array) -> Array:
    """y = a where `condition` holds, else b.   a' = g where `condition` holds, else 0;   b' = g elsewhere."""
    return np.where(condition, a, b)


where.vjp(a=lambda g, condition: where(condition, g, 0),
          b=lambda g, condition: where(condition, 0, g))  # fmt: skip


def zero_gradient(g: Array) -> Array:
    """The rule of a function that is piecewise constant: zeros."""
    return where(False, g, 0)


# Where one factor of the gradient is 0 and the other is not finite, the other factor's argument is replaced to avoid NaN.
def _pow_base(g: Array, a: Array, b: Array) -> Array:
    if isinstance(b, int | float):
        return g * b * pow(a, b - 1) if b else zero_gradient(g)
    inverts = abs(a) >= 2 / float(np.finfo(a.dtype).max)  # NaN does not, and 1 / a of a smaller number may be infinite
    return g * b * pow(where((b == 0) & ~inverts, 1, a), b - 1)


def _pow_exponent(g: Array, y: Array, a: Array) -> Array:
    if isinstance(a, int | float | complex):
        a = np.asarray(a, y.dtype)
    elif a.dtype.kind != y.dtype.kind:  # a real base of a complex power
        a = astype(a, y.dtype)
    return g * y * log(where((a == 0) & isfinite(y), 1, a))


def _split(g: Array, wins: Array, ties: Array) -> Array:
    """g where the input wins, g / 2 at ties, else 0."""
    return where(ties, g * 0.5, where(wins, g, 0))


def _kept(g: Array, loses: Array, ties: Array) -> Array:
    """g where the input does not lose, also where one is NaN, as in PyTorch; g / 2 at ties, else 0."""
    return where(ties, g * 0.5, where(loses, 0, g))


add = binary(np.add, "y = a + b.   a' = g,  b' = g.", complex=True, a=lambda g: g, b=lambda g: g)
sub = binary(np.subtract, "y = a - b.   a' = g,  b' = -g.", "sub", complex=True, a=lambda g: g, b=lambda g: -g)
mul = binary(
    np.multiply, "y = a b.   a' = g b,  b' = g a.", "mul", complex=True, a=lambda g, b: g * b, b=lambda g, a: g * a
)
div = binary(
    np.divide,
    "y = a / b.   a' = g / b,  b' = -g y / b.",
    "div",
    complex=True,
    a=lambda g, b: g / b,
    b=lambda g, y, b: -g * y / b,
)
pow = binary(
    np.power,
    "y = a^b.   a' = g b a^(b-1), and 0 where b = 0;   b' = g y log a, and 0 where a = 0 and b >= 0.",
    "pow",
    complex=True,
    a=_pow_base,
    b=_pow_exponent,
)
maximum = binary(
    np.maximum,
    "y = max(a, b).   The gradient goes to the larger input, half to each where they are equal, to both where one is NaN.",
    a=lambda g, a, b: _kept(g, a < b, a == b),
    b=lambda g, a, b: _kept(g, b < a, a == b),
)
minimum = binary(
    np.minimum,
    "y = min(a, b).   The gradient goes to the smaller input, half to each where they are equal, to both where one is NaN.",
    a=lambda g, a, b: _kept(g, a > b, a == b),
    b=lambda g, a, b: _kept(g, b > a, a == b),
)
fmax = binary(
    np.fmax,
    "y = max(a, b), and the other one where one is NaN.   The gradient goes to the one that is taken, half to each of equals.",
    a=lambda g, a, b: _split(g, (a > b) | isnan(b), a == b),
    b=lambda g, a, b: _split(g, (b > a) | (isnan(a) & (b == b)), a == b),
)
fmin = binary(
    np.fmin,
    "y = min(a, b), and the other one where one is NaN.   The gradient goes to the one that is taken, half to each of equals.",
    a=lambda g, a, b: _split(g, (a < b) | isnan(b), a == b),
    b=lambda g, a, b: _split(g, (b < a) | (isnan(a) & (b == b)), a == b),
)

neg = unary(np.negative, "y = -a.   a' = -g.", "neg", complex=True, a=lambda g: -g)
exp = unary(np.exp, "y = e^a.   a' = g y.", complex=True, a=lambda g, y: g * y)
log = unary(np.log, "y = log a.   a' = g / a.", complex=True, a=lambda g, a: g / a)
sqrt = unary(np.sqrt, "y = a^(1/2).   a' = g / (2 y).", complex=True, a=lambda g, y: g / (2 * y))
square = unary(np.square, "y = a^2.   a' = 2 g a.", complex=True, a=lambda g, a: g * a * 2)
reciprocal = unary(np.reciprocal, "y = 1 / a.   a' = -g y^2.", complex=True, a=lambda g, y: -g * y * y)


def _abs_rule(g: Array, a: Array) -> Array:
    if a.dtype.kind == "c":
        size = abs(a)
        return g * conj(a) / where(size == 0, 1, size)
    return where(a > 0, g, where(a < 0, -g, 0))


abs = unary(
    np.abs,
    "y = |a|.   a' = g sign(a), of a complex a g conj(a) / |a|, which is 0 at 0.",
    "abs",
    complex=True,
    a=_abs_rule,
)
conj: OpFunction[[]] = unary(
    np.conjugate,
    "y = a with the sign of its imaginary part changed.   a' = conj(g).",
    "conj",
    complex=True,
    a=lambda g: conj(g),
)
fabs = unary(np.fabs, "y = |a|, in floating point for integers too.   a' = g sign(a), which is 0 at 0.", a=_abs_rule)
sign = unary(np.sign, "y = -1, 0 or 1: the sign of a.   a' = 0.", a=zero_gradient)
floor = unary(np.floor, "y = the largest integer that is not above a.   a' = 0.", a=zero_gradient)
ceil = unary(np.ceil, "y = the smallest integer that is not below a.   a' = 0.", a=zero_gradient)


@implements(np.around, np.rint)
@op(elementwise=True, numpy=np.round)
def round(a: Array, *, decimals: int = 0) -> Array:
    """y = a rounded to `decimals` places, halves to the nearest even digit.   a' = 0."""
    return np.round(a, decimals)


round.vjp(a=zero_gradient)


@op(elementwise=True)
def clip(a: Array, min: Array = None, max: Array = None) -> Array:
    """y = a limited to the interval [min, max]: min(max(a, min), max). At the bounds the gradient passes:

    a' = g where min <= a <= max, else 0;   min' = g where a < min,  max' = g where a > max (or max < min).

    Args:
        a: any shape.
        min, max: numbers or arrays that broadcast with `a`; None for no bound on that side.
    """
    return np.array(a) if min is None and max is None else np.clip(a, min, max)  # NumPy before 2.1 asks for a bound


def _clip_rule(g: Array, a: Array, min: Array, max: Array) -> Array:
    if min is not None:
        g = where(a >= min, g, 0)
    return g if max is None else where(a <= max, g, 0)


clip.vjp(
    a=_clip_rule,
    min=lambda g, a, min, max: where(a < min if max is None else (a < min) & (min <= max), g, 0),
    max=lambda g, a, min, max: where(a > max if min is None else (a > max) | (min > max), g, 0),
)


@implements(np.clip)
def _numpy_clip(a: Array, a_min: Array = None, a_max: Array = None, *, min: Array = None, max: Array = None) -> Tensor:
    """np.clip of a Tensor; NumPy has two names for each bound."""
    return clip(a, a_min if min is None else min, a_max if max is None else max)


@op(elementwise=True, complex=True)
def lerp(a: Array, b: Array, weight: Array) -> Array:
    """y = a (1 - weight) + b weight.   a' = g (1 - weight),  b' = g weight,  weight' = g (b - a)."""
    return a * (1 - weight) + b * weight


lerp.vjp(a=lambda g, weight: g * (1 - weight),
         b=lambda g, weight: g * weight,
         weight=lambda g, a, b: g * (b - a))  # fmt: skip


@op(elementwise=True, numpy=np.copy, complex=True)
def copy(a: Array, *, order: str = "K") -> Array:
    """y = a, copied, in C order or ("K") in the memory order of a.   a' = g."""
    return np.array(a, order=order)  # type: ignore[call-overload]


@op(elementwise=True, complex=True)
def laid_out(a: Array, *, axes: tuple[int, ...]) -> Array:
    """y = a, copied to memory in which the axes follow in this order.   a' = g."""
    return np.array(np.transpose(a, axes), order="C").transpose(np.argsort(axes))


@op(elementwise=True, complex=True)
def cast(a: Array, *, dtype: DTypeLike) -> Array:
    """y = a in another floating-point dtype.   a' = g, in a's dtype."""
    y = np.asarray(a, dtype=dtype)
    return y[...] if y is a else y  # no op returns its input itself


copy.vjp(a=lambda g: g)
laid_out.vjp(a=lambda g: g)
cast.vjp(a=lambda g: g)  # the backward pass casts every gradient to the dtype of its input


@op(elementwise=True, differentiable=False)
def cast_discrete(a: Array, *, dtype: DTypeLike) -> Array:
    """y = a as integers or Booleans, without a gradient. TypeError for dtypes of other things, such as objects."""
    if np.dtype(dtype).kind not in "biu":
        raise TypeError(f"`dtype` is {dtype!r}; a Tensor holds numbers or Booleans: use x.numpy().astype(dtype)")
    return np.asarray(a).astype(dtype)


REAL = "the function is one of real numbers, and the argument is complex; take real(z), imag(z) or abs(z)"


def astype(a: Array, dtype: DTypeLike) -> Array:
    """y = a in another dtype; integers and Booleans have no gradient.   a' = g, in a's dtype."""
    wanted = dtype_of("astype", dtype)
    return a if a.dtype == wanted else (cast if wanted.kind in "fc" else cast_discrete)(a, dtype=wanted)


def in_floats(a: Array, *, complex: bool = False) -> Any:
    """`a`, with integers and Booleans as float64: in their own dtype, sums and products could wrap around.

    TypeError for complex numbers, unless they are allowed.
    """
    a = a if hasattr(a, "dtype") else np.asarray(a)
    kind = a.dtype.kind
    if kind == "f" or (complex and kind == "c"):
        return a
    if kind == "c":
        raise TypeError(REAL)
    return astype(a, np.float64)


def converted(name: str, y: Array, dtype: DTypeLike | None, casting: str | None = None) -> Array:
    """y in another dtype. TypeError, beginning with `name`, if `casting` ("same_kind" for None) does not allow it."""
    wanted = y.dtype if dtype is None else dtype_of(name, dtype)
    casting = "same_kind" if casting is None else casting
    if casting not in ("no", "equiv", "safe", "same_kind", "unsafe"):
        raise ValueError(f"{name}: `casting` is {casting!r}; it must be 'no', 'equiv', 'safe', 'same_kind' or 'unsafe'")
    if not np.can_cast(y.dtype, wanted, casting):  # type: ignore[arg-type]
        raise TypeError(f"{name}: {y.dtype} does not become `dtype` {wanted} with `casting` {casting!r}; use astype")
    return astype(y, wanted)
