"""Comparisons, logic and bits: ops with Boolean or integer results and no gradient.

They are ops, and not bare NumPy calls, so that a rule such as ``where(a > b, g, 0)`` reads the same on arrays and on
Tensors, and so that whoever observes op calls sees these too.
"""

from __future__ import annotations

import numpy as np

from ..core.graph import Array, op

__all__ = [
    "bitwise_and",
    "bitwise_not",
    "bitwise_or",
    "bitwise_xor",
    "equal",
    "greater",
    "greater_equal",
    "isfinite",
    "isnan",
    "less",
    "less_equal",
    "logical_and",
    "logical_not",
    "logical_or",
    "logical_xor",
    "not_equal",
]


@op(ufunc=np.equal)
def equal(a: Array, b: Array) -> Array:
    """y = (a == b), Boolean, without a gradient."""


@op(ufunc=np.not_equal)
def not_equal(a: Array, b: Array) -> Array:
    """y = (a != b), Boolean, without a gradient."""


@op(ufunc=np.less)
def less(a: Array, b: Array) -> Array:
    """y = (a < b), Boolean, without a gradient."""


@op(ufunc=np.less_equal)
def less_equal(a: Array, b: Array) -> Array:
    """y = (a <= b), Boolean, without a gradient."""


@op(ufunc=np.greater)
def greater(a: Array, b: Array) -> Array:
    """y = (a > b), Boolean, without a gradient."""


@op(ufunc=np.greater_equal)
def greater_equal(a: Array, b: Array) -> Array:
    """y = (a >= b), Boolean, without a gradient."""


@op(ufunc=np.logical_and)
def logical_and(a: Array, b: Array) -> Array:
    """y = a and b, Boolean, without a gradient."""


@op(ufunc=np.logical_or)
def logical_or(a: Array, b: Array) -> Array:
    """y = a or b, Boolean, without a gradient."""


@op(ufunc=np.logical_xor)
def logical_xor(a: Array, b: Array) -> Array:
    """y = (a != b) of the truth values, Boolean, without a gradient."""


@op(ufunc=np.logical_not)
def logical_not(a: Array) -> Array:
    """y = not a, Boolean, without a gradient."""


@op(ufunc=np.bitwise_and)
def bitwise_and(a: Array, b: Array) -> Array:
    """y = a & b, bit by bit: integers, or Booleans, for which it is logical_and. TypeError for other dtypes. No gradient."""


@op(ufunc=np.bitwise_or)
def bitwise_or(a: Array, b: Array) -> Array:
    """y = a | b, bit by bit: integers, or Booleans, for which it is logical_or. TypeError for other dtypes. No gradient."""


@op(ufunc=np.bitwise_xor)
def bitwise_xor(a: Array, b: Array) -> Array:
    """y = a ^ b, bit by bit: integers, or Booleans, for which it is logical_xor. TypeError for other dtypes. No gradient."""


@op(ufunc=np.bitwise_not)
def bitwise_not(a: Array) -> Array:
    """y = ~a, bit by bit: integers, or Booleans, for which it is logical_not. TypeError for other dtypes. No gradient."""


@op(ufunc=np.isfinite)
def isfinite(a: Array) -> Array:
    """y = whether a is neither infinite nor NaN, Boolean, without a gradient."""


@op(ufunc=np.isnan)
def isnan(a: Array) -> Array:
    """y = whether a is NaN, Boolean, without a gradient."""
