"""The memory plan of a program: which steps are needed, and the offsets of their results in one arena.

Consecutive steps that are parallel over the batch form a group: one thread may take some images through all of them, while
another is still at the first step with other images. If an op can write its result into a given array, the value gets a buffer
in the arena, live from the group that makes it to the last group that reads it or a view of it. An op that works in place may
overwrite an input in its last use. Other values are allocated by their op in every run, as in eager mode.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from itertools import count
from math import inf

import numpy as np

from ..core.codegen import OUTPUT
from .steps import Step, Value, flat

SMALL_BYTES = 1 << 19
"""Up to this size, copying an argument is cheaper than making views of it in every call."""

TINY_BYTES = 1 << 10
"""Up to this size, copying a result out of the arena is cheaper than calling an op that is not prepared."""

NUMBER = (bool, int, float, str, type(None))
"""Types of parameters that apply to all images of a batch."""

LEAST = 1 << 12
"""Smaller arrays are not worth a place in a group."""

MOST_BYTES = 1 << 24
"""The most memory that the steps of a group may allocate: all of it is live to the end of the group."""

ALIGNMENT = 64
"""Buffers start at multiples of a cache line, with gaps between them: NumPy before 2.0.2 takes adjacent arrays for overlapping
ones, for which exp and other functions use another algorithm with other bits."""


@dataclass(eq=False, slots=True)
class Buffer:
    """Bytes of the arena for one value, or for several values that overwrite each other in place."""

    size: int
    start: int  # the first group that writes it
    end: tuple[float, float]  # the last group that reads it, and the last step
    offset: int = 0


@dataclass(slots=True)
class Plan:
    """The needed steps in groups, the buffers of values that have one, and the sizes in bytes."""

    groups: list[list[Step]]
    buffers: dict[Value, Buffer]
    last: dict[Value, tuple[float, float]]  # by root, the last group and step that read or make its memory
    copied: set[
        Value
    ]  # arguments that are copied to a fixed buffer first, so that steps which read them can be prepared
    peak: int  # of the arena
    total: int  # of all values that steps make, if each had its own memory


def planned(steps: Sequence[Step], returned: Collection[Value], kept: Collection[Value]) -> Plan:
    """A plan for `steps`: `returned` values get new memory in every run, `kept` values live to the end.

    A tiny result gets a buffer that lives to the end instead, and is copied, unless another result is a view of it.
    """
    wanted = {*returned, *kept}
    needed = _needed(steps, wanted | {value.root for value in wanted})
    roots = Counter(value.root for value in returned)
    tiny = {v for v in returned if v.root is v and roots[v] == 1 and v.array.nbytes <= TINY_BYTES}
    returned, kept = roots.keys() - tiny, {value.root for value in kept} | tiny
    groups = _grouped(needed, returned)
    last = _liveness(groups, kept | returned)

    buffers: dict[Value, Buffer] = {}
    numbers = count()
    for i, group in enumerate(groups):
        # A view may divide its memory differently, so its memory is read as a whole.
        whole = {v.root for step in group for v in step.reads if v.base is not None or v not in by_image(step)}
        for step in group:
            k, out = next(numbers), _planned(step, returned)
            if out is None:
                continue
            buffer = _overwritten(step, out, k, buffers, whole if len(group) > 1 else set())
            if buffer is None:
                buffer = Buffer((out.array.nbytes // ALIGNMENT + 1) * ALIGNMENT, i, last[out])
            buffer.end = max(buffer.end, last[out])
            buffers[out] = buffer
    peak = _place(list(dict.fromkeys(buffers.values())))
    total = sum(v.array.nbytes for step in needed for v in made(step) if v.base is None)
    return Plan(groups, buffers, last, _copied(needed, set(roots)), peak, total)


def _planned(step: Step, returned: Collection[Value]) -> Value | None:
    """The output of a step, if it can be placed in the arena.

    With `out`, NumPy before 2.2 sums reversed memory from its end, and without from its start, which gives other bits.
    """
    out = step.outputs[0] if step.outputs else None
    if step.op is None or not step.op.takes_out or out is None or out.base is not None:
        return None
    if not step.op.elementwise and any(stride < 0 for value in step.reads for stride in value.array.strides):
        return None
    return out if out not in returned and out.array.size and _dense(out.array) else None


def by_image(step: Step) -> set[Value]:
    """The values of a step, inputs and output, over whose batch axis it is parallel: it uses their images separately."""
    if step.op is None or not step.outputs or step.outputs[0] is None:
        return set()
    out = step.outputs[0]
    if step.op.elementwise:
        read = [v for v in step.inputs if isinstance(v, Value) and v.array.ndim == out.array.ndim]
        return {v for v in (*read, out) if v.array.ndim and len(v.array) == len(out.array)}
    named = [*zip(step.op.signature.inputs, step.inputs, strict=False), (OUTPUT, out)]
    along = {v for name, v in named if name in step.op.along and isinstance(v, Value) and v.array.ndim}
    return along.difference([v for name, v in named if name not in step.op.along and isinstance(v, Value)])


def _length(step: Step, out: Value | None) -> int | None:
    """The size of the batch that a step is parallel over; None if it is not, or if the arrays are too small to matter."""
    along = by_image(step)
    lengths = {len(value.array) for value in along}
    if out is None or step.kept or not len(lengths) == len(step.outputs) == 1:
        return None
    if step.op is None or (step.op.elementwise and not all(isinstance(p, NUMBER) for p in step.params.values())):
        return None  # a parameter that is an array may have an entry for each image
    return lengths.pop() if max(value.array.size for value in along) >= LEAST else None


def _grouped(steps: Sequence[Step], returned: Collection[Value]) -> list[list[Step]]:
    """Groups of consecutive steps that are parallel over batches of one size, and use each other's results per image.

    Another op between them moves before the group, or after the group if it reads a result of it. Effects and draws are not
    moved.
    """
    groups: list[list[Step]] = []
    group: list[Step] = []
    makes: dict[Value, bool] = {}  # the outputs of the group, and whether each is made per image
    later: list[Step] = []  # steps that move after the group
    awaits: set[Value] = set()  # the outputs of these steps
    n, size = None, 0

    def close() -> None:
        groups.extend(each for each in (group, *([step] for step in later)) if each)
        makes.clear()
        awaits.clear()
        later.clear()

    for step in steps:
        out, along, reads = _planned(step, returned), by_image(step), {v.root for v in step.reads}
        length, nbytes = _length(step, out), 0 if out is None else out.array.nbytes
        moves = step.op is not None and not step.kept
        ready = awaits.isdisjoint(reads)
        fits = ready and all(makes[v.root] and v in along for v in step.reads if v.root in makes)
        if group and length == n and fits and size + nbytes <= MOST_BYTES:
            group.append(step)
        elif group and length != n and moves and ready and reads.isdisjoint(makes):
            groups.append([step])
            continue
        elif group and length != n and moves:
            later.append(step)
            awaits.update(v.root for v in made(step))
            continue
        else:
            close()
            group, n, size = ([], None, 0) if length is None else ([step], length, 0)
            if not group:
                groups.append([step])
                continue
        size += nbytes
        if out is not None:
            makes[out] = out in along
    close()
    return groups


def _liveness(groups: Sequence[Sequence[Step]], kept: Collection[Value]) -> dict[Value, tuple[float, float]]:
    """By root, the last group and the last step that read or make the memory of a value; infinite for `kept` values."""
    last: dict[Value, tuple[float, float]] = {}
    steps = [(i, step) for i, group in enumerate(groups) for step in group]
    for k, (i, step) in enumerate(steps):
        last.update((value.root, (i, k)) for value in (*step.reads, *made(step)))
    return last | dict.fromkeys(kept, (inf, inf))


def _copied(steps: Sequence[Step], returned: set[Value]) -> set[Value]:
    """Small arguments that are only read: neither returned nor passed to an effect, which may write to them."""
    found: set[Value] = set()
    shared: set[Value] = set(returned)
    for step in steps:
        roots = {v.root for v in step.reads if v.root.origin == "argument"}
        (found if step.op is not None else shared).update(roots)
    return {v for v in found - shared if 0 < v.array.nbytes <= SMALL_BYTES and _dense(v.array)}


def made(step: Step) -> list[Value]:
    """The values that a step makes, without those that it passes through."""
    return [value for value in step.outputs if value is not None and value.origin == "step"]


def _needed(steps: Sequence[Step], wanted: set[Value]) -> list[Step]:
    """The steps that a result, an effect, or the order of random draws depends on."""
    alive = set(wanted)
    found = []
    for step in reversed(steps):
        if step.kept or _may_raise(step) or any(value in alive for value in made(step)):
            found.append(step)
            for value in step.reads:
                alive.update((value, value.root))
    return found[::-1]


def _may_raise(step: Step) -> bool:
    """Whether a step checks values, such as labels and indices, and so must run even if its result is not read."""
    if step.op is None or step.op.elementwise:
        return False
    return any(v.root.origin != "step" and v.array.dtype.kind in "iu" for v in step.reads)


def _dense(array: np.ndarray) -> bool:
    """Whether the array is contiguous in some order of its axes."""
    order = np.argsort([-s for s in array.strides], kind="stable")
    return bool(array.transpose(order).flags.c_contiguous)


def _overwritten(step: Step, out: Value, k: int, buffers: dict[Value, Buffer], whole: set[Value]) -> Buffer | None:
    """The buffer of an input in its last use at step k that has exactly the layout of the output, if there is one.

    A buffer that some step of the group reads as a `whole` is not overwritten, because another thread may still need it.
    """
    if step.op is None or not step.op.in_place:
        return None
    for value in flat(step.inputs):
        if not isinstance(value, Value) or (buffer := buffers.get(value.root)) is None or buffer.end[1] != k:
            continue
        sharing = [v for v in step.reads if buffers.get(v.root) is buffer]
        if all(_fills(v, out.array) for v in sharing) and not any(buffers.get(v) is buffer for v in whole):
            return buffer
    return None


def _fills(value: Value, out: np.ndarray) -> bool:
    """Whether `value` covers all of its memory, in the layout of `out`."""
    a, whole = value.array, value.root.array
    same = a.shape == out.shape and a.dtype == out.dtype and a.strides == out.strides
    return same and a.nbytes == whole.nbytes and a.ctypes.data == whole.ctypes.data


def _place(buffers: list[Buffer]) -> int:
    """Set every buffer's offset: largest first, each at the lowest free offset among buffers live at the same time."""
    done: list[Buffer] = []
    for buffer in sorted(buffers, key=lambda buffer: -buffer.size):
        offset = 0
        for other in sorted(done, key=lambda other: other.offset):
            if other.end[0] < buffer.start or buffer.end[0] < other.start:
                continue
            if other.offset - offset >= buffer.size:
                break
            offset = max(offset, other.offset + other.size)
        buffer.offset = offset
        done.append(buffer)
    return max((buffer.offset + buffer.size for buffer in done), default=0)
