"""Find the op that made a value or a gradient infinite or NaN, and where it was called."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

import numpy as np

from ..core.gradients import input_name
from ..core.graph import Op
from ..core.node import Node
from ..core.remedies import publish
from ..core.tracing import NO_TRACER, Args, Tracer, performed, trace
from ..core.tracing import tracer as current_tracer
from ..frames import caller
from ..scope import Block, Scoped, both, silent

if TYPE_CHECKING:
    from ..tensor import Tensor

__all__ = ["AnomalyError", "detect_anomaly"]


class AnomalyError(FloatingPointError):
    """A value or a gradient is not finite. `op`, `filename` and `lineno` are the op and the line that called it."""

    __module__ = "tinygrad_cnn"  # where users find it

    def __init__(self, message: str, op: str, filename: str | None = None, lineno: int | None = None) -> None:
        super().__init__(message)
        self.op, self.filename, self.lineno = op, filename, lineno


@dataclass(frozen=True)
class _Call:
    """The line that called an op, and a description of the inputs."""

    op: Op
    filename: str
    lineno: int
    inputs: str
    within: _Call | None  # the call whose gradient made this one

    @property
    def place(self) -> str:
        derived = f", in the gradient of {self.within.op.name} {self.within.place}" if self.within else ""
        return f"called at {self.filename}:{self.lineno} with {self.inputs}{derived}"

    def error(self, what: str) -> AnomalyError:
        remedy = "keep its inputs where it is finite, or mask them before it"
        return AnomalyError(f"{self.op.name}: {what}; {self.place}; {remedy}", self.op.name, self.filename, self.lineno)


_pulling = Scoped("pulling", False)
_within: Scoped[_Call | None] = Scoped("within", None)


def detect_anomaly() -> Block:
    """Raise at the first op whose result is infinite or NaN, or whose rule makes such a gradient from a finite one.

    The error names the op and the input, the file and line that called the op, and for each of its inputs dtype, shape,
    smallest and largest finite value, and the number of elements that are not finite. It is active in this context (thread or
    task), for ops on Tensors. Enter it around the forward and the backward pass: of an op recorded before, only the name is
    known. NumPy's own warnings are off inside. It checks all values, so it is slow.

    Raises:
        AnomalyError: a FloatingPointError, in the call of the op, or in backward.

    >>> import tinygrad_cnn as tg
    >>> with tg.detect_anomaly():
    ...     tg.Tensor([1.0, 0.0]).log()
    Traceback (most recent call last):
        ...
    tinygrad_cnn.AnomalyError: log: the result float32 (2,) has 1 element that is not finite, the first -inf at (1,); called
    at ... with `a` float32 (2,) from 0.0 to 1.0, 0 not finite; keep its inputs where it is finite, ...
    """
    return both(silent, trace(_Checks()))


class _Checks(Tracer):
    """Checks the result of every op and every gradient that a rule computes."""

    def __init__(self) -> None:
        self._calls: WeakKeyDictionary[Node, _Call] = WeakKeyDictionary()

    def call(self, op: Op, inputs: Args, params: Args) -> Tensor | None:
        output = performed(op, inputs, params, self, self.outer)
        fault = None if _pulling.get() else _fault(output)
        node = output._node
        if fault or node is not None:
            frame = caller()
            where = frame.f_code.co_filename, frame.f_lineno
            call = _Call(op, *where, _described(op, inputs), _within.get())
            if fault:
                raise call.error(f"the result {fault}")
            if isinstance(node, Node):
                self._calls[node] = call
        return output

    def vjp(self, node: Node, g: Any, saved: Args, parents: Args) -> Args:
        call = self._calls.get(node)
        fault = _fault(g)
        if fault:
            raise _error(node.op, call, f"the gradient of its result {fault} as it comes in, or as its uses add up")
        with _pulling(True), _within(call):
            gradients = super().vjp(node, g, saved, parents)
        for position, (parent, r) in enumerate(zip(parents, gradients, strict=True)):
            fault = None if parent is None else _fault(r)
            if fault:
                raise _error(node.op, call, f"the gradient for {input_name(node.op, position)} {fault}")
        return gradients


def _error(op: Op, call: _Call | None, what: str) -> AnomalyError:
    if call is not None:
        return call.error(what)
    remedy = "enter that around the forward pass too, to see where"
    return AnomalyError(f"{op.name}: {what}; it was recorded before detect_anomaly() was entered: {remedy}", op.name)


def _fault(value: Any) -> str | None:
    """A description of the elements of an array or Tensor that are not finite, or None."""
    array = getattr(value, "_array", value)
    if not isinstance(array, np.ndarray | np.generic):
        return None
    array = np.asarray(array)
    finite = np.isfinite(array)
    if finite.all():
        return None
    wrong = np.argwhere(~finite)
    first = tuple(wrong[0].tolist())
    several = "1 element that is" if len(wrong) == 1 else f"{len(wrong)} elements that are"
    return f"{array.dtype} {array.shape} has {several} not finite, the first {array[first]} at {first}"


def _described(op: Op, inputs: Sequence[Any]) -> str:
    sig = op.signature
    names = [f"{sig.inputs[0]}[{i}]" for i in range(len(inputs))] if sig.variadic else sig.inputs
    return ", ".join(f"`{name}` {_range(value)}" for name, value in zip(names, inputs, strict=True))


def _range(value: Any) -> str:
    array = getattr(value, "_array", value)
    if not isinstance(array, np.ndarray):
        return f"{value!r:.60}"
    finite = array[np.isfinite(array)]
    extent = f" from {finite.min()} to {finite.max()}" if finite.size else ""
    return f"{array.dtype} {array.shape}{extent}, {array.size - finite.size} not finite"


def called_at(node: Node) -> tuple[str, int] | None:
    """The file and line where the op of a node was called, if that was in the `detect_anomaly` block that runs now."""
    tracer: Tracer | None = current_tracer()
    while tracer is not NO_TRACER and tracer is not None:
        if isinstance(tracer, _Checks) and (call := tracer._calls.get(node)) is not None:
            return call.filename, call.lineno
        tracer = tracer.outer
    return None


publish(globals())
