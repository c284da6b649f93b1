"""Rows for numpy_api/join.py."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tinygrad_cnn.numpy_api import join as ops
from tinygrad_cnn.testing.cases import Arg, Case

MATRIX, CUBE, VECTOR = Arg((2, 3)), Arg((2, 3, 4)), Arg((3,))


def part(i: int) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """One of several results."""
    return lambda f: lambda *args, **params: f(*args, **params)[i]


def _unstack(x: NDArray[Any], axis: int = 0) -> tuple[NDArray[Any], ...]:
    return tuple(np.moveaxis(x, axis, 0))  # np.unstack is new in NumPy 2.1


CASES = [
    *(Case(f, (Arg(s),), g) for f, g in (
        (ops.atleast_1d, np.atleast_1d), (ops.atleast_2d, np.atleast_2d), (ops.atleast_3d, np.atleast_3d),
    ) for s in ((), (3,), (2, 3), (2, 3, 2))),
    Case(ops.atleast_2d, (Arg(()), VECTOR), np.atleast_2d, via=lambda f: lambda a, b: f(a, b)[0] + f(b, a)[0]),
    *(Case(f, args, g, sequence=True) for f, g in (
        (ops.vstack, np.vstack), (ops.dstack, np.dstack), (ops.hstack, np.hstack), (ops.column_stack, np.column_stack),
    ) for args in ((VECTOR, VECTOR), (MATRIX, MATRIX))),
    Case(ops.vstack, (MATRIX, VECTOR), np.vstack, sequence=True),
    Case(ops.column_stack, (Arg((2,)), MATRIX), np.column_stack, sequence=True),
    Case(ops.append, (MATRIX, VECTOR), np.append),
    Case(ops.append, (MATRIX, Arg((2, 1))), np.append, {"axis": 1}),
    Case(ops.block, (Arg((2, 2)), Arg((2, 1)), Arg((1, 3))), np.block, via=lambda f: lambda a, b, c: f([[a, b], [c]])),
    Case(ops.block, (VECTOR, Arg((1,))), np.block, via=lambda f: lambda a, b: f([a, b])),
    Case(ops.broadcast_arrays, (MATRIX, VECTOR), np.broadcast_arrays, via=lambda f: lambda a, b: f(a, b)[0] * f(b, a)[0]),
    Case(ops.unstack, (CUBE,), _unstack, {"axis": 1}, via=part(2)),
    Case(ops.vsplit, (Arg((4, 3)),), np.vsplit, {"indices_or_sections": 2}, via=part(1)),
    Case(ops.hsplit, (Arg((3, 4)),), np.hsplit, {"indices_or_sections": [1, 3]}, via=part(1)),
    Case(ops.hsplit, (Arg((4,)),), np.hsplit, {"indices_or_sections": 2}, via=part(0)),
    Case(ops.dsplit, (Arg((3, 3, 4)),), np.dsplit, {"indices_or_sections": 2}, via=part(1)),
    *(Case(ops.delete, (CUBE,), np.delete, {"obj": obj, "axis": 1}) for obj in (1, -1, [0, 2, 0], slice(0, 2))),
    Case(ops.delete, (CUBE,), np.delete, {"obj": np.array([True, False, True]), "axis": 1}),
    Case(ops.delete, (MATRIX,), np.delete, {"obj": [1, 4]}),
    *(Case(ops.insert, (CUBE, Arg((2, 4))), np.insert, via=lambda f, i=i: lambda a, v: f(a, i, v, 1)) for i in (0, 3, -1)),
    *(
        Case(ops.insert, (CUBE, Arg((2, 2, 4))), np.insert, via=lambda f, i=i: lambda a, v: f(a, i, v, 1))
        for i in ([3, 0], [1, 1], [-1, 1], [2], slice(0, 2))
    ),
    Case(ops.insert, (MATRIX, Arg(())), np.insert, via=lambda f: lambda a, v: f(a, [1, 4, 4], v)),
    Case(ops.insert, (MATRIX, VECTOR), np.insert, via=lambda f: lambda a, v: f(a, 2, v)),
    *(Case(ops.resize, (MATRIX,), np.resize, {"new_shape": s}) for s in ((4, 4), 5, (3, 3), (0, 2))),
]  # fmt: skip
