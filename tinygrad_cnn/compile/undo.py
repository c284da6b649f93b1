"""What a step of a run changes, remembered so that it can be taken back if the run fails."""

from __future__ import annotations

import random
from collections import deque
from collections.abc import Iterable
from types import FunctionType, MethodType, ModuleType
from typing import Any

import numpy as np

from ..tensor import Tensor


class Remembered:
    """Arrays, containers, generators and objects, with all that is in them: call it to put back how they are now."""

    def __init__(self, things: Iterable[Any]) -> None:
        self._seen: dict[int, Any] = {}
        self._was: list[tuple[Any, Any]] = []
        for thing in things:
            self._visit(thing)

    def _visit(self, thing: Any) -> None:
        if id(thing) in self._seen:
            return
        self._seen[id(thing)] = thing
        if isinstance(thing, Tensor):
            self._visit(thing._array)
        elif isinstance(thing, np.ndarray):
            if thing.flags.writeable and not thing.dtype.hasobject:
                self._was.append((thing, thing.copy()))
        elif isinstance(thing, dict | list | set | deque):
            self._was.append((thing, thing.copy()))
            for part in [*thing, *thing.values()] if isinstance(thing, dict) else [*thing]:
                self._visit(part)
        elif isinstance(thing, tuple):
            for part in thing:
                self._visit(part)
        elif isinstance(thing, np.random.Generator):
            self._was.append((thing, thing.bit_generator.state))
        elif isinstance(thing, random.Random):
            self._was.append((thing, thing.getstate()))
        elif not isinstance(thing, type | ModuleType | FunctionType | MethodType):
            self._visit(getattr(thing, "__dict__", None))

    def __call__(self) -> None:
        for thing, before in reversed(self._was):
            if isinstance(thing, np.ndarray):
                np.copyto(thing, before)
            elif isinstance(thing, np.random.Generator):
                thing.bit_generator.state = before
            elif isinstance(thing, random.Random):
                thing.setstate(before)
            else:
                thing.clear()
                (thing.update if isinstance(thing, dict | set) else thing.extend)(before)
