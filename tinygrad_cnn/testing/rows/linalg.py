"""Rows for ops/linalg.py."""

from __future__ import annotations

import numpy as np

from ...ops import linalg as ops
from ..cases import Arg, Case

SHAPES = [
    ((3,), (3,)),
    ((2, 3), (3,)),
    ((3,), (3, 4)),
    ((2, 3), (3, 4)),
    ((5, 2, 3), (3, 4)),
    ((2, 3), (5, 3, 4)),
    ((5, 1, 2, 3), (4, 3, 2)),
    ((5, 2, 3), (3,)),
    ((3,), (5, 3, 2)),
    ((1, 2, 3), (1, 3, 1)),
]

CASES = [*(Case(ops.matmul, (Arg(a), Arg(b)), np.matmul) for a, b in SHAPES)]
