"""The memory plan of a backward walk: which calls are needed, and the offsets of their results in one arena.

Consecutive calls that are parallel over the batch form a group: one thread may take some images through all of them, while
another is still at the first call with other images. If an op can write its result into a given array, the value gets a
buffer in the arena, live from the group that makes it to the last group that reads it or a view of it. An op that works in
place may overwrite an input in its last use. Other values are allocated by their op in every run, as in a plain walk.
"""

from __future__ import annotations

import heapq
from bisect import insort
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from math import inf

from ..core.signature import OUTPUT
from .rules import Call, Value
from .tasks import MADE_BYTES, is_dense

ALIGNMENT = 64

NUMBER = (bool, int, float, str, type(None))
"""Types of parameters that apply to all images of a batch."""

RESULT_BYTES = 1 << 17
"""Larger gradients that the walk gives are computed in new memory, and not copied."""

LEAST = 1 << 12
"""Smaller arrays are not worth a place in a group."""

SMALL_BYTES = 1 << 20
"""The total size of a walk's values below which no op is large enough for several threads, ours or BLAS's."""

MOST_BYTES = 1 << 24
"""The most memory that the calls of a group may allocate: all of it is live to the end of the group."""


@dataclass(eq=False, slots=True)
class Buffer:
    """Bytes of the arena for one value, or for several values that overwrite each other in place."""

    size: int
    start: int  # the first group that writes it
    end: tuple[float, float]  # the last group that reads it, and the last call
    offset: int = 0


@dataclass(slots=True)
class Plan:
    """The needed calls in groups, each alone if little is computed, the buffers of values that have one, and the size of the
    arena in bytes."""

    groups: list[list[Call]]
    buffers: dict[Value, Buffer]
    last: dict[Value, tuple[float, float]]  # by root, the last group and call that read or make its memory
    size: int
    is_small: bool  # see `SMALL_BYTES`

    def gaps(self, i: int, end: int) -> list[tuple[int, int]]:
        """Start and end of each part of the arena, which ends there, that no value needs while group i runs."""
        found, start = [], 0
        live = {b for b in self.buffers.values() if b.start <= i <= b.end[0]}
        for buffer in sorted(live, key=lambda buffer: buffer.offset):
            found.append((start, buffer.offset))
            start = buffer.offset + buffer.size
        return [*found, (start, end)]


def planned(calls: Sequence[Call], results: Collection[Value], copied: int = RESULT_BYTES) -> Plan:
    """A plan for `calls`, whose `results` live to the end. Those of up to `copied` bytes have a place in the arena."""
    needed = _needed(calls, {*results, *(value.root for value in results)})
    is_small = sum([value.nbytes for call in needed for value in call.made]) < SMALL_BYTES
    groups = [[call] for call in needed] if is_small else _grouped(needed)
    last = _liveness(groups, {value.root for value in results})
    buffers: dict[Value, Buffer] = {}
    k = -1
    for i, group in enumerate(groups):
        # A view may divide its memory differently, so its memory is read as a whole.
        whole = set()
        if len(group) > 1:
            whole = {v.root for call in group for v in call.reads if v.base is not None or v not in by_image(call)}
        for call in group:
            k += 1
            out = _planned(call)
            if out is None or (out.nbytes > copied and last[out][0] == inf):
                continue  # a large gradient that the walk gives is not copied: its memory is new
            buffer = _overwritten(call, out, k, buffers, whole)
            if buffer is None:
                buffer = Buffer((out.nbytes // ALIGNMENT + 1) * ALIGNMENT, i, last[out])
            buffer.end = max(buffer.end, last[out])
            buffers[out] = buffer
    size = place(list(dict.fromkeys(buffers.values())))
    return Plan(groups, buffers, last, size, is_small)


def _planned(call: Call) -> Value | None:
    """The output of a call, if it can be placed in a buffer.

    With `out`, NumPy goes through reversed memory from its end, and without from its start, which may give other bits.
    """
    out = call.outputs[0] if call.outputs else None
    if call.op is None or out is None or out.base is not None or call.op.signature.residuals:
        return None
    if not call.op.takes_out and out.nbytes > MADE_BYTES:
        return None
    if any(stride < 0 for value in call.reads for stride in value.strides):
        return None
    return out if out.size and is_dense(out.shape, out.strides, out.dtype.itemsize) else None


def by_image(call: Call) -> set[Value]:
    """The values of a call, inputs and output, over whose batch axis it is parallel: it uses their images separately."""
    if call.along is None:
        call.along = _along(call)
    return call.along


def _along(call: Call) -> set[Value]:
    if call.op is None or not call.outputs or call.outputs[0] is None:
        return set()
    out = call.outputs[0]
    if call.op.elementwise:
        read = [v for v in call.inputs if isinstance(v, Value) and len(v.shape) == len(out.shape)]
        return {v for v in (*read, out) if v.shape and v.shape[0] == out.shape[0]}
    named = [*zip(call.op.signature.inputs, call.inputs, strict=False), (OUTPUT, out)]
    along = {v for name, v in named if name in call.op.along and isinstance(v, Value) and v.shape}
    return along.difference([v for name, v in named if name not in call.op.along and isinstance(v, Value)])


def _length(call: Call, out: Value | None) -> int | None:
    """The size of the batch that a call is parallel over; None if it is not, or if the arrays are too small to matter."""
    along = by_image(call)
    lengths = {value.shape[0] for value in along}
    if out is None or not len(lengths) == len(call.outputs) == 1:
        return None
    if call.op is None or (call.op.elementwise and not all(isinstance(p, NUMBER) for p in call.params.values())):
        return None  # a parameter that is an array may have an entry for each image
    return lengths.pop() if max(value.size for value in along) >= LEAST else None


def _grouped(calls: Sequence[Call]) -> list[list[Call]]:
    """Groups of consecutive calls that are parallel over batches of one size, and use each other's results per image.

    Another op between them moves before the group, or after the group if it reads a result of it. Calls of rules are not moved.
    """
    groups: list[list[Call]] = []
    group: list[Call] = []
    makes: dict[Value, bool] = {}  # the outputs of the group, and whether each is made per image
    later: list[Call] = []  # calls that move after the group
    awaits: set[Value] = set()  # the outputs of these calls
    n, size = None, 0

    def close() -> None:
        groups.extend(each for each in (group, *([call] for call in later)) if each)
        makes.clear()
        awaits.clear()
        later.clear()

    for call in calls:
        out, along, reads = _planned(call), by_image(call), {v.root for v in call.reads}
        length, nbytes = _length(call, out), 0 if out is None else out.nbytes
        moves = call.op is not None
        ready = awaits.isdisjoint(reads)
        fits = ready and all(makes[v.root] and v in along for v in call.reads if v.root in makes)
        if group and length == n and fits and size + nbytes <= MOST_BYTES:
            group.append(call)
        elif group and length != n and moves and ready and reads.isdisjoint(makes):
            groups.append([call])
            continue
        elif group and length != n and moves:
            later.append(call)
            awaits.update(v.root for v in call.made)
            continue
        else:
            close()
            group, n, size = ([], None, 0) if length is None else ([call], length, 0)
            if not group:
                groups.append([call])
                continue
        size += nbytes
        if out is not None:
            makes[out] = out in along
    close()
    return groups


def _liveness(groups: Sequence[Sequence[Call]], results: Collection[Value]) -> dict[Value, tuple[float, float]]:
    """By root, the last group and the last call that read or make the memory of a value; infinite for results."""
    last: dict[Value, tuple[float, float]] = {}
    calls = [(i, call) for i, group in enumerate(groups) for call in group]
    for k, (i, call) in enumerate(calls):
        last.update((value.root, (i, k)) for value in (*call.reads, *call.made))
    return last | dict.fromkeys(results, (inf, inf))


def _needed(calls: Sequence[Call], wanted: set[Value]) -> list[Call]:
    """The calls that a result depends on. Those of rules are all among them: each rule reads the gradient it is given."""
    alive = set(wanted)
    found = []
    for call in reversed(calls):
        if any(value in alive for value in call.made):
            found.append(call)
            for value in call.reads:
                alive.update((value, value.root))
    return found[::-1]


def _overwritten(call: Call, out: Value, k: int, buffers: dict[Value, Buffer], whole: set[Value]) -> Buffer | None:
    """The buffer of an input in its last use at call k that has exactly the layout of the output, if there is one.

    A buffer that some call of the group reads as a `whole` is not overwritten, because another thread may still need it.
    """
    if call.op is None or not call.op.in_place:
        return None
    for value in call.reads:
        if (buffer := buffers.get(value.root)) is None or buffer.end[1] != k:
            continue
        sharing = [v for v in call.reads if buffers.get(v.root) is buffer]
        if all(_fills(v, out) for v in sharing) and not any(buffers.get(v) is buffer for v in whole):
            return buffer
    return None


def _fills(value: Value, out: Value) -> bool:
    """Whether `value` covers all of its memory, in the layout of `out`."""
    alike = value.shape == out.shape and value.dtype == out.dtype and value.strides == out.strides
    return alike and value.nbytes == value.root.nbytes


def place(buffers: Sequence[Buffer]) -> int:
    """Set every buffer's offset: each at the lowest free place when its first group begins. Return the size of the arena."""
    active: list[tuple[float, int, int]] = []  # last group, offset and size of the buffers that are live
    free: list[tuple[int, int]] = []  # offset and size of the gaps between them, in order
    top = 0
    for buffer in sorted(buffers, key=lambda buffer: (buffer.start, -buffer.size)):
        while active and active[0][0] < buffer.start:
            _, offset, size = heapq.heappop(active)
            insort(free, (offset, size))
        free = _merged(free)
        fitting = [gap for gap in free if gap[1] >= buffer.size]
        if fitting:
            gap = min(fitting, key=lambda gap: gap[1])
            free.remove(gap)
            buffer.offset = gap[0]
            if gap[1] > buffer.size:
                insort(free, (gap[0] + buffer.size, gap[1] - buffer.size))
        elif free and sum(free[-1]) == top:  # the gap at the end grows
            buffer.offset = free.pop()[0]
            top = buffer.offset + buffer.size
        else:
            buffer.offset, top = top, top + buffer.size
        heapq.heappush(active, (buffer.end[0], buffer.offset, buffer.size))
    return top


def _merged(free: list[tuple[int, int]]) -> list[tuple[int, int]]:
    """Gaps with neighbours joined."""
    found: list[tuple[int, int]] = []
    for offset, size in free:
        if found and sum(found[-1]) == offset:
            found[-1] = (found[-1][0], found[-1][1] + size)
        else:
            found.append((offset, size))
    return found
