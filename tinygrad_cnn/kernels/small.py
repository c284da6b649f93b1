"""Convolution of little data: what a call would spend on arranging views is spent once for all calls of the same shapes.

A plan holds the padded image, all windows of it as a view, and room for them as columns (c k, n P), with a row of ones
below that meets the bias. A call is then two copies and one product. Plans are kept for each thread, a few at a time.

Few filters make an output of short channels-last runs, on which everything that follows is slow. It lies in memory as
(O, n, *out) instead.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from typing import Any

import numpy as np

from .columns import Geometry
from .threads import BLAS_ALONE
from .window import Sizes, interior, volume, windows

MOST_BYTES = 1 << 20
"""Columns larger than this are laid out in blocks instead."""

FEW_FILTERS = 8
"""Below this, an output lies filter by filter."""

KEPT = 16
"""Plans for each thread."""

_thread = threading.local()


class Plan:
    """Memory and views for windows on x (n, c, *sizes)."""

    __slots__ = ("_columns", "_inner", "_room", "_windows", "_with_ones")

    def __init__(self, shape: Sizes, g: Geometry, dtype: np.dtype[Any]) -> None:
        n, c, *sizes = shape
        d = len(sizes)
        whole = [m + before + after for m, (before, after) in zip(sizes, g.padding, strict=True)]
        padded = np.zeros((n, c, *whole), dtype)
        self._inner = padded[interior(tuple(sizes), g.padding)]
        view = windows(padded, g.kernel, g.out, g.stride, g.dilation)  # (n, c, *out, *k)
        self._windows = view.transpose(1, *range(2 + d, 2 + 2 * d), 0, *range(2, 2 + d))  # (c, *k, n, *out)
        k = c * volume(g.kernel)
        self._with_ones = np.ones((k + 1, n * volume(g.out)), dtype)
        self._columns = self._with_ones[:k]
        self._room = self._columns.reshape(self._windows.shape)

    def fill(self, x: np.ndarray, ones: bool) -> np.ndarray:
        """The columns of x, (c k, n P), until the next call; with the row of ones, (c k + 1, n P)."""
        np.copyto(self._inner, x)
        np.copyto(self._room, self._windows)
        return self._with_ones if ones else self._columns


def plan(shape: Sizes, g: Geometry, dtype: np.dtype[Any]) -> Plan | None:
    """The plan for windows on arrays of this shape and dtype, or None if their columns are not small."""
    plans: OrderedDict[Any, Plan | None] | None = getattr(_thread, "plans", None)
    if plans is None:
        plans = _thread.plans = OrderedDict()
    key = (shape, g, dtype)
    if key in plans:
        plans.move_to_end(key)
        return plans[key]
    size = shape[0] * shape[1] * volume(g.kernel) * volume(g.out) * dtype.itemsize
    plans[key] = Plan(shape, g, dtype) if 0 < size <= MOST_BYTES else None
    if len(plans) > KEPT:
        plans.popitem(last=False)
    return plans[key]


def room(shape: Sizes, dtype: np.dtype[Any]) -> np.ndarray:
    """An output (n, O, *out) in the memory order that suits so many filters."""
    n, o, *out = shape
    if o < FEW_FILTERS:
        return np.empty((o, n, *out), dtype).swapaxes(0, 1)
    return np.empty((n, *out, o), dtype).transpose(0, -1, *range(1, 1 + len(out)))


def forward(x: np.ndarray, w: np.ndarray, b: np.ndarray | None, plan: Plan, y: np.ndarray) -> bool:
    """Fill y, which lies in memory filter by filter or channels-last; False if it does not."""
    o = len(w)
    by_filter, last = y.swapaxes(0, 1), y.transpose(0, *range(2, y.ndim), 1)
    if not (by_filter.flags.c_contiguous or last.flags.c_contiguous):
        return False
    filters = w.reshape(o, -1)
    if b is not None:
        filters = np.concatenate((filters, b[:, None]), axis=1, dtype=y.dtype)
    columns = plan.fill(x, ones=b is not None)
    with BLAS_ALONE:
        if by_filter.flags.c_contiguous:
            np.matmul(filters, columns, out=by_filter.reshape(o, -1))
        else:
            np.matmul(columns.T, filters.T, out=last.reshape(-1, o))
    return True


def weight_gradient(x: np.ndarray, u: np.ndarray, plan: Plan, w: np.ndarray) -> None:
    """Fill w (O, c, *kernel), in C order."""
    o = len(w)
    by_filter = u.swapaxes(0, 1).reshape(o, -1)  # (O, n P)
    columns = plan.fill(x, ones=False)
    with BLAS_ALONE:
        np.matmul(by_filter, columns.T, out=w.reshape(o, -1))
