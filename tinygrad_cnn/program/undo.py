"""What a step of a run changes, remembered so that it can be taken back if the run fails."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np

from ..tensor import Tensor

_PACKAGE = __name__.partition(".")[0]


class Remembered:
    """Arrays, containers and objects of this package, with what is in them: call it to put back how they are now."""

    def __init__(self, things: Iterable[Any]) -> None:
        self._seen: dict[int, Any] = {}
        self._was: list[tuple[Any, Any]] = []
        for thing in things:
            self._visit(thing, root=True)

    def _visit(self, thing: Any, root: bool = False) -> None:
        if id(thing) in self._seen:
            return
        self._seen[id(thing)] = thing
        if isinstance(thing, Tensor):
            self._visit(thing._array)
        elif isinstance(thing, np.ndarray):
            if thing.flags.writeable and not thing.dtype.hasobject:
                self._was.append((thing, thing.copy()))
        elif isinstance(thing, dict | list):
            self._was.append((thing, thing.copy()))
            for part in [*thing, *thing.values()] if isinstance(thing, dict) else thing:
                self._visit(part)
        elif isinstance(thing, tuple):
            for part in thing:
                self._visit(part)
        elif root or type(thing).__module__.partition(".")[0] == _PACKAGE:
            self._visit(getattr(thing, "__dict__", None))

    def __call__(self) -> None:
        for thing, before in reversed(self._was):
            if isinstance(thing, np.ndarray):
                np.copyto(thing, before)
            elif isinstance(thing, dict):
                thing.clear()
                thing.update(before)
            else:
                thing[:] = before
