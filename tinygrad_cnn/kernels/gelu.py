"""The exact GELU and its derivative from the tail of the normal distribution, accurate where 1 + erf would cancel.

Q(z) is the probability beyond z >= 0, and f(z) = e^(-z^2 / 2) / sqrt(2 pi) the density.

In float32, Q and f are looked up at the multiple h of 1 / STEP next to z. With d = z - h, a = h d and s = a + d^2 / 2,
f(z) = f(h) e^-s and Q(z) = Q(h) - f(h) d (1 - a / 2 + a^2 / 6 - ...). What is added to the values that are looked up is
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
from .parallel.workspace import scratch

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


_ZERO, _ONE, _HALF, _SIXTH, _MOST, _STEP, _PER_STEP, _UNSCALED = (
    np.array(c, np.float32) for c in (0, 1, 0.5, 1 / 6, MOST, STEP, 1 / STEP, 1 / SCALE)
)
"""As arrays without axes: ufuncs would convert Python's numbers in every call."""


def prepare(out: np.ndarray | None, a: Any, *, approximate: str) -> Any:
    """A task for ``gelu``; None for its approximation and for dtypes other than floats of up to 64 bits."""
    return blocks.prepare(_gelu, out, a) if approximate == "none" and blocks.fits(a) else None


def prepare_slope(out: np.ndarray | None, a: Any) -> Any:
    """A task for ``gelu_slope``."""
    return blocks.prepare(_slope, out, a) if blocks.fits(a) else None


def prepare_pull(out: np.ndarray | None, u: Any, a: Any) -> Any:
    """A task for ``gelu_pull``; None for arrays that differ in shape, dtype or memory order."""
    return blocks.prepare(_pull, out, u, a) if blocks.fits(u, a) else None


def _gelu(x: np.ndarray, y: np.ndarray) -> None:
    """max(x, 0) - z Q(z)."""
    if x.dtype == np.float64:
        z, e, p = _parts(x)
        p *= z  # not the tail: it may be subnormal
        p *= e
    else:
        z, _, p, _, _ = _near(x)
        p *= z
        p *= _UNSCALED
    np.subtract(np.maximum(x, _ZERO.astype(x.dtype), out=z), p, out=y)


def _slope(x: np.ndarray, y: np.ndarray) -> None:
    """t = Q(z) - z f(z) where x < 0, and 1 - t elsewhere."""
    if x.dtype == np.float64:
        z, e, t = _parts(x)
        z *= 1 / math.sqrt(2 * math.pi)
        t -= z
        t *= e
    else:
        z, f, t, a, d = _near(x)
        d *= d
        d *= _HALF
        s = np.add(a, d, out=a)
        part = _series(s, d)
        part *= s
        part *= f
        f -= part
        f *= z
        t -= f
        t *= _UNSCALED
    side = np.copysign(1, x, out=z)
    t *= side
    np.subtract(np.maximum(side, 0, out=side), t, out=y)


def _pull(u: np.ndarray, x: np.ndarray, y: np.ndarray) -> None:
    """u times the derivative."""
    x = x.reshape(-1)  # one element that is repeated
    slope = blocks.temporary("slope", x)
    _slope(x, slope)
    np.multiply(u, slope, out=y)


@cache
def _table() -> tuple[np.ndarray, np.ndarray]:
    """SCALE Q(h) and SCALE f(h) in float32."""
    h = np.arange(MOST * STEP + 1) / STEP
    q = np.fromiter(map(math.erfc, h * math.sqrt(0.5)), float, h.size) / 2
    f = np.exp(h * h * -0.5) / math.sqrt(2 * math.pi)
    return (q * SCALE).astype(np.float32), (f * SCALE).astype(np.float32)


def _near(x: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """z = |x|, SCALE f(h), SCALE Q(z), a = h d and d, for float32."""
    z = np.abs(x, blocks.temporary("z", x))
    np.minimum(z, _MOST, out=z)
    h = np.multiply(z, _STEP, blocks.temporary("h", x))
    np.rint(h, h)
    at = scratch("at", h.shape, np.dtype(np.intp))
    with np.errstate(invalid="ignore"):  # NaN is looked up anywhere; it stays in d
        np.copyto(at, h, casting="unsafe")
    q, f = (np.take(t, at, out=blocks.temporary(n, x), mode="clip") for t, n in zip(_table(), "qf", strict=True))
    h *= _PER_STEP
    d = np.subtract(z, h, blocks.temporary("d", x))
    a = np.multiply(h, d, h)
    part = _series(a, blocks.temporary("part", x))
    part *= d
    part *= f
    q -= part
    return z, f, q, a, d


def _series(s: np.ndarray, out: np.ndarray) -> np.ndarray:
    """1 - s (1 / 2 - s / 6), which is (1 - e^-s) / s for small s."""
    y: np.ndarray = np.multiply(s, _SIXTH, out=out)
    y -= _HALF
    y *= s
    y += _ONE
    return y


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
