"""``relu`` and leaky relu as the maximum of two arrays: NumPy vectorizes that, but not the maximum of an array and a number."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache, partial
from typing import Any

import numpy as np
from numpy import ndarray

from .copies import flattened
from .parallel.chunks import LARGE, shared

SHORT = 1 << 12
"""Up to this many elements, comparing with a number takes no longer than making 1-d views to compare with zeros."""

RUN = 1 << 14
"""Elements compared at a time: the zeros to compare with stay in the cache."""


def prepare(out: np.ndarray | None, a: Any) -> Callable[[], Any] | None:
    """A task for max(a, 0), in the memory order of a; `out` may be a."""
    if a.__class__ is not ndarray or a.dtype.kind != "f":
        return None
    if a.size <= SHORT:
        if out is None:
            return partial(np.maximum, a, _zeros(a.dtype, ()))
        source, target = flattened(a, out) or (a, out)
        zeros = _zeros(a.dtype, (RUN,))[: a.size] if source.ndim == 1 else _zeros(a.dtype, ())
        return partial(np.maximum, source, zeros, out=target)
    y = np.empty_like(a) if out is None else out
    source, target = a.ravel("K"), y.ravel("K")
    if a.strides != y.strides or target.base is None or source.base is None:  # ravel made a copy: there are gaps
        return partial(np.maximum, a, _zeros(a.dtype, ()), out=y)
    return shared(_rectify, y, source, target) if a.size >= LARGE else partial(_rectified, y, source, target)


def rectified(a: Any) -> Any:
    """max(a, 0), if there are few elements."""
    if a.__class__ is ndarray and a.size <= SHORT and a.dtype.kind == "f":
        return np.maximum(a, _zeros(a.dtype, ()))
    return None


def prepare_leaky(out: np.ndarray | None, a: Any, slope: Any) -> Callable[[], Any] | None:
    """A task for max(a, slope a), which is a where a > 0 and slope a elsewhere, for a number 0 < slope <= 1."""
    if slope.__class__ is not float or not 0 < slope <= 1 or a.__class__ is not ndarray or a.dtype.kind != "f":
        return None

    def task() -> Any:
        scaled = np.asarray(np.multiply(a, slope))
        return np.maximum(a, scaled, out=scaled if out is None else out)

    return task


@lru_cache(maxsize=64)
def _zeros(dtype: np.dtype[Any], shape: tuple[int, ...]) -> np.ndarray:
    zeros = np.zeros(shape, dtype)
    zeros.flags.writeable = False
    return zeros


def _rectified(y: np.ndarray, source: np.ndarray, target: np.ndarray) -> np.ndarray:
    _rectify(source, target)
    return y


def _rectify(source: np.ndarray, target: np.ndarray) -> None:
    """target = max(source, 0), for 1-d arrays."""
    zeros = _zeros(source.dtype, (RUN,))
    whole = source.size - source.size % RUN
    if whole:
        np.maximum(source[:whole].reshape(-1, RUN), zeros, out=target[:whole].reshape(-1, RUN))
    if whole < source.size:
        np.maximum(source[whole:], zeros[: source.size - whole], out=target[whole:])
