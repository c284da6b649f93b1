"""``relu`` by the ufunc behind np.clip, and leaky relu as the maximum of two arrays.

NumPy does not vectorize the maximum of an array and a number, and reads two arrays for that of an array and zeros. For -0,
clip may give another sign than the definition: so arrays of every size and layout take the same way.
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

SHORT = 1 << 12
"""Up to this many elements, finding out whether they lie side by side takes longer than it gains."""

BOUNDS: dict[Any, Any] = {np.dtype(char): (np.zeros((), char), np.array(np.inf, char)) for char in "fd"}
"""0 and infinity for each dtype, in native byte order. For float16, clip is slow."""


def prepare(out: np.ndarray | None, a: Any) -> Callable[[], Any] | None:
    """A task for max(a, 0), in the memory order of a; `out` may be a."""
    if a.__class__ is not ndarray or a.dtype not in BOUNDS:
        return None
    bounds = BOUNDS[a.dtype]
    if out is None and a.size <= SHORT:
        return partial(clip, a, *bounds)
    y = np.empty_like(a) if out is None else out
    target, source = flattened(y, a) or (y, a)
    if a.size >= LARGE:
        return shared(_rectify, y, target, source)
    return partial(clip, source, *bounds, target) if out is not None else partial(into, y, _rectify, target, source)


def _rectify(target: np.ndarray, source: np.ndarray) -> None:
    clip(source, *BOUNDS[source.dtype], target)


def prepare_leaky(out: np.ndarray | None, a: Any, slope: Any) -> Callable[[], Any] | None:
    """A task for max(a, slope a), which is a where a > 0 and slope a elsewhere, for a number 0 < slope <= 1."""
    if slope.__class__ is not float or not 0 < slope <= 1 or a.__class__ is not ndarray or a.dtype.kind != "f":
        return None

    def task() -> Any:
        scaled = np.asarray(np.multiply(a, slope))
        return np.maximum(a, scaled, out=scaled if out is None else out)

    return task
