"""``sigmoid`` from e = e^-|x|: n / (1 + e), where n = 1 for x >= 0, else e, which is the larger of e and the sign of x."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache, partial
from typing import Any

import numpy as np

from . import blocks


def prepare(out: np.ndarray | None, a: Any) -> Callable[[], Any] | None:
    """A task for ``sigmoid``; None for dtypes other than float32 and float64."""
    if a.__class__ is not np.ndarray or a.dtype.char not in "fd":
        return None
    if a.size > blocks.BLOCK:
        return blocks.prepare(_fill, out, a)
    return partial(_fill, a, np.empty_like(a) if out is None else out)


def _fill(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Write the values to y, which may be x."""
    one, minus_one = _ones(x.dtype)
    n = np.copysign(one, x)
    np.copysign(x, minus_one, y)
    np.exp(y, y)
    n = np.maximum(y, n)
    np.add(y, one, y)
    return np.divide(n, y, y)  # type: ignore[no-any-return]


@lru_cache(maxsize=8)
def _ones(dtype: np.dtype[Any]) -> tuple[np.ndarray, np.ndarray]:
    return np.array(1, dtype), np.array(-1, dtype)
