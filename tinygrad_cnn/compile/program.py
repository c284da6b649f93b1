"""A backward walk as a flat list of prepared calls, in planned memory."""

from __future__ import annotations

import operator
from collections import deque
from collections.abc import Callable, Collection, Sequence
from functools import partial
from math import inf
from typing import Any

import numpy as np

from ..allocator import give_back
from ..core.backward import Finished
from ..kernels.parallel.chunks import LARGE
from ..kernels.parallel.task import Call as Prepared
from ..kernels.parallel.task import Stage, Work, borders, streamed, streams
from ..kernels.parallel.threads import blas_alone, get_num_threads
from ..kernels.parallel.workspace import Pool, aligned, packing
from .graphs import Root
from .memory import RESULT_BYTES, by_image, planned
from .rules import Call, Value, Walk, like, mapped, own, pulled
from .tasks import COPIED_BYTES, bound, is_dense

MUCH = 1 << 24
"""Before so many bytes are allocated for good, freed memory is given back to the system: it lies in gaps of many sizes."""


PLACES = 4
"""A call that reads large saved values stays prepared for so many addresses of these."""


class Program:
    """The calls of a walk, prepared.

    Saved values that are the same arrays in every walk, such as parameters, are read where they lie. Others that are small are
    copied to where the calls read them. Large ones are read where they lie, too: in a loop, the same calls mostly find the same
    free memory, and where they do not, the calls that read it are prepared anew.

    Args:
        walk: the record.
        pool: the memory of all programs of a function.
        saved: the saved values of this walk.
        staying: the numbers of those that are the same arrays in every run.
        copied: up to so many bytes, a saved value or a result is copied.
        packs: whether constants keep their values, so that filters are laid out once and not in each run.
    """

    def __init__(
        self, walk: Walk, pool: Pool, saved: Sequence[Any], staying: Collection[int] = (), copied: int = COPIED_BYTES,
        packs: bool = False,
    ) -> None:  # fmt: skip
        self._walk, self._most, self._packs = walk, copied, packs
        self.plan = planned(walk.calls, [value for _, value in walk.results], max(RESULT_BYTES, copied))
        self._fixed: dict[Value, Any] = {}  # the arrays that are the same in every run
        self._copied: list[tuple[int, np.ndarray]] = []
        self._moving: list[tuple[int, Value]] = []
        if self.plan.size > MUCH:
            give_back()
        # Nothing else runs during a walk of much memory, so its values and all scratch share an arena.
        arena = aligned(self.plan.size) if self.plan.is_small else pool.arena(self.plan.size)
        self._place_values(arena, saved, staying)
        self._see(saved)
        self._shared: dict[Value, dict[Any, Any]] = {}
        self.streams: list[list[str]] = []  # the names of calls that go together
        self._calls: list[Callable[[], object]] = []
        self._ends: list[tuple[int, int]] = []  # how many calls complete a result, and its number
        self._places: Sequence[Any] = ()  # of this run
        numbers = {value: k for k, (_, value) in enumerate(walk.results)}
        dying: dict[float, list[Value]] = {}
        for i, group in enumerate(self.plan.groups):
            gaps = None if self.plan.is_small else partial(self.plan.gaps, i, arena.nbytes)
            self._lends = partial(pool.lends, gaps)  # tasks of this group take their scratch there
            with self._lends():
                self._calls += self._grouped(group)
            for value in [value for call in group for value in call.made if value not in self._fixed]:
                dying.setdefault(self.plan.last[value.root][0], []).append(value)
            self._ends += [(len(self._calls), numbers[v]) for call in group for v in call.made if v in numbers]
            if dead := dying.pop(i, None):
                self._calls.append(partial(_release, dead))
        self._left = [*dying.pop(inf, []), *[value for _, value in self._moving]]
        self._forget()
        self._results = [(number, self._result(value)) for number, value in walk.results]
        self.nbytes = self.plan.size if self.plan.is_small else 0  # else they are the pool's

    # Running

    def run(
        self, places: Sequence[Any], saved: Sequence[Any], roots: Sequence[Root], finished: Finished | None
    ) -> dict[Any, np.ndarray]:
        """The gradients of the walk, which begins with the given ones, by their places."""
        for array, (_, g) in zip(self._roots, roots, strict=True):
            array[...] = g
        for i, fixed in self._copied:
            fixed[...] = saved[i]
        try:
            self._see(saved)
            self._places = places
            if self.plan.is_small:
                return self._run(finished)
            return blas_alone(self._run, finished)  # BLAS threads would spin and slow the kernels' threads
        finally:
            self._forget()

    def _forget(self) -> None:
        self._places = ()
        for value in self._left:
            value.array = None

    def _run(self, finished: Finished | None) -> dict[Any, np.ndarray]:
        places = self._places
        if finished is None:
            deque(map(operator.call, self._calls), 0)  # which calls each
            return {places[i]: get() for i, get in self._results}
        found: dict[Any, np.ndarray] = {}
        done = 0
        for end, number in self._ends:
            for call in self._calls[done:end]:
                call()
            done = max(done, end)
            i, get = self._results[number]
            found[places[i]] = g = get()
            finished(places[i], g)
        for call in self._calls[done:]:
            call()
        return found

    # Values

    def _place_values(self, arena: np.ndarray, saved: Sequence[Any], staying: Collection[int]) -> None:
        """Find the arrays of values that are the same in every run."""
        for value, buffer in self.plan.buffers.items():
            self._fixed[value] = np.ndarray(value.shape, value.dtype, arena, buffer.offset, value.strides)
        self._roots = [like(root.shape, root.dtype, root.strides) for root in self._walk.roots]
        self._fixed.update(zip(self._walk.roots, self._roots, strict=True))
        for value in dict.fromkeys([value for group in self.plan.groups for call in group for value in call.reads]):
            if value.origin == "constant":
                self._fixed[value] = value.array
            elif value.origin == "saved" and value.source in staying:
                self._fixed[value] = at(address(saved[value.source]), value)
            elif value.origin == "saved":
                self._place_saved(value)

    def _place_saved(self, value: Value) -> None:
        if 0 < value.nbytes <= self._most and is_dense(value.shape, value.strides, value.dtype.itemsize):
            self._fixed[value] = fixed = like(value.shape, value.dtype, value.strides)
            self._copied.append((value.source, fixed))
        else:
            self._moving.append((value.source, value))

    def _see(self, saved: Sequence[Any]) -> None:
        """Let the calls read these saved values, until the end of the run."""
        for i, value in self._moving:
            value.array = saved[i]
            value.address = address(saved[i])

    def _result(self, value: Value) -> Callable[[], np.ndarray]:
        """A function that returns a gradient in memory of its own."""
        if (fixed := self._fixed.get(value)) is not None:
            return fixed.copy if fixed.flags.c_contiguous else partial(fixed.copy, "K")
        return lambda: value.array  # type: ignore[return-value]

    def _filled(self, tree: Any) -> Any:
        """`tree` with its values replaced by arrays for calls that are prepared."""
        return mapped(self._placed, tree)

    def _placed(self, x: Any) -> Any:
        if not isinstance(x, Value):
            return x
        fixed = self._fixed.get(x)
        return at(x.address, x) if fixed is None else fixed

    def _is_fixed(self, call: Call) -> bool:
        """Whether a call is prepared once: its arrays are the same in every run."""
        return all(v is None or v in self._fixed for v in (*call.outputs, *call.reads))

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
        if all(self._is_fixed(call) for call in calls):
            return [streamed(stages, cuts).prepared()]
        return [self._following(calls, lambda: streamed([self._stage(call) for call in calls], cuts).prepared())]  # type: ignore[misc]

    def _stage(self, call: Call) -> Stage | None:
        """A call as a stage of a stream; None if it cannot be one."""
        op, out = call.op, call.outputs[0]
        assert op is not None
        assert out is not None
        if not self._is_ready(call):
            return None
        if not op.elementwise:
            work = self._bind(call)
            return work if isinstance(work, Work) and work.images is not None else None
        along, whole = by_image(call), self._fixed[out]
        inputs = [(self._filled(x), isinstance(x, Value) and x in along) for x in call.inputs]
        params = self._filled(call.params)

        def cut(images: slice) -> list[Any]:
            return [a[images] if is_cut else a for a, is_cut in inputs]

        # A kernel may leave few elements to the definition, and a definition may call ops whose kernels do: parts would have
        # other bits than the whole.
        by_kernel = {
            op.prepare is not None and op.prepare(None, *cut(images), **params) is not None
            for images in (slice(None), slice(1))
        }
        if by_kernel != {True} and not (by_kernel == {False} and isinstance(op.raw, np.ufunc)):
            return None

        def part(images: slice) -> Prepared:
            return op.bind(whole[images], *cut(images), **params)

        return part

    def _call(self, call: Call) -> list[Callable[[], object]]:
        """The functions of a call."""
        if call.op is None:
            return [partial(self._pull, call)]
        out = call.outputs[0]
        assert out is not None
        if self._is_fixed_view(call, out):
            return []
        op, fixed = call.op, out in self._fixed
        task = self._bind(call) if self._is_ready(call) else None
        if task is not None:
            prepared = task.prepared() if isinstance(task, Work) else task
            return [prepared] if self._is_fixed(call) else [self._following([call], lambda: self._prepared(call))]
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
        node = self._places[call.node]
        parents = tuple([None if i is None else self._places[i] for i in call.parents])
        results = pulled(node, own(self._current(call.inputs[0]), node.op), parents)
        for value, r in zip(call.outputs, results, strict=True):
            if value is not None:
                value.array = r if r.strides == value.strides else _in_form(r, value, node.op.name)

    def _is_ready(self, call: Call) -> bool:
        """Whether a call can be prepared: its arrays are fixed, or saved values."""
        read = all(v in self._fixed or v.origin == "saved" for v in call.reads)
        return read and all(v in self._fixed for v in call.made)

    def _prepared(self, call: Call) -> Callable[[], object]:
        task = self._bind(call)
        return task.prepared() if isinstance(task, Work) else task

    def _following(self, calls: Sequence[Call], prepare: Callable[[], Callable[[], object]]) -> Callable[[], object]:
        """A function that makes some calls, which are prepared for the places where saved values lie in that run."""
        values = [*dict.fromkeys([v for call in calls for v in call.reads if v not in self._fixed])]
        lends, known = self._lends, dict[tuple[int, ...], Callable[[], object]]()

        def run() -> None:
            places = tuple([value.address for value in values])
            task = known.get(places)
            if task is None:
                with lends():
                    task = prepare()
                if len(known) >= PLACES:
                    known.clear()
                known[places] = task
            task()

        return run

    def _bind(self, call: Call) -> Any:
        """The call as work, or as a function without arguments; None if its op cannot prepare it."""
        op, out = call.op, call.outputs[0]
        assert op is not None
        assert out is not None
        first, shared = call.inputs[0] if call.inputs else None, None
        if op.shares and isinstance(first, Value):
            shared = self._shared.setdefault(first, {})
        given = op, self._fixed[out], self._filled(call.inputs), self._filled(call.params), shared
        if not (self._packs and self._is_fixed(call) and _packed(call)):
            return bound(*given)
        with packing():
            task = bound(*given)
            if isinstance(task, Work) and task.images is not None:  # what comes before reads none of the images
                for each in task.before:
                    each()
                task.before = ()
        return task

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


def address(array: np.ndarray) -> int:
    """Where the first element of an array lies."""
    return array.__array_interface__["data"][0]  # type: ignore[no-any-return]


class _Memory:
    """What NumPy reads to make an array of memory that is known by its address."""

    __slots__ = ("__array_interface__",)

    def __init__(self, address: int, value: Value) -> None:
        self.__array_interface__ = {
            "version": 3, "data": (address, False), "shape": value.shape, "strides": value.strides,
            "typestr": value.dtype.str,
        }  # fmt: skip


def at(address: int, value: Value) -> np.ndarray:
    """The array of a value at an address. It does not keep the memory alive: it is used while another array does."""
    array = np.asarray(_Memory(address, value))
    return array if array.dtype is value.dtype else array.view(value.dtype)  # as long long, which has the name of long


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


def _packed(call: Call) -> bool:
    """Whether all inputs but the first are constants."""
    others = [x for x in call.inputs[1:] if isinstance(x, Value)]
    return bool(others) and all(x.origin == "constant" for x in others)


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
