"""Undo: functions that restore arrays, containers and generators after a captured run that failed."""

from __future__ import annotations

import random
from collections import deque
from collections.abc import Callable, Iterable
from functools import partial
from types import FunctionType, MethodType, ModuleType
from typing import Any

import numpy as np

from ..tensor import Tensor


def restorer(thing: Any) -> Callable[[], object] | None:
    """A function that restores the present content of an array, container or random generator; None for other objects."""
    if isinstance(thing, np.ndarray):
        return partial(np.copyto, thing, thing.copy()) if thing.flags.writeable and not thing.dtype.hasobject else None
    if isinstance(thing, dict | set):
        return partial(_refill, thing, thing.update, [*thing.items()] if isinstance(thing, dict) else [*thing])
    if isinstance(thing, list | deque):
        return partial(_refill, thing, thing.extend, [*thing])
    if isinstance(thing, np.random.Generator):
        return partial(setattr, thing.bit_generator, "state", thing.bit_generator.state)
    if isinstance(thing, np.random.RandomState):
        return partial(thing.set_state, thing.get_state(legacy=False))
    if isinstance(thing, random.Random):
        return partial(thing.setstate, thing.getstate())
    return None


def restorers(things: Iterable[Any]) -> list[Callable[[], object]]:
    """Restorers of objects and of everything in them: elements, attributes, values of Tensors."""
    queue, seen, found = [*things], dict[int, Any](), list[Callable[[], object]]()
    for thing in queue:
        if id(thing) in seen:
            continue
        seen[id(thing)] = thing
        if (restore := restorer(thing)) is not None:
            found.append(restore)
        if isinstance(thing, Tensor):
            queue.append(thing._array)
        elif isinstance(thing, dict):
            queue += [*thing, *thing.values()]
        elif isinstance(thing, list | tuple | set | deque):
            queue += thing
        elif not isinstance(thing, type | ModuleType | FunctionType | MethodType | np.ndarray):
            queue.append(getattr(thing, "__dict__", None))
    return found


def _refill(thing: Any, fill: Callable[[Any], object], content: list[Any]) -> None:
    thing.clear()
    fill(content)
