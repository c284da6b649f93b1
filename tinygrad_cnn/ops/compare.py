"""Comparisons, logic and bitwise ops: Boolean or integer results without a gradient.

They are ops, not bare NumPy calls, so that a rule such as ``where(a > b, g, 0)`` works on arrays and Tensors alike, and so
that tracers see them.
"""

from __future__ import annotations

import numpy as np

from ..core.graph import Array, Tensor, implements
from .ufunc import ufuncs

__all__ = [
    "bitwise_and", "bitwise_count", "bitwise_not", "bitwise_or", "bitwise_xor", "equal", "gcd", "greater", "greater_equal",
    "isfinite", "isinf", "isnan", "lcm", "left_shift", "less", "less_equal", "logical_and", "logical_not", "logical_or",
    "logical_xor", "not_equal", "right_shift", "signbit",
]  # fmt: skip

discrete_unary, discrete_binary = ufuncs(__name__, differentiable=False)

equal = discrete_binary(np.equal, "y = (a == b), Boolean, without a gradient.")
not_equal = discrete_binary(np.not_equal, "y = (a != b), Boolean, without a gradient.")
less = discrete_binary(np.less, "y = (a < b), Boolean, without a gradient.")
less_equal = discrete_binary(np.less_equal, "y = (a <= b), Boolean, without a gradient.")
greater = discrete_binary(np.greater, "y = (a > b), Boolean, without a gradient.")
greater_equal = discrete_binary(np.greater_equal, "y = (a >= b), Boolean, without a gradient.")

logical_and = discrete_binary(np.logical_and, "y = a and b, Boolean, without a gradient.")
logical_or = discrete_binary(np.logical_or, "y = a or b, Boolean, without a gradient.")
logical_xor = discrete_binary(np.logical_xor, "y = (a != b) of the truth values, Boolean, without a gradient.")
logical_not = discrete_unary(np.logical_not, "y = not a, Boolean, without a gradient.")

BITS = "bit by bit: integers, or Booleans, for which it is {}. TypeError for other dtypes. No gradient."
bitwise_and = discrete_binary(np.bitwise_and, "y = a & b, " + BITS.format("logical_and"))
bitwise_or = discrete_binary(np.bitwise_or, "y = a | b, " + BITS.format("logical_or"))
bitwise_xor = discrete_binary(np.bitwise_xor, "y = a ^ b, " + BITS.format("logical_xor"))
bitwise_not = discrete_unary(np.bitwise_not, "y = ~a, " + BITS.format("logical_not"), "bitwise_not")
left_shift = discrete_binary(np.left_shift, "y = a 2^b, for integers. TypeError for other dtypes. No gradient.")
right_shift = discrete_binary(
    np.right_shift, "y = floor(a / 2^b), for integers. TypeError for other dtypes. No gradient."
)
bitwise_count = discrete_unary(np.bitwise_count, "y = how many bits of |a| are set, for integers. No gradient.")
gcd = discrete_binary(np.gcd, "y = the greatest common divisor of |a| and |b|, for integers. No gradient.")
lcm = discrete_binary(np.lcm, "y = the lowest common multiple of |a| and |b|, for integers. No gradient.")

isfinite = discrete_unary(np.isfinite, "y = whether a is neither infinite nor NaN, Boolean, without a gradient.")
isnan = discrete_unary(np.isnan, "y = whether a is NaN, Boolean, without a gradient.")
isinf = discrete_unary(np.isinf, "y = whether a is infinite, Boolean, without a gradient.")
signbit = discrete_unary(np.signbit, "y = whether a has a minus sign, as -0.0 has, Boolean, without a gradient.")


@implements(np.isneginf)
def _isneginf(x: Array) -> Tensor:
    """np.isneginf of a Tensor."""
    return logical_and(isinf(x), signbit(x))


@implements(np.isposinf)
def _isposinf(x: Array) -> Tensor:
    """np.isposinf of a Tensor."""
    return logical_and(isinf(x), logical_not(signbit(x)))
