"""The exact GELU and its derivative from the tail of the normal distribution, accurate where 1 + erf would cancel.

Q(z) is the probability beyond z >= 0, N(x) that below x, and f the density.

In float32, N, f and the slope N + x f are looked up at the multiple h of 1 / STEP next to x. With d = x - h,

    N(x) = N(h) + f(h) d (1 - h d / 2 + ...),  and the slope is that of h + f(h) d (2 - h^2 - (4 - h^2) h d / 2 + ...).

What is added to the values that are looked up is at most 1 % of them, so its rounding does not count.

In float64, Q(z) is e^(-z^2 / 2) u P(z u), with u = 1 / (z + K). The polynomial P interpolates Q(z) e^(z^2 / 2) / u at Chebyshev
points, to 1e-16. The exponential is corrected for what z^2 loses in rounding, which would cost 700 units in the last place at
z = 38.
"""

from __future__ import annotations

import math
from functools import cache
from typing import Any

import numpy as np

from ..scope import errors
from . import blocks
from .parallel.workspace import scratch

_invalid = errors(invalid="ignore")

SHORT = 1 << 6
"""Up to this many elements the definition takes less time."""

STEP = 1024
MOST = 15
"""From here on N(x) is 1, and below -MOST x N(x) is 0, in float32."""

SCALE = 2.0**64
"""N and its f are multiplied by it when they are looked up, because N(x) may be subnormal where x N(x) is not."""

K, MOST64, EXACT = 3.5, 40.0, -(1 << 27)
"""K above; the z from which on x Q(z) is 0 in float64; and the bits of a number whose square is exact."""

P = (
    0.0018810357549667418, -0.00822020390135926, -0.01620784504325207, 0.21228831077661045, -0.7601274474623269,
    1.612125113913753, -2.3717665725846335, 2.5925123962375136, -2.1781542492523234, 1.437418767455725,
    -0.7601645854335453, 0.31554486021898964, -0.10255803195258596, 0.04350885367260752, 0.0048204978661115575,
    -0.02101276985812602, -0.06135349016524473, -0.014219762242881141, 0.16841191854043577, 0.18809954767132525,
    -0.48120113675834214, -0.7103041222952029, 2.6946641301644796, -3.1370429349175484, 1.75,
)  # fmt: skip

_ONE, _TWO, _LESS, _MOST, _LEAST, _STEP, _PER_STEP, _FIRST, _UNSCALED = (
    np.array(c, np.float32) for c in (1, 2, -1 / 2, MOST, -MOST, STEP, 1 / STEP, MOST * STEP, 1 / SCALE)
)
"""As arrays without axes: ufuncs would convert Python's numbers in every call."""


def prepare(out: np.ndarray | None, a: Any, *, approximate: str) -> Any:
    """A task for ``gelu``; None for its approximation, few elements, and dtypes other than floats of up to 64 bits."""
    return blocks.prepare(_gelu, out, a) if approximate == "none" and blocks.fits(a) and a.size > SHORT else None


def prepare_slope(out: np.ndarray | None, a: Any) -> Any:
    """A task for ``gelu_slope``."""
    return blocks.prepare(_slope, out, a) if blocks.fits(a) and a.size > SHORT else None


def _gelu(x: np.ndarray, y: np.ndarray) -> None:
    """x N(x), in float64 max(x, 0) - z Q(z)."""
    if x.dtype == np.float64:
        z, e, p = _parts(x)
        p *= z  # not the tail: it may be subnormal
        p *= e
        np.subtract(np.maximum(x, 0, out=z), p, out=y)
        return
    near = _near(x)
    h, d, at = _place(near)
    p = np.multiply(h, d, h)
    p *= _LESS
    p += _ONE
    p *= d
    p *= _looked_up(1, at)
    p += _looked_up(0, at)
    p *= near
    np.multiply(p, _UNSCALED, y)
    if near is not x:
        y += np.maximum(x, _MOST) - _MOST


def _slope(x: np.ndarray, y: np.ndarray) -> None:
    """N(x) + x f(x), in float64 t = Q(z) - z f(z) where x < 0, and 1 - t elsewhere."""
    if x.dtype == np.float64:
        z, e, t = _parts(x)
        z *= 1 / math.sqrt(2 * math.pi)
        t -= z
        t *= e
        side = np.copysign(1, x, out=z)
        t *= side
        np.subtract(np.maximum(side, 0, out=side), t, out=y)
        return
    h, d, at = _place(_near(x))
    first = np.multiply(h, h, blocks.temporary("first", x))
    np.subtract(_TWO, first, first)
    t = np.add(first, _TWO, y)
    t *= h
    t *= d
    t *= _LESS
    t += first
    t *= d
    t *= _looked_up(3, at)
    t += _looked_up(2, at)


@cache
def _tables() -> list[np.ndarray]:
    """SCALE N(h), SCALE f(h), the slope and f(h) in float32, for h from -MOST to MOST."""
    h = np.arange(-MOST * STEP, MOST * STEP + 1) / STEP
    p = np.fromiter(map(math.erfc, h * -math.sqrt(0.5)), float, h.size) / 2
    f = np.exp(h * h * -0.5) / math.sqrt(2 * math.pi)
    return [a.astype(np.float32) for a in (p * SCALE, f * SCALE, p + h * f, f)]


def _looked_up(table: int, at: np.ndarray) -> Any:
    return np.take(_tables()[table], at, out=scratch("found", at.shape, np.dtype(np.float32)), mode="clip")


def _near(x: np.ndarray) -> np.ndarray:
    """x itself, or with the numbers beyond MOST and -MOST in their place. A NaN stays."""
    if x.min() >= _LEAST and x.max() <= _MOST:
        return x
    near = blocks.temporary("near", x)
    np.minimum(x, _MOST, out=near)
    np.maximum(near, _LEAST, out=near)
    return near


def _place(x: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """h, d and the place of h in the tables."""
    h, d = np.multiply(x, _STEP, blocks.temporary("h", x)), blocks.temporary("d", x)
    np.rint(h, h)
    np.add(h, _FIRST, d)
    at = scratch("at", h.shape, np.dtype(np.intp))
    with _invalid:  # NaN is looked up anywhere; it stays in d
        np.copyto(at, d, casting="unsafe")
    h *= _PER_STEP
    return h, np.subtract(x, h, d), at


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
