"""Who looks on while ops are called: observers, and the tracer that captures a function as a program.

Nothing here costs a call that nobody watches: one look at whether ``watchers`` is empty.
"""

from __future__ import annotations

import functools
import os
import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path
from typing import TYPE_CHECKING, Any, ParamSpec, Protocol, TypeAlias, TypeVar

import numpy as np

if TYPE_CHECKING:
    from ..tensor import Tensor
    from .graph import Op

P = ParamSpec("P")
T = TypeVar("T")

Observer: TypeAlias = Callable[["Op", tuple[Any, ...], tuple[Any, ...], "Tensor"], None]


class Tracer(Protocol):
    """What a capture wants to know of a run, so that the run can be repeated without the Python that led it."""

    def call(
        self, op: Op, inputs: tuple[Any, ...], params: tuple[Any, ...], output: Tensor, residuals: tuple[Any, ...]
    ) -> None:
        """An op was called on Tensors."""

    def outcome(self, function: Callable[..., Any], arrays: tuple[np.ndarray, ...]) -> Any:
        """An array, or a tuple of them, is computed without an op, such as a random draw: note how, and give it."""

    def effect(
        self, function: Callable[..., None], arrays: tuple[np.ndarray | None, ...], writes: Sequence[np.ndarray]
    ) -> None:
        """State outside the graph would be changed by ``function(*arrays)``: note it. It is not to happen yet."""

    def read(self, tensor: Tensor) -> None:
        """Python is about to see the values of `tensor`."""

    def module(self, module: Any) -> None:
        """A module takes part: what happens next depends on its attributes."""

    def form(self, tensor: Tensor) -> None:
        """What happens next depends on whether `tensor` requires a gradient."""

    def parameters(self, optimizer: Any) -> None:
        """What happens next depends on which parameters `optimizer` has."""

    def array(self, array: np.ndarray) -> None:
        """Steps read an array where it lies, whatever it holds then."""

    def function(self, function: Callable[..., Any]) -> None:
        """A function of the user's, such as a hook, is about to be called."""

    def python(self, what: str) -> None:
        """Python reads or writes state that effects change: the function "loads a state"."""

    def failed(self, op: Op) -> None:
        """An op raises an error, which the function may catch."""

    def drawing(self, generator: np.random.Generator) -> None:
        """Numbers are about to be drawn from `generator`."""

    def touch(self, leaf: Tensor, write: bool) -> None:
        """The gradient of `leaf` is about to be read, or replaced."""


PACKAGE = str(Path(__file__).parents[1]) + os.sep
"""The folder of the package: code in it is not the user's, ..."""

WRITTEN = re.compile(r"<\w+: (call|pull)>")
"""... nor is code of such a file name, which was written for an op."""

watchers: list[int] = []
"""One entry per active watcher in any context: empty means that no call need look further."""

_observer: ContextVar[Observer | None] = ContextVar("observer", default=None)
_tracer: ContextVar[Tracer | None] = ContextVar("tracer", default=None)
_repeating: ContextVar[bool] = ContextVar("repeating", default=False)


@contextmanager
def observe(observer: Observer) -> Iterator[None]:
    """Call ``observer(op, inputs, params, output)`` after every op call on Tensors in this context.

    Observers nest: the outer ones are called first.
    """
    outer = _observer.get()

    def both(*call: Any) -> None:
        if outer is not None:
            outer(*call)
        observer(*call)

    with _watching(_observer, both):
        yield


@contextmanager
def trace_with(tracer: Tracer | None) -> Iterator[None]:
    """Let `tracer` follow what happens in this context; None suspends the one that does."""
    with _watching(_tracer, tracer):
        yield


@contextmanager
def _watching(variable: ContextVar[Any], watcher: Any) -> Iterator[None]:
    token = variable.set(watcher)
    watchers.append(1)
    try:
        yield
    finally:
        watchers.pop()
        variable.reset(token)


def notify(
    op: Op, inputs: tuple[Any, ...], params: tuple[Any, ...], output: Tensor, residuals: tuple[Any, ...]
) -> None:
    """An op was called on Tensors: tell whoever watches in this context."""
    tracer, observer = _tracer.get(), _observer.get()
    if tracer is not None:
        tracer.call(op, inputs, params, output, residuals)
    if observer is not None:
        observer(op, inputs, params, output)


def tracer() -> Tracer | None:
    """The tracer that follows this context, if there is one."""
    return _tracer.get() if watchers else None


def outcome(function: Callable[..., T], *arrays: np.ndarray) -> T:
    """``function(*arrays)``, an array or a tuple of them that must be made anew whenever a captured run is repeated.

    For what is no op: a random draw, a new array that may be written to, a norm of all gradients.
    """
    current = tracer()
    return function(*arrays) if current is None else current.outcome(function, arrays)


def effect(
    function: Callable[..., None], *arrays: np.ndarray | None, writes: Callable[[], Sequence[np.ndarray]] | None = None
) -> None:
    """``function(*arrays)``, which changes state outside the graph: a parameter, a counter, a running mean.

    While a run is captured it is noted and not called; a repetition calls it, with the arrays as they are then. So it
    must read whatever else it needs when it is called. `writes` gives the arrays that it writes and users can reach.
    """
    current = tracer()
    if current is not None:
        current.effect(function, arrays, [] if writes is None else writes())
    elif not _repeating.get():
        function(*arrays)


@contextmanager
def repeating(again: bool = True) -> Iterator[None]:
    """Let a run in this context be one that took place before: its effects have had their effect, and are left out."""
    with _watching(_repeating, again):
        yield


def is_watched() -> bool:
    """Whether someone in this context wants each op to be called: a tracer, an observer, or a repetition of a run."""
    return _tracer.get() is not None or _observer.get() is not None or _repeating.get()


def deferred(method: Callable[P, None]) -> Callable[P, None]:
    """Let every call of a function that changes state, and returns nothing, be an :func:`effect`."""

    @functools.wraps(method)
    def call(*args: P.args, **kwargs: P.kwargs) -> None:
        for argument in (*args, *kwargs.values()):
            if hasattr(argument, "_array"):
                read(argument)  # type: ignore[arg-type]
        effect(functools.partial(method, *args, **kwargs))

    return call


def read(tensor: Tensor) -> None:
    """Python is about to see the values of `tensor`."""
    current = tracer()
    if current is not None:
        current.read(tensor)


def touch(leaf: Tensor, write: bool) -> None:
    """The gradient of `leaf` is about to be read, or replaced."""
    current = tracer()
    if current is not None:
        current.touch(leaf, write)


def python(what: str) -> None:
    """Python reads or writes state that effects change, which a repetition would not: the function "loads a state"."""
    current = tracer()
    if current is not None:
        current.python(what)


def drawing(generator: np.random.Generator) -> None:
    """Numbers are about to be drawn from `generator`."""
    current = tracer()
    if current is not None:
        current.drawing(generator)
