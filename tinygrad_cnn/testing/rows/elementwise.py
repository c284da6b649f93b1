"""Rows for ops/elementwise.py."""

from __future__ import annotations

import numpy as np

from ...ops import elementwise as ops
from ..cases import GAP, Arg, Case

REAL = Arg()
POSITIVE = Arg(low=0.25, high=3.0)
NONZERO = Arg(away=(0.0,))
EVEN, ODD = Arg(offset=0.0), Arg(offset=GAP)  # two inputs that are nowhere equal

CASES = [
    Case(ops.add, (REAL, REAL), np.add),
    Case(ops.sub, (REAL, REAL), np.subtract),
    Case(ops.mul, (REAL, REAL), np.multiply),
    Case(ops.div, (REAL, Arg(low=0.5)), np.divide),
    Case(ops.div, (REAL, Arg(high=-0.5)), np.divide),
    Case(ops.neg, (REAL,), np.negative),
    Case(ops.pow, (POSITIVE, REAL), np.power),
    Case(lambda a: ops.pow(a, 3), (REAL,), lambda a: a**3),
    Case(lambda a: ops.pow(a, 0), (REAL,), lambda a: a**0),
    Case(lambda a: ops.pow(a, -1.5), (POSITIVE,), lambda a: a**-1.5),
    Case(lambda a: ops.pow(2.0, a), (REAL,), lambda a: 2.0**a),
    Case(ops.exp, (REAL,), np.exp),
    Case(ops.log, (POSITIVE,), np.log),
    Case(ops.sqrt, (POSITIVE,), np.sqrt),
    Case(ops.abs, (NONZERO,), np.abs),
    Case(ops.maximum, (EVEN, ODD), np.maximum),
    Case(ops.minimum, (EVEN, ODD), np.minimum),
    Case(ops.where, (Arg(kind="bool"), REAL, REAL), np.where),
    Case(ops.relu, (NONZERO,), lambda a: np.where(a > 0, a, 0)),
    Case(ops.copy, (REAL,), np.copy),
    Case(ops.cast, (REAL,), lambda a, dtype: a, {"dtype": np.float64}),
    Case(ops.cast_discrete, (REAL,), lambda a, dtype: np.trunc(a).astype(dtype), {"dtype": np.int32}, order=0),
]
