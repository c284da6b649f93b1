"""Which ops are this library's own, and whether parameters of ops are the same as before."""

from __future__ import annotations

import math
from collections.abc import Sequence
from operator import is_
from typing import Any

import numpy as np

from ..core.graph import Op

OURS = tuple([f"{__name__.partition('.')[0]}.{room}." for room in ("ops", "numpy_api")])


def is_ours(op: Op) -> bool:
    """Whether an op is defined by this library: its definition and its rules have no effects, and call no other Python."""
    return (op.function.__module__ or "").startswith(OURS)


_PLAIN = frozenset({type(None), bool, int, float, str, complex, type, type(Ellipsis)})


def plain(x: Any) -> bool:
    """Whether a parameter is made of values that can be compared."""
    if is_sequence(x):
        return all(map(plain, x))
    if x.__class__ is slice:
        return plain((x.start, x.stop, x.step))
    return x.__class__ in _PLAIN or isinstance(x, np.dtype | np.generic)


def is_sequence(x: Any) -> bool:
    """Whether a parameter is a tuple, a list or a named tuple."""
    return x.__class__ in (tuple, list) or (isinstance(x, tuple) and hasattr(x, "_fields"))


def snapshot(x: Any) -> Any:
    """Plain values with copies of the lists in them. What holds no list stays the same object."""
    if not is_sequence(x):
        return x
    found = [snapshot(each) for each in x]
    if x.__class__ is list:
        return found
    if all(map(is_, found, x)):
        return x
    return x._make(found) if hasattr(x, "_make") else tuple(found)


def same(a: Sequence[Any], b: Sequence[Any]) -> bool:
    """Whether plain values are the same, in type and sign too."""
    if len(a) != len(b):
        return False
    for x, y in zip(a, b, strict=True):
        kind = x.__class__
        if x is y and kind is not list:
            continue
        if kind is not y.__class__:
            return False
        if is_sequence(x):
            if not same(x, y):
                return False
        elif kind is slice:
            for p, q in ((x.start, y.start), (x.stop, y.stop), (x.step, y.step)):
                if p is not q and not same((p,), (q,)):
                    return False
        elif isinstance(x, np.generic):
            if x.dtype != y.dtype or x.tobytes() != y.tobytes():
                return False
        elif (
            (kind not in _PLAIN and not isinstance(x, np.dtype))
            or x != y
            or (kind is float and not x and math.copysign(1.0, x) != math.copysign(1.0, y))
        ):
            return False
    return True


def is_view(index: Any) -> bool:
    """Whether an index gives a view, in which no element occurs twice."""
    parts = index if index.__class__ is tuple else (index,)
    return all(part is None or part is Ellipsis or part.__class__ in (int, slice) for part in parts)
