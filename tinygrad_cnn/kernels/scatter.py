"""The gradient of an index: zeros with a view that is filled; for an embedding, a table to whose rows others are added.

Rows are added in rounds, in each of which no row of the table occurs twice.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

WIDE = 16
"""The fewest numbers in a row for which whole rows are faster than single numbers."""

SHORT = 1 << 16
"""NumPy sorts indices of 16 bits ten times as fast as longer ones."""

MOST = 64
"""The most rounds: as many as the row that occurs most often needs."""


def prepare(out: np.ndarray | None, u: Any, *, index: Any, shape: tuple[int, ...]) -> Callable[[], Any] | None:
    """A task for ``add_at_zeros``, bit for bit; None unless `index` makes a view of `out`, or has rows of a table that occur a
    few times each."""
    parts = index if isinstance(index, tuple) else (index,)
    if out is not None and all(part is None or part is Ellipsis or part.__class__ in (slice, int) for part in parts):
        return partial(_at_zeros, out, out[parts if Ellipsis in parts else (*parts, Ellipsis)], u)
    if _in_a_row(u, index, shape):
        return partial(_summed, index, u, shape[0], out)
    if u.__class__ is not np.ndarray or index.__class__ is not np.ndarray or index.dtype.kind not in "iu":
        return None
    width = math.prod(shape[1:])
    if out is not None or width < WIDE or u.dtype.char not in "fd" or not index.size:
        return None
    rows = index.reshape(-1).astype(np.intp)
    rows[rows < 0] += shape[0]
    order = np.argsort(rows.astype(np.uint16) if shape[0] <= SHORT else rows, kind="stable")
    ordered = rows[order]
    first = np.flatnonzero(np.diff(ordered, prepend=-1))  # where each row begins
    place = np.arange(rows.size) - np.repeat(first, np.diff(first, append=rows.size))
    rounds = int(place.max()) + 1
    if rounds > MOST:
        return None
    values = u.reshape(-1, width)

    def task() -> np.ndarray:
        y, item = np.zeros((shape[0], width), u.dtype), np.dtype((np.void, width * u.itemsize))
        once = values.take(order[first], 0)
        once += 0  # as 0 + -0.0, which is 0.0
        y.view(item)[ordered[first]] = once.view(item)  # NumPy copies a row sooner as one item
        for i in range(1, rounds):
            chosen = place == i
            to = ordered[chosen]
            y[to] += values[order[chosen]]
        return y.reshape(shape)

    return task


def _in_a_row(u: Any, index: Any, shape: tuple[int, ...]) -> bool:
    """Whether NumPy adds u at integers in a 1-d array without converting one of them."""
    return index.__class__ is np.ndarray and len(shape) == 1 and index.dtype == np.intp and u.dtype.char in "fd"


def _summed(index: np.ndarray, u: Any, n: int, out: np.ndarray | None) -> np.ndarray:
    """Zeros, with u added at `index` in its order."""
    at, values = index.reshape(-1), u.reshape(-1)
    if u.dtype.char == "d" and out is None:
        try:
            counted = np.bincount(at, values, n)
            if len(counted) == n:  # else an index is too large
                return counted
        except ValueError:  # an index counts from the end
            pass
    y = np.empty(n, u.dtype) if out is None else out
    y.fill(0)
    np.add.at(y, at, values)
    return y


def _at_zeros(out: np.ndarray, place: np.ndarray, u: Any) -> np.ndarray:
    out.fill(0)
    np.copyto(place, u)
    return out
