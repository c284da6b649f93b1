"""Powers with an integer as the exponent. NumPy takes 60 ns for each negative base, a hundred times as long as for others."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

from . import blocks
from .blocks import temporary

SHORT = 1 << 6
"""Up to this many elements, preparing blocks takes longer than to compute them."""


def prepare(out: np.ndarray | None, a: Any, b: Any) -> Callable[[], Any] | None:
    """A task for a^b; None without `out`, unless b is an integer as a number, and a a float array of many elements."""
    function = _function(a, b)
    if isinstance(function, np.ufunc):
        return partial(function, a) if out is None else partial(function, a, out)
    task = blocks.prepare(function, out, a) if function is not None else None
    return task if task is not None or out is None else partial(np.power, a, b, out)


def _function(a: Any, b: Any) -> Callable[[np.ndarray, np.ndarray], object] | None:
    """The function of a block that computes a^b."""
    if (
        (b.__class__ is not float and b.__class__ is not int)
        or a.__class__ is not np.ndarray
        or a.dtype.char not in "fd"
        or a.size <= SHORT
    ):
        return None
    if b in PRODUCTS:
        return PRODUCTS[b]
    return partial(_integer, b) if b == b // 1 and 0 < abs(b) < MOST else None


def _integer(b: float, a: np.ndarray, y: np.ndarray) -> None:
    size = np.abs(a, temporary("block", y))  # y may be a
    np.power(size, b, size)
    np.copysign(size, a if b % 2 else 1, y)


def _cube(a: np.ndarray, y: np.ndarray) -> None:
    np.multiply(np.square(a, temporary("block", y)), a, y)  # y may be a


def _fourth(a: np.ndarray, y: np.ndarray) -> None:
    np.square(np.square(a, y), y)


def _inverse_square(a: np.ndarray, y: np.ndarray) -> None:
    np.square(np.reciprocal(a, y), y)


PRODUCTS: dict[float, Callable[[np.ndarray, np.ndarray], object]] = {
    -2: _inverse_square, -1: np.reciprocal, 1: np.positive, 2: np.square, 3: _cube, 4: _fourth
}  # fmt: skip
"""Exponents for which at most two roundings give the power, without an intermediate value that overflows before it."""

MOST = 1 << 24
"""Larger floats of 32 bits are all even."""
