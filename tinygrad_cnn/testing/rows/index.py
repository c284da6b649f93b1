"""Rows for ops/index.py."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...ops import index as ops
from ..cases import Arg, Case

SHAPE = (3, 4, 2)
INDICES: list[Any] = [
    1,
    (slice(None, None, -2), None, 0),
    (..., slice(1, 2)),
    np.array([0, 2, 2, -1]),
    (slice(1), np.array([[3, 0], [0, 1]])),
    (np.array([0, 2]), slice(None), np.array([1, 1])),
    np.arange(24).reshape(SHAPE) % 5 == 0,
    (np.array([True, False, True]), 3),
    (np.array([True, False, True]), np.array([3, 3])),
]


def _add_at_zeros(u: NDArray[Any], index: Any, shape: tuple[int, ...]) -> NDArray[Any]:
    out = np.zeros(shape)
    np.add.at(out, index, u)
    return out


CASES = [
    *(Case(ops.getitem, (Arg(SHAPE),), lambda a, index: a[index], {"index": index}) for index in INDICES),
    *(
        Case(ops.add_at_zeros, (Arg(np.zeros(SHAPE)[index].shape),), _add_at_zeros, {"index": index, "shape": SHAPE})
        for index in INDICES
    ),
]
