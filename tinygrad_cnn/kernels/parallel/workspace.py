"""Memory that a kernel works in, used again by its next call: fresh memory costs a page fault for every 4 kilobytes."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import Any, TypeVar

import numpy as np

from ...ops.windows import Sizes, volume

T = TypeVar("T")

KEPT_BYTES = 1 << 24
"""More than this is not kept."""

KEPT = 64
"""Arrangements for each thread."""


class _Kept(threading.local):
    """What a thread keeps: scratch by name, zeros and arrangements by key, and how often some scratch was not where it was."""

    def __init__(self) -> None:
        self.scratch: dict[str, np.ndarray] = {}
        self.blank: OrderedDict[Hashable, np.ndarray] = OrderedDict()
        self.bytes = 0  # of them
        self.arranged: OrderedDict[Hashable, Any] = OrderedDict()
        self.moves = 0


_here = _Kept()


def forget() -> None:
    """Drop all that this thread keeps: its next calls take memory anew."""
    _moved()
    _here.scratch.clear()
    _here.blank.clear()
    _here.bytes = 0


def scratch(name: str, shape: Sizes, dtype: np.dtype[Any]) -> np.ndarray:
    """An array of the shape, with anything in it, for this thread until it asks for the same name again."""
    size = volume(shape) * dtype.itemsize
    memory = _here.scratch.get(name)
    if memory is None or memory.size < size:
        if size > KEPT_BYTES:
            _here.moves += 1
            return np.empty(shape, dtype)
        if memory is not None:
            _moved()
        memory = _here.scratch[name] = np.empty(size, np.uint8)
    return np.ndarray(shape, dtype, memory)


def blank(key: Hashable, shape: Sizes, dtype: np.dtype[Any]) -> np.ndarray:
    """An array for this thread that was zero when its key was new: where no one who has the key writes, it still is.

    All of a thread are no larger than KEPT_BYTES together: those that were asked for least recently are dropped.
    """
    kept = _here.blank
    if key in kept:
        kept.move_to_end(key)
        return kept[key]
    memory = kept[key] = np.zeros(shape, dtype)
    _here.bytes += memory.nbytes
    while _here.bytes > KEPT_BYTES:
        _here.bytes -= kept.popitem(last=False)[1].nbytes
        _moved()
    return memory


def arranged(key: Hashable, arrange: Callable[[], T]) -> T:
    """What `arrange` returns, views of scratch and calls on it, or what it returned when this thread last had the key: for as
    long as all of its scratch stays where it is."""
    kept = _here.arranged
    if key in kept:
        kept.move_to_end(key)
        return kept[key]  # type: ignore[no-any-return]
    moves = _here.moves
    found = arrange()
    if _here.moves == moves:
        kept[key] = found
        if len(kept) > KEPT:
            kept.popitem(last=False)
    return found


def _moved() -> None:
    """Scratch is elsewhere now. What looks at where it was would keep that alive."""
    _here.moves += 1
    _here.arranged.clear()
