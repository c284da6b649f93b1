"""One clock numbers nodes and in-place writes, so that "written after it was recorded" compares two integers.

Leaves are written in place between steps. A graph that recorded the old values must not silently go on with the new.
"""

from __future__ import annotations

import itertools
import weakref
from collections.abc import Callable, Iterable
from functools import partial
from typing import Any

import numpy as np

tick = itertools.count(1).__next__
"""The next time: greater than any before."""

_writes: dict[int, tuple[weakref.ref[np.ndarray], int]] = {}  # by identity of the owner of the memory, while it lives
_last_write = 0


def owner(array: np.ndarray) -> np.ndarray:
    """The array that owns the memory that `array` looks at."""
    base: Any = array.base
    while base is not None:
        if isinstance(base, np.ndarray):
            array = base
        base = getattr(base, "base", None)  # as_strided puts a holder between a view and its array
    return array


def mark_written(*arrays: np.ndarray) -> None:
    """Note that the memory of arrays has changed, so that graphs which saved it refuse to run backward."""
    marking(*arrays)()


def marking(*arrays: np.ndarray) -> Callable[[], None]:
    """:func:`mark_written` for the same arrays every time."""
    roots = [array if array.base is None else owner(array) for array in arrays]
    written = [(id(root), _reference(root)) for root in roots]

    def mark() -> None:
        global _last_write
        _last_write = now = tick()
        for key, reference in written:
            _writes[key] = reference, now

    return mark


def _reference(root: np.ndarray) -> weakref.ref[np.ndarray]:
    known = _writes.get(id(root))
    return known[0] if known else weakref.ref(root, partial(_forget, id(root)))


def _forget(key: int, _: object) -> None:
    _writes.pop(key, None)


def last_write() -> int:
    """When some memory was last written: nothing that is younger can be out of date."""
    return _last_write


def written_since(time: int, values: Iterable[Any]) -> bool:
    """Whether memory of one of the arrays in `values`, or in tuples there, has been written after `time`."""
    flat = itertools.chain.from_iterable(v if isinstance(v, tuple) else (v,) for v in values)
    roots = (id(owner(v)) for v in flat if isinstance(v, np.ndarray))
    return any(key in _writes and _writes[key][1] > time for key in roots)
