"""One counter numbers nodes and in-place writes, so that "written after it was recorded" compares two integers.

Optimizers write leaves in place between steps. A graph that saved the old values must not silently use the new ones.
"""

from __future__ import annotations

import itertools
import os
import weakref
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from threading import RLock
from typing import Any, TypeAlias

import numpy as np
from numpy.lib.array_utils import byte_bounds

tick = itertools.count(1).__next__
"""The next number: greater than any before."""

_writes: dict[int, _Write] = {}  # by id of the owner of the memory, while it is alive: no interrupt stops `dict.pop`
_foreign: dict[tuple[_Place, ...], _Write] = {}  # by address range, for memory that no array owns
latest = 0
"""The number of the latest write: nodes that are younger cannot be out of date."""

_latest_lock = RLock()  # re-entrant: a signal handler may write as well

_Place: TypeAlias = tuple[str, int, int]
"""A range of bytes: start and end address in memory (""), or start and end offset in a file mapped by ``np.memmap``."""


class _Write:
    """When memory was last written."""

    __slots__ = ("reference", "time")

    def __init__(self, reference: weakref.ref[np.ndarray] | None) -> None:
        self.reference, self.time = reference, 0


def owner(array: np.ndarray) -> np.ndarray:
    """The array that owns the memory of `array`."""
    base: Any = array.base
    while base is not None:
        if isinstance(base, np.ndarray):
            array = base
        base = getattr(base, "base", None)  # as_strided puts an object between a view and its array
    return array


def mark_written(*arrays: np.ndarray) -> None:
    """Record that the memory of arrays has changed, so that graphs which saved it refuse to run backward."""
    marking(*arrays)()


def marking(*arrays: np.ndarray) -> Callable[[], None]:
    """:func:`mark_written` prepared for fixed arrays: the returned function marks them on each call."""
    writes = [_write_of(array if array.base is None else owner(array)) for array in arrays]

    def mark() -> None:
        global latest
        with _latest_lock:
            now = tick()
            latest = now if latest < now else latest  # a handler, which may set it further, comes between two lines
        for write in writes:
            write.time = now if write.time < now else write.time

    return mark


def _write_of(root: np.ndarray) -> _Write:
    if not root.flags.owndata:  # another array may use the same memory and outlive this one
        return _foreign.setdefault(_places(root), _Write(None))
    known = _writes.get(id(root))
    if known is None:
        known = _writes.setdefault(id(root), _Write(weakref.ref(root, partial(_writes.pop, id(root)))))
    return known


def _places(root: np.ndarray) -> tuple[_Place, ...]:
    """The byte ranges of an array: in memory, and in a file if it is a shared memmap."""
    start, stop = byte_bounds(root)
    if isinstance(root, np.memmap) and root.filename is not None and root.mode != "c":
        return ("", start, stop), (os.path.realpath(root.filename), root.offset, root.offset + stop - start)
    return (("", start, stop),)


def written_since(time: int, values: Iterable[Any]) -> bool:
    """Whether the memory of an array in `values`, or in tuples there, has been written after `time`."""
    roots = []
    for value in values:
        for array in value if value.__class__ is tuple else (value,):
            if isinstance(array, np.ndarray):
                root = array if array.base is None else owner(array)
                write = _writes.get(id(root))
                if write is not None and write.time > time:
                    return True
                roots.append(root)
    for root in roots:  # two arrays can share memory only if one of them does not own it
        if _foreign or not root.flags.owndata:
            return _written_by_another(time, roots)
    return False


def _written_by_another(time: int, roots: Sequence[np.ndarray]) -> bool:
    """Whether memory of the arrays was written after `time` through another array, where one of the two does not own it."""
    late = [place for places, write in list(_foreign.items()) if write.time > time for place in places]
    if late and any(_overlap(_places(root), late) for root in roots):
        return True
    strangers = [place for root in roots if not root.flags.owndata for place in _places(root)]
    writes = [write.reference for write in list(_writes.values()) if write.time > time] if strangers else []
    written = [root for reference in writes if reference is not None and (root := reference()) is not None]
    return any(_overlap(_places(root), strangers) for root in written)


def _overlap(ours: Iterable[_Place], theirs: Iterable[_Place]) -> bool:
    return any(a == b and start < end and begin < stop for a, start, stop in ours for b, begin, end in theirs)
