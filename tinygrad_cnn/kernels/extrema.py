"""The gradient of a maximum or minimum, fast where one element alone is equal to it, as nearly always."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from ..ops.reduce import reduced_axes, share

SHORT = 1 << 8
"""Up to this many elements the definition is fast enough."""


def prepare(out: np.ndarray | None, u: Any, hits: Any, *, axis: Any) -> Callable[[], Any] | None:
    """A task for ``share`` over the last axes: it writes a value for each output into zeros, if each has one hit.

    None for few elements, other axes, and arrays that are not in C order.
    """
    if hits.__class__ is not np.ndarray or hits.dtype != bool or hits.size <= SHORT or not hits.flags.c_contiguous:
        return None
    if u.dtype.char not in "fd" or (out is not None and not out.flags.c_contiguous):
        return None
    axes = reduced_axes(axis, hits.ndim)
    kept = hits.ndim - len(axes)
    rows = math.prod(hits.shape[:kept])
    values = np.asarray(u)
    if (
        axes != tuple(range(kept, hits.ndim))
        or not axes
        or (whole := values.shape == hits.shape) is (values.size == rows)
    ):
        return None
    width = hits.size // rows
    row, plain = np.arange(rows), share.op.raw

    def task() -> np.ndarray:
        places = np.flatnonzero(hits)
        if places.size != rows or not (rows == 1 or np.array_equal(places // width, row)):
            y: np.ndarray = plain(values, hits, axis=axis)
            if out is None:
                return y
            np.copyto(out, y)
            return out
        y = np.zeros(hits.shape, values.dtype) if out is None else out
        if out is not None:
            y.fill(0)
        y.reshape(-1)[places] = values.reshape(-1)[places] if whole else values.reshape(-1)
        return y

    return task
