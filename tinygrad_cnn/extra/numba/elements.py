"""GELU, SiLU and their gradients for float32, accurate to 4 units in the last place, also where they are small.

With z = |x|, Q(z) is the probability that a standard normal number is beyond z, and f(z) its density. Polynomials in
q = 2 z / (z + K) - 1 give Q(z) e^(z^2 / 2) (z + K) to 3e-8, and (Q(z) - z f(z)) e^(z^2 / 2) / (ZERO - z) to 2e-8: Q(z) - z f(z)
is the slope of GELU at -z, and 0 at ZERO. They have the smallest relative error for coefficients of float32.

e^x is 2^n (1 + w). SCALE keeps factors from being subnormal where the result is not.
"""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np

from ...kernels import blocks
from .compiled import Number, helper, loop

K, ZERO, REST = np.float32(3.5), np.float32(0.7517915368080139), np.float32(-1.2114449e-08)
"""K above; and ZERO, with what float32 loses of it."""

MOST = np.float32(15.0)
"""From this z on, x Q(z) is 0 in float32."""

FAR = np.float32(110.0)
"""From here on, x e^-x is 0 in float32."""

PER_LOG2, HIGH, LOW = np.float32(1.4426950408889634), np.float32(0.693359375), np.float32(-2.12194440e-4)
"""HIGH + LOW is log 2, and n HIGH is exact."""

MAGIC = np.float32(1.5 * 2**23)
"""A number to which MAGIC was added is rounded, and its last bits are those of an integer."""

UP, SCALE = 64, np.float32(2.0**-64)

HALF, ONE, TWO, NONE = np.float32(0.5), np.float32(1.0), np.float32(2.0), np.float32(0.0)


def prepare_gelu(out: np.ndarray | None, a: Any, *, approximate: str) -> Any:
    """A task for ``gelu``; None for its approximation, and for dtypes other than float16 and float32."""
    return _prepare(_gelu, out, a) if approximate == "none" else None


def prepare_gelu_slope(out: np.ndarray | None, a: Any) -> Any:
    """A task for ``gelu_slope``."""
    return _prepare(_gelu_slope, out, a)


def prepare_gelu_pull(out: np.ndarray | None, u: Any, a: Any) -> Any:
    """A task for ``gelu_pull``; None for arrays that differ in shape, dtype or memory order, too."""
    return _prepare(_gelu_pull, out, u, a)


def prepare_silu(out: np.ndarray | None, a: Any) -> Any:
    """A task for ``silu``."""
    return _prepare(_silu, out, a)


def prepare_silu_slope(out: np.ndarray | None, a: Any) -> Any:
    """A task for ``silu_slope``."""
    return _prepare(_silu_slope, out, a)


def prepare_silu_pull(out: np.ndarray | None, u: Any, a: Any) -> Any:
    """A task for ``silu_pull``."""
    return _prepare(_silu_pull, out, u, a)


def _prepare(function: Any, out: np.ndarray | None, *arrays: Any) -> Any:
    if not blocks.fits(*arrays) or any(a.dtype.char == "d" for a in arrays):
        return None
    apart = out is None or not any(np.may_share_memory(out, a) for a in arrays)
    return blocks.prepare(partial(_into if apart else _aside, function), out, *arrays)


def _into(function: Any, *arrays: np.ndarray) -> None:
    """function(*arrays), with an element that is repeated as an array."""
    *inputs, y = arrays
    function(*(a if a.ndim else np.full(y.shape, a) for a in inputs), y)


def _aside(function: Any, *arrays: np.ndarray) -> None:
    """The result takes the place of an input. A loop that reads and writes the same elements would not use vector registers."""
    *inputs, y = arrays
    part = blocks.temporary("aside", y)
    _into(function, *inputs, part)
    np.copyto(y, part)


@helper
def _exp(x: Number, less: Number) -> tuple[Number, Number]:
    """s and w with s (1 + w) = 2^UP e^(x - less), for x from -130 to 0 and `less` much smaller."""
    n = np.float32(x * PER_LOG2 + MAGIC)
    bits = np.int32((n.view(np.int32) + np.int32(127 + UP)) << 23)
    n = n - MAGIC
    r = x - n * HIGH
    r = r - n * LOW
    r = r - less
    p = np.float32(0.0013905807863920927)
    p = p * r + np.float32(0.008362961933016777)
    p = p * r + np.float32(0.04166676104068756)
    p = p * r + np.float32(0.16666579246520996)
    p = p * r + HALF
    return bits.view(np.float32), p * (r * r) + r


@helper
def _near(x: Number) -> Number:
    """z = |x|, or MOST if it is larger. A NaN stays."""
    z = abs(x)
    return MOST if z > MOST else z


@helper
def _times(p: Number, z: Number) -> Number:
    """p e^(-z^2 / 2). z^2 is the square of h, which has 12 bits and is exact, and what is left."""
    z = np.float32(z)  # for Numba, which must know its dtype here
    bits = np.int32(z.view(np.int32) & np.int32(-4096))
    h = bits.view(np.float32)
    s, w = _exp(-HALF * (h * h), HALF * ((z - h) * (z + h)))
    y = p * s
    return (y * w + y) * SCALE


@helper
def _normal(x: Number) -> Number:
    """max(x, 0) - z Q(z)."""
    z = _near(x)
    t = z / (z + K)
    q = TWO * t - ONE
    p = np.float32(9.685339318821207e-05)
    p = p * q + np.float32(0.00040804228046908975)
    p = p * q + np.float32(-0.0004773976397700608)
    p = p * q + np.float32(-0.0031589556019753218)
    p = p * q + np.float32(0.006484991870820522)
    p = p * q + np.float32(0.017400212585926056)
    p = p * q + np.float32(-0.11605148017406464)
    p = p * q + np.float32(0.3154258131980896)
    p = p * q + np.float32(-0.565561830997467)
    p = p * q + np.float32(0.7444160580635071)
    return (NONE if x <= NONE else x) - _times(t * p, z)


@helper
def _normal_slope(x: Number) -> Number:
    """t = Q(z) - z f(z) where x < 0, and 1 - t elsewhere."""
    z = _near(x)
    t = z / (z + K)
    q = TWO * t - ONE
    p = np.float32(3.852100780932233e-05)
    p = p * q + np.float32(2.35803090617992e-05)
    p = p * q + np.float32(-0.0004330023948568851)
    p = p * q + np.float32(0.00024238519836217165)
    p = p * q + np.float32(0.004696203861385584)
    p = p * q + np.float32(-0.0220173429697752)
    p = p * q + np.float32(0.05832879617810249)
    p = p * q + np.float32(-0.11131656169891357)
    p = p * q + np.float32(0.4693795442581177)
    t = _times(((ZERO - z) + REST) * p, z)
    return t if x < NONE else ONE - t


@helper
def _decay(x: Number) -> tuple[Number, Number]:
    """z = |x|, or FAR if it is larger, and 2^UP e^-z."""
    z = abs(x)
    z = FAR if z > FAR else z
    s, w = _exp(-z, NONE)
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
