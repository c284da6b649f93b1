"""The plan of a program: which steps are needed, and where in one piece of memory their results are.

Steps in a row that can be prepared, and of which none reads what another makes, are a group: their work may be done at the
same time. A value whose op can write into an array that it is given gets a place in the arena, from the group that makes it to
the last that reads it or a view of it. An op that works in place may write over an input that dies there. The rest comes as
it comes in eager mode: from the op, in new memory.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from math import inf

import numpy as np

from .capture import Step, Value, flat

SMALL_BYTES = 1 << 19
"""Copying an argument of this size costs less than arranging views of it anew in every call."""

TINY_BYTES = 1 << 10
"""A result of this size is sooner copied out of the arena than made by an op that cannot be prepared."""

ALIGNMENT = 64
"""Places begin at multiples of a cache line."""


@dataclass(eq=False, slots=True)
class Room:
    """Bytes of the arena, for one value or for several that follow each other in place."""

    size: int
    start: float  # the first group that writes it
    end: float  # the last group that reads it
    offset: int = 0


@dataclass(slots=True)
class Plan:
    """The needed steps in groups, the rooms of the values that have one, and the sizes in bytes."""

    groups: list[list[Step]]
    rooms: dict[Value, Room]
    last: dict[Value, float]  # the last group that reads the memory of a value that has its own
    copied: set[Value]  # arguments that are copied to a fixed place first, so that all behind them can be fixed
    peak: int  # of the arena
    total: int  # of all values that steps make, had each its own memory


def planned(steps: Sequence[Step], returned: Collection[Value], kept: Collection[Value]) -> Plan:
    """A plan for `steps`: what is `returned` gets memory of its own in every run, what is `kept` lasts to the end.

    A tiny result has a room that lasts to the end instead, and is copied, if no other result looks at its memory.
    """
    wanted = {*returned, *kept}
    needed = _needed(steps, wanted | {value.root for value in wanted})
    roots = Counter(value.root for value in returned)
    tiny = {v for v in returned if v.root is v and roots[v] == 1 and v.array.nbytes <= TINY_BYTES}
    returned, kept = roots.keys() - tiny, {value.root for value in kept} | tiny
    groups = _grouped(needed)
    times = [(i, step) for i, group in enumerate(groups) for step in group]
    last: dict[Value, float] = {}
    for i, step in times:
        for value in (*step.reads, *made(step)):
            last[value.root] = i
    last.update(dict.fromkeys(kept | returned, inf))

    rooms: dict[Value, Room] = {}
    for i, step in times:
        out = step.outputs[0] if step.outputs else None
        if step.op is None or not step.op.takes_out or out is None or out.base is not None:
            continue
        if out in returned or not out.array.size or not _dense(out.array):
            continue
        room = _overwritten(step, out, i, last, rooms) if step.op.in_place else None
        if room is None:
            room = Room(-(-out.array.nbytes // ALIGNMENT) * ALIGNMENT, i, last[out])
        room.end = max(room.end, last[out])
        rooms[out] = room
    peak = _placed(list(dict.fromkeys(rooms.values())))
    total = sum(v.array.nbytes for step in needed for v in made(step) if v.base is None)
    return Plan(groups, rooms, last, _copied(needed, set(roots)), peak, total)


def _grouped(steps: Sequence[Step]) -> list[list[Step]]:
    """Steps that may be done at the same time. What works in place would write over what others read, and is alone."""
    groups: list[list[Step]] = []
    makes: set[Value] = set()  # what the last group makes, if it may grow
    for step in steps:
        can_join = step.op is not None and step.op.binder is not None and not step.op.in_place
        if can_join and makes and makes.isdisjoint(value.root for value in step.reads):
            groups[-1].append(step)
        else:
            groups.append([step])
            makes.clear()
        if can_join:
            makes.update(value.root for value in made(step))
    return groups


def _copied(steps: Sequence[Step], returned: set[Value]) -> set[Value]:
    """Small arguments that are only read: neither returned, nor in the hands of an effect, which may write to them."""
    found: set[Value] = set()
    shared: set[Value] = set(returned)
    for step in steps:
        roots = {v.root for v in step.reads if v.root.origin == "argument"}
        (found if step.op is not None else shared).update(roots)
    return {v for v in found - shared if 0 < v.array.nbytes <= SMALL_BYTES and _dense(v.array)}


def made(step: Step) -> list[Value]:
    """The values that a step makes, without what it only hands on."""
    return [value for value in step.outputs if value is not None and value.origin == "step"]


def _needed(steps: Sequence[Step], wanted: set[Value]) -> list[Step]:
    """The steps that something depends on: a result, an effect, or the order of random draws."""
    alive = set(wanted)
    found = []
    for step in reversed(steps):
        if step.kept or any(value in alive for value in made(step)):
            found.append(step)
            for value in step.reads:
                alive.update((value, value.root))
    return found[::-1]


def _dense(array: np.ndarray) -> bool:
    """Whether the array fills its memory, in some order of its axes."""
    order = np.argsort([-s for s in array.strides], kind="stable")
    return bool(array.transpose(order).flags.c_contiguous)


def _overwritten(step: Step, out: Value, i: int, last: dict[Value, float], rooms: dict[Value, Room]) -> Room | None:
    """The room of an input that dies at step i and that its output fits exactly, if there is one."""
    for value in flat(step.inputs):
        if not isinstance(value, Value) or rooms.get(value.root) is None or rooms[value.root].end != i:
            continue
        sharing = [v for v in step.reads if rooms.get(v.root) is rooms[value.root]]
        if all(_fills(v, out.array) for v in sharing):
            return rooms[value.root]
    return None


def _fills(value: Value, out: np.ndarray) -> bool:
    """Whether `value` is all of its memory, laid out as `out` is."""
    a, whole = value.array, value.root.array
    same = a.shape == out.shape and a.dtype == out.dtype and a.strides == out.strides
    return same and a.nbytes == whole.nbytes and a.ctypes.data == whole.ctypes.data


def _placed(rooms: list[Room]) -> int:
    """Give every room its offset: the largest first, each at the lowest place that is free while it lives."""
    done: list[Room] = []
    for room in sorted(rooms, key=lambda room: -room.size):
        offset = 0
        for other in sorted(done, key=lambda other: other.offset):
            if other.end < room.start or room.end < other.start:
                continue
            if other.offset - offset >= room.size:
                break
            offset = max(offset, other.offset + other.size)
        room.offset = offset
        done.append(room)
    return max((room.offset + room.size for room in done), default=0)
