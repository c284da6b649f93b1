"""GELU, SiLU, hardswish, hardsigmoid and their gradients for float32: GELU's to a unit in the last place, SiLU's to 4, also
where they are small. Those of hardswish and hardsigmoid have the bits of their definitions.

For processors with AVX-512, GELU is in `normal.py`. For the others, numbers are looked up in memory. P(x) is the probability
that a standard normal number is below x, and f its density. P, f and the slope of GELU, P + x f, are looked up at the multiple
h of 1 / STEP next to x. With d = x - h and a = h d,

    P(x) = P(h) + f(h) d (1 - a / 2 + a^2 / 6 - ...),

and the slope changes by the integral of (2 - x^2) f from h to x. What is added is a few percent of what was looked up, so its
rounding counts little. Both sums have two numbers of a table, the second of which is what the first loses in rounding.

e^x is 2^n (1 + w). SCALE keeps factors from being subnormal where the result is not.
"""

from __future__ import annotations

import math
from functools import partial
from typing import Any

import numpy as np

from ...kernels import blocks
from . import normal
from .compiled import Number, exact, helper, loop
from .vectors import FINDS

BLOCK = 1 << 17
"""Elements per block: one pass needs no cache, but copies of a block do, and each call costs a microsecond."""

STEP, PER_STEP = np.float32(256.0), np.float32(1 / 256)

MOST = np.float32(15.0)
"""From here on P(x) is 1, and below -MOST x P(x) is 0, in float32."""

FAR = np.float32(110.0)
"""From here on, x e^-x is 0 in float32."""

PER_LOG2, HIGH, LOW = np.float32(1.4426950408889634), np.float32(0.693359375), np.float32(-2.12194440e-4)
"""HIGH + LOW is log 2, and n HIGH is exact."""

MAGIC = np.float32(1.5 * 2**23)
"""A number to which MAGIC was added is rounded, and its last bits are those of an integer."""

UP, SCALE = 64, np.float32(2.0**-64)

COUNT = 1 << 13
"""Values in a table, a power of two: the place of a NaN is anywhere in it. Negative h are in its second half."""

HALF, THIRD, SIXTH, LAST = (np.float32(1 / n) for n in (2, 3, 6, 24))
ONE, TWO, NONE = np.float32(1.0), np.float32(2.0), np.float32(0.0)
THREE, SIX = np.float32(3.0), np.float32(6.0)


def _tables() -> list[np.ndarray]:
    """2^UP times P, the slope and f; the first two are two numbers each."""
    h = np.fft.fftfreq(COUNT, float(STEP) / COUNT)
    below = np.array([math.erfc(-x * math.sqrt(0.5)) for x in h]) / 2
    f = np.exp(h * h / -2) / math.sqrt(2 * math.pi)
    exact = [a * 2.0**UP for a in (below, below + h * f, f)]
    rounded = [a.astype(np.float32) for a in exact]
    rest = [(a - b).astype(np.float32) for a, b in zip(exact, rounded, strict=True)]
    return [rounded[0], rest[0], rounded[1], rest[1], rounded[2]]


BELOW, BELOW_REST, SLOPE, SLOPE_REST, DENSITY = _tables()


def prepare_gelu(out: np.ndarray | None, a: Any, *, approximate: str) -> Any:
    """A task for ``gelu``; None for its approximation, and for dtypes other than float16 and float32."""
    return _prepare(normal.gelu if FINDS else _gelu, out, a) if approximate == "none" else None


def prepare_gelu_slope(out: np.ndarray | None, a: Any) -> Any:
    """A task for ``gelu_slope``."""
    return _prepare(normal.gelu_slope if FINDS else _gelu_slope, out, a)


def prepare_gelu_pull(out: np.ndarray | None, u: Any, a: Any) -> Any:
    """A task for ``gelu_pull``; None for arrays that differ in shape, dtype or memory order, too."""
    return _prepare(normal.gelu_pull if FINDS else _gelu_pull, out, u, a)


def prepare_silu(out: np.ndarray | None, a: Any) -> Any:
    """A task for ``silu``."""
    return _prepare(_silu, out, a)


def prepare_silu_slope(out: np.ndarray | None, a: Any) -> Any:
    """A task for ``silu_slope``."""
    return _prepare(_silu_slope, out, a)


def prepare_silu_pull(out: np.ndarray | None, u: Any, a: Any) -> Any:
    """A task for ``silu_pull``."""
    return _prepare(_silu_pull, out, u, a)


def prepare_hardsigmoid(out: np.ndarray | None, a: Any) -> Any:
    """A task for ``hardsigmoid``."""
    return _prepare(_hardsigmoid, out, a)


def prepare_hardsigmoid_pull(out: np.ndarray | None, u: Any, a: Any) -> Any:
    """A task for ``hardsigmoid_pull``."""
    return _prepare(_hardsigmoid_pull, out, u, a)


def prepare_hardswish(out: np.ndarray | None, a: Any) -> Any:
    """A task for ``hardswish``."""
    return _prepare(_hardswish, out, a)


def prepare_hardswish_pull(out: np.ndarray | None, u: Any, a: Any) -> Any:
    """A task for ``hardswish_pull``."""
    return _prepare(_hardswish_pull, out, u, a)


def _prepare(function: Any, out: np.ndarray | None, *arrays: Any) -> Any:
    if not blocks.fits(*arrays) or any(a.dtype.char == "d" for a in arrays):
        return None
    apart = out is None or not any(np.may_share_memory(out, a) for a in arrays)
    return blocks.prepare(partial(_into, function, apart), out, *arrays, block=BLOCK)


def _into(function: Any, apart: bool, *arrays: np.ndarray) -> None:
    """function(*arrays) of arrays without gaps; of an element that is repeated, an array is made.

    A result that is not apart, but in the place of an input, is copied there: a loop that reads and writes the same elements
    would not use vector registers.
    """
    *inputs, y = arrays
    apart = apart and y.flags.c_contiguous
    part = y if apart else blocks.temporary("aside", y)
    function(*(np.ascontiguousarray(a) if a.ndim else np.full(y.shape, a) for a in inputs), part)
    if not apart:
        np.copyto(y, part)


@helper
def _place(x: Number) -> tuple[Number, Number, Number, Number]:
    """x, or the nearest number to it from -MOST to MOST; h and d; and the place of h in the tables."""
    x = MOST if x > MOST else x  # a NaN stays
    x = -MOST if x < -MOST else x
    n = np.float32(x * STEP + MAGIC)
    at = np.uint32(n.view(np.uint32) & np.uint32(COUNT - 1))
    h = (n - MAGIC) * PER_STEP
    return x, h, x - h, at


@helper
def _normal(x: Number) -> Number:
    """x P(x)."""
    near, h, d, at = _place(x)
    a = h * d
    rest = DENSITY[at] * d * (((SIXTH - a * LAST) * a - HALF) * a + ONE) + BELOW_REST[at]
    y = (near * BELOW[at] + near * rest) * SCALE
    return x if x > MOST else y


@helper
def _normal_slope(x: Number) -> Number:
    """P(x) + x f(x)."""
    _, h, d, at = _place(x)
    square = h * h
    first = TWO - square
    second = -HALF * h * (first + TWO)
    third = (TWO * square - ONE + HALF * first * (square - ONE)) * THIRD
    rest = DENSITY[at] * d * ((third * d + second) * d + first) + SLOPE_REST[at]
    return (SLOPE[at] + rest) * SCALE


@helper
def _exp(x: Number) -> tuple[Number, Number]:
    """s and w with s (1 + w) = 2^UP e^x, for x from -130 to 0."""
    n = np.float32(x * PER_LOG2 + MAGIC)
    bits = np.int32((n.view(np.int32) + np.int32(127 + UP)) << 23)
    n = n - MAGIC
    r = x - n * HIGH
    r = r - n * LOW
    p = np.float32(0.0013905807863920927)
    p = p * r + np.float32(0.008362961933016777)
    p = p * r + np.float32(0.04166676104068756)
    p = p * r + np.float32(0.16666579246520996)
    p = p * r + HALF
    return bits.view(np.float32), p * (r * r) + r


@helper
def _decay(x: Number) -> tuple[Number, Number]:
    """z = |x|, or FAR if it is larger, and 2^UP e^-z."""
    z = abs(x)
    z = FAR if z > FAR else z
    s, w = _exp(-z)
    return z, s * w + s


@helper
def _logistic(x: Number) -> Number:
    """x / (1 + e^-z) where x >= 0, and x e^-z / (1 + e^-z) elsewhere."""
    z, e = _decay(x)
    y = (-z * e if x < NONE else x) / (ONE + e * SCALE)
    return y * SCALE if x < NONE else y


@helper
def _logistic_slope(x: Number) -> Number:
    """t = e (1 - z + e) / (1 + e)^2 with e = e^-z where x < 0, and 1 - t elsewhere."""
    z, e = _decay(x)
    low = e * SCALE
    t = (e * (ONE - z) + e * low) / (low * (low + TWO) + ONE) * SCALE
    return t if x < NONE else ONE - t


@loop
def _gelu(x: np.ndarray, y: np.ndarray) -> None:
    for i in range(x.size):
        y[i] = _normal(x[i])


@loop
def _gelu_slope(x: np.ndarray, y: np.ndarray) -> None:
    for i in range(x.size):
        y[i] = _normal_slope(x[i])


@loop
def _gelu_pull(u: np.ndarray, x: np.ndarray, y: np.ndarray) -> None:
    for i in range(x.size):
        y[i] = u[i] * _normal_slope(x[i])


@loop
def _silu(x: np.ndarray, y: np.ndarray) -> None:
    for i in range(x.size):
        y[i] = _logistic(x[i])


@loop
def _silu_slope(x: np.ndarray, y: np.ndarray) -> None:
    for i in range(x.size):
        y[i] = _logistic_slope(x[i])


@loop
def _silu_pull(u: np.ndarray, x: np.ndarray, y: np.ndarray) -> None:
    for i in range(x.size):
        y[i] = u[i] * _logistic_slope(x[i])


@exact
def _hardsigmoid(x: np.ndarray, y: np.ndarray) -> None:
    for i in range(x.size):
        t = x[i] + THREE
        t = NONE if t < NONE else t  # a NaN stays
        y[i] = (SIX if t > SIX else t) / SIX


@exact
def _hardsigmoid_pull(u: np.ndarray, x: np.ndarray, y: np.ndarray) -> None:
    for i in range(x.size):
        y[i] = u[i] / SIX if abs(x[i]) < THREE else NONE


@exact
def _hardswish(x: np.ndarray, y: np.ndarray) -> None:
    for i in range(x.size):
        t = x[i] + THREE
        t = NONE if t < NONE else t
        y[i] = x[i] * ((SIX if t > SIX else t) / SIX)


@exact
def _hardswish_pull(u: np.ndarray, x: np.ndarray, y: np.ndarray) -> None:
    for i in range(x.size):
        t = u[i] * (x[i] / THREE + HALF if x[i] < THREE else ONE)
        y[i] = t if x[i] > -THREE else NONE
