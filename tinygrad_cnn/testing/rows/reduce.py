"""Rows for ops/reduce.py."""

from __future__ import annotations

from typing import Any

import numpy as np

from ...ops import reduce as ops
from ..cases import Arg, Case

WHOLE = Arg((2, 3, 4))
DISTINCT = Arg((2, 3, 4), distinct=True)
AXES: list[dict[str, Any]] = [
    {},
    {"axis": 1},
    {"axis": -1, "keepdims": True},
    {"axis": (0, -1)},
    {"axis": (0, 2), "keepdims": True},
    {"axis": ()},
]

CASES = [
    *(Case(ops.sum, (WHOLE,), np.sum, axes) for axes in AXES),
    *(Case(ops.mean, (WHOLE,), np.mean, axes) for axes in AXES),
    *(Case(ops.max, (DISTINCT,), np.max, axes) for axes in AXES),
    *(Case(ops.min, (DISTINCT,), np.min, axes) for axes in AXES),
    *(Case(f, (Arg(()),), g) for f, g in ((ops.sum, np.sum), (ops.mean, np.mean), (ops.max, np.max))),
]
