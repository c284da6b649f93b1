"""The program of a graph: steps that run one after the other on values by name."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from ...ops.shape import stack
from ...tensor import Tensor
from .errors import OnnxError
from .table import READERS
from .table.base import number

Env = dict[str, Any]

MOST_ITERATIONS = 1_000_000
"""The most iterations of loops in one call of a node. A file can specify any number."""

MISTAKES = (ArithmeticError, AttributeError, LookupError, MemoryError, RuntimeError, TypeError, ValueError)
"""Exceptions of an op for invalid values."""


class Step:
    """One node: a function of values."""

    __slots__ = ("function", "inputs", "name", "operator", "outputs", "roles", "wants_mode")

    def __init__(
        self, function: Callable[..., Any], inputs: Sequence[str], outputs: Sequence[str], name: str, operator: str,
        roles: Sequence[str], wants_mode: bool = False,
    ) -> None:  # fmt: skip
        self.function, self.inputs, self.outputs = function, tuple(inputs), tuple(outputs)
        self.name, self.operator, self.wants_mode = name, operator, wants_mode
        self.roles = tuple(roles)  # of the inputs, from the table

    def uses(self) -> set[str]:
        """The names of the step's inputs."""
        return set(self.inputs) - {""}

    def note(self, roles: dict[str, set[str]]) -> None:
        """Add the roles of its inputs by name. An input that only determines shapes has the role of a shape."""
        found = set[str]().union(*(roles.get(name, ()) for name in self.outputs))
        for name, role in zip(self.inputs, self.roles, strict=True):
            if name:
                roles.setdefault(name, set()).add("Structural" if found == {"Structural"} else role)

    def run(self, env: Env, training: bool) -> None:
        """Compute the outputs."""
        args = [env[name] if name else None for name in self.inputs]
        made = self.function(*args, training=training) if self.wants_mode else self.function(*args)
        self.store(env, made if made.__class__ is tuple else (made,))

    def store(self, env: Env, made: Sequence[Any]) -> None:
        """Assign the results to the names of the outputs."""
        if len(made) < len(self.outputs) and any(self.outputs[len(made) :]):
            raise OnnxError(f"it makes {len(made)} outputs, but {len(self.outputs)} are named")
        for name, value in zip(self.outputs, made, strict=False):
            if name:
                env[name] = value if value.__class__ is Tensor or value.__class__ is np.ndarray else _array(value)


def _array(value: Any) -> Any:
    return value if isinstance(value, Tensor) else np.asarray(value)


class Program:
    """A list of steps, with the names of its inputs and outputs."""

    def __init__(self, inputs: Sequence[str] = (), outputs: Sequence[str] = ()) -> None:
        self.inputs, self.outputs = list(inputs), list(outputs)
        self.steps: list[Any] = []

    def uses(self) -> set[str]:
        """The names of values from outside."""
        made, used = set(self.inputs), set()
        for step in self.steps:
            used |= step.uses() - made
            made.update(step.outputs)
        return used | (set(self.outputs) - made)

    def note(self, roles: dict[str, set[str]]) -> None:
        """Add the roles of values in the steps, by name."""
        for name in self.outputs:
            roles.setdefault(name, set()).add("Value")
        for step in reversed(self.steps):
            step.note(roles)

    def run(self, env: Env, training: bool) -> None:
        """Run the steps."""
        for step in self.steps:
            run_step(step, env, training)


def run_step(step: Any, env: Env, training: bool) -> None:
    """Run one step. OnnxError that names the node if it cannot be computed."""
    try:
        step.run(env, training)
    except OnnxError as error:
        if getattr(error, "__notes__", None):  # from a program within the step
            raise
        raise _placed(step, error) from error.__cause__
    except MISTAKES as error:
        raise _placed(step, error) from error


def _placed(step: Any, error: BaseException) -> OnnxError:
    """The error with the node that raised it."""
    placed = OnnxError(f"node {step.name!r} ({step.operator}): {error or type(error).__name__}")
    placed.add_note(f"at node {step.name!r}")
    return placed


def _nothing(*_: Any) -> None:
    """The function of a step that runs other programs."""


class Branch(Step):
    """An If: one of two programs, chosen by the value of the first input."""

    __slots__ = ("programs",)

    def __init__(self, condition: str, programs: Sequence[Program], outputs: Sequence[str], name: str) -> None:
        super().__init__(_nothing, [condition], outputs, name, "If", ["Structural"])
        self.programs = programs

    def uses(self) -> set[str]:
        return set(self.inputs).union(*(p.uses() for p in self.programs))

    def note(self, roles: dict[str, set[str]]) -> None:
        for program in self.programs:
            program.note(roles)
        super().note(roles)

    def run(self, env: Env, training: bool) -> None:
        program = self.programs[0 if number(env[self.inputs[0]]) else 1]
        program.run(env, training)
        self.store(env, [env[name] for name in program.outputs])


class _Repeated(Step):
    """A step that runs a program several times."""

    __slots__ = ("program",)

    program: Program

    def uses(self) -> set[str]:
        return (set(self.inputs) - {""}) | self.program.uses()

    def note(self, roles: dict[str, set[str]]) -> None:
        self.program.note(roles)
        super().note(roles)


class Loop(_Repeated):
    """A Loop: repeats a program while a condition holds, up to a number of times.

    `stated` has the dtype and shape that the file states for each output of the program. A loop without an iteration needs
    them.
    """

    __slots__ = ("stated", "states")

    def __init__(
        self, program: Program, inputs: Sequence[str], outputs: Sequence[str], name: str, stated: Sequence[Any]
    ) -> None:
        roles = ["Structural"] * 2 + ["Value"] * (len(inputs) - 2)
        super().__init__(_nothing, inputs, outputs, name, "Loop", roles)
        self.program = program
        self.states = len(program.inputs) - 2
        self.stated = list(stated)[1 + self.states :]

    def run(self, env: Env, training: bool) -> None:
        count, condition, *carried = [env[name] if name else None for name in self.inputs]
        most = None if count is None else int(number(count))
        going = condition is None or bool(number(condition))
        scanned: list[list[Any]] = [[] for _ in self.program.outputs[1 + self.states :]]
        iteration = 0
        while going and (most is None or iteration < most):
            env[ITERATIONS] = env.get(ITERATIONS, 0) + 1
            if env[ITERATIONS] > MOST_ITERATIONS:
                raise OnnxError(f"a loop has more than {MOST_ITERATIONS} iterations")
            values = (np.array(iteration, np.int64), np.array(True), *carried)
            env.update(zip(self.program.inputs, values, strict=True))
            self.program.run(env, training)
            holds, *results = [env[name] for name in self.program.outputs]
            going, carried = bool(number(holds)), results[: self.states]
            for part, value in zip(scanned, results[self.states :], strict=True):
                part.append(value)
            iteration += 1
        stacked = [
            stack(part, 0) if part else _empty_scan(stated) for part, stated in zip(scanned, self.stated, strict=True)
        ]
        self.store(env, [*carried, *stacked])


def _empty_scan(stated: Any) -> np.ndarray:
    """The scan output of a loop without an iteration."""
    if stated is None:
        raise OnnxError("the loop has no iteration, and the file does not state the shapes of its scan outputs")
    dtype, shape = stated
    return np.zeros((0, *shape), dtype)


ITERATIONS = "\0iterations"


class Scan(_Repeated):
    """A Scan: runs a program for each slice of some inputs along an axis, and stacks some outputs along an axis."""

    __slots__ = ("axes", "backward", "count", "out_axes", "out_backward")

    def __init__(
        self, program: Program, inputs: Sequence[str], outputs: Sequence[str], name: str, count: int, axes: Sequence[int],
        backward: Sequence[int], out_axes: Sequence[int], out_backward: Sequence[int],
    ) -> None:  # fmt: skip
        super().__init__(_nothing, inputs, outputs, name, "Scan", ["Value"] * len(inputs))
        self.program, self.count, self.axes, self.backward = program, count, axes, backward
        self.out_axes, self.out_backward = out_axes, out_backward

    def run(self, env: Env, training: bool) -> None:
        values = [env[name] for name in self.inputs]
        states, sequences = values[: -self.count], values[-self.count :]
        length = np.shape(sequences[0])[self.axes[0]]
        scanned: list[list[Any]] = [[] for _ in self.program.outputs[len(states) :]]
        for iteration in range(length):
            parts = []
            for x, axis, back in zip(sequences, self.axes, self.backward, strict=True):
                index: list[Any] = [slice(None)] * np.ndim(x)
                index[axis] = length - 1 - iteration if back else iteration
                parts.append(x[tuple(index)])
            env.update(zip(self.program.inputs, [*states, *parts], strict=True))
            self.program.run(env, training)
            results = [env[name] for name in self.program.outputs]
            states = results[: len(states)]
            for j, value in enumerate(results[len(states) :]):
                scanned[j].insert(0, value) if self.out_backward[j] else scanned[j].append(value)
        stacked = [stack(part, axis) for part, axis in zip(scanned, self.out_axes, strict=True)]
        self.store(env, [*states, *stacked])


class Call(functools.partial[Any]):
    """The reader of an operator with the attributes of a node. It is pickled by the operator's name."""

    operator: str

    def __reduce__(self) -> Any:
        return call_of, (self.operator, self.keywords)


def call_of(operator: str, keywords: dict[str, Any]) -> Call:
    """The reader of an operator with keywords."""
    call = Call(READERS[operator].function, **keywords)
    call.operator = operator
    return call
