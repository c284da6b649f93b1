"""Variables of the context that a ``with`` block sets, and that no interrupt can leave set.

Python raises KeyboardInterrupt between instructions of Python code, so it may fall into an ``__enter__`` or ``__exit__`` that
is a Python function. Here both are functions of C: iterators that call others, and the one ``__exit__`` in C that calls what we
choose, which is that of ``io.IOBase``.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator, Sequence
from contextlib import ContextDecorator
from contextvars import ContextVar, copy_context
from functools import partial, wraps
from itertools import repeat, starmap
from operator import itemgetter
from typing import TYPE_CHECKING, Any, Generic, TypeAlias, TypeVar

import numpy as np

T = TypeVar("T")


Steps: TypeAlias = Iterator[Any]
"""An endless iterator without Python code: to ask for its next value is to do something."""


def again(function: Callable[..., object], *arguments: Any) -> Steps:
    """``function(*arguments)`` each time a value is asked for."""
    return starmap(function, repeat(arguments))


def _in_turn(steps: Sequence[Steps]) -> Callable[..., str]:
    """A function of C that does one of each of the steps, and returns what is false. It keeps none of their results."""
    return partial(next, map("".format, repeat(None), *steps))


class _Leaving(io.IOBase):
    closed = True  # so that no finalizer closes it

    def __init__(self, steps: Sequence[Steps]) -> None:
        self.close = _in_turn(steps)  # type: ignore[method-assign, assignment]


class _Own:
    """A special method that each instance has for itself. ``ExitStack`` calls it on the class, with the instance."""

    def __init__(self, name: str) -> None:
        self._name = name

    def __get__(self, block: Any, owner: Any = None) -> Any:
        return self if block is None else getattr(block, self._name)

    def __call__(self, block: Any, *args: Any) -> Any:
        return getattr(block, self._name)(*args)


class Block(ContextDecorator):
    """A ``with`` block that does one of each of the steps `enter`, and of `leave`. It may be entered any number of times.

    `leave` may also be that of another block.
    """

    __slots__ = ("enter", "leave")

    def __init__(self, enter: Sequence[Steps], leave: Sequence[Steps] | Callable[..., None]) -> None:
        self.enter = _in_turn(enter)
        self.leave: Callable[..., None] = leave if callable(leave) else _Leaving(leave).__exit__

    if TYPE_CHECKING:

        def __enter__(self) -> None: ...
        def __exit__(self, *_: object) -> None: ...

    else:
        __enter__, __exit__ = _Own("enter"), _Own("leave")


def both(first: Block, second: Block) -> Block:
    """A block of two: the first is entered first and left last."""
    return Block([again(first.enter), again(second.enter)], [again(second.leave), again(first.leave)])


class Scoped(Generic[T]):
    """A variable of the context (thread or task), set for a block: ``with variable(value): ...``. `get` gives its value."""

    def __init__(self, name: str, default: T, variable: ContextVar[T] | None = None) -> None:
        self.variable = ContextVar(name, default=default) if variable is None else variable
        self._before: ContextVar[Any] = ContextVar(f"{name} before", default=None)  # (value, what is before that)
        self.get = self.variable.get
        before = self._before
        self._note: Steps = map(before.set, zip(again(self.get), again(before.get), strict=False))
        self._leave = Block(
            [],
            [
                map(self.variable.set, map(itemgetter(0), again(before.get))),
                map(before.set, map(itemgetter(1), again(before.get))),
            ],
        ).leave  # the same for all blocks

    def __call__(self, value: T) -> Block:
        """A block in which the variable has this value."""
        return Block([self._note, again(self.variable.set, value)], self._leave)

    def all(self) -> Iterator[T]:
        """The value in this context, and those in the blocks around."""
        yield self.get()
        before = self._before.get()
        while before is not None:
            value, before = before
            yield value


def _of_numpy() -> ContextVar[Any]:
    """NumPy's variable, which is the one that ``np.errstate`` sets."""
    before = copy_context()
    with np.errstate(all="ignore"):
        (found,) = [variable for variable, value in copy_context().items() if before.get(variable) is not value]
    return found


class _ErrorBlock(Block):
    """A function is decorated without the block: it runs in a copy of the context, which ends with the call.

    So nothing has to be restored, which takes a third of the time. What else the function sets in its context ends with it.
    """

    __slots__ = ("_set", "_wanted")

    def __init__(
        self,
        enter: Sequence[Steps],
        leave: Callable[..., None],
        change: Callable[[Any], object],
        wanted: Callable[[], Any],
    ) -> None:
        super().__init__(enter, leave)
        self._set, self._wanted = change, wanted

    def __call__(self, function: Callable[..., T]) -> Callable[..., T]:  # type: ignore[override]
        change, wanted = self._set, self._wanted

        @wraps(function)
        def call(*args: Any, **named: Any) -> T:
            run = copy_context().run
            run(change, wanted())
            return run(function, *args, **named)

        return call


class _Errors(Scoped[Any]):
    """What NumPy does about overflow, division by zero and the like."""

    def __init__(self) -> None:
        super().__init__("errors", None, _of_numpy())

    def __call__(self, value: Any) -> Block:
        """A block with what `value`, a dictionary, changes."""
        known: tuple[Any, Any] = None, None  # NumPy's value, and what it becomes: neither changes
        chosen: ContextVar[Any] = ContextVar("chosen", default=None)

        def wanted() -> Any:
            nonlocal known
            before, after = known
            if before is not (now := self.get()):
                after = copy_context().run(changed)
                known = now, after
            return after

        def changed() -> Any:
            np.errstate(**value).__enter__()
            return self.get()

        enter = [map(chosen.set, again(wanted)), self._note, map(self.variable.set, again(chosen.get))]
        return _ErrorBlock(enter, self._leave, self.variable.set, wanted)


_errors = _Errors()


def errors(**kinds: Any) -> Block:
    """``np.errstate(**kinds)`` that no interrupt can leave behind. Make it once, when a module is imported."""
    return _errors(kinds)


silent = errors(all="ignore")


def contained(function: Callable[..., T], *args: Any) -> T:
    """``function(*args)`` in a copy of the context, where ends what it sets: NumPy's linear algebra sets what is done about
    errors by Python code, which an interrupt can leave."""
    return copy_context().run(function, *args)
