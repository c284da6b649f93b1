"""Hooks: functions that the backward walk calls with a complete gradient. A hook lives as long as its node or leaf."""

from __future__ import annotations

import weakref
from collections.abc import Callable
from functools import partial
from typing import Any, TypeAlias

import numpy as np

from ..core.grad_mode import no_grad
from ..core.graph import Array
from ..core.node import Place, hooked
from ..core.versions import tick
from ..ops.data import plain
from ..tensor import Tensor

Hook: TypeAlias = Callable[[Any], Any]


class Hooks:
    """The hooks of a place: functions of its complete gradient."""

    def __init__(self) -> None:
        self.functions: dict[int, Hook] = {}

    def __call__(self, g: Array, tensors: bool) -> Array:
        """The gradient after the hooks: a Tensor if `tensors`, else an array."""
        given = g if tensors else Tensor._of(np.asarray(g))
        for hook in list(self.functions.values()):
            if tensors:
                replacement = hook(given)
            else:  # values only: recording would be wasted
                with no_grad():
                    replacement = hook(given)
            if replacement is not None:
                given = replaced("register_hook", replacement, given)
        return given if tensors else given._array


class Handle:
    """Removes a hook, by :meth:`remove` or at the end of a ``with`` block."""

    def __init__(self, place: Place, key: int) -> None:
        self._place = weakref.ref(place)
        self._key = key

    def remove(self) -> None:
        """Remove the hook. Does nothing if it is already removed."""
        place: Any = self._place()
        if place is None or not hasattr(place, "hooks"):
            return
        place.hooks.functions.pop(self._key, None)
        if not place.hooks.functions:
            del place.hooks
            hooked.pop(id(place), None)

    def __enter__(self) -> Handle:
        return self

    def __exit__(self, *_: object) -> None:
        self.remove()


def register(place: Any, hook: Hook) -> Handle:
    """Add a hook to a place, after its other hooks."""
    if not callable(hook):
        raise TypeError(f"register_hook: `hook` is {hook!r}; it must be a function of the gradient")
    if not hasattr(place, "hooks"):
        place.hooks = Hooks()
    hooked[id(place)] = weakref.ref(place, partial(hooked.pop, id(place)))
    key = tick()
    place.hooks.functions[key] = hook
    return Handle(place, key)


def replaced(name: str, replacement: Any, given: Any) -> Any:
    """The result of a hook that was registered by `name`, as a Tensor that replaces `given`.

    Raises:
        TypeError, ValueError: if it does not fit.
    """
    if isinstance(replacement, np.ndarray | np.generic):
        replacement = Tensor._of(np.asarray(plain(replacement, name)))
    if not isinstance(replacement, Tensor):
        raise TypeError(
            f"{name}: the hook returned {replacement!r:.60}; it must return None or a Tensor for the gradient"
        )
    if replacement.shape != given.shape or replacement.dtype != given.dtype:
        raise ValueError(
            f"{name}: the hook returned {replacement.dtype} {replacement.shape} for the gradient "
            f"{given.dtype} {given.shape}; a replacement must have its shape and dtype"
        )
    return replacement
