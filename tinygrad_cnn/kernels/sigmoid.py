"""The sigmoid, SiLU and its slope in cache-sized blocks, on several threads.

SiLU and its derivative are computed from e = e^-x, with s = sigmoid(x) = 1 / (1 + e).

The terms of the slope cancel between -1 and -4. In float32 their roundings alone would cost 6 units in the last place, so only
e is computed in it.

Below FAR, where e would overflow, s is e^x, and the factor x or 1 + x is multiplied by e^(x + SHIFT) first: s may be subnormal
where the result is not.
"""

from __future__ import annotations

import math
from functools import partial
from typing import Any

import numpy as np

from . import blocks
from .blocks import temporary
from .parallel.workspace import scratch

ONE = 87.0
"""From here on e^x / (1 + e^x) is 1 in every dtype, and e^x does not overflow yet in float32."""

FAR = {np.dtype(np.float32): -87, np.dtype(np.float64): -700}
SHIFT = 16
UNIT = {dtype: np.ones((), dtype) for dtype in FAR}
MOST: dict[Any, Any] = {dtype: np.full((), ONE, dtype) for dtype in FAR}

SHORT = 1 << 10
"""Up to this many elements, to cut a block and to fetch memory for it takes longer than to compute it."""


def prepare(out: np.ndarray | None, a: Any) -> Any:
    """A task for ``sigmoid``; None for dtypes other than floats of up to 64 bits."""
    if out is None and a.__class__ is np.ndarray and a.size <= SHORT and a.ndim and a.dtype in UNIT:
        return partial(_few, a)
    return blocks.prepare(of_block, out, a) if blocks.fits(a) else None


def prepare_silu(out: np.ndarray | None, a: Any) -> Any:
    """A task for ``silu``; None for dtypes other than floats of up to 64 bits."""
    return blocks.prepare(_silu, out, a) if blocks.fits(a) else None


def prepare_silu_slope(out: np.ndarray | None, a: Any) -> Any:
    """A task for ``silu_slope``."""
    return blocks.prepare(_slope, out, a) if blocks.fits(a) else None


def _few(a: np.ndarray) -> np.ndarray:
    """The sigmoid without blocks."""
    y: np.ndarray = np.minimum(a, MOST[a.dtype])
    np.exp(y, y)
    y /= np.add(y, UNIT[a.dtype])
    return y


def of_block(x: np.ndarray, y: np.ndarray) -> None:
    """y = e^x / (1 + e^x)."""
    if not x.max() <= ONE:
        x = np.minimum(x, ONE, out=y)
    np.exp(x, y)
    np.divide(y, np.add(y, 1, temporary("block", y)), y)


def of_both_signs(x: np.ndarray, s: np.ndarray, r: np.ndarray) -> None:
    """s = sigmoid(x), as above, and r = sigmoid(-x) = 1 / (1 + e^x), and e^-x from ONE on."""
    is_near = bool(x.max() <= ONE)
    np.exp(x if is_near else np.minimum(x, ONE, out=s), s)
    one = UNIT[s.dtype]
    np.divide(s, np.add(s, one, r), s)
    np.divide(one, r, r)
    if not is_near:
        np.copyto(r, np.exp(-np.maximum(x, ONE)), where=np.greater(x, ONE))


def _decay(x: np.ndarray) -> tuple[np.ndarray, bool]:
    """e^-x, for x from FAR on; and whether all x are."""
    e, least = temporary("e", x), FAR[x.dtype]
    all_near = bool(x.min() >= least)
    np.negative(x, e)
    if not all_near:
        np.minimum(e, -least, out=e)
    return np.exp(e, e), all_near


def _far(x: np.ndarray, y: np.ndarray, shift: int) -> None:
    """y = (x + shift) e^x where x < FAR."""
    at = np.flatnonzero(x < FAR[x.dtype])
    far = np.maximum(x[at], 2 * FAR[x.dtype])
    y[at] = (far + shift) * np.exp(far + SHIFT) * math.exp(-SHIFT)


def _silu(x: np.ndarray, y: np.ndarray) -> None:
    """x / (1 + e)."""
    e, all_near = _decay(x)
    e += UNIT[x.dtype]
    np.divide(x, e, y)
    if not all_near:
        _far(x, y, 0)


def _slope(x: np.ndarray, y: np.ndarray) -> None:
    """s (1 + x e s)."""
    e, all_near = _decay(x)
    near = np.minimum(x, -FAR[x.dtype], out=y)  # e s is 0 at infinity
    part = scratch("part", e.shape, np.dtype(np.float64))
    np.copyto(part, e)
    one = UNIT[part.dtype]
    s = np.add(part, one, scratch("s", part.shape, part.dtype))
    np.divide(one, s, s)
    part *= s
    part *= near
    part += one
    part *= s
    np.copyto(y, part, casting="same_kind")
    if not all_near:
        _far(x, y, 1)
