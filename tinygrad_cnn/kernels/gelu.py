"""The exact GELU and its derivative from the tail of the normal distribution, accurate where 1 + erf would cancel.

The tail Q(z), the probability beyond z >= 0, is e^(-z^2 / 2) u P(z u), with u = 1 / (z + K). The polynomial P interpolates
Q(z) e^(z^2 / 2) / u at Chebyshev points, to 2e-8 in float32 and 1e-16 in float64. The exponential is corrected for what z^2
loses in rounding, which would cost 25 units in the last place at z = 10.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np

from . import blocks


class Tail(NamedTuple):
    """Constants of a dtype: K and P, the z beyond which the tail is 0, and the bits of a number whose square is exact."""

    k: float
    p: tuple[float, ...]
    most: float
    bits: np.dtype[Any]
    exact: int


TAILS = {
    np.dtype(np.float32): Tail(2.5, (
        -0.08140814036251737, 0.2858018027165401, -0.32297471432850083, 0.1463025194333909, -0.15400415820528968,
        0.05735856007929617, 0.29162325642671993, 0.16963205504262535, -1.2433934207644184, 1.2500000178619137,
    ), 15.0, np.dtype(np.int32), -(1 << 12)),
    np.dtype(np.float64): Tail(3.5, (
        0.0018810357549667418, -0.00822020390135926, -0.01620784504325207, 0.21228831077661045, -0.7601274474623269,
        1.612125113913753, -2.3717665725846335, 2.5925123962375136, -2.1781542492523234, 1.437418767455725,
        -0.7601645854335453, 0.31554486021898964, -0.10255803195258596, 0.04350885367260752, 0.0048204978661115575,
        -0.02101276985812602, -0.06135349016524473, -0.014219762242881141, 0.16841191854043577, 0.18809954767132525,
        -0.48120113675834214, -0.7103041222952029, 2.6946641301644796, -3.1370429349175484, 1.75,
    ), 40.0, np.dtype(np.int64), -(1 << 27)),
}  # fmt: skip


def prepare(out: np.ndarray | None, a: Any, *, approximate: str) -> Any:
    """A task for ``gelu``; None for its approximation and for dtypes other than floats of up to 64 bits."""
    return blocks.prepare(_gelu, out, a) if approximate == "none" and blocks.fits(a) else None


def prepare_slope(out: np.ndarray | None, a: Any) -> Any:
    """A task for ``gelu_slope``."""
    return blocks.prepare(_slope, out, a) if blocks.fits(a) else None


def _parts(x: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """z = |x|, e^(-z^2 / 2) and u P(z u)."""
    tail = TAILS[x.dtype]
    z = np.abs(x)
    np.minimum(z, tail.most, out=z)
    square = z * z
    high = np.bitwise_and(z.view(tail.bits), tail.exact).view(z.dtype)
    lost = z + high
    lost *= z - high
    high *= high
    high -= square
    lost += high  # z^2 is square + lost
    square *= -0.5
    e: np.ndarray = np.exp(square, out=square)
    lost *= 0.5
    lost *= e
    e -= lost
    u = np.add(z, tail.k, out=high)
    np.divide(1, u, out=u)
    p = blocks.polynomial(tail.p, np.multiply(z, u, out=lost))
    p *= u
    return z, e, p


def _gelu(x: np.ndarray, y: np.ndarray) -> None:
    """max(x, 0) - z Q(z)."""
    z, e, p = _parts(x)
    p *= z  # not the tail: it may be subnormal
    p *= e
    np.subtract(np.maximum(x, 0, out=z), p, out=y)


def _slope(x: np.ndarray, y: np.ndarray) -> None:
    """t = Q(z) - z e^(-z^2 / 2) / sqrt(2 pi) where x < 0, and 1 - t elsewhere."""
    z, e, p = _parts(x)
    z *= 1 / math.sqrt(2 * math.pi)
    p -= z
    p *= e
    side = np.copysign(1, x, out=z)
    p *= side
    np.subtract(np.maximum(side, 0, out=side), p, out=y)
