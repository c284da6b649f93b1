"""Parts of one array in a backward walk: their gradients are added to that of the array in place, as in a plain walk."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Collection, Sequence
from functools import partial
from typing import Any

import numpy as np

from ..core.graph import Op
from ..ops.elementwise import add
from ..ops.index import add_at_zeros
from .params import is_view
from .rules import Call, Value


def _added(whole: np.ndarray, u: np.ndarray, *, index: Any) -> np.ndarray:
    """y = whole, with u added at `index`."""
    y = whole.copy("K")
    y[index] += u
    return y


def _prepare(out: np.ndarray | None, whole: Any, u: Any, *, index: Any) -> Callable[[], object] | None:
    """A task for :func:`_added`; `out` may be `whole`, or u."""
    if out is None:
        return None
    parts = index if index.__class__ is tuple else (index,)
    place = out[parts if Ellipsis in parts else (*parts, Ellipsis)]
    if np.may_share_memory(out, whole):
        return partial(np.add, place, u, place)
    if np.may_share_memory(out, u):
        return lambda: np.copyto(out, _added(whole, u, index=index))

    def task() -> None:
        np.copyto(out, whole)
        np.add(place, u, place)

    return task


ADD_AT = Op(_added, in_place=True)
ADD_AT.accelerate(_prepare, (), in_place=True)


def added(calls: Sequence[Call], results: Collection[Value]) -> list[Call]:
    """The calls of a walk, where a part's gradient in zeros, and the sum of another array and these, are one call.

    Beyond the part, the array would gain zeros. That changes no element but -0, and a sum that began with 0 has none.
    """
    users = Counter([value.root for call in calls for value in {*call.reads, *call.made}])
    users.update([value.root for value in results])
    from_zero: set[Value] = set()
    found: list[Call] = []
    for call in calls:
        if call.op is add.op:
            whole, zeros = call.inputs
            if _is_zero(zeros):
                from_zero.update(call.made)
            elif isinstance(whole, Value) and whole in from_zero:
                from_zero.update(call.made)
                if found and found[-1].made == [zeros] and users[zeros] == 2 and _is_part(found[-1], whole):
                    part = found.pop()
                    call = _together(part, call)
        found.append(call)
    return found


def _is_zero(x: Any) -> bool:
    return x.__class__ is float and not x and math.copysign(1.0, x) > 0


def _is_part(call: Call, whole: Value) -> bool:
    """Whether a call makes zeros, in the form of a whole array, and writes a part of them."""
    y = call.made[0]
    form = y.shape, y.dtype, y.base
    return call.op is add_at_zeros.op and is_view(call.params["index"]) and form == (whole.shape, whole.dtype, None)


def _together(part: Call, call: Call) -> Call:
    """The sum of an array and the zeros that another call makes, as one call of ADD_AT."""
    inputs = (call.inputs[0], part.inputs[0])
    return Call("add_at", inputs, {"index": part.params["index"]}, [*call.reads[:1], *part.reads], call.outputs, ADD_AT)
