"""Elementwise arithmetic: inputs broadcast as in NumPy, and the backward walk sums gradients back to their shapes."""

from __future__ import annotations

import numpy as np
from numpy.typing import DTypeLike

from ..graph import Array, op

__all__ = [
    "abs",
    "add",
    "copy",
    "div",
    "exp",
    "log",
    "maximum",
    "minimum",
    "mul",
    "neg",
    "pow",
    "relu",
    "sqrt",
    "sub",
    "where",
]


@op(elementwise=True, numpy=np.where)
def where(condition: Array, a: Array, b: Array) -> Array:
    """y = a where `condition` holds, else b.   Each input gets the gradient of the places it was taken at."""
    return np.where(condition, a, b)


where.vjp(a=lambda g, condition: where(condition, g, 0),
          b=lambda g, condition: where(condition, 0, g))  # fmt: skip


@op(elementwise=True, numpy=np.add)
def add(a: Array, b: Array) -> Array:
    """y = a + b.   a' = g,  b' = g."""
    return np.add(a, b)


add.vjp(a=lambda g: g,
        b=lambda g: g)  # fmt: skip


@op(elementwise=True, numpy=np.subtract)
def sub(a: Array, b: Array) -> Array:
    """y = a - b.   a' = g,  b' = -g."""
    return np.subtract(a, b)


sub.vjp(a=lambda g: g,
        b=lambda g: -g)  # fmt: skip


@op(elementwise=True, numpy=np.multiply)
def mul(a: Array, b: Array) -> Array:
    """y = a b.   a' = g b,  b' = g a."""
    return np.multiply(a, b)


mul.vjp(a=lambda g, b: g * b,
        b=lambda g, a: g * a)  # fmt: skip


@op(elementwise=True, numpy=np.divide)
def div(a: Array, b: Array) -> Array:
    """y = a / b.   a' = g / b,  b' = -g y / b."""
    return np.divide(a, b)


div.vjp(a=lambda g, b: g / b,
        b=lambda g, y, b: -g * y / b)  # fmt: skip


@op(elementwise=True, numpy=np.negative)
def neg(a: Array) -> Array:
    """y = -a.   a' = -g."""
    return np.negative(a)


neg.vjp(a=lambda g: -g)


@op(elementwise=True, numpy=np.power)
def pow(a: Array, b: Array) -> Array:
    """y = a^b.   a' = g b a^(b-1), and 0 where b = 0;   b' = g y log a, and 0 where a = 0."""
    return np.power(a, b)


# Where a factor of a product is 0 and the other one infinite, the infinite one's argument is replaced before it is used.
def _pow_base(g: Array, a: Array, b: Array) -> Array:
    if isinstance(b, int | float):
        return g * b * pow(a, b - 1 if b else 1)
    return g * b * pow(where((a == 0) & (b == 0), 1, a), b - 1)


def _pow_exponent(g: Array, y: Array, a: Array) -> Array:
    if isinstance(a, int | float):
        a = np.asarray(a, y.dtype)
    return g * y * log(where(a == 0, 1, a))


pow.vjp(a=_pow_base, b=_pow_exponent)


@op(elementwise=True, numpy=np.exp)
def exp(a: Array) -> Array:
    """y = e^a.   a' = g y."""
    return np.exp(a)


exp.vjp(a=lambda g, y: g * y)


@op(elementwise=True, numpy=np.log)
def log(a: Array) -> Array:
    """y = log a.   a' = g / a."""
    return np.log(a)


log.vjp(a=lambda g, a: g / a)


@op(elementwise=True, numpy=np.sqrt)
def sqrt(a: Array) -> Array:
    """y = a^(1/2).   a' = g / (2 y)."""
    return np.sqrt(a)


sqrt.vjp(a=lambda g, y: g / (2 * y))


@op(elementwise=True, numpy=np.abs)
def abs(a: Array) -> Array:
    """y = |a|.   a' = g sign(a), which is 0 at 0."""
    return np.abs(a)


abs.vjp(a=lambda g, a: where(a > 0, g, where(a < 0, -g, 0)))


@op(elementwise=True, numpy=np.maximum)
def maximum(a: Array, b: Array) -> Array:
    """y = max(a, b).   The gradient goes to the larger input, half to each where they are equal."""
    return np.maximum(a, b)


@op(elementwise=True, numpy=np.minimum)
def minimum(a: Array, b: Array) -> Array:
    """y = min(a, b).   The gradient goes to the smaller input, half to each where they are equal."""
    return np.minimum(a, b)


def _share(g: Array, wins: Array, ties: Array) -> Array:
    return where(ties, g * 0.5, where(wins, g, 0))


maximum.vjp(a=lambda g, a, b: _share(g, a > b, a == b),
            b=lambda g, a, b: _share(g, b > a, a == b))  # fmt: skip
minimum.vjp(a=lambda g, a, b: _share(g, a < b, a == b),
            b=lambda g, a, b: _share(g, b < a, a == b))  # fmt: skip


@op(elementwise=True)
def relu(a: Array) -> Array:
    """y = max(a, 0).   a' = g where a > 0, else 0: the subgradient at 0 is 0."""
    return np.maximum(a, 0)


relu.vjp(a=lambda g, y: where(y > 0, g, 0))


@op(elementwise=True, numpy=np.copy)
def copy(a: Array) -> Array:
    """y = a, in memory of its own.   a' = g."""
    return np.array(a)


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
