"""The sigmoid and its gradient in cache-sized blocks, on several threads."""

from __future__ import annotations

from typing import Any

import numpy as np

from . import blocks
from .blocks import temporary

ONE = 87.0
"""From here on e^x / (1 + e^x) is 1 in every dtype, and e^x does not overflow yet in float32."""


def prepare(out: np.ndarray | None, a: Any) -> Any:
    """A task for ``sigmoid``; None for dtypes other than floats of up to 64 bits."""
    return blocks.prepare(_sigmoid, out, a) if blocks.fits(a) else None


def prepare_pull(out: np.ndarray | None, u: Any, s: Any) -> Any:
    """A task for ``sigmoid_pull``; None for arrays that differ in shape, dtype or memory order."""
    return blocks.prepare(_pull, out, u, s) if blocks.fits(u, s) else None


def _sigmoid(x: np.ndarray, y: np.ndarray) -> None:
    """e^x / (1 + e^x)."""
    if not x.max() <= ONE:
        x = np.minimum(x, ONE, out=y)
    np.exp(x, y)
    np.divide(y, np.add(y, 1, temporary("block", y)), y)


def _pull(u: np.ndarray, s: np.ndarray, y: np.ndarray) -> None:
    """u s (1 - s)."""
    rest = np.subtract(1, s, temporary("block", y))
    np.multiply(rest, s, rest)
    np.multiply(rest, u, y)
