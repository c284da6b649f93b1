"""``relu`` and ``hardtanh`` by the ufunc behind np.clip, and leaky relu as the maximum of two arrays.

NumPy does not vectorize the maximum of an array and a number, and reads two arrays for that of an array and zeros. For -0,
clip may give another sign than the definition, so arrays of every size and layout are computed by clip.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
from numpy import ndarray

from .copies import flattened, into
from .parallel.chunks import LARGE, shared

try:  # for few elements np.clip, which checks its arguments, takes four times as long as its ufunc
    from numpy._core.umath import clip  # type: ignore[attr-defined]
except ImportError:
    clip = np.clip

BOUNDS: dict[Any, Any] = {np.dtype(char): (np.zeros((), char), np.array(np.inf, char)) for char in "fd"}
"""0 and infinity for each dtype, in native byte order. For float16, clip is slow."""

LARGEST = float(np.finfo(np.float32).max)
"""Larger bounds would become infinite in float32, of which NumPy warns."""


def prepare(out: np.ndarray | None, a: Any) -> Callable[[], Any] | None:
    """A task for max(a, 0), in the memory order of a; `out` may be a."""
    if a.__class__ is not ndarray or a.dtype not in BOUNDS:
        return None
    bounds = BOUNDS[a.dtype]
    if out is not None:
        return _clipped(out, a, *bounds)
    if a.size < LARGE:  # finding out whether its elements lie side by side takes longer than it gains
        return partial(clip, a, *bounds)
    y = np.empty_like(a)
    return partial(into, y, _clipped(y, a, *bounds))


def prepare_hardtanh(out: np.ndarray | None, a: Any, *, min_val: Any, max_val: Any) -> Callable[[], Any] | None:
    """A task for a limited to [min_val, max_val], two numbers, in the memory order of a; `out` may be a."""
    if a.__class__ is not ndarray or a.dtype not in BOUNDS or not min_val.__class__ is float is max_val.__class__:
        return None
    if not -LARGEST <= min_val <= max_val <= LARGEST:
        return None
    bounds = np.array(min_val, a.dtype), np.array(max_val, a.dtype)
    return partial(clip, a, *bounds) if out is None else _clipped(out, a, *bounds)


def _clipped(y: np.ndarray, a: np.ndarray, low: np.ndarray, high: np.ndarray) -> Callable[[], Any]:
    """A task that limits a to [low, high], in y."""
    target, source = flattened(y, a) or (y, a)
    if a.size >= LARGE:
        return shared(partial(_clip, low, high), y, target, source)
    return partial(clip, source, low, high, target)


def _clip(low: np.ndarray, high: np.ndarray, target: np.ndarray, source: np.ndarray) -> None:
    clip(source, low, high, target)


def prepare_leaky(out: np.ndarray | None, a: Any, slope: Any) -> Callable[[], Any] | None:
    """A task for max(a, slope a), which is a where a > 0 and slope a elsewhere, for a number 0 < slope <= 1."""
    if slope.__class__ is not float or not 0 < slope <= 1 or a.__class__ is not ndarray or a.dtype.kind != "f":
        return None

    def task() -> Any:
        scaled = np.asarray(np.multiply(a, slope))
        return np.maximum(a, scaled, out=scaled if out is None else out)

    return task
