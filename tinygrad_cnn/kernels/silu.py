"""SiLU and its derivative in cache-sized blocks, from e = e^-x, with s = sigmoid(x) = 1 / (1 + e).

Below FAR, where e would overflow, s is e^x, and the factor x or 1 + x is multiplied by e^(x + SHIFT) first: s may be subnormal
where the result is not.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from . import blocks

FAR = {np.dtype(np.float32): -87, np.dtype(np.float64): -700}
SHIFT = 16


def prepare(out: np.ndarray | None, a: Any) -> Any:
    """A task for ``silu``; None for dtypes other than floats of up to 64 bits."""
    return blocks.prepare(_silu, out, a) if blocks.fits(a) else None


def prepare_slope(out: np.ndarray | None, a: Any) -> Any:
    """A task for ``silu_slope``."""
    return blocks.prepare(_slope, out, a) if blocks.fits(a) else None


def _decay(x: np.ndarray) -> np.ndarray:
    """e^-x, for x from FAR on."""
    e = np.maximum(x, FAR[x.dtype])
    np.negative(e, out=e)
    return np.exp(e, out=e)  # type: ignore[no-any-return]


def _far(x: np.ndarray, y: np.ndarray, shift: int) -> None:
    """y = (x + shift) e^x where x < FAR."""
    if x.size and np.fmin.reduce(x) < FAR[x.dtype]:
        at = np.flatnonzero(x < FAR[x.dtype])
        far = np.maximum(x[at], 2 * FAR[x.dtype])
        y[at] = (far + shift) * np.exp(far + SHIFT) * math.exp(-SHIFT)


def _silu(x: np.ndarray, y: np.ndarray) -> None:
    """x / (1 + e)."""
    e = _decay(x)
    e += 1
    np.divide(x, e, out=y)
    _far(x, y, 0)


def _slope(x: np.ndarray, y: np.ndarray) -> None:
    """s (1 + x e s)."""
    e = _decay(x)
    s = e + 1
    np.divide(1, s, out=s)
    e *= s
    e *= np.minimum(x, -FAR[x.dtype])  # e s is 0 at infinity
    e += 1
    np.multiply(e, s, out=y)
    _far(x, y, 1)
