"""The tracing seam: a :class:`Tracer` is told of every op, rule, read and effect in its context, and may act in its place.

Anomaly detection, the second run of a checkpoint and the capture of a compiled function are tracers. Hot call sites look at
:data:`watchers` first: while no tracer is active anywhere, a call pays for one check of an empty list.
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
    from .graph import Node, Op

P = ParamSpec("P")
T = TypeVar("T")

Args: TypeAlias = tuple[Any, ...]
Writes: TypeAlias = Callable[[], Sequence[np.ndarray]]
Observer: TypeAlias = Callable[["Op", Args, Args, "Tensor"], None]
Read: TypeAlias = Literal["values", "requires_grad", "grad", "attributes", "params", "memory", "code"]
Write: TypeAlias = Literal["grad", "state"]


class Tracer:
    """Follows a run. Every method hands on to the tracer in whose context this one was entered, and at last does the thing."""

    outer: Tracer

    @property
    def captures(self) -> bool:
        """Whether the run is captured, to be replayed without its Python: then backward rules are given Tensors."""
        return self.outer.captures

    def call(self, op: Op, inputs: Args, params: Args, output: Tensor, residuals: Args) -> None:
        """An op was called on Tensors."""
        self.outer.call(op, inputs, params, output, residuals)

    def vjp(self, node: Node, g: Any, saved: Args, parents: Args) -> Args:
        """The gradients that the rules of a node give to its parents for an incoming gradient g."""
        return self.outer.vjp(node, g, saved, parents)

    def compute(self, function: Callable[..., T], *arrays: np.ndarray) -> T:
        """``function(*arrays)``: an array, or a tuple of them, computed without an op, such as a random draw.

        A replay computes it again.
        """
        return self.outer.compute(function, *arrays)

    def effect(self, function: Callable[..., None], *arrays: Any, writes: Writes = tuple) -> None:
        """``function(*arrays)``, which changes state outside the graph: a parameter, a counter, a running mean.

        A replay calls it again, with the arrays as they are then, so it must read whatever else it needs when it is called.
        ``writes()`` gives the arrays that it writes and users can reach.
        """
        self.outer.effect(function, *arrays, writes=writes)

    def read(self, thing: Any, what: Read) -> None:
        """What happens next depends on `what` of `thing`: the "values", "requires_grad" or "grad" of a Tensor, the
        "attributes" of a module, the "params" of an optimizer, the "code" of a function that is about to be called.

        The "memory" of an array: ops are about to take the array, whatever values it has then.
        """
        self.outer.read(thing, what)

    def write(self, thing: Any, what: Write) -> None:
        """`what` of `thing` is about to change: the "grad" of a leaf, or the "state" of a generator by a draw."""
        self.outer.write(thing, what)

    def impure(self, reason: str) -> None:
        """The run does something that a replay cannot repeat: the function "loads a state"."""
        self.outer.impure(reason)


_ignored: Any = lambda *_: None  # noqa: E731


class _Nobody(Tracer):
    """Stands outside of all tracers: what is called is done, and nobody is told."""

    captures = False
    call = read = write = impure = _ignored

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


NOBODY = _Nobody()
NOBODY.outer = NOBODY

watchers: list[Tracer] = []
"""The active tracers of all contexts."""

_tracer: ContextVar[Tracer] = ContextVar("tracer", default=NOBODY)

tracer = _tracer.get
"""The innermost tracer of this context."""


@contextmanager
def trace(tracer: Tracer) -> Iterator[None]:
    """Let `tracer` follow what happens in this context. ``trace(tracer.outer)`` suspends it."""
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
    """An op was called on Tensors: tell the tracers of this context."""
    _tracer.get().call(*call)


def deferred(method: Callable[P, None]) -> Callable[P, None]:
    """Make every call of a function that changes state, and returns nothing, an effect."""

    @functools.wraps(method)
    def call(*args: P.args, **kwargs: P.kwargs) -> None:
        for argument in (*args, *kwargs.values()):
            if hasattr(argument, "_array"):
                _tracer.get().read(argument, "values")
        _tracer.get().effect(functools.partial(method, *args, **kwargs))

    return call
