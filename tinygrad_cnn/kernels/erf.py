"""The error function by rational approximations, in cache-sized blocks.

The approximations are from W. J. Cody, "Rational Chebyshev approximations for the error function", Mathematics of Computation
23 (1969), pages 631-637. His third one, for erfc(x) beyond x = 4, is not needed: there erf(x) differs from 1 by less than
2e-8, and the second still gives that difference to nine digits.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from . import blocks
from .blocks import polynomial

SPLIT, SPLIT32 = 0.46875, 0.75
"""Up to here the first formula: to 1e-16, and for float32 to 1e-9, where 1 - erfc(x) is still short of a digit."""

ONE = 6.0
"""From this x on, erf(x) rounds to 1 in float64."""

# Highest power first. erf(x) = x A(x^2) / B(x^2) near 0, and 1 - exp(-x^2) C(x) / D(x) up to ONE.
A = (1.85777706184603153e-1, 3.16112374387056560e0, 1.13864154151050156e2, 3.77485237685302021e2, 3.20937758913846947e3)
B = (1.0, 2.36012909523441209e1, 2.44024637934444173e2, 1.28261652607737228e3, 2.84423683343917062e3)
C = (
    2.15311535474403846e-8, 5.64188496988670089e-1, 8.88314979438837594e0, 6.61191906371416295e1, 2.98635138197400131e2,
    8.81952221241769090e2, 1.71204761263407058e3, 2.05107837782607147e3, 1.23033935479799725e3,
)  # fmt: skip
D = (
    1.0, 1.57449261107098347e1, 1.17693950891312499e2, 5.37181101862009858e2, 1.62138957456669019e3,
    3.29079923573345963e3, 4.36261909014324716e3, 3.43936767414372164e3, 1.23033935480374942e3,
)  # fmt: skip


def prepare(out: np.ndarray | None, a: Any) -> Callable[[], Any] | None:
    """A task for ``erf``."""
    return blocks.prepare(_erf, out, a) if np.asarray(a).dtype.kind != "c" else None


def _erf(x: np.ndarray, y: np.ndarray) -> None:
    # Evaluate both formulas everywhere, then choose: gathering the elements for each would cost more.
    x = np.clip(x, -ONE, ONE)
    size = np.abs(x)
    z = size * size
    near = x * _ratio(A, B, z)
    far: np.ndarray = np.exp(-z)
    far *= _ratio(C, D, size)
    np.subtract(1, far, out=far)
    np.copysign(far, x, out=y)
    np.copyto(y, near, where=size <= (SPLIT if x.dtype.char == "d" else SPLIT32))


def _ratio(above: tuple[float, ...], below: tuple[float, ...], z: np.ndarray) -> np.ndarray:
    value = polynomial(above, z)
    value /= polynomial(below, z)
    return value
