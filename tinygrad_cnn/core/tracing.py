"""The tracing seam: a :class:`Tracer` sees every op call and every rule in its context, and may answer in their place.

Anomaly detection, ``vmap``, ``show`` and what records the walks of a compiled function are tracers. An op tests
:data:`watchers` once: while no tracer is active anywhere, a call pays only for testing an empty list.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, ParamSpec, TypeAlias, TypeVar

import numpy as np

from ..scope import Block, Scoped, again

if TYPE_CHECKING:
    from ..tensor import Tensor
    from .graph import Op
    from .node import Node

P = ParamSpec("P")
T = TypeVar("T")

Args: TypeAlias = tuple[Any, ...]
Observer: TypeAlias = Callable[["Op", Args, Args, "Tensor"], None]


class Tracer:
    """Follows what happens in a context. Each method passes the event to the `outer` tracer; the outermost one performs it."""

    outer: Tracer

    answers = False
    """Whether no call of a rule that it follows is recorded in a graph, since it answers each itself."""

    @property
    def follows_rules(self) -> bool:
        """Whether backward rules are given Tensors, so that the ops in them are followed too."""
        return self.outer.follows_rules

    def call(self, op: Op, inputs: Args, params: Args) -> Tensor | None:
        """An op is called on `inputs`: Tensors, and other operands after their conversion. Return its output.

        None leaves the call to the op itself, which is what the outermost tracer does.
        """
        return performed(op, inputs, params, self, self.outer)

    def vjp(self, node: Node, g: Any, saved: Args, parents: Args) -> Args:
        """The gradients of a node's parents for an incoming gradient g, by the node's rules."""
        return self.outer.vjp(node, g, saved, parents)

    def compute(self, function: Callable[..., T], *arrays: np.ndarray) -> T:
        """``function(*arrays)``: an array, or a tuple of them, computed without an op, such as a random draw."""
        return self.outer.compute(function, *arrays)

    def effect(self, function: Callable[..., None], *arrays: Any) -> None:
        """``function(*arrays)``, which changes state outside the graph: a parameter, a counter, a running mean."""
        self.outer.effect(function, *arrays)

    def read(self, tensor: Tensor) -> None:
        """Python is about to read the values of a Tensor."""
        self.outer.read(tensor)

    def assign(self, tensor: Tensor) -> None:
        """A Tensor is about to get a new value, by ``x[i] = v``."""
        self.outer.assign(tensor)

    def draw(self, generator: np.random.Generator) -> None:
        """A generator is about to draw."""
        self.outer.draw(generator)

    def set_grad(self) -> None:
        """Gradients of leaves are about to be set."""
        self.outer.set_grad()


_ignored: Any = lambda *_: None  # noqa: E731
_called: Any = lambda _, function, *arrays: function(*arrays)  # noqa: E731


class _Performer(Tracer):
    """Performs every event, as if there were no tracer."""

    follows_rules = False
    call = read = assign = draw = set_grad = _ignored
    compute = effect = _called

    def vjp(self, node: Node, g: Any, saved: Args, parents: Args) -> Args:
        return node.op.pull(g, saved, node.params, parents)


class _Observing(Tracer):
    def __init__(self, observer: Observer) -> None:
        self._observer = observer

    def call(self, op: Op, inputs: Args, params: Args) -> Tensor | None:
        output = performed(op, inputs, params, self, self.outer)
        self._observer(op, inputs, params, output)
        return output


class _Outermost(Tracer):
    """Passes all events to the performer, or to the tracer that :func:`attach` put between them."""

    outer: Tracer = _Performer()

    def call(self, op: Op, inputs: Args, params: Args) -> Tensor | None:
        return self.outer.call(op, inputs, params)


NO_TRACER = _Outermost()
"""The outermost tracer of every context. It is the active one where there is no other."""

watchers: list[Tracer] = []
"""The active tracers in all contexts."""

_current: Scoped[Tracer] = Scoped("tracer", NO_TRACER)
_tracer = _current.variable

tracer = _current.get
"""The innermost tracer of this context."""


def attach(seen_by: Tracer) -> None:
    """Let a tracer see the events of all contexts, after the other tracers, until :func:`detach`."""
    if seen_by not in watchers:
        seen_by.outer, NO_TRACER.outer = NO_TRACER.outer, seen_by
        watchers.append(seen_by)


def detach(seen_by: Tracer) -> None:
    """Undo :func:`attach`."""
    if seen_by in watchers:
        NO_TRACER.outer = seen_by.outer
        watchers.remove(seen_by)


def trace(tracer: Tracer) -> Block:
    """Make `tracer` the active tracer of this context, for a ``with`` block. ``trace(tracer.outer)`` suspends it."""
    if not hasattr(tracer, "outer"):
        tracer.outer = _tracer.get()
    inner = _current(tracer)
    return Block(
        [again(watchers.append, tracer), again(inner.enter)], [again(inner.leave), again(watchers.remove, tracer)]
    )


class _Performing(Tracer):
    """Active while a tracer performs the call of an op: the call goes to an outer tracer, all other events to the tracer."""

    def __init__(self, tracer: Tracer, outer: Tracer) -> None:
        self.outer, self._calls_to = tracer, outer

    def call(self, op: Op, inputs: Args, params: Args) -> Tensor | None:
        return self._calls_to.call(op, inputs, params)


_alone = _current(NO_TRACER)


def performing(tracer: Tracer, outer: Tracer = NO_TRACER) -> Block:
    """A block in which `tracer` performs calls of ops: `outer` is told of these, and `tracer` of all other events."""
    return _alone if tracer is NO_TRACER else _current(_Performing(tracer, outer))


def called(op: Op, inputs: Args, params: Args) -> Tensor:
    """The output of an op's call, whose inputs and parameters are given in order."""
    given = (inputs,) if op.signature.variadic else inputs
    named = dict(zip(op.signature.params, params, strict=True)) if params else {}
    return op.function(*given, **named)  # type: ignore[no-any-return]


def performed(op: Op, inputs: Args, params: Args, tracer: Tracer, outer: Tracer = NO_TRACER) -> Tensor:
    """The output of an op's call that `tracer` has been told of; `outer` is asked next."""
    with performing(tracer, outer):
        return called(op, inputs, params)


def observe(observer: Observer) -> Block:
    """Call ``observer(op, inputs, params, output)`` after every op call on Tensors in this context."""
    return trace(_Observing(observer))


def deferred(method: Callable[P, None]) -> Callable[P, None]:
    """Turn each call of a function that changes state and returns nothing into an effect."""

    @functools.wraps(method)
    def call(*args: P.args, **kwargs: P.kwargs) -> None:
        _tracer.get().effect(functools.partial(method, *args, **kwargs))

    return call
