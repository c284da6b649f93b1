"""max(a, 0) beside an array of zeros: NumPy's maximum with a scalar does not use the processor's vectors."""

from __future__ import annotations

from functools import cache
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
    if a.flags.c_contiguous and y.flags.c_contiguous:
        source, target = a.reshape(-1), y.reshape(-1)
    else:
        order = sorted(range(a.ndim), key=a.strides.__getitem__, reverse=True)
        ordered, result = a.transpose(order), y.transpose(order)
        if not (ordered.flags.c_contiguous and result.flags.c_contiguous):
            return np.maximum(a, 0, out=y)
        source, target = ordered.reshape(-1), result.reshape(-1)
    zeros = _zeros(a.dtype)
    if source.size <= RUN:
        np.maximum(source, zeros[: source.size], out=target)
        return y
    whole = source.size - source.size % RUN
    np.maximum(source[:whole].reshape(-1, RUN), zeros, out=target[:whole].reshape(-1, RUN))
    if whole < source.size:
        np.maximum(source[whole:], zeros[: source.size - whole], out=target[whole:])
    return y
