"""The exact GELU and its derivative from the tail of the normal distribution, accurate where 1 + erf would cancel.

Q(z) is the probability beyond z >= 0, and f(z) = e^(-z^2 / 2) / sqrt(2 pi) the density.

In float32, Q and f are looked up at the multiple h of 1 / STEP next to z. With d = z - h, a = h d and s = a + d^2 / 2,
f(z) = f(h) e^-s and Q(z) = Q(h) - f(h) d (1 - a / 2 + (a^2 - d^2) / 6 - ...). What is added to the values that are looked up is
at most 3 % of them, so its rounding does not count, and Q and f are right to a unit in the last place.

In float64, Q(z) is e^(-z^2 / 2) u P(z u), with u = 1 / (z + K). The polynomial P interpolates Q(z) e^(z^2 / 2) / u at Chebyshev
points, to 1e-16. The exponential is corrected for what z^2 loses in rounding, which would cost 700 units in the last place at
z = 38.
"""

from __future__ import annotations

import math
from functools import cache
from typing import Any

import numpy as np

from . import blocks

STEP = 256
MOST = 15
"""From this z on, x Q(z) is 0 in float32."""

SCALE = 2.0**64
"""What is looked up is multiplied by it, because Q(z) may be subnormal where z Q(z) is not."""

K, MOST64, EXACT = 3.5, 40.0, -(1 << 27)
"""K above; the z from which on x Q(z) is 0 in float64; and the bits of a number whose square is exact."""

P = (

    0.0018810357549667418, -0.00822020390135926, -0.01620784504325207, 0.21228831077661045, -0.7601274474623269,
    1.612125113913753, -2.3717665725846335, 2.5925123962375136, -2.1781542492523234, 1.437418767455725,
    -0.7601645854335453, 0.31554486021898964, -0.10255803195258596, 0.04350885367260752, 0.0048204978661115575,
    -0.02101276985812602, -0.06135349016524473, -0.014219762242881141, 0.16841191854043577, 0.18809954767132525,
    -0.48120113675834214, -0.7103041222952029, 2.6946641301644796, -3.1370429349175484, 1.75,
)  # fmt: skip


def prepare(out: np.ndarray | None, a: Any, *, approximate: str) -> Any:
    """A task for ``gelu``; None for its approximation and for dtypes other than floats of up to 64 bits."""
    return blocks.prepare(_gelu, out, a) if approximate == "none" and blocks.fits(a) else None


def prepare_slope(out: np.ndarray | None, a: Any) -> Any:
    """A task for ``gelu_slope``."""
    return blocks.prepare(_slope, out, a) if blocks.fits(a) else None


def _gelu(x: np.ndarray, y: np.ndarray) -> None:
    """max(x, 0) - z Q(z)."""
    if x.dtype == np.float64:
        z, e, p = _parts(x)
        p *= z  # not the tail: it may be subnormal
        p *= e
    else:
        z, _, p, _, _ = _near(x)
        p *= z
        p *= 1 / SCALE
    np.subtract(np.maximum(x, 0, out=z), p, out=y)


def _slope(x: np.ndarray, y: np.ndarray) -> None:
    """t = Q(z) - z f(z) where x < 0, and 1 - t elsewhere."""
    if x.dtype == np.float64:
        z, e, t = _parts(x)
        z *= 1 / math.sqrt(2 * math.pi)
        t -= z
        t *= e
    else:
        z, f, t, a, b = _near(x)
        b *= 0.5
        s = np.add(a, b, out=a)
        part = s * (1 / 6)  # 1 - e^-s = s (1 - s (1 / 2 - s / 6))
        part -= 0.5
        part *= s
        part += 1
        part *= s
        part *= f
        f -= part
        f *= z
        t -= f
        t *= 1 / SCALE
    side = np.copysign(1, x, out=z)
    t *= side
    np.subtract(np.maximum(side, 0, out=side), t, out=y)


@cache
def _table() -> tuple[np.ndarray, np.ndarray]:
    """SCALE Q(h) and SCALE f(h) in float32."""
    h = np.arange(MOST * STEP + 1) / STEP
    q = np.fromiter(map(math.erfc, h * math.sqrt(0.5)), float, h.size) / 2
    f = np.exp(h * h * -0.5) / math.sqrt(2 * math.pi)
    return (q * SCALE).astype(np.float32), (f * SCALE).astype(np.float32)


def _near(x: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """z = |x|, SCALE f(h), SCALE Q(z), a = h d and b = d^2, for float32."""
    z = np.abs(x)
    np.minimum(z, MOST, out=z)
    h = z * STEP
    np.rint(h, out=h)
    at = np.fmin(h, MOST * STEP).astype(np.intp)  # NaN is looked up anywhere; it stays in d
    q, f = (values.take(at, mode="clip") for values in _table())
    h *= 1 / STEP
    d = z - h
    a = np.multiply(h, d, out=h)
    b = d * d
    sum_ = a * a
    sum_ -= b
    sum_ *= 1 / 6
    part = a * 0.5
    sum_ -= part
    sum_ += 1
    sum_ *= d
    sum_ *= f
    q -= sum_
    return z, f, q, a, b


def _parts(x: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """z = |x|, e^(-z^2 / 2) and u P(z u), for float64."""
    z = np.abs(x)
    np.minimum(z, MOST64, out=z)
    square = z * z
    high = np.bitwise_and(z.view(np.int64), EXACT).view(z.dtype)
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
    u = np.add(z, K, out=high)
    np.divide(1, u, out=u)
    p = blocks.polynomial(P, np.multiply(z, u, out=lost))
    p *= u
    return z, e, p
