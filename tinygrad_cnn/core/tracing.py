"""The tracing seam: a :class:`Tracer` sees every op, rule, read and effect in its context, and may replace it.

Anomaly detection, the second run of a checkpoint and the capture of a compiled function are tracers. Hot call sites check
:data:`watchers` first: while no tracer is active anywhere, a call pays only for checking an empty list.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, Literal, ParamSpec, TypeAlias, TypeVar

import numpy as np

if TYPE_CHECKING:
    from ..tensor import Tensor
    from .graph import Op
    from .node import Node

P = ParamSpec("P")
T = TypeVar("T")

Args: TypeAlias = tuple[Any, ...]
Writes: TypeAlias = Callable[[], Sequence[np.ndarray]]
Observer: TypeAlias = Callable[["Op", Args, Args, "Tensor"], None]
Read: TypeAlias = Literal["values", "requires_grad", "grad", "attributes", "params", "memory", "code"]
Write: TypeAlias = Literal["grad", "state"]


class Tracer:
    """Follows a run. Each method passes the event to the `outer` tracer; the outermost one performs the operation."""

    outer: Tracer

    @property
    def captures(self) -> bool:
        """Whether the run is captured to be replayed without Python: backward rules are then given Tensors."""
        return self.outer.captures

    def is_known(self, array: Any) -> bool:
        """Whether an array may differ when the run is repeated, so that ops that use it must be recorded."""
        return self.outer.is_known(array)

    def call(self, op: Op, inputs: Args, params: Args, output: Tensor, residuals: Args) -> None:
        """An op was called on Tensors. `inputs` are the operands that it used: Tensors, and others after their conversion."""
        self.outer.call(op, inputs, params, output, residuals)

    def vjp(self, node: Node, g: Any, saved: Args, parents: Args) -> Args:
        """The gradients of a node's parents for an incoming gradient g, by the node's rules."""
        return self.outer.vjp(node, g, saved, parents)

    def compute(self, function: Callable[..., T], *arrays: np.ndarray) -> T:
        """``function(*arrays)``: an array, or a tuple of them, computed without an op, such as a random draw.

        A replay computes it again.
        """
        return self.outer.compute(function, *arrays)

    def effect(self, function: Callable[..., None], *arrays: Any, writes: Writes = tuple) -> None:
        """``function(*arrays)``, which changes state outside the graph: a parameter, a counter, a running mean.

        A replay calls it again with the current arrays, so the function must read all other state when it is called.
        ``writes()`` gives the arrays that it writes and users can reach.
        """
        self.outer.effect(function, *arrays, writes=writes)

    def read(self, thing: Any, what: Read) -> None:
        """The run depends on `what` of `thing`: the "values", "requires_grad" or "grad" of a Tensor, the
        "attributes" of a module, the "params" of an optimizer, the "code" of a function that is about to be called.

        The "memory" of an array: ops are about to use the array, with the values it has at each run.
        """
        self.outer.read(thing, what)

    def write(self, thing: Any, what: Write) -> None:
        """`what` of `thing` is about to change: the "grad" of a leaf, or the "state" of a generator through a draw."""
        self.outer.write(thing, what)

    def impure(self, reason: str) -> None:
        """The run does something that a replay cannot repeat; `reason` completes "the function ...": "loads a state"."""
        self.outer.impure(reason)


_ignored: Any = lambda *_: None  # noqa: E731


class _NoTracer(Tracer):
    """The outermost tracer: it performs every operation and reports nothing."""

    captures = False
    call = read = write = impure = _ignored

    def is_known(self, array: Any) -> bool:
        return False

    def vjp(self, node: Node, g: Any, saved: Args, parents: Args) -> Args:
        return node.op.pull(g, saved, node.params, parents)

    def compute(self, function: Callable[..., T], *arrays: np.ndarray) -> T:
        return function(*arrays)

    def effect(self, function: Callable[..., None], *arrays: Any, writes: Writes = tuple) -> None:
        function(*arrays)


class _Observing(Tracer):
    def __init__(self, observer: Observer) -> None:
        self._observer = observer

    def call(self, op: Op, inputs: Args, params: Args, output: Tensor, residuals: Args) -> None:
        super().call(op, inputs, params, output, residuals)
        self._observer(op, inputs, params, output)


NO_TRACER = _NoTracer()
NO_TRACER.outer = NO_TRACER

watchers: list[Tracer] = []
"""The active tracers in all contexts."""

_tracer: ContextVar[Tracer] = ContextVar("tracer", default=NO_TRACER)

tracer = _tracer.get
"""The innermost tracer of this context."""


@contextmanager
def trace(tracer: Tracer) -> Iterator[None]:
    """Make `tracer` the active tracer of this context. ``trace(tracer.outer)`` suspends it."""
    if not hasattr(tracer, "outer"):
        tracer.outer = _tracer.get()
    token = _tracer.set(tracer)
    watchers.append(tracer)
    try:
        yield
    finally:
        watchers.remove(tracer)
        _tracer.reset(token)


def observe(observer: Observer) -> AbstractContextManager[None]:
    """Call ``observer(op, inputs, params, output)`` after every op call on Tensors in this context."""
    return trace(_Observing(observer))


def notify(*call: Any) -> None:
    """Tell the tracers of this context that an op was called on Tensors."""
    _tracer.get().call(*call)


def deferred(method: Callable[P, None]) -> Callable[P, None]:
    """Turn each call of a function that changes state and returns nothing into an effect."""

    @functools.wraps(method)
    def call(*args: P.args, **kwargs: P.kwargs) -> None:
        for argument in (*args, *kwargs.values()):
            if hasattr(argument, "_array"):
                _tracer.get().read(argument, "values")
        _tracer.get().effect(functools.partial(method, *args, **kwargs))

    return call
