"""Equality by type and bits, where Python's ``==`` takes 1 for True and 0.0 for -0.0."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable, Hashable, Sequence
from types import BuiltinMethodType, CellType, FunctionType, MethodType
from typing import Any

import numpy as np

from ..tensor import Tensor
from .steps import Leaf, Value


class Held:
    """Compares an object by identity, and keeps it alive so that its id stays unique."""

    __slots__ = ("thing",)

    def __init__(self, thing: Any) -> None:
        self.thing = thing

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Held) and self.thing is other.thing

    def __hash__(self) -> int:
        return id(self.thing)


_KEYS: dict[type, Callable[[Any], Hashable]] = {
    **dict.fromkeys((int, bool, str, bytes, type(None), type(...), Held), lambda x: x),
    **dict.fromkeys((complex, range), repr),
    **dict.fromkeys((tuple, list), lambda x: tuple([typed(part) for part in x])),
    **dict.fromkeys((set, frozenset), lambda x: frozenset([typed(part) for part in x])),
    float: float.hex,
    slice: lambda x: (typed(x.start), typed(x.stop), typed(x.step)),
    dict: lambda x: tuple([(typed(key), typed(value)) for key, value in x.items()]),
}


def typed(x: Any) -> Hashable:
    """A key for comparing values: plain values are compared by type and bits, other objects by identity."""
    kind = x.__class__
    if kind in _KEYS:
        return kind, _KEYS[kind](x)
    if isinstance(x, np.generic):
        return kind, x.dtype.str, x.tobytes()
    if isinstance(x, np.dtype):
        return kind, repr(x)
    if isinstance(x, tuple) and hasattr(x, "_fields"):
        return kind, typed(tuple(x))
    if dataclasses.is_dataclass(x) and not isinstance(x, type) and kind.__dataclass_params__.frozen:
        return (kind, *(typed(getattr(x, part.name)) for part in dataclasses.fields(x)))
    return Held(x)


def alike(a: Any, b: Any) -> bool:
    """Whether two parts of captured runs are equivalent: arrays are compared by value, functions by code and closure."""
    if a is b:
        return True
    if type(a) is not type(b):
        return False
    if isinstance(a, np.ndarray):
        if a.shape != b.shape or a.dtype != b.dtype:
            return False
        at = a.__array_interface__["data"] == b.__array_interface__["data"]
        return bool(at and a.strides == b.strides) or a.tobytes() == b.tobytes()
    parts, others = _parts(a), _parts(b)
    if parts is None or others is None:
        return typed(a) == typed(b)
    return len(parts) == len(others) and all(map(alike, parts, others))


def _parts(x: Any) -> Sequence[Any] | None:
    """The parts in which two objects of a type must be alike; None if they are compared as a whole."""
    if isinstance(x, list | tuple):
        return x
    if isinstance(x, dict):
        return [*map(typed, x), *x.values()]
    if isinstance(x, slice):
        return x.start, x.stop, x.step
    if isinstance(x, FunctionType):
        return [x.__code__, x.__defaults__, x.__kwdefaults__, *(x.__closure__ or ())]
    if isinstance(x, CellType):
        return (x.cell_contents,)
    if isinstance(x, MethodType):
        return id(x.__func__), id(x.__self__)
    if isinstance(x, BuiltinMethodType):
        return x.__name__, x.__self__
    if isinstance(x, functools.partial):
        return x.func, x.args, x.keywords
    if isinstance(x, np.random.Generator):
        return (repr(x.bit_generator.state),)
    if isinstance(x, Tensor):
        return x._array, x._node
    return (x.identity,) if isinstance(x, Value | Leaf) else None
