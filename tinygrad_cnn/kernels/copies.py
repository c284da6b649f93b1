"""Copies into given memory, and arrays as 1-d views of it."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

from ..ops.shape import Shape
from ..ops.windows import LAST, last_view
from .blocking import copy_channels_last
from .parallel.workspace import with_workspace

FAR, TILE = 512, 1 << 14
"""Columns at multiples of so many bytes share a few sets of the cache, and NumPy copies a row at a time: from TILE elements on,
8 or 16 columns are copied at a time, which takes a quarter of the time."""


def is_far(a: Any) -> bool:
    """Whether a is a transposed matrix with columns far apart."""
    if a.__class__ is not np.ndarray or a.ndim != 2 or a.size < TILE or a.flags.c_contiguous:
        return False
    row, column = a.strides
    return row == a.itemsize and column > 0 and column % FAR == 0


def _turn(y: np.ndarray, a: np.ndarray) -> None:
    rows, columns = a.shape
    step = 8 if rows > columns else 16
    for i in range(0, columns, step):
        y[:, i : i + step] = a[:, i : i + step]


def prepare_spread(out: np.ndarray | None, a: Any, *, shape: Shape) -> Callable[[], Any] | None:
    """A task for ``broadcast_to`` of one number, as the gradient of a sum or mean; None for other arrays, and with `out`."""
    if out is not None or shape.__class__ is not tuple or getattr(a, "shape", None) != () or a.dtype.kind != "f":
        return None
    return partial(_spread, a, shape) if -1 not in shape else None  # which np.ndarray takes as the size of the buffer


def _spread(a: Any, shape: tuple[int, ...]) -> np.ndarray:
    y = np.ndarray(shape, a.dtype, np.asarray(a), 0, (0,) * len(shape))
    y.flags.writeable = False
    return y


def prepare_laid_out(out: np.ndarray | None, a: np.ndarray, *, axes: tuple[int, ...]) -> Callable[[], Any]:
    """A task for ``laid_out``, with a fast copy from channels-first to channels-last."""
    if out is None:
        out = np.empty([a.shape[i] for i in axes], a.dtype).transpose([axes.index(i) for i in range(a.ndim)])
    if axes == LAST.get(a.ndim):
        return partial(with_workspace, into, out, copy_channels_last, last_view(out), a)
    if axes == (1, 0) and is_far(a.T):
        return partial(into, out, _turn, out.T, a.T)
    return partial(into, out, np.copyto, out, a)


def flattened(*operands: Any) -> list[Any] | None:
    """Arrays of one shape, without gaps and in one memory order, as 1-d views, which NumPy iterates faster. Numbers and 0-d
    arrays stay; another single element becomes 0-d. None if the arrays are not alike, or nothing changes."""
    first = max((a for a in operands if isinstance(a, np.ndarray)), key=np.size)
    steps = [step // first.itemsize for step in first.strides]
    views: list[Any] = []
    changes = first.ndim > 1
    for a in operands:
        if not isinstance(a, np.ndarray) or not a.ndim:
            views.append(a)
        elif a.size == 1 < first.size and a.ndim <= first.ndim:
            views.append(a.reshape(()))
            changes = True
        else:
            view = a.ravel("K")
            if a.shape != first.shape or [step // a.itemsize for step in a.strides] != steps or view.base is None:
                return None
            views.append(view)
    return views if changes else None


def into(out: np.ndarray, copy: Callable[..., object], *arrays: Any) -> np.ndarray:
    """``copy(*arrays)``, which fills `out`, as a task: it returns `out`."""
    copy(*arrays)
    return out
