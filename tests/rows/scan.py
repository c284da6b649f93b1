"""Rows for ops/scan.py."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from tinygrad_cnn.ops import scan as ops
from tinygrad_cnn.testing.cases import Arg, Case


def loop(a: NDArray[Any], b: NDArray[Any], axis: int = -1, reverse: bool = False) -> NDArray[Any]:
    """The recurrence by its definition."""
    step = -1 if reverse else 1
    y, state = [], np.zeros(np.take(b, 0, axis).shape)
    for j in range(b.shape[axis])[::step]:
        state = np.take(b, j, axis) + np.take(a, j, axis) * state
        y.append(state)
    return np.stack(y[::step], axis)


WHOLE = Arg((2, 3, 2))

CASES = [
    Case(ops.recurrence, (Arg((2, 3)), Arg((2, 3))), loop),
    Case(ops.recurrence, (WHOLE, WHOLE), loop, {"axis": 1, "reverse": True}),
    *(
        Case(f, (WHOLE,), g, p)
        for f, g in ((ops.cumsum, np.cumsum), (ops.cumprod, np.cumprod))
        for p in ({}, {"axis": 1})
    ),
    Case(ops.cumprod, (Arg((2, 4), low=0.0, high=0.25),), np.cumprod, {"axis": -1}),  # zeros among the factors
]
