"""A backward walk as a flat list of prepared calls, in planned memory."""

from __future__ import annotations

import operator
from collections import deque
from collections.abc import Callable, Sequence
from functools import partial
from sys import getrefcount
from typing import Any
from weakref import getweakrefcount

import numpy as np

from ..allocator import give_back
from ..core import tracing
from ..core.graph import Op
from ..kernels.parallel.chunks import LARGE
from ..kernels.parallel.task import Call as Prepared
from ..kernels.parallel.task import Stage, Work, borders, streamed, streams
from ..kernels.parallel.threads import blas_alone, get_num_threads
from ..kernels.parallel.workspace import Pool, aligned
from ..tensor import Tensor
from .blocks import Block
from .kept import LISTED
from .memory import by_image, planned
from .rules import Call, Value, Walk, fitted, like, mapped, tangent
from .slots import Slot
from .tasks import bound, readable

MUCH = 1 << 24
"""Before so many bytes are allocated for good, what earlier calls freed is given back: it lies in holes of many sizes."""


class Program:
    """The calls of a walk, prepared for the arrays that its course has now."""

    def __init__(self, walk: Walk, pool: Pool) -> None:
        self._walk = walk
        self.plan = planned(walk.calls, [value for _, value in walk.results])
        self._fixed: dict[Value, Any] = {}  # the arrays that are the same in every run
        self._moving: list[Value] = []  # values that are read from the slots in every run
        self._copied: list[Slot] = []
        if self.plan.size > MUCH:
            give_back()
        # Nothing else runs during a walk of much memory (see `Course.walk`), so its values and all scratch share an arena.
        arena = aligned(self.plan.size) if self.plan.is_small else pool.arena(self.plan.size)
        self._place_values(arena)
        self._shared: dict[Value, dict[Any, Any]] = {}
        self._prepared: dict[Call, Any] = {}
        self.streams: list[list[str]] = []  # the names of calls that go together
        self._calls: list[Callable[[], object]] = []
        self._ends: list[tuple[int, int]] = []  # how many calls complete a result, and its number
        numbers = {value: k for k, (_, value) in enumerate(walk.results)}
        dying: dict[float, list[Value]] = {}
        for i, group in enumerate(self.plan.groups):
            with pool.lends(None if self.plan.is_small else partial(self.plan.gaps, i, arena.nbytes)):
                self._calls += self._grouped(group)
            for value in [value for call in group for value in call.made if value not in self._fixed]:
                dying.setdefault(self.plan.last[value.root][0], []).append(value)
            self._ends += [(len(self._calls), numbers[v]) for call in group for v in call.made if v in numbers]
            if dead := dying.pop(i, None):
                self._calls.append(partial(_release, dead))
        self._left = [*dying.pop(float("inf"), []), *self._moving]
        self._lent: list[Tensor] = []  # gradients that are the same Tensors in every run
        self._results = [(slot, self._result(value)) for slot, value in walk.results]
        self._given = self._same_in_every_run()
        self._held = [self._block.raw, *self._lent, *(t._array for t in self._lent)]
        known = LISTED + 2 + (self._given is not None)
        self._counts = [self._block.limit + 1, *[known] * len(self._lent), *[LISTED + 1] * len(self._lent)]
        self.is_loose = any(slot.moves for slot in walk.leaves)  # whether two leaves may be one in another call
        self.nbytes = self._block.size + (self.plan.size if self.plan.is_small else 0)  # but for what is the pool's

    # Running

    def run(
        self, roots: Sequence[tuple[Any, Any]], finished: Callable[[Any, Any], object] | None
    ) -> dict[Any, Any] | None:
        """The gradients of the walk, which begins with the given ones; None if some of the last run are still held."""
        if list(map(getrefcount, self._held)) != self._counts or any(map(getweakrefcount, self._lent)):
            self._walk.copies = True
            return None
        for array, (_, g) in zip(self._roots, roots, strict=True):
            array[...] = g
        if self._given is not None and finished is None:
            deque(map(operator.call, self._calls), 0)  # which calls each
            return self._given.copy()
        for slot in self._copied:
            np.copyto(slot.fixed, slot.array)  # type: ignore[arg-type]
        for value in self._moving:
            value.array = _found(value)
        try:
            if self.plan.is_small:
                return self._run(finished)
            return blas_alone(self._run, finished)  # BLAS threads would spin and slow the kernels' threads
        finally:
            for value in self._left:
                value.array = None

    def _run(self, finished: Callable[[Any, Any], object] | None) -> dict[Any, Any]:
        if finished is None:
            deque(map(operator.call, self._calls), 0)
            return {slot.node: g if g is not None else make() for slot, (g, make) in self._results}
        found: dict[Any, Any] = {}
        done = 0
        for end, number in self._ends:
            for call in self._calls[done:end]:
                call()
            done = max(done, end)
            slot, (g, make) = self._results[number]
            found[slot.node] = array = make() if g is None else g._array.view()
            finished(slot.node, array)
        for call in self._calls[done:]:
            call()
        return found

    def serves(self) -> bool:
        """Whether the leaves of this call are different ones, as they were when the walk was recorded."""
        leaves = self._walk.leaves
        return len({slot.node for slot in leaves}) == len(leaves)

    # Values

    def _place_values(self, arena: np.ndarray) -> None:
        """Find the arrays of values that are the same in every run."""
        self._starts, size = {}, 0
        for buffer in dict.fromkeys(self.plan.buffers.values()):
            if buffer.lasts:
                self._starts[buffer], size = size, size + buffer.size
        self._block = Block(size)
        for value, buffer in self.plan.buffers.items():
            if buffer.lasts:
                self._fixed[value] = self._block.inner(value.shape, value.dtype, value.strides, self._starts[buffer])
            else:
                self._fixed[value] = np.ndarray(value.shape, value.dtype, arena, buffer.offset, value.strides)
        self._roots = [like(root.shape, root.dtype, root.strides) for root in self._walk.roots]
        self._fixed.update(zip(self._walk.roots, self._roots, strict=True))
        readers: dict[Value, list[Op | None]] = {}
        for call in [call for group in self.plan.groups for call in group]:
            for value in call.reads:
                readers.setdefault(value, []).append(call.op)
        for value, ops in readers.items():
            if value.origin == "constant":
                self._fixed[value] = value.array
            elif value.origin == "saved":
                self._moving.append(value)
            elif value.origin == "slot":
                array = readable(value.source, ops)
                if array is None:
                    self._moving.append(value)
                    continue
                self._fixed[value] = array
                if value.source.copied and value.source not in self._copied:
                    self._copied.append(value.source)

    def _result(self, value: Value) -> tuple[Tensor | None, Any]:
        """A gradient that everybody may hold: a Tensor, or what makes an array."""
        buffer = self.plan.buffers.get(value.root)
        if buffer is not None and not self._walk.copies:
            start = self._starts[buffer] + value.start
            t = Tensor._of(self._block.outer(value.shape, value.dtype, value.strides, start))
            self._lent.append(t)
            return t, None
        if value in self._fixed:
            return None, partial(np.array, self._fixed[value])
        return None, lambda: value.array

    def _same_in_every_run(self) -> dict[Any, Tensor] | None:
        """The Tensors that are all that the walk gives, by their leaves, if nothing but the root is read anew in a run."""
        reads = self._copied or self._left or any(slot.moves or not slot.is_outside for slot, _ in self._results)
        if reads or not self.plan.is_small or len(self._lent) < len(self._results):
            return None
        return {slot.node: t for (slot, _), t in zip(self._results, self._lent, strict=True)}

    def _filled(self, tree: Any) -> Any:
        """`tree` with its values replaced by their arrays; they are all fixed."""
        return mapped(lambda x: self._fixed[x] if isinstance(x, Value) else x, tree)

    # Calls

    def _grouped(self, group: Sequence[Call]) -> list[Callable[[], object]]:
        """The functions of calls that are parallel over the batch: one for each run of calls that can form a stream."""
        if len(group) == 1:
            return self._call(group[0])
        found: list[Callable[[], object]] = []
        run: list[tuple[Call, Stage]] = []
        for call in group:
            stage = self._stage(call)
            if stage is None or not _go_together([*(stage for _, stage in run), stage], _largest(call).shape[0]):
                found += self._stream(run)
                run = []
            if stage is None:
                found += self._call(call)
            else:
                run.append((call, stage))
        return found + self._stream(run)

    def _stream(self, run: Sequence[tuple[Call, Stage]]) -> list[Callable[[], object]]:
        """One function for stages that form a stream, or one for each stage if that is as fast."""
        calls, stages = [call for call, _ in run], [stage for _, stage in run]
        works = [stage for stage in stages if isinstance(stage, Work)]
        little = all(work.little for work in works) and sum(_largest(call).size for call in calls) < LARGE
        if len(run) < 2 or little:
            return [function for call in calls for function in self._call(call)]
        self.streams.append([call.name for call in calls])
        cuts = streams(stages, _largest(calls[0]).shape[0], max(2, get_num_threads()))
        return [streamed(stages, cuts).prepared()]

    def _stage(self, call: Call) -> Stage | None:
        """A call as a stage of a stream; None if it cannot be one."""
        op, out = call.op, call.outputs[0]
        assert op is not None
        assert out is not None
        if not op.elementwise:
            work = self._bound(call)
            return work if isinstance(work, Work) and work.images is not None else None
        if any(v not in self._fixed for v in call.reads):
            return None
        along, whole = by_image(call), self._fixed[out]
        inputs = [(self._filled(x), isinstance(x, Value) and x in along) for x in call.inputs]
        params = self._filled(call.params)

        def part(images: slice) -> Prepared:
            target, parts = whole[images], [a[images] if is_cut else a for a, is_cut in inputs]
            return op.bind(target, *parts, **params)

        return part

    def _call(self, call: Call) -> list[Callable[[], object]]:
        """The functions of a call."""
        if call.op is None:
            return [partial(self._pull if call.forward is None else self._push, call)]
        out = call.outputs[0]
        assert out is not None
        if self._is_fixed_view(call, out):
            return []
        op, fixed = call.op, out in self._fixed
        task = self._bound(call) if fixed else None
        if task is not None:
            return [task.prepared() if isinstance(task, Work) else task]
        if all(isinstance(x, Value) or not isinstance(x, list | tuple | dict | slice) for x in call.inputs):
            holders = [x if isinstance(x, Value) else Value(x, "constant") for x in call.inputs]
            for holder in holders:
                if holder in self._fixed:
                    holder.array = self._fixed[holder]
            arrays: Callable[[], Sequence[Any]] = lambda: [holder.array for holder in holders]  # noqa: E731
        else:
            arrays = lambda: mapped(self._current, call.inputs)  # noqa: E731
        is_constant = not any(isinstance(x, Value) for x in _leaves(call.params))
        constants = self._filled(call.params) if is_constant else None
        if fixed:
            target = self._fixed[out]

            def write() -> None:
                params = mapped(self._current, call.params) if constants is None else constants
                op.bind(target, *arrays(), **params)()

            return [write]
        function, several = op.raw if op.prepare is None else op.run, bool(op.signature.residuals)

        def make() -> None:
            params = mapped(self._current, call.params) if constants is None else constants
            y = function(*arrays(), **params)
            y = np.asarray(y[0] if several else y)
            if y.shape != out.shape or y.strides != out.strides:
                y = _in_form(y, out, op.name)
            out.array = y

        return [make]

    def _current(self, x: Any) -> Any:
        if isinstance(x, Value):
            return self._fixed.get(x, x.array)
        return x

    def _pull(self, call: Call) -> None:
        """Call the rules of a node."""
        slot: Any = call.slot
        node = slot.node
        wanted = tuple([place and place.node for place in call.parents])
        g = self._current(call.inputs[0])
        token = tracing._tracer.set(tracing.NO_TRACER)
        try:
            pulled = node.op.pull(g, node.saved, node.params, wanted)
        finally:
            tracing._tracer.reset(token)
        results = fitted(node.op, pulled, wanted, g, node.saved)
        for value, r in zip(call.outputs, results, strict=True):
            if value is not None:
                value.array = r if r.strides == value.strides else _in_form(r, value, node.op.name)

    def _push(self, call: Call) -> None:
        """Call the forward rules of a node."""
        slot: Any = call.slot
        assert call.forward is not None
        t, value = tangent(slot.node, mapped(self._current, call.inputs), *call.forward), call.made[0]
        value.array = t if t is None or t.strides == value.strides else _in_form(t, value, call.name)

    def _bound(self, call: Call) -> Any:
        """The call as work, or as a function without arguments, if its arrays are fixed and its op can prepare it."""
        if call not in self._prepared:
            self._prepared[call] = self._bind(call)
        return self._prepared[call]

    def _bind(self, call: Call) -> Any:
        op, out = call.op, call.outputs[0]
        if op is None or out is None or any(v not in self._fixed for v in call.reads):
            return None
        first, shared = call.inputs[0] if call.inputs else None, None
        if op.shares and isinstance(first, Value):
            shared = self._shared_of(first)
        return bound(op, self._fixed[out], self._filled(call.inputs), self._filled(call.params), shared)

    def _shared_of(self, value: Value) -> dict[Any, Any]:
        """What kernels keep for calls that read a value first, in the function as in the walk."""
        if value.origin == "slot":
            slot: Slot = value.source
            return slot.shared
        return self._shared.setdefault(value, {})

    def _is_fixed_view(self, call: Call, out: Value) -> bool:
        """Whether the call makes a view of a fixed array: the view is then made once, and fixed too."""
        assert call.op is not None
        if out.base is None or out in self._fixed or any(v not in self._fixed for v in call.reads):
            return out.base is not None and out in self._fixed
        if call.op.signature.residuals or any(v.root is not out.root for v in call.reads):
            return False
        view = np.asarray(call.op.raw(*self._filled(call.inputs), **self._filled(call.params)))
        if view.shape != out.shape or view.strides != out.strides:
            return False
        self._fixed[out] = view
        return True

    @property
    def lines(self) -> list[str]:
        """The calls in words, each with its inputs and output."""
        names: dict[Value, str] = {}

        def name(x: Any) -> str:
            if not isinstance(x, Value):
                return f"{x!r:.20}"
            return names.setdefault(x, f"{'g' if x.origin in ('call', 'root') else 's'}{len(names)}")

        found = []
        for call in [call for group in self.plan.groups for call in group]:
            given = ", ".join(map(name, call.inputs))
            output = call.made[0]
            found.append(f"{name(output)} = {call.name}({given})    {output.dtype} {output.shape}")
        return found


def _found(value: Value) -> Any:
    """The array of a value from outside the walk."""
    if value.origin == "slot":
        return value.source.array
    slot, i, j = value.source
    saved = slot.node.saved[i]
    return saved if j < 0 else saved[j]


def _release(values: Sequence[Value]) -> None:
    for value in values:
        value.array = None


def _in_form(y: np.ndarray, value: Value, name: str) -> np.ndarray:
    """An array in the memory order that was recorded, which the calls that read it were prepared for."""
    if y.shape != value.shape:
        raise RuntimeError(
            f"compile: `{name}` gave shape {y.shape} in backward, and {value.shape} when it was recorded"
        )
    if value.base is not None:  # a view
        return y
    order = sorted(range(y.ndim), key=lambda i: -value.strides[i])
    out = np.empty([y.shape[i] for i in order], y.dtype).transpose([order.index(i) for i in range(y.ndim)])
    out[...] = y
    return out


def _leaves(tree: Any) -> list[Any]:
    found: list[Any] = []
    mapped(found.append, tree)
    return found


def _largest(call: Call) -> Value:
    """The largest value over whose batch axis a call is parallel."""
    return max(by_image(call), key=lambda value: value.size)


def _go_together(stages: Sequence[Stage], n: int) -> bool:
    """Whether the stages can be cut into at least as many streams as threads would share any single stage."""
    found = len(borders(stages, n))
    return all(found >= min(get_num_threads(), len(stage.parts)) for stage in stages if isinstance(stage, Work))


def in_bytes(size: float) -> str:
    """A size in readable units: "1.5 MB"."""
    for unit in ("B", "kB", "MB"):
        if size < 1000:
            return f"{size:.3g} {unit}"
        size /= 1000
    return f"{size:.3g} GB"
