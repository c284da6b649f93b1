"""Cumulative sums of float32, accumulated in float64 term by term, as by the definition.

Each sum waits for the one before, so the loops compute those of several rows at once.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.lib.array_utils import normalize_axis_index

from ...kernels.parallel import chunks
from .compiled import loop
from .images import each_part

SMALL = 1 << 9
"""Smaller arrays are not worth the preparation."""

Array = np.ndarray


def prepare_cumsum(out: Array | None, a: Any, *, axis: int | None) -> Any:
    """A task for ``cumsum``; None unless a is float32, with two axes or more."""
    if a.__class__ is not np.ndarray or a.dtype != np.float32 or a.ndim < 2 or a.size < SMALL:
        return None
    if axis is None:
        return None
    axis = normalize_axis_index(axis, a.ndim)
    y = np.empty(a.shape, np.float32) if out is None else out
    if not y.flags.c_contiguous:
        return None
    n, inner = a.shape[axis], int(np.prod(a.shape[axis + 1 :]))
    outer = a.size // (n * inner)
    source = a.reshape(outer, n, inner)  # a copy, if the axes before or after do not combine
    if not np.may_share_memory(source, a):
        return None
    target = y.reshape(outer, n, inner)
    if inner == 1:
        function, arrays = _along_rows, (source[..., 0], target[..., 0])
    else:
        function, arrays = _across_rows, (source, target)
    step = outer if a.size < chunks.LARGE else -(-outer // chunks.PARTS)
    parts = [[part[i : i + step] for part in arrays] for i in range(0, outer, step)]

    def task() -> Array:
        each_part(lambda part: function(*part), parts)
        return y

    return task


@loop
def _along_rows(a: Array, y: Array) -> None:
    """The cumulative sums of each row of a (rows, n)."""
    rows, n = a.shape
    for i in range(0, rows - 7, 8):
        s0, s1, s2, s3, s4, s5, s6, s7 = 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0
        for j in range(n):
            s0 += a[i, j]
            s1 += a[i + 1, j]
            s2 += a[i + 2, j]
            s3 += a[i + 3, j]
            s4 += a[i + 4, j]
            s5 += a[i + 5, j]
            s6 += a[i + 6, j]
            s7 += a[i + 7, j]
            y[i, j] = s0
            y[i + 1, j] = s1
            y[i + 2, j] = s2
            y[i + 3, j] = s3
            y[i + 4, j] = s4
            y[i + 5, j] = s5
            y[i + 6, j] = s6
            y[i + 7, j] = s7
    for i in range(rows - rows % 8, rows):
        total = 0.0
        for j in range(n):
            total += a[i, j]
            y[i, j] = total


@loop
def _across_rows(a: Array, y: Array) -> None:
    """The cumulative sums of matrices a (outer, n, inner) along their first axis."""
    total = np.empty(a.shape[2])
    for i in range(a.shape[0]):
        total[:] = 0.0
        for j in range(a.shape[1]):
            source, row = a[i, j], y[i, j]
            for k in range(row.size):
                total[k] += source[k]
            for k in range(row.size):
                row[k] = total[k]
