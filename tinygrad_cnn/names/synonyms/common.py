"""What several synonyms need: the package, devices, dtypes, and names that are another name and nothing else."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable
from operator import attrgetter
from typing import Any

import numpy as np

PACKAGE = __name__.partition(".")[0]


def tg() -> Any:
    """The package, which is not complete while this folder is imported."""
    return sys.modules[PACKAGE]


def check_device(owner: str, device: Any) -> None:
    """TypeError unless `device` is the processor, or None."""
    if not is_processor(device):
        raise TypeError(f"{owner}: `device` is {device!r:.60}; there is one device, 'cpu': leave it out")


def is_processor(device: Any) -> bool:
    """Whether a device is the processor: None, "cpu" or "cpu:0"."""
    return device is None or (isinstance(device, str) and device in ("cpu", "cpu:0"))


def is_dtype(x: Any) -> bool:
    """Whether a value is meant as a dtype: one of NumPy, or a Python type of numbers."""
    return isinstance(x, np.dtype) or (isinstance(x, type) and (issubclass(x, np.generic) or x in (float, int, bool)))


def renamed(ours: str, theirs: Iterable[str]) -> dict[str, Callable[..., Any]]:
    """Functions of other names that call the function `ours`, such as "linalg.inv", of the package."""
    look_up = attrgetter(ours)
    return {name: _call(look_up, name, f"`tg.{ours}`") for name in theirs}


def renamed_method(ours: str, theirs: Iterable[str]) -> dict[str, Callable[..., Any]]:
    """The same for methods of a Tensor."""
    look_up = attrgetter(ours)

    def call(self: Any, *args: Any, **named: Any) -> Any:
        return look_up(self)(*args, **named)

    return {name: as_method(call, name, f"x.{ours}") for name in theirs}


def as_method(function: Callable[..., Any], name: str, use: str) -> Callable[..., Any]:
    """A method that calls `function`; `use` says what that is."""

    def method(self: Any, *args: Any, **named: Any) -> Any:
        return function(self, *args, **named)

    return _named(method, name, f"`{use}`")


def _call(look_up: Callable[[Any], Any], name: str, doc: str) -> Callable[..., Any]:
    def function(*args: Any, **named: Any) -> Any:
        return look_up(tg())(*args, **named)

    return _named(function, name, doc)


def _named(function: Any, name: str, doc: str) -> Callable[..., Any]:
    function.__name__ = function.__qualname__ = name
    function.__doc__ = doc
    return function  # type: ignore[no-any-return]


def public(names: dict[str, Any], module: str) -> dict[str, Any]:
    """The functions that a module of synonyms defines under names of PyTorch; a final underscore is not part of one."""
    return {
        name.removesuffix("_"): function
        for name, function in names.items()
        if not name.startswith("_") and getattr(function, "__module__", "") == module and callable(function)
    }
