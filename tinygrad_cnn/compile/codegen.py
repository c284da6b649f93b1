"""Generate the Python function of a program: a line for each step, with buffers, kernels and constants bound as names."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from ..kernels.copies import flattened
from ..kernels.parallel.chunks import LARGE
from ..kernels.parallel.task import Call, Stage, Work, borders, streamed, streams
from ..kernels.parallel.threads import get_num_threads
from ..tensor.tensor import Lent, Tensor
from ..transforms.pytree import rebuild
from .audit import misfit
from .memory import ALIGNMENT, Plan, by_image, made
from .results import Part, Results
from .source import Constants
from .steps import Leaf, Step, Value, mapped


class _Code(str):
    """Python source whose repr is the source itself, so that it can be nested in containers."""

    __slots__ = ()
    __repr__ = str.__str__


class Writer:
    """Writes the lines of a program.

    Names of arrays: `x` are arguments, `a` copies of arguments, `b` buffers of the arena, `w` outside arrays, and `v` arrays
    that steps allocate in each run.
    """

    def __init__(self, plan: Plan, arguments: Sequence[Value]) -> None:
        self.plan = plan
        self.fixed: dict[Value, np.ndarray] = {}
        self.names: dict[Value, str] = {value: f"x{i}" for i, value in enumerate(arguments)}
        self.arguments = [*self.names.values()]
        self.takes_given = False  # whether the program also takes the list of arguments, for leaves among them
        self.constants = Constants()
        self._shared: dict[Value, dict[Any, Any]] = {}
        self._prepared: dict[Step, Work | Callable[[], object] | None] = {}
        self.lines: list[tuple[str, str]] = []  # for each step, its name, inputs and output
        self._dying: dict[float, list[Value]] = {}  # by last reading group, values without a fixed buffer
        self.lent: list[tuple[Any, Tensor]] = []  # gradients in buffers of the program
        self.copied = [(v, self.names[v]) for v in arguments if v in plan.copied]
        for value, _ in self.copied:
            self._fix(value, np.empty_like(value.array), "a")
        for value in {v: None for group in plan.groups for step in group for v in step.reads}:
            if value.origin == "outside":
                self._fix(value, value.array, "w")
        arena = np.empty(plan.peak + ALIGNMENT, np.uint8)
        start = -arena.ctypes.data % ALIGNMENT
        for value, buffer in plan.buffers.items():
            a = value.array
            self._fix(value, np.ndarray(a.shape, a.dtype, arena, start + buffer.offset, a.strides), "b")

    def program(self, results: Results, gradients: Sequence[tuple[Leaf, Value | None]], given: Sequence[Value]) -> str:
        """The source of the program. The next run overwrites neither results nor the gradients listed in `given`."""
        body = [f"{self.names[v]}[...] = {x}" for v, x in self.copied]
        body += [line for i, group in enumerate(self.plan.groups) for line in self._group(i, group)]
        for leaf, value in gradients:
            body.append(f"{self.expression(leaf)}._grad = {self._gradient(leaf, value, value not in given)}")
        parts = [self._part(part) for part in results.parts]
        if isinstance(results.tree, Part):
            body.append(f"return {parts[0]}")
        else:
            body.append(f"return {self.constant(rebuild)}({self.constant(results.tree)}, [{', '.join(parts)}])")
        header = f"def program({', '.join([*self.arguments, *['given'] * self.takes_given])}):"
        return "\n    ".join([header, *body]) + "\n"

    def _gradient(self, leaf: Leaf, value: Value | None, lent: bool) -> str:
        """Python for the Tensor that becomes a leaf's gradient."""
        if value is None:
            return "None"
        if lent and value in self.fixed and value.root in self.plan.buffers:
            gradient = Lent.__new__(Lent)
            gradient._array, gradient._node = self.fixed[value], None
            self.lent.append((leaf.tensor, gradient))
            return self.constant(gradient)
        return f"{self.constant(Tensor._of)}({self._result(value)})"

    def _part(self, part: Part) -> str:
        code = self._result(part.what) if isinstance(part.what, Value) else self.expression(part.what)
        return f"{self.constant(part.make)}({code})" if part.make else code

    def _result(self, value: Value) -> str:
        """Python for an array to return, which later runs do not overwrite."""
        live = value.root in self.plan.buffers or value.root.origin == "outside"
        return f"{self.expression(value)}.copy('K')" if live else self.expression(value)

    def _group(self, i: int, group: Sequence[Step]) -> list[str]:
        lines = self._streamed(group) if len(group) > 1 else self._step(group[0])
        dead = [self.names[v] for v in self._dying.pop(i, ()) if v not in self.fixed]
        return [*lines, f"del {', '.join(dead)}"] if dead else lines

    def _streamed(self, group: Sequence[Step]) -> list[str]:
        """The lines of steps that are parallel over the batch: one line for each run of steps that can form a stream."""
        lines: list[str] = []
        run: list[tuple[Step, Stage]] = []
        for step in group:
            stage = self._stage(step)
            if stage is None or not _go_together([*(stage for _, stage in run), stage], len(_largest(step))):
                lines += self._run(run)
                run = []
            if stage is None:
                lines += self._step(step)
            else:
                run.append((step, stage))
        return lines + self._run(run)

    def _run(self, run: Sequence[tuple[Step, Stage]]) -> list[str]:
        """One line for stages that form a stream, or one line for each stage if that is as fast."""
        steps, stages = [step for step, _ in run], [stage for _, stage in run]
        works = [stage for stage in stages if isinstance(stage, Work)]
        little = all(work.little for work in works) and sum(_largest(step).size for step in steps) < LARGE
        if len(run) < 2 or little:
            return [line for step in steps for line in self._step(step)]
        for step in steps:
            self._describe(step)
        cuts = streams(stages, len(_largest(steps[0])), max(2, get_num_threads()))
        return [f"{self.constant(streamed(stages, cuts).prepared(), '_then_'.join(step.name for step in steps))}()"]

    def _stage(self, step: Step) -> Stage | None:
        """A step as a stage of a stream; None if it cannot be one."""
        op, out = step.op, step.outputs[0]
        assert op is not None
        assert out is not None
        if not op.elementwise:
            work = self._bound(step)
            return work if isinstance(work, Work) and work.images is not None else None
        if any(v not in self.fixed and v.origin != "outside" for v in step.reads):
            return None
        along, whole = by_image(step), self.fixed[out]
        inputs = [(self._filled(x), isinstance(x, Value) and x in along) for x in _as_arrays(step)]
        params = self._filled(step.params)  # without this, the step would keep captured arrays alive

        def call(images: slice) -> Call:
            target, parts = whole[images], [a[images] if is_cut else a for a, is_cut in inputs]
            return op.bind(target, *parts, **params)

        return call

    def _step(self, step: Step) -> list[str]:
        """The lines of a step."""
        if self._is_fixed_view(step):
            return []
        fresh = [v for v in made(step) if v not in self.fixed and v not in self.names]  # not arrays it passes through
        planned_output = step.outputs and step.outputs[0] in self.fixed
        inputs = _as_arrays(step) if planned_output else step.inputs
        params = [f"{name}={self.expression(p)}" for name, p in step.params.items()]
        arguments = [*map(self.expression, inputs), *params]
        bound = self._bound(step) if planned_output else None
        if isinstance(bound, Work):
            bound = bound.prepared()
        if bound is not None:
            call = f"{self.constant(bound, step.name)}()"
        elif planned_output and step.op is not None and step.op.prepare is not None:
            given = ", ".join([self.expression(step.outputs[0]), *arguments])
            call = f"{self.constant(step.op.bind, step.name)}({given})()"
        elif planned_output and isinstance(step.call, np.ufunc) and step.call.nout == 1:
            *arguments, out = self._flattened(step.call, *inputs, step.outputs[0])
            # Positions are faster, but NumPy 2.4 warns of a third one in these two.
            arguments += [f"out={out}" if step.call in (np.maximum, np.minimum) else out, *params]
            call = f"{self.constant(step.call, step.name)}({', '.join(arguments)})"
        else:
            if planned_output:
                arguments.append(f"out={self.expression(step.outputs[0])}")
            call = f"{self.constant(step.call, step.name)}({', '.join(arguments)})"
        for v in fresh:
            self.names[v] = f"v{len(self.names)}"
            self._dying.setdefault(self.plan.last[v.root][0], []).append(v)
        self._describe(step)
        targets = [self.names.get(v, "_") if v in fresh else "_" for v in step.outputs]
        if fresh and step.several:
            lines = [f"{', '.join(targets)}{',' if len(targets) == 1 else ''} = {call}"]
            scalars = [self.names[v] for v in fresh if not v.array.ndim]
            lines += [f"{name} = {self.constant(np.asarray)}({name})" for name in scalars]
        elif fresh:
            array = self.constant(np.asarray) if not fresh[0].array.ndim else ""
            lines = [f"{targets[0]} = {array}({call})" if array else f"{targets[0]} = {call}"]
        else:
            lines = [call]
        if step.op is not None:
            lines += [
                f"if {self.names[v]}.shape != {v.array.shape}: "
                f"{self.constant(misfit)}({step.name!r}, {self.names[v]}.shape, {v.array.shape})"
                for v in fresh
                if v.base is None and v.array.ndim
            ]
        return lines

    def _flattened(self, ufunc: np.ufunc, *operands: Any) -> list[str]:
        """Python for the operands of a ufunc, the output last: 1-d views, if it is elementwise and their memory is alike."""
        arrays = [self._filled(x) for x in operands]
        is_fixed = all(x in self.fixed for x in operands if isinstance(x, Value))
        views = flattened(*arrays) if is_fixed and ufunc.signature is None else None
        if views is None:
            return [*map(self.expression, operands)]
        return [
            self.constants.add(view, "f") if view is not array and view.ndim else self.expression(x)
            for x, array, view in zip(operands, arrays, views, strict=True)
        ]

    def _bound(self, step: Step) -> Work | Callable[[], object] | None:
        """The step as work, or as a function without arguments, if its inputs have fixed buffers and its op can prepare it."""
        if step not in self._prepared:
            self._prepared[step] = self._bind(step)
        return self._prepared[step]

    def _bind(self, step: Step) -> Work | Callable[[], object] | None:
        out = step.outputs[0]
        if step.op is None or step.op.prepare is None or out is None:
            return None
        if any(v not in self.fixed and v.origin != "outside" for v in step.reads):
            return None
        params = self._filled(step.params)
        if step.op.shares:  # an outside array may change between two steps
            first = step.inputs[0]
            inside = isinstance(first, Value) and first.origin != "outside"
            params["shared"] = self._shared.setdefault(first, {}) if inside else {}
        return step.op.bind(self.fixed[out], *self._filled(step.inputs), **params)

    def _is_fixed_view(self, step: Step) -> bool:
        """Whether the step makes a view of a fixed buffer: the view is then made once, and fixed too."""
        if step.op is None or step.several or len(step.outputs) != 1:
            return False
        (out,), reads = step.outputs, step.reads
        if out is None or out.base is None or out.root not in self.fixed or any(v not in self.fixed for v in reads):
            return False
        if any(v.root is not out.root for v in reads):
            return False
        view = step.call(*self._filled(step.inputs), **self._filled(step.params))
        if view.shape != out.array.shape or view.strides != out.array.strides:
            return False
        self._fix(out, view, "b" if out.root.origin == "step" else "w")
        return True

    def _filled(self, tree: Any) -> Any:
        """`tree` with its values replaced by their arrays."""
        return mapped(lambda x: self.fixed.get(x, x.array) if isinstance(x, Value) else x, tree)

    def _fix(self, value: Value, array: np.ndarray, prefix: str) -> None:
        self.fixed[value] = array
        self.names[value] = self.constants.add(array, prefix)

    def expression(self, tree: Any) -> str:
        """Python for a value, a constant, or a container of them."""
        return repr(mapped(self._code, tree))

    def _code(self, leaf: Any) -> Any:
        if isinstance(leaf, Value):
            if leaf not in self.names:  # an outside array that no step uses
                self._fix(leaf, leaf.array, "w")
            return _Code(self.names[leaf])
        if isinstance(leaf, Leaf):
            self.takes_given |= leaf.tensor is None
            return _Code(f"given[{leaf.number}]" if leaf.tensor is None else self.constant(leaf.tensor))
        if leaf is None or type(leaf) in (bool, int, str) or (type(leaf) is float and math.isfinite(leaf)):
            return leaf
        return _Code(self.constant(leaf))

    def constant(self, thing: Any, name: str = "k") -> str:
        """The name of an object that the program refers to."""
        return self.constants.add(thing, f"{name}_")

    def _describe(self, step: Step) -> None:
        inputs = ", ".join(self.expression(x) if isinstance(x, Value) else f"{x!r:.20}" for x in step.inputs)
        for output in made(step)[:1]:
            a = output.array
            inputs = f"{self.names[output]} = {inputs}    {a.dtype} {a.shape}  {in_bytes(a.nbytes)}"
        self.lines.append((step.name, inputs))


def _largest(step: Step) -> np.ndarray:
    """The largest array over whose batch axis a step is parallel."""
    return max((value.array for value in by_image(step)), key=lambda a: a.size)


def _go_together(stages: Sequence[Stage], n: int) -> bool:
    """Whether the stages can be cut into at least as many streams as threads would share any single stage."""
    found = len(borders(stages, n))
    return all(found >= min(get_num_threads(), len(stage.parts)) for stage in stages if isinstance(stage, Work))


def _as_arrays(step: Step) -> list[Any]:
    """The inputs of a step. Python numbers become arrays, which a ufunc takes faster, if the result keeps the same bits."""
    dtypes = {v.array.dtype for v in (*step.reads, *made(step))}
    if len(dtypes) > 1:
        dtypes.discard(np.dtype(bool))  # the result of a comparison
    if not isinstance(step.call, np.ufunc) or len(dtypes) != 1 or next(iter(dtypes)).kind != "f":
        return list(step.inputs)
    alike = next(iter(dtypes)).char * step.call.nin
    if not any(form.startswith(f"{alike}->") for form in step.call.types):  # as ldexp, which takes integers
        return list(step.inputs)
    return [np.array(x, *dtypes) if type(x) in (int, float) else x for x in step.inputs]


def in_bytes(size: float) -> str:
    """A size in readable units: "1.5 MB"."""
    for unit in ("B", "kB", "MB"):
        if size < 1000:
            return f"{size:.3g} {unit}"
        size /= 1000
    return f"{size:.3g} GB"
