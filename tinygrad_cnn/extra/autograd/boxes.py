"""What HIPS/autograd calls a box: a Tensor that is being differentiated.

A trace is the number of a level: derivatives within one another have higher ones.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable
from contextvars import ContextVar
from typing import Any, ClassVar
from weakref import WeakKeyDictionary, WeakSet

import numpy as np

from ...core.node import Argument
from ...ops.data import native
from ...tensor import Tensor
from ...transforms.recorded_call import fresh
from .trees import values

__all__ = [
    "ArrayBox", "Box", "SequenceBox", "VJPNode", "ends", "getval", "isbox", "levels", "only_through", "placed", "walked",
]  # fmt: skip


class _Boxes(type):
    """The class of ``Box``: each Tensor is an instance, and a call makes one."""

    def __instancecheck__(cls, instance: object) -> bool:
        return isinstance(instance, Tensor)

    def __call__(cls, value: Any, trace: int | None = None, node: Any = None) -> Tensor:
        return placed(value, trace)


class Box(metaclass=_Boxes):
    """``Box(value, trace, node)`` is a Tensor of the value, an array or a number, where recording begins."""

    type_mappings: ClassVar[dict[type, Callable[..., Any]]] = {}
    """What makes the boxes of values of a type, ``maker(value, trace, node)``, where a program has another maker."""
    types: ClassVar[set[type]] = {Tensor}

    @classmethod
    def register(cls, value_type: type) -> None:
        """Let this class make the boxes of values of a type: a subclass of np.ndarray, or a number.

        Raises:
            TypeError: for another type, as only arrays and numbers are recorded.
        """
        if not issubclass(value_type, np.ndarray | np.number | float | complex):
            raise TypeError(
                f"Box.register: {value_type.__name__} is no subclass of np.ndarray and no number; only these are recorded"
            )
        Box.type_mappings[value_type] = cls


class ArrayBox(Box):
    """A Tensor, which is ``Box(value, trace, node)``; its value is also called ``_value``."""


levels: WeakKeyDictionary[Any, int] = WeakKeyDictionary()
"""The trace of each leaf that ``new_box`` made."""


def placed(value: Any, trace: int | None = None) -> Tensor:
    """A Tensor with a new leaf for an array or a number, in memory of its own; one of float64 for integers.

    Raises:
        TypeError: if the value is no array and no number.
    """
    if isinstance(value, Tensor):
        raise TypeError("new_box: the value is recorded already; give `getval(x)`, or differentiate it by `grad`")
    array = native(np.array(value))
    if array.dtype.kind not in "iufc":
        raise TypeError(f"new_box: the value is {value!r:.60}; it must be an array of numbers, or a number")
    made = Tensor._of(array if array.dtype.kind in "fc" else array.astype(np.float64))
    made._node = Argument(made)
    if trace is not None:
        levels[made._node] = trace
    return made


class SequenceBox(tuple):  # type: ignore[type-arg]
    """The boxes of a tuple's parts."""

    _trace: int


def _trace(x: Tensor) -> int:
    """The highest level of what x was computed from by boxes that ``new_box`` made; -1 if it depends on none."""
    return max((levels.get(end, -1) for end in ends(x._node)), default=-1) if x._node is not None else -1


class VJPNode:
    """What ``new_box`` is given as a node. It makes the leaf of the graph itself, so there is nothing in one."""

    @classmethod
    def new_root(cls, *value: Any) -> VJPNode:
        """A new one."""
        return cls()


def ends(node: Any) -> list[Any]:
    """The leaves that a node was computed from."""
    return [each for each in _above([node], ()) if each.op is None]


def _above(nodes: Iterable[Any], places: Collection[Any]) -> list[Any]:
    """The nodes, and all that they were computed from; the search stops at these places."""
    found = [*dict.fromkeys(nodes)]
    seen = {None, *found}
    for each in found:
        for parent in () if each in places else each.parents or ():
            if parent not in seen:
                seen.add(parent)
                found.append(parent)
    return found


def only_through(nodes: Iterable[Any], places: Collection[Any]) -> bool:
    """Whether the nodes depend on leaves only as far as these places do."""
    return all(each in places or each.parents for each in _above(nodes, places))


walked: ContextVar[Collection[Any]] = ContextVar("walked", default=())
"""The arguments of the derivative that is being computed at present, if that is differentiated in turn."""
_lowered: WeakSet[Any] = WeakSet()
"""The nodes of what ``_value`` returned."""


def _value(x: Tensor) -> Any:
    """The value one level down.

    That is an array or a number, but in a rule whose derivative is differentiated in turn: there it is a Tensor that the outer
    derivative records, if x depends on the arguments of the inner one.
    """
    places = walked.get()
    if x._node is None or not places or x._node in _lowered:
        return values(x)
    if not any(each in places for each in _above([x._node], places)):
        return values(x)
    lower = fresh(x)
    _lowered.add(lower._node)
    return lower


def getval(x: Any) -> Any:
    """The value of what is being differentiated, as an array or a float; anything else unchanged."""
    return x.numpy()[()] if isinstance(x, Tensor) else x


def isbox(x: Any) -> bool:
    """Whether x is being differentiated."""
    return isinstance(x, SequenceBox) or (isinstance(x, Tensor) and x._node is not None)


Tensor._value = property(_value)  # type: ignore[attr-defined]
Tensor._trace = property(_trace)  # type: ignore[attr-defined]
