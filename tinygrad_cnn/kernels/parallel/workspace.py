"""Scratch memory that a kernel reuses in its next call: fresh memory costs a page fault for every 4 kilobytes.

A call *takes* a workspace and gives it back. A signal handler, a finalizer or a profiler that runs another kernel in between
finds it gone, and takes another one.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable
from contextvars import ContextVar, copy_context
from typing import Any, TypeVar

import numpy as np

from ...ops.windows import Sizes, volume
from ...scope import Block, Scoped, both

R = TypeVar("R")
T = TypeVar("T")

KEPT_BYTES = 1 << 24
"""Larger buffers are not kept."""

LARGE = 1 << 16
"""Smaller buffers are not parts of an arena."""

LINE = 64
"""Bytes in a line of the cache."""

KEPT = 64
"""The most cached results of :func:`arranged` in a workspace."""

SPARE = 2
"""The most workspaces that a thread keeps: one for its calls, and one for those that come in between."""


class Workspace:
    """What one call at a time uses: scratch by name, blank arrays and prepared calls by key."""

    def __init__(self) -> None:
        self.scratch: dict[str, np.ndarray] = {}
        self.blank: OrderedDict[Hashable, np.ndarray] = OrderedDict()
        self.bytes = 0  # total size of `blank`
        self.arranged: OrderedDict[Hashable, Any] = OrderedDict()
        self.moves = 0  # how often scratch has moved

    def moved(self) -> None:
        """Scratch has moved: drop the cached calls, which would keep its old memory alive."""
        self.moves += 1
        self.arranged.clear()


class _Here(threading.local):
    """What a thread has: workspaces that no call uses."""

    def __init__(self) -> None:
        self.free: list[Workspace] = []


_here = _Here()
_current: ContextVar[Workspace | None] = ContextVar("workspace", default=None)
_pools: Scoped[list[Pool]] = Scoped("pools", [])
"""The pool for the tasks that are prepared now, if it is not taken."""
_packs = Scoped("packs", False)
"""Whether all inputs of these tasks but the first keep their values."""


def with_workspace(call: Callable[..., R], *args: Any) -> R:
    """call(*args), with a workspace that no other call has until it ends, however that is."""
    return copy_context().run(_with_workspace, call, *args)


def _with_workspace(call: Callable[..., R], *args: Any) -> R:
    free = _here.free
    try:
        workspace = free.pop()
    except IndexError:
        workspace = Workspace()
    _current.set(workspace)
    try:
        return call(*args)
    finally:
        free.append(workspace)
        if len(free) > SPARE:
            del free[0]


def current() -> Workspace:
    """The workspace of the call that runs here; outside of such a call a new one, which nobody keeps."""
    return _current.get() or Workspace()


def forget() -> None:
    """Drop this thread's workspaces: its next calls allocate new memory."""
    _here.free.clear()


class Pool:
    """Buffers that prepared tasks share, since they run one after another: only the run that wrote a value there reads it.

    Large ones are parts of an arena, if it has gaps of their size.
    """

    def __init__(self) -> None:
        self._buffers: list[np.ndarray] = []
        self._given = 0  # how many of them the tasks that are prepared now have
        self._arena = aligned(0)
        self._find: Callable[[], list[tuple[int, int]]] | None = None
        self._gaps: list[tuple[int, int]] | None = None  # start and end of what these tasks may yet have of the arena
        self.outgrown = 0  # bytes of replaced buffers, which tasks that were prepared before keep

    @property
    def nbytes(self) -> int:
        """The size of the buffers that are given out."""
        return self._arena.nbytes + sum(buffer.nbytes for buffer in self._buffers)

    def arena(self, size: int) -> np.ndarray:
        """At least so many bytes, which programs share, for values that are read before another program runs."""
        if self._arena.nbytes < size:
            self.outgrown += self.nbytes
            self._buffers.clear()
            self._arena = aligned(size)
        return self._arena

    def lends(self, find: Callable[[], list[tuple[int, int]]] | None = None) -> Block:
        """Tasks that are prepared in the block take their buffers here. They may run at the same time. `find`
        returns the start and end of each part of the arena that has no values; None if it has none at all."""
        self._given, self._find, self._gaps = 0, find, None
        return _pools([self])

    def array(self, shape: Sizes, dtype: np.dtype[Any]) -> np.ndarray:
        """A part of the arena; or the next buffer, or a larger one in its place."""
        size = volume(shape) * dtype.itemsize
        if size >= LARGE and (part := self._part(size)) is not None:
            return np.ndarray(shape, dtype, part)
        place = self._given
        self._given = place + 1
        if place == len(self._buffers):
            self._buffers.append(aligned(size))
        elif self._buffers[place].nbytes < size:
            self.outgrown += self._buffers[place].nbytes
            self._buffers[place] = aligned(size)
        return np.ndarray(shape, dtype, self._buffers[place])

    def _part(self, size: int) -> np.ndarray | None:
        """So many bytes of the arena, from the smallest gap that has them."""
        if self._gaps is None:
            self._gaps = [(0, self._arena.nbytes)] if self._find is None else self._find()
        gap = min([gap for gap in self._gaps if gap[1] - gap[0] >= size], key=lambda gap: gap[1] - gap[0], default=None)
        if gap is None:
            return None
        start, end = gap
        self._gaps[self._gaps.index(gap)] = start + -(-size // LINE) * LINE, end
        return self._arena[start : start + size]


def packing() -> Block:
    """Tasks that are prepared in the block have constants for inputs, but for the first one: they may lay these out now. Their
    buffers are their own, and keep their values."""
    return both(_pools([]), _packs(True))


def packs() -> bool:
    """Whether the task that is prepared now may lay out its inputs, but for the first one: see :func:`packing`."""
    return _packs.get()


def buffer(shape: Sizes, dtype: np.dtype[Any]) -> np.ndarray:
    """An uninitialized array for the task that is prepared now, whose values no later run of it needs."""
    pools = _pools.get()
    if not pools:
        return np.ndarray(shape, dtype, aligned(volume(shape) * dtype.itemsize))
    pool = pools.pop()
    try:
        return pool.array(shape, dtype)
    finally:
        pools.append(pool)


def aligned(size: int) -> np.ndarray:
    """So many bytes from the start of a cache line on: vectors that cross two lines take twice as long to read."""
    memory = np.empty(size + LINE, np.uint8)
    start = -memory.__array_interface__["data"][0] % LINE
    return memory[start : start + size]


def scratch(name: str, shape: Sizes, dtype: np.dtype[Any]) -> np.ndarray:
    """An uninitialized array of this shape, valid until the call that has this workspace asks for the same name again."""
    workspace, size = current(), volume(shape) * dtype.itemsize
    memory = workspace.scratch.get(name)
    if memory is None or memory.size < size:
        if size > KEPT_BYTES:
            workspace.moves += 1
            return np.ndarray(shape, dtype, aligned(size))
        if memory is not None:
            workspace.moved()
        memory = workspace.scratch[name] = aligned(size)
    return np.ndarray(shape, dtype, memory)


def blank(key: Hashable, shape: Sizes, dtype: np.dtype[Any]) -> np.ndarray:
    """An array of this workspace that was zeroed when its key was new; elements that no user of the key has written are zero.

    The arrays of a workspace take at most KEPT_BYTES in total: the least recently used ones are dropped.
    """
    workspace = current()
    kept = workspace.blank
    if key in kept:
        kept.move_to_end(key)
        return kept[key]
    memory = kept[key] = np.ndarray(shape, dtype, aligned(volume(shape) * dtype.itemsize))
    memory.fill(0)
    workspace.bytes += memory.nbytes
    while workspace.bytes > KEPT_BYTES:
        workspace.bytes -= kept.popitem(last=False)[1].nbytes
        workspace.moved()
    return memory


def arranged(key: Hashable, arrange: Callable[[], T]) -> T:
    """The result of `arrange`, views of scratch and calls on them, cached by key in this workspace for as long as none of its
    scratch moves."""
    workspace = current()
    kept = workspace.arranged
    if key in kept:
        kept.move_to_end(key)
        return kept[key]  # type: ignore[no-any-return]
    moves = workspace.moves
    found = arrange()
    if workspace.moves == moves:
        kept[key] = found
        if len(kept) > KEPT:
            kept.popitem(last=False)
    return found
