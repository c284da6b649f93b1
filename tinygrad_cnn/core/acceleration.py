"""Kernels: fast forms of ops, attached from outside. Without one, an op runs its definition."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from .signature import OUTPUT, Signature, asked

if TYPE_CHECKING:
    from .graph import Op

Task: TypeAlias = Callable[[], Any]
Prepare: TypeAlias = Callable[..., Task | None]


class Accelerated:
    """The part of an op that computes with arrays: its definition, and its kernel if there is one."""

    raw: Callable[..., Any]
    signature: Signature
    globals: dict[str, Any]
    prepare: Prepare | None = None
    along: tuple[str, ...] = ()
    in_place: bool
    """Whether `out` may be an input."""
    shares = False
    """Whether the kernel has a parameter `shared`."""

    def accelerate(self, prepare: Prepare | None, along: tuple[str, ...], in_place: bool) -> None:
        """See :func:`accelerate`."""
        self.prepare, self.along, self.in_place = prepare, along, in_place
        self.shares = prepare is not None and "shared" in asked(prepare)
        self.signature.run = (
            "_raw({0}) if (_task := _prepare(None, {0})) is None else _task()" if prepare else "_raw({0})"
        )
        self.globals["_prepare"] = prepare
        self.forget()

    def forget(self) -> None:
        """Drop the code that is generated for the op."""
        raise NotImplementedError

    @property
    def takes_out(self) -> bool:
        """Whether the op can write its result into a given array."""
        return self.prepare is not None or isinstance(self.raw, np.ufunc)

    def run(self, *inputs: Any, **params: Any) -> Any:
        """The output, for inputs that are arrays."""
        task = None if self.prepare is None else self.prepare(None, *inputs, **params)
        return self.raw(*inputs, **params) if task is None else task()

    def bind(self, out: np.ndarray, *inputs: Any, **params: Any) -> Task:
        """A task that writes the output for these arrays into `out` on every call."""
        if self.prepare is None and isinstance(self.raw, np.ufunc):
            return functools.partial(self.raw, *inputs, **params, out=out)
        task = None if self.prepare is None else self.prepare(out, *inputs, **params)
        return task or (lambda: np.copyto(out, self.run(*inputs, **params)))


def into_out(raw: Callable[..., Any]) -> Prepare:
    """The kernel of an op whose definition has a keyword `out`."""

    def prepare(out: np.ndarray | None, *inputs: Any, **params: Any) -> Task | None:
        return None if out is None else functools.partial(raw, *inputs, **params, out=out)

    return prepare


def accelerate(function: Any, prepare: Prepare | None, *, along: Sequence[str] = (), in_place: bool = False) -> None:
    """Attach a kernel to an op: ``prepare(out, *inputs, **params)`` returns a task that computes the same as the definition.

    A task is a function without arguments that returns the result, or anything if that is in `out`. Eager calls pass
    ``out=None``, for a new array, and run the task once. A compiled program passes an array of the result's shape, dtype and
    memory order, and runs the task in each call on the same memory. ``prepare`` returns None where the definition is fast
    enough, as for few elements, for which making a task would take longer than to run it.

    Args:
        function: the function that ``@op`` returned.
        prepare: the kernel, or None. If it has a parameter ``shared``, a program passes a dictionary common to all calls
            prepared with the same first input: a task can leave intermediate results there for later tasks.
        along: the names, of inputs and ``y``, whose first axis is the batch, if a task may compute each image separately.
        in_place: whether `out` may be an input. Elementwise kernels must allow it.
    """
    op: Op = function.op
    legal = (*op.signature.inputs, OUTPUT)
    unknown = [repr(n) for n in along if n not in legal]
    if unknown:
        raise TypeError(f"accelerate: `along` names {', '.join(unknown)}; legal names of {op} are {', '.join(legal)}")
    global _accelerations
    _accelerations += 1
    op.accelerate(prepare, tuple(along), in_place or op.elementwise)


_accelerations = 0


def accelerations() -> int:
    """The number of kernels attached so far. Tasks that were prepared earlier are out of date when it has grown."""
    return _accelerations
