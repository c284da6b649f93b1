"""GELU of float32 and its slope, to a unit in the last place, with tables in vector registers: for processors with AVX-512.

P(x) is the probability that a standard normal number is below x. With z = |x|,

    P(-z) = R e^(-z^2 / 2)    and    the slope of GELU at -z is    S e^(-z^2 / 2),

where R and S = R - z / sqrt(2 pi) are smooth. The first bits of z + 1 tell in which of PIECES intervals z lies. There, R is a
polynomial in d, the distance from a point of the interval. Its constant is the sum of two numbers: the first has few bits, and
the second and all powers of d together are a few percent of it. In the same way, the exponential is the product of a power of
2^(1 / STEPS), rounded to few bits, and of a number near 1. So the main product is exact, and the rounding of the rest counts
little.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from .compiled import Number, helper, loop
from .vectors import LANES, above, found, fused, least, load, raised, splat, store

PIECES = STEPS = 32
"""Numbers in a table."""

DEGREE = 5
"""Of the polynomials."""

MOST = np.float32(15 - 2**-10)
"""From here on P(x) is 1, and x P(-x) is 0, in float32. z + 1 is below 16."""

UP = 64
"""Factors are multiplied by 2^UP, so that none is subnormal where the result is not."""

MAGIC = np.float32(1.5 * 2**23)
"""A number to which MAGIC was added is rounded, and its last bits are those of an integer."""

PIECE, POWER = np.uint32(20), np.uint32(18)
"""From which bit on those of z + 1 are the piece; the place of 1 / STEPS in a number's exponent and the bits below."""

ONE, NONE, LARGE, SCALE = (np.float32(x) for x in (1.0, 0.0, 2.0**UP, 2.0**-UP))


def _few(a: Any, bits: int) -> Any:
    """Numbers rounded to so many bits."""
    mantissa, exponent = np.frexp(a)
    return np.ldexp(np.round(np.ldexp(mantissa, bits)), exponent - bits)


def _r(z: np.ndarray) -> Any:
    tail = np.reshape([math.erfc(x) for x in (z * math.sqrt(0.5)).flat], z.shape)
    return tail * np.exp(z * z / 2) / 2


def _s(z: np.ndarray) -> Any:
    return _r(z) - z / math.sqrt(2 * math.pi)


def _pieces(function: Callable[[np.ndarray], Any], middle: np.ndarray) -> list[np.ndarray]:
    """For each piece its centre (`middle` is that as a part of the width), the first coefficient, what that lacks, and the
    others. The polynomial has the function's values at Chebyshev's nodes."""
    place = np.arange(PIECES)
    width = 2.0 ** (place // 8) / 8
    start = width * (8 + place % 8) - 1
    count = DEGREE + 1
    nodes = (1 - np.cos(np.pi * (np.arange(count) + 0.5) / count)) / 2 - middle[:, None]
    centre = start + width * middle
    values = function(centre[:, None] + width[:, None] * nodes)
    powers = np.linalg.solve(nodes[:, :, None] ** np.arange(count), values[:, :, None])[:, :, 0]
    first, *others = (powers / width[:, None] ** np.arange(count)).T
    rough = _few(first, 8)
    at = ((start + 1).astype(np.float32).view(np.uint32) >> PIECE) % PIECES
    tables = np.empty((DEGREE + 3, PIECES), np.float32)
    tables[:, at] = [centre, rough, first - rough, *others]
    return list(tables)


def _powers() -> tuple[np.ndarray, np.ndarray]:
    """2^(UP + j / STEPS), rounded to few bits, less what `raised` adds to these bits; and what makes up for the rounding, as a
    part of z^2."""
    j = np.arange(STEPS)
    exact = 2.0 ** (j / STEPS)
    rough = _few(exact, 9)
    bits = rough.astype(np.float32).view(np.uint32) + np.uint32(UP << 23)
    added = np.uint32(MAGIC.view(np.uint32) << POWER) + (j.astype(np.uint32) << POWER)
    return (bits - added).view(np.float32), (2 * np.log(rough / exact)).astype(np.float32)


def _decay() -> Any:
    """Coefficients of (e^(-r / 2) - 1) / r for |r| <= log(2) / STEPS and a little more, highest power first."""
    r = np.cos(np.pi * (np.arange(3) + 0.5) / 3) * (math.log(2) / STEPS + 0.004)
    r[1] = 1e-9  # not 0, by which is divided
    return np.linalg.solve(r[:, None] ** np.arange(2, -1, -1), np.expm1(r / -2) / r).astype(np.float32)


_MIDDLE = np.full(PIECES, 0.5)
CENTRE, FIRST, REST, R1, R2, R3, R4, R5 = _pieces(_r, _MIDDLE)
_MIDDLE[9] = 0.25  # from 1.25 to 1.5: S is small on the left
SLOPE_CENTRE, SLOPE_FIRST, SLOPE_REST, S1, S2, S3, S4, S5 = _pieces(_s, _MIDDLE)
EXACT_POWER, LACK = _powers()
E3, E2, E1 = _decay()
PER_STEP = np.float32(STEPS / -2 / math.log(2))
HIGH = np.float32(_few(2 * math.log(2) / STEPS, 11))
LOW = np.float32(2 * math.log(2) / STEPS - float(HIGH))
"""HIGH + LOW is 2 log(2) / STEPS, and n HIGH is exact."""


@helper
def _exponential(z: Number) -> tuple[Number, Number]:
    """s, of few bits, and w with s (1 + w) = 2^UP e^(-z^2 / 2)."""
    square = z * z
    lost = fused(z, z, splat(NONE) - square)
    rounded = square * PER_STEP + splat(MAGIC)
    n = rounded - MAGIC
    r = fused(n, splat(LOW), fused(n, splat(HIGH), square)) + (lost + found(LACK, rounded, np.uint32(0)))
    return raised(found(EXACT_POWER, rounded, np.uint32(0)), rounded, POWER), ((r * E3 + splat(E2)) * r + splat(E1)) * r


@helper
def _parts(x: Number, z: Number, first: Number, rest: Number) -> tuple[Number, Number]:
    """a and b, which is small: a + b is 2^UP times 1 - p where x is positive, and -p elsewhere, with
    p = (first + rest) e^(-z^2 / 2)."""
    s, w = _exponential(z)
    one, product = above(x, splat(NONE), splat(LARGE), splat(NONE)), first * s
    a = one - product
    return a, one - a - product - s * (w * (first + rest) + rest)


@helper
def _normal(x: Number) -> Number:
    """x P(x)."""
    z = least(x, splat(MOST))
    place = z + ONE
    d = z - found(CENTRE, place, PIECE)
    q = found(R5, place, PIECE) * d + found(R4, place, PIECE)
    q = ((q * d + found(R3, place, PIECE)) * d + found(R2, place, PIECE)) * d + found(R1, place, PIECE)
    a, b = _parts(x, z, found(FIRST, place, PIECE), q * d + found(REST, place, PIECE))
    return above(x, splat(MOST), x, fused(z, a, z * b) * SCALE)


@helper
def _normal_slope(x: Number) -> Number:
    """P(x) + x f(x), with the density f."""
    z = least(x, splat(MOST))
    place = z + ONE
    d = z - found(SLOPE_CENTRE, place, PIECE)
    q = found(S5, place, PIECE) * d + found(S4, place, PIECE)
    q = ((q * d + found(S3, place, PIECE)) * d + found(S2, place, PIECE)) * d + found(S1, place, PIECE)
    a, b = _parts(x, z, found(SLOPE_FIRST, place, PIECE), q * d + found(SLOPE_REST, place, PIECE))
    return (a + b) * above(x, splat(NONE), splat(SCALE), splat(-SCALE))


@loop
def gelu(x: np.ndarray, y: np.ndarray) -> None:
    """y = x P(x)."""
    whole = x.size - x.size % LANES
    for i in range(0, whole, LANES):
        store(y, i, _normal(load(x, i)))
    if whole < x.size:
        rest = np.zeros(LANES, np.float32)
        rest[: x.size - whole] = x[whole:]
        store(rest, 0, _normal(load(rest, 0)))
        y[whole:] = rest[: x.size - whole]


@loop
def gelu_pull(u: np.ndarray, x: np.ndarray, y: np.ndarray) -> None:
    """y = u times the slope."""
    whole = x.size - x.size % LANES
    for i in range(0, whole, LANES):
        store(y, i, load(u, i) * _normal_slope(load(x, i)))
    if whole < x.size:
        rest = np.zeros(LANES, np.float32)
        rest[: x.size - whole] = x[whole:]
        store(rest, 0, _normal_slope(load(rest, 0)))
        for i in range(whole, x.size):
            y[i] = u[i] * rest[i - whole]


def gelu_slope(x: np.ndarray, y: np.ndarray) -> None:
    """y = the slope."""
    gelu_pull(np.ones_like(x), x, y)
