"""The recording switch: ops are recorded unless ``no_grad`` is active."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, ParamSpec, Self, TypeVar, overload

from ..scope import Scoped

P = ParamSpec("P")
T = TypeVar("T")

_switch = Scoped("recording", True)
_recording = _switch.variable

differentiating = Scoped("differentiating", "")
"""The transform whose function runs, such as "grad"; "" outside of functions that are differentiated."""


class _Recording:
    """Sets the recording switch for a ``with`` block or, as a decorator, for each call of a function."""

    @overload
    def __new__(cls, function: None = None) -> Self: ...
    @overload
    def __new__(cls, function: Callable[P, T]) -> Callable[P, T]: ...  # type: ignore[misc]
    def __new__(cls, function: Callable[..., Any] | None = None) -> Any:
        self = super().__new__(cls)
        return self if function is None else self(function)

    if TYPE_CHECKING:
        __enter__: Any

        def __exit__(self, *_: object) -> None: ...

    else:
        __exit__ = staticmethod(_switch(True).leave)

    def __call__(self, function: Callable[P, T]) -> Callable[P, T]:
        suspends = (inspect.isgeneratorfunction, inspect.iscoroutinefunction, inspect.isasyncgenfunction)
        if any(kind(function) for kind in suspends):
            raise TypeError(
                f"{type(self).__name__}: `{function.__name__}` suspends, and its caller would run with the switch set; "
                f"use `with {type(self).__name__}():` inside its body"
            )

        @functools.wraps(function)
        def inner(*args: P.args, **kwargs: P.kwargs) -> T:
            with type(self)():
                return function(*args, **kwargs)

        return inner


class no_grad(_Recording):
    """Record nothing: results do not require gradients. A context manager and a decorator, local to the context.

    >>> import tinygrad_cnn as tg
    >>> x = tg.ones(2, requires_grad=True)
    >>> with tg.no_grad():
    ...     (x * 2).requires_grad
    False
    """

    __enter__ = staticmethod(_switch(False).enter)


class enable_grad(_Recording):
    """Record again inside a :class:`no_grad` block. A context manager and a decorator, local to the context."""

    __enter__ = staticmethod(_switch(True).enter)


def is_grad_enabled() -> bool:
    """Whether ops on Tensors that require gradients are recorded in this context."""
    return _switch.get()
