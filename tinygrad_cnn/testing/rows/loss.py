"""Rows for ops/loss.py."""

from __future__ import annotations

import numpy as np

from ...ops import loss as ops
from ..cases import Arg, Case

CASES = [
    Case(ops.mse, (Arg((2, 3)), Arg((2, 3))), lambda p, t: np.mean((p - t) ** 2)),
    Case(ops.mse, (Arg((2, 3)), Arg((3,))), lambda p, t, reduction: np.sum((p - t) ** 2), {"reduction": "sum"}),
    Case(ops.mse, (Arg((2, 3)), Arg((2, 1))), lambda p, t, reduction: (p - t) ** 2, {"reduction": "none"}),
    Case(ops.mse, (Arg(()), Arg(())), lambda p, t: (p - t) ** 2),
]
