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
    order = None
    if not a.flags.c_contiguous or not y.flags.c_contiguous:
        order = sorted(range(a.ndim), key=lambda i: -a.strides[i])
        if not (a.transpose(order).flags.c_contiguous and y.transpose(order).flags.c_contiguous):
            return np.maximum(a, 0, out=y)
    source, target = (v.reshape(-1) if order is None else v.transpose(order).reshape(-1) for v in (a, y))
    zeros = _zeros(a.dtype)
    whole = source.size - source.size % RUN
    if whole:
        np.maximum(source[:whole].reshape(-1, RUN), zeros, out=target[:whole].reshape(-1, RUN))
    if whole < source.size:
        np.maximum(source[whole:], zeros[: source.size - whole], out=target[whole:])
    return y
