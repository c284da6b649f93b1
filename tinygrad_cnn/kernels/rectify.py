"""max(a, 0) beside an array of zeros: NumPy's maximum with a scalar does not use the processor's vectors."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache, partial
from typing import Any

import numpy as np

RUN = 1 << 14
"""Elements compared at a time: their zeros stay in the first-level cache."""


@cache
def _zeros(dtype: np.dtype[Any]) -> np.ndarray:
    zeros = np.zeros(RUN, dtype)
    zeros.flags.writeable = False
    return zeros


def positive_part(a: Any, out: np.ndarray | None = None) -> Any:
    """y = max(a, 0), NaN where a is NaN, in the memory order of a. `out` may be a."""
    if not isinstance(a, np.ndarray) or a.dtype.kind != "f":
        return np.maximum(a, 0, out=out)
    y = np.empty_like(a) if out is None else out
    views = _flat(a, y)
    if views is None:
        return np.maximum(a, 0, out=y)
    source, target = views
    zeros = _zeros(a.dtype)
    if source.size <= RUN:
        np.maximum(source, zeros[: source.size], out=target)
        return y
    whole = source.size - source.size % RUN
    np.maximum(source[:whole].reshape(-1, RUN), zeros, out=target[:whole].reshape(-1, RUN))
    if whole < source.size:
        np.maximum(source[whole:], zeros[: source.size - whole], out=target[whole:])
    return y


def rectifying(a: Any, out: np.ndarray) -> Callable[[], object] | None:
    """:func:`positive_part` of the same memory every time, if it is small."""
    views = _flat(a, out) if isinstance(a, np.ndarray) and a.dtype.kind == "f" and a.size <= RUN else None
    return None if views is None else partial(np.maximum, views[0], _zeros(a.dtype)[: a.size], out=views[1])


def _flat(a: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray] | None:
    """Both as one run of memory, if they are laid out alike and without gaps."""
    if a.flags.c_contiguous and y.flags.c_contiguous:
        return a.reshape(-1), y.reshape(-1)
    order = sorted(range(a.ndim), key=a.strides.__getitem__, reverse=True)
    a, y = a.transpose(order), y.transpose(order)
    return (a.reshape(-1), y.reshape(-1)) if a.flags.c_contiguous and y.flags.c_contiguous else None
