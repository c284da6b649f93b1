"""Rows for ops/compare.py: no derivatives."""

from __future__ import annotations

import numpy as np

from tinygrad_cnn.ops import compare as ops
from tinygrad_cnn.testing.cases import Arg, Case

REAL, TRUTH, BITS = Arg(), Arg(kind="bool"), Arg(low=-9, high=9, kind="int")
SHIFTS = Arg(low=0, high=5, kind="int")

CASES = [
    Case(ops.equal, (REAL, REAL), np.equal, order=0),
    Case(ops.not_equal, (REAL, REAL), np.not_equal, order=0),
    Case(ops.less, (REAL, REAL), np.less, order=0),
    Case(ops.less_equal, (REAL, REAL), np.less_equal, order=0),
    Case(ops.greater, (REAL, REAL), np.greater, order=0),
    Case(ops.greater_equal, (REAL, REAL), np.greater_equal, order=0),
    Case(ops.logical_and, (TRUTH, TRUTH), np.logical_and, order=0),
    Case(ops.logical_or, (TRUTH, TRUTH), np.logical_or, order=0),
    Case(ops.logical_xor, (TRUTH, TRUTH), np.logical_xor, order=0),
    Case(ops.logical_not, (TRUTH,), np.logical_not, order=0),
    *(
        Case(f, (bits, bits), g, order=0)
        for bits in (TRUTH, BITS)
        for f, g in (
            (ops.bitwise_and, np.bitwise_and),
            (ops.bitwise_or, np.bitwise_or),
            (ops.bitwise_xor, np.bitwise_xor),
        )
    ),
    *(Case(ops.bitwise_not, (bits,), np.bitwise_not, order=0) for bits in (TRUTH, BITS)),
    Case(ops.isfinite, (REAL,), np.isfinite, order=0),
    Case(ops.isnan, (REAL,), np.isnan, order=0),
    Case(ops.isinf, (REAL,), np.isinf, order=0),
    Case(ops.signbit, (REAL,), np.signbit, order=0),
    Case(ops.left_shift, (BITS, SHIFTS), np.left_shift, order=0),
    Case(ops.right_shift, (BITS, SHIFTS), np.right_shift, order=0),
    Case(ops.bitwise_count, (BITS,), np.bitwise_count, order=0),
    Case(ops.gcd, (BITS, BITS), np.gcd, order=0),
    Case(ops.lcm, (BITS, BITS), np.lcm, order=0),
]
