"""Copies into given memory, and arrays as 1-d views of it."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

from ..ops.shape import Shape
from ..ops.windows import LAST, last_view
from .blocking import copy_channels_last
from .parallel import chunks
from .parallel.chunks import by_images
from .parallel.workspace import with_workspace

FAR, TILE = 512, 1 << 14
"""Columns at multiples of so many bytes share a few sets of the cache, and NumPy copies a row at a time: from TILE elements on,
8 or 16 columns are copied at a time, which takes a quarter of the time."""


def prepare(out: np.ndarray | None, a: Any, *, order: str) -> Callable[[], Any] | None:
    """A task for ``copy``; None without `out`, unless columns far apart become rows."""
    if out is None:
        return partial(into, y := np.empty(a.shape, a.dtype), _turn, y, a) if order == "C" and is_far(a) else None
    return partial(into, out, _turn if out.flags.c_contiguous and is_far(a) else np.copyto, out, a)


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


def prepare_reshape(out: np.ndarray | None, a: np.ndarray, *, shape: Shape) -> Callable[[], Any] | None:
    """A task for ``reshape``, in parts if it is large; None without `out`, because the definition may then return a view."""
    if out is None or not out.flags.c_contiguous:
        return None
    target = out.reshape(a.shape)
    if not out.ndim or out.size < chunks.SMALL or out.shape[:1] != a.shape[:1]:
        return partial(target.__setitem__, ..., a)  # starts sooner than np.copyto
    return by_images(np.copyto, target, a)


def prepare_laid_out(out: np.ndarray | None, a: np.ndarray, *, axes: tuple[int, ...]) -> Callable[[], Any]:
    """A task for ``laid_out``, with a fast copy from channels-first to channels-last."""
    if out is None:
        out = np.empty([a.shape[i] for i in axes], a.dtype).transpose([axes.index(i) for i in range(a.ndim)])
    if axes == LAST.get(a.ndim):
        return partial(with_workspace, into, out, copy_channels_last, last_view(out), a)
    if axes == (1, 0) and is_far(a.T):
        return partial(into, out, _turn, out.T, a.T)
    return partial(into, out, np.copyto, out, a)


def prepare_roll(out: np.ndarray | None, a: np.ndarray, *, shift: Any, axis: Any) -> Callable[[], Any] | None:
    """A task for ``roll`` by one number along one axis: two copies. None for other shifts."""
    if a.__class__ is not np.ndarray:
        return None
    at = 0 if axis is None and a.ndim == 1 else axis
    if shift.__class__ is not int or at.__class__ is not int or not -a.ndim <= at < a.ndim or not a.size:
        return None
    first = shift % a.shape[at]
    y, before = np.empty_like(a) if out is None else out, (slice(None),) * (at % a.ndim)
    if not first:
        return partial(into, y, np.copyto, y, a)
    head, tail = (*before, slice(first)), (*before, slice(first, None))
    start, end = (*before, slice(-first)), (*before, slice(-first, None))
    return partial(_both, y, y[tail], a[start], y[head], a[end])


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


def _both(out: np.ndarray, x: np.ndarray, a: np.ndarray, y: np.ndarray, b: np.ndarray) -> np.ndarray:
    np.copyto(x, a)
    np.copyto(y, b)
    return out


def into(out: np.ndarray, copy: Callable[..., object], *arrays: Any) -> np.ndarray:
    """``copy(*arrays)``, which fills `out`, as a task: it returns `out`."""
    copy(*arrays)
    return out
