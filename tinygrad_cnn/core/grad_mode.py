"""The recording switch: ops are recorded unless ``no_grad`` is active."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from contextvars import ContextVar
from typing import Any, ParamSpec, Self, TypeVar, overload

P = ParamSpec("P")
T = TypeVar("T")

_recording: ContextVar[bool] = ContextVar("recording", default=True)

differentiating: ContextVar[str] = ContextVar("differentiating", default="")
"""The transform whose function runs, such as "grad"; "" outside of functions that are differentiated."""


class _Recording:
    """Sets the recording switch for a ``with`` block or, as a decorator, for each call of a function."""

    _value: bool

    @overload
    def __new__(cls, function: None = None) -> Self: ...
    @overload
    def __new__(cls, function: Callable[P, T]) -> Callable[P, T]: ...  # type: ignore[misc]
    def __new__(cls, function: Callable[..., Any] | None = None) -> Any:
        self = super().__new__(cls)
        self._tokens = []
        return self if function is None else self(function)

    def __enter__(self) -> None:
        self._tokens.append(_recording.set(self._value))

    def __exit__(self, *_: object) -> None:
        _recording.reset(self._tokens.pop())

    def __call__(self, function: Callable[P, T]) -> Callable[P, T]:
        suspends = (inspect.isgeneratorfunction, inspect.iscoroutinefunction, inspect.isasyncgenfunction)
        if any(kind(function) for kind in suspends):
            raise TypeError(
                f"{type(self).__name__}: `{function.__name__}` suspends, and its caller would run with the switch set; "
                f"use `with {type(self).__name__}():` inside its body"
            )
        return _wrap_call(type(self), function)

    _tokens: list[Any]


def _wrap_call(switch: type[_Recording], function: Callable[P, T]) -> Callable[P, T]:
    @functools.wraps(function)
    def inner(*args: P.args, **kwargs: P.kwargs) -> T:
        with switch():
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

    _value = False


class enable_grad(_Recording):
    """Record again inside a :class:`no_grad` block. A context manager and a decorator, local to the context."""

    _value = True


def is_grad_enabled() -> bool:
    """Whether ops on Tensors that require gradients are recorded in this context."""
    return _recording.get()
