"""Rows for numpy_api/select.py."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tinygrad_cnn.numpy_api import select as ops
from tinygrad_cnn.ops import index
from tinygrad_cnn.testing.cases import Arg, Case

REAL, MATRIX, VECTOR = Arg(), Arg((2, 3)), Arg((3,))
APART = Arg((3, 4), distinct=True)
TRUTH = Arg(kind="bool")
XP = np.array([-1.0, 0.5, 0.75, 2.0])


def summed(f: Callable[..., Any]) -> Callable[..., Any]:
    """The sum of the results of a function."""
    return lambda *args, **params: sum(f(*args, **params))


def choose(a: NDArray[np.int64], choices: Sequence[NDArray[Any]], mode: Any) -> NDArray[Any]:
    """np.choose, which takes integers of the machine's size only."""
    return np.choose(a.astype(np.intp), choices, mode=mode)


def patterned(f: Callable[..., Any]) -> Callable[..., Any]:
    """A function of an array with zeros at certain places."""
    return lambda a: f((a + 3) * (np.arange(9).reshape(3, 3) % 4 > 1).astype(a.dtype))


CASES = [
    Case(ops.select, (TRUTH, TRUTH, REAL, REAL), np.select, via=lambda f: lambda p, q, a, b: f([p, q], [a, b], 1.5)),
    Case(ops.select, (TRUTH, REAL, REAL), np.select, via=lambda f: lambda p, a, b: f([p], [a], b)),
    *(
        Case(ops.choose, (Arg(low=low, high=high, kind="int"), REAL, REAL, REAL), choose, via=lambda f, mode=mode: (
            lambda i, a, b, c: f(i, [a, b, c], mode=mode)
        ))
        for mode, low, high in (("raise", 0, 2), ("wrap", -4, 5), ("clip", -4, 5))
    ),
    Case(ops.compress, (Arg((3, 3)),), np.compress, {"axis": 1}, via=lambda f: lambda a, axis: f([True, False, True], a, axis)),
    Case(ops.compress, (MATRIX,), np.compress, via=lambda f: lambda a: f(np.array([0, 1, 0, 2]), a)),
    Case(ops.extract, (Arg((3, 3)),), np.extract, via=lambda f: lambda a: f(np.eye(3), a)),
    *(
        Case(ops.trim_zeros, (VECTOR,), np.trim_zeros, {"trim": trim}, via=lambda f: (
            lambda a, **params: f(np.concatenate([np.zeros(2, a.dtype), a + 3, np.zeros(1, a.dtype)]), **params)
        ))
        for trim in ("fb", "f", "b")
    ),
    *(
        Case(ops.meshgrid, (VECTOR, Arg((2,)), Arg((4,))), np.meshgrid, {"indexing": indexing, "sparse": sparse}, via=summed)
        for indexing in ("xy", "ij") for sparse in (True, False)
    ),
    Case(ops.meshgrid, (VECTOR, Arg((2,))), np.meshgrid, via=lambda f: lambda a, b: f(a, b)[0] * f(b, a)[1].T + f(a, b)[1]),
    Case(index.argwhere, (Arg((3, 3)),), np.argwhere, via=patterned, order=0),
    Case(index.nonzero, (Arg((3, 3)),), np.nonzero, via=lambda f: patterned(lambda a: f(a)[1]), order=0),
    *(
        Case(ops.searchsorted, (REAL,), np.searchsorted, {"side": side}, via=lambda f: lambda v, **p: f(XP, v, **p), order=0)
        for side in ("left", "right")
    ),
    Case(ops.argpartition, (APART,), np.argpartition, {"kth": 1, "axis": 0}, order=0, via=lambda f: (
        lambda a, **params: f(a, **params)[1]
    )),
    Case(ops.partition, (APART,), np.partition, {"kth": 2, "axis": 0}, via=lambda f: lambda a, **p: f(a, **p)[2]),
    Case(ops.partition, (APART,), np.partition, {"kth": [1, 2]}, via=lambda f: lambda a, **p: f(a, **p)[..., 1:3]),
    Case(ops.partition, (APART,), np.partition, {"kth": 5, "axis": None}, via=lambda f: lambda a, **p: f(a, **p)[5:6]),
]  # fmt: skip
