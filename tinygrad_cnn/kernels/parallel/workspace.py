"""Scratch memory that a kernel reuses in its next call: fresh memory costs a page fault for every 4 kilobytes."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import Any, TypeVar

import numpy as np

from ...ops.windows import Sizes, volume

T = TypeVar("T")

KEPT_BYTES = 1 << 24
"""Larger buffers are not kept."""

KEPT = 64
"""The most cached results of `arranged` for each thread."""


class _Kept(threading.local):
    """A thread's cache: scratch by name, blank arrays and prepared calls by key, and how often scratch has moved."""

    def __init__(self) -> None:
        self.scratch: dict[str, np.ndarray] = {}
        self.blank: OrderedDict[Hashable, np.ndarray] = OrderedDict()
        self.bytes = 0  # total size of `blank`
        self.arranged: OrderedDict[Hashable, Any] = OrderedDict()
        self.moves = 0


_here = _Kept()


def forget() -> None:
    """Drop this thread's cache: its next calls allocate new memory."""
    _moved()
    _here.scratch.clear()
    _here.blank.clear()
    _here.bytes = 0


def scratch(name: str, shape: Sizes, dtype: np.dtype[Any]) -> np.ndarray:
    """An uninitialized array of this shape, valid until this thread calls `scratch` with the same name again."""
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
    """An array for this thread that was zeroed when its key was new; elements that no user of the key has written are zero.

    The arrays of a thread take at most KEPT_BYTES in total: the least recently used ones are dropped.
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
    """The result of `arrange`, views of scratch and calls on them, cached by key and thread for as long as none of the
    thread's scratch moves."""
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
    """Scratch has moved: drop the cached calls, which would keep its old memory alive."""
    _here.moves += 1
    _here.arranged.clear()
