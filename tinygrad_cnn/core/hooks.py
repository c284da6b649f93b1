"""Functions that the backward walk calls with a finished gradient.

A hook lives as long as its node or leaf. The set of places with hooks tells each walk, in one check, whether there are any:
a program without hooks pays only for that check.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable
from typing import Any, TypeAlias

import numpy as np

from .grad_mode import no_grad
from .graph import Array
from .node import Leaf, Node
from .registry import namespace
from .versions import tick

Hook: TypeAlias = Callable[[Any], Any]

hooked: weakref.WeakSet[Node | Leaf] = weakref.WeakSet()

changes = 0
"""How often a hook was registered or removed. While it is 0, the walk need not count `hooked`, which is slower."""


class Handle:
    """Removes a hook, by :meth:`remove` or at the end of a ``with`` block."""

    def __init__(self, place: Node | Leaf, key: int) -> None:
        self._place = weakref.ref(place)
        self._key = key

    def remove(self) -> None:
        """Remove the hook. Does nothing if it is already removed."""
        place = self._place()
        if place is None or not hasattr(place, "hooks"):
            return
        global changes
        changes += 1
        place.hooks.pop(self._key, None)
        if not place.hooks:
            del place.hooks
            hooked.discard(place)

    def __enter__(self) -> Handle:
        return self

    def __exit__(self, *_: object) -> None:
        self.remove()


def register(place: Node | Leaf, hook: Hook) -> Handle:
    """Add a hook to a place, after its other hooks."""
    if not callable(hook):
        raise TypeError(f"register_hook: `hook` is {hook!r}; it must be a function of the gradient")
    global changes
    changes += 1
    if not hasattr(place, "hooks"):
        place.hooks = {}
    hooked.add(place)
    key = tick()
    place.hooks[key] = hook
    return Handle(place, key)


def run(place: Node | Leaf, g: Array, create: bool) -> Array:
    """The gradient after the hooks of `place`: a Tensor if `create`, else an array."""
    given = g if create else namespace["Tensor"]._of(np.asarray(g))
    for hook in list(place.hooks.values()):
        if create:
            replacement = hook(given)
        else:  # values only: recording would be wasted
            with no_grad():
                replacement = hook(given)
        if replacement is not None:
            given = replaced("register_hook", replacement, given)
    return given if create else given._array


def replaced(name: str, replacement: Any, given: Any) -> Any:
    """The result of a hook that was registered by `name`, as a Tensor that replaces `given`.

    Raises:
        TypeError, ValueError: if it does not fit.
    """
    tensor = namespace["Tensor"]
    if isinstance(replacement, np.ndarray | np.generic):
        replacement = tensor._of(np.asarray(replacement))
    if not isinstance(replacement, tensor):
        raise TypeError(
            f"{name}: the hook returned {replacement!r:.60}; it must return None or a Tensor for the gradient"
        )
    if replacement.shape != given.shape or replacement.dtype != given.dtype:
        raise ValueError(
            f"{name}: the hook returned {replacement.dtype} {replacement.shape} for the gradient "
            f"{given.dtype} {given.shape}; a replacement must have its shape and dtype"
        )
    return replacement
