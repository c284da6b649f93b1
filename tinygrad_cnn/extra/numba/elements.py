"""GELU, SiLU and their derivatives for float32, computed in float64 and rounded once.

With z = |x|, Q(z) is the probability that a standard normal number is beyond z, and f(z) = e^(-z^2 / 2) / sqrt(2 pi) its
density. Q(z) is e^(-z^2 / 2) u P(z u), with u = 1 / (z + K). The polynomial P interpolates Q(z) e^(z^2 / 2) / u at Chebyshev
points, to 4e-12, and e^x is 2^n times a polynomial, to 1e-12.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ...kernels import blocks
from .compiled import Number, helper, loop

BLOCK = 4096
"""Elements are read into a block of their own first: the result may take the place of the input, and a loop that reads and
writes the same elements would not use vector registers."""

K = 3.5
MOST = 15.0
"""From this z on, x Q(z) is 0 in float32."""

FAR = 150.0
"""Beyond, x e^-|x| is 0 in float32."""

PER_LOG2, LOG2 = 1.4426950408889634, 0.6931471805599453
PER_ROOT = 0.3989422804014327
"""1 / sqrt(2 pi)."""


def prepare_gelu(out: np.ndarray | None, a: Any, *, approximate: str) -> Any:
    """A task for ``gelu``; None for its approximation, and for dtypes other than float16 and float32."""
    return _prepare(_gelu, out, a) if approximate == "none" else None


def prepare_gelu_slope(out: np.ndarray | None, a: Any) -> Any:
    """A task for ``gelu_slope``."""
    return _prepare(_gelu_slope, out, a)


def prepare_silu(out: np.ndarray | None, a: Any) -> Any:
    """A task for ``silu``."""
    return _prepare(_silu, out, a)


def prepare_silu_slope(out: np.ndarray | None, a: Any) -> Any:
    """A task for ``silu_slope``."""
    return _prepare(_silu_slope, out, a)


def _prepare(function: Any, out: np.ndarray | None, a: Any) -> Any:
    return blocks.prepare(function, out, a) if blocks.fits(a) and a.dtype.char != "d" else None


@helper
def _exp(x: Number) -> Number:
    """e^x, for |x| below 700."""
    n = np.rint(x * PER_LOG2)
    r = x - n * LOG2
    p = 2.4875794582163048e-05
    p = p * r + 0.00019915880069744265
    p = p * r + 0.0013888822504499992
    p = p * r + 0.008333266074228006
    p = p * r + 0.0416666668852582
    p = p * r + 0.16666666891165605
    p = p * r + 0.4999999999981014
    p = p * r + 0.9999999999797704
    p = p * r + 1.0
    power = np.int64((np.int64(np.int32(n)) + 1023) << 52)
    return p * power.view(np.float64)


@helper
def _tail(z: Number) -> tuple[Number, Number]:
    """Q(z) and f(z), for z from 0 to MOST."""
    u = 1.0 / (z + K)
    t = z * u
    p = 0.012574907458609478
    p = p * t - 0.043698004843984624
    p = p * t + 0.035827846557875236
    p = p * t + 0.024433753905395955
    p = p * t - 0.026514265061632434
    p = p * t + 0.012061526565898466
    p = p * t - 0.07893419907732065
    p = p * t - 0.008286864770142212
    p = p * t + 0.16708483461371978
    p = p * t + 0.1882951261763527
    p = p * t - 0.48121943393382144
    p = p * t - 0.7103031127127059
    p = p * t + 2.6946641014724024
    p = p * t - 3.1370429346000748
    p = p * t + 1.7499999999994222
    e = _exp(-0.5 * z * z)
    return p * u * e, e * PER_ROOT


@loop
def _gelu(x: np.ndarray, y: np.ndarray) -> None:
    """max(x, 0) - z Q(z)."""
    block = np.empty(BLOCK, np.float32)
    for start in range(0, x.size, BLOCK):
        part = y[start : start + BLOCK]
        block[: part.size] = x[start : start + BLOCK]
        for i in range(part.size):
            a = np.float64(block[i])
            size = abs(a)
            z = size if size < MOST else MOST
            q, _ = _tail(z)
            value = (a if a > 0.0 else 0.0) - z * q
            part[i] = value if a == a else a


@loop
def _gelu_slope(x: np.ndarray, y: np.ndarray) -> None:
    """t = Q(z) - z f(z) where x < 0, and 1 - t elsewhere."""
    block = np.empty(BLOCK, np.float32)
    for start in range(0, x.size, BLOCK):
        part = y[start : start + BLOCK]
        block[: part.size] = x[start : start + BLOCK]
        for i in range(part.size):
            a = np.float64(block[i])
            size = abs(a)
            z = size if size < MOST else MOST
            q, f = _tail(z)
            t = q - z * f
            value = t if a < 0.0 else 1.0 - t
            part[i] = value if a == a else a


@loop
def _silu(x: np.ndarray, y: np.ndarray) -> None:
    """x / (1 + e^-x)."""
    block = np.empty(BLOCK, np.float32)
    for start in range(0, x.size, BLOCK):
        part = y[start : start + BLOCK]
        block[: part.size] = x[start : start + BLOCK]
        for i in range(part.size):
            a = np.float64(block[i])
            above = a if a > -FAR else -FAR
            value = above / (1.0 + _exp(-(above if above < FAR else FAR)))
            part[i] = value if a == a else a


@loop
def _silu_slope(x: np.ndarray, y: np.ndarray) -> None:
    """s (1 + x e s), with e = e^-x and s = 1 / (1 + e)."""
    block = np.empty(BLOCK, np.float32)
    for start in range(0, x.size, BLOCK):
        part = y[start : start + BLOCK]
        block[: part.size] = x[start : start + BLOCK]
        for i in range(part.size):
            a = np.float64(block[i])
            near = a if a > -FAR else -FAR
            near = near if near < FAR else FAR
            e = _exp(-near)
            s = 1.0 / (1.0 + e)
            value = s * (1.0 + near * e * s)
            part[i] = value if a == a else a
