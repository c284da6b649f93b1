"""The handle of a hook of a module."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any


class Handle:
    """Removes a hook, by :meth:`remove` or at the end of a ``with`` block."""

    def __init__(self, name: str, hooks: dict[object, Callable[..., Any]], hook: Callable[..., Any]) -> None:
        if not callable(hook):
            raise TypeError(f"{name}: `hook` is {hook!r:.60}; it must be a function")
        self._hooks, self._key = hooks, object()
        hooks[self._key] = hook

    def remove(self) -> None:
        """Remove the hook; do nothing if it is already removed."""
        self._hooks.pop(self._key, None)

    def __enter__(self) -> Handle:
        return self

    def __exit__(self, *_: object) -> None:
        self.remove()
