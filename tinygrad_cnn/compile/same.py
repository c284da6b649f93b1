"""When two values are the same: by type and to the bit, where Python's ``==`` takes 1 for True and 0.0 for -0.0."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Hashable
from types import BuiltinMethodType, FunctionType, MethodType
from typing import Any

import numpy as np

_EXACT = frozenset((int, bool, str, bytes, type(None), type(...)))


class Held:
    """An object by its identity, which is its own as long as it is held here."""

    __slots__ = ("thing",)

    def __init__(self, thing: Any) -> None:
        self.thing = thing

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Held) and self.thing is other.thing

    def __hash__(self) -> int:
        return id(self.thing)


def typed(x: Any) -> Hashable:
    """A key that two values share if they are the same: plain ones by type and bits, others by identity."""
    kind = x.__class__
    if kind in _EXACT:
        return kind, x
    if kind is float:
        return kind, x.hex()
    if kind is tuple or (isinstance(x, tuple) and hasattr(x, "_fields")):
        return (kind, *map(typed, x))
    if kind in (frozenset, set):
        return kind, frozenset(map(typed, x))
    if kind is list:
        return (kind, *map(typed, x))
    if kind is dict:
        return kind, tuple([(typed(key), typed(value)) for key, value in x.items()])
    if isinstance(x, np.generic):
        return kind, x.dtype.str, x.tobytes()
    if kind in (complex, range) or isinstance(x, np.dtype):
        return kind, repr(x)
    if kind is slice:
        return kind, typed(x.start), typed(x.stop), typed(x.step)
    if dataclasses.is_dataclass(x) and not isinstance(x, type) and kind.__dataclass_params__.frozen:
        return (kind, *(typed(getattr(x, part.name)) for part in dataclasses.fields(x)))
    return Held(x)


def alike(a: Any, b: Any) -> bool:
    """Whether two parts of captured runs would do the same: arrays by memory or value, functions by code and closure."""
    if a is b:
        return True
    if type(a) is not type(b):
        return False
    if isinstance(a, np.ndarray):
        return _same_array(a, b)
    if isinstance(a, list | tuple):
        return len(a) == len(b) and all(map(alike, a, b))
    if isinstance(a, dict):
        return [*map(typed, a)] == [*map(typed, b)] and all(map(alike, a.values(), b.values()))
    if isinstance(a, slice):
        return alike((a.start, a.stop, a.step), (b.start, b.stop, b.step))
    if isinstance(a, FunctionType):
        if a.__code__ is not b.__code__ or not alike(
            (a.__defaults__, a.__kwdefaults__), (b.__defaults__, b.__kwdefaults__)
        ):
            return False
        cells = zip(a.__closure__ or (), b.__closure__ or (), strict=True)
        return all(x is y or alike(x.cell_contents, y.cell_contents) for x, y in cells)
    if isinstance(a, MethodType):
        return a.__func__ is b.__func__ and a.__self__ is b.__self__
    if isinstance(a, BuiltinMethodType):
        return a.__name__ == b.__name__ and alike(a.__self__, b.__self__)
    if isinstance(a, functools.partial):
        return alike((a.func, a.args, a.keywords), (b.func, b.args, b.keywords))
    if isinstance(a, np.random.Generator):
        return repr(a.bit_generator.state) == repr(b.bit_generator.state)
    if isinstance(a, Held):
        return a.thing is b.thing
    if hasattr(a, "_array"):  # a Tensor
        return _same_array(a._array, b._array)
    return typed(a) == typed(b)


def _same_array(a: np.ndarray, b: np.ndarray) -> bool:
    if a.shape != b.shape or a.dtype != b.dtype:
        return False
    if a.strides == b.strides and a.__array_interface__["data"] == b.__array_interface__["data"]:
        return True
    return a.tobytes() == b.tobytes()
