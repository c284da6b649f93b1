"""SiLU and its derivative in cache-sized blocks, from e = e^-|x|, which cannot overflow."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..ops.transcendental import FLAT
from . import blocks


def prepare(out: np.ndarray | None, a: Any) -> Any:
    """A task for ``silu``; None for dtypes other than floats of up to 64 bits."""
    return blocks.prepare(_silu, out, a) if blocks.fits(a) else None


def prepare_slope(out: np.ndarray | None, a: Any) -> Any:
    """A task for ``silu_slope``."""
    return blocks.prepare(_slope, out, a) if blocks.fits(a) else None


def _decay(x: np.ndarray) -> np.ndarray:
    """e^-|x|."""
    e = np.abs(x)
    np.negative(e, out=e)
    return np.exp(e, out=e)  # type: ignore[no-any-return]


def _silu(x: np.ndarray, y: np.ndarray) -> None:
    """x / (1 + e) where x > 0, else x e / (1 + e)."""
    e = _decay(x)
    low = np.maximum(x, -FLAT)
    np.minimum(low, 0, out=low)
    low *= e
    e += 1
    np.add(np.maximum(x, 0), low, out=low)
    np.divide(low, e, out=y)


def _slope(x: np.ndarray, y: np.ndarray) -> None:
    """(n + x e / (1 + e)) / (1 + e), with n = 1 where x > 0, else e."""
    e = _decay(x)
    n = np.copysign(1, x)
    np.maximum(n, 0, out=n)
    part = 1 - n
    part *= e
    n += part
    np.maximum(x, -FLAT, out=part)
    np.minimum(part, FLAT, out=part)
    part *= e
    e += 1
    part /= e
    part += n
    np.divide(part, e, out=y)
