"""Rows for ops/sort.py."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from tinygrad_cnn.ops import sort as ops
from tinygrad_cnn.testing.cases import Arg, Case

DISTINCT, TIES = Arg((2, 3, 4), distinct=True), Arg((4, 5), low=-1, high=1, kind="int")


def _descending(a: NDArray[Any], axis: int | None = -1, descending: bool = True) -> NDArray[Any]:
    return np.argsort(-a, axis=axis, kind="stable")


def _topk(a: NDArray[Any], k: int, axis: int = -1, largest: bool = True) -> tuple[NDArray[Any], NDArray[Any]]:
    order = np.take(np.argsort(-a if largest else a, axis=axis, kind="stable"), range(k), axis=axis)
    return np.take_along_axis(a, order, axis=axis), order


CASES = [
    *(
        Case(ops.argsort, (TIES,), lambda a, axis: np.argsort(a, axis=axis, kind="stable"), {"axis": axis}, order=0)
        for axis in (None, 0, -1)
    ),
    *(Case(ops.argsort, (TIES,), _descending, {"axis": axis, "descending": True}, order=0) for axis in (None, 0, -1)),
    *(Case(ops.sort, (DISTINCT,), np.sort, {"axis": axis}) for axis in (None, 1, -1)),
    Case(ops.sort, (DISTINCT,), lambda a, descending: -np.sort(-a), {"descending": True}),
    Case(ops.topk, (DISTINCT,), _topk, {"k": 2}, via=lambda f: lambda a, **params: f(a, **params)[0]),
    Case(
        ops.topk,
        (DISTINCT,),
        _topk,
        {"k": 2, "axis": 1, "largest": False},
        via=lambda f: lambda a, **params: f(a, **params)[0],
    ),
    Case(ops.topk, (TIES,), _topk, {"k": 3, "axis": 0}, order=0, via=lambda f: lambda a, **params: f(a, **params)[1]),
]
