"""Rows for ops/elementwise.py."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from tinygrad_cnn.ops import elementwise as ops
from tinygrad_cnn.testing.cases import GAP, Arg, Case

REAL = Arg()
POSITIVE = Arg(low=0.25, high=3.0)
NONZERO = Arg(away=(0.0,))
EVEN, ODD = Arg(offset=0.0), Arg(offset=GAP)  # two inputs that are nowhere equal
THIRDS = [Arg(low=-2, high=2, offset=offset) for offset in (0.0, GAP / 2, GAP)]  # three inputs, nowhere equal
INTEGERS = (-2.0, -1.0, 0.0, 1.0, 2.0)
HALVES = (-1.5, -0.5, 0.5, 1.5)

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
    Case(ops.fmax, (EVEN, ODD), np.fmax),
    Case(ops.fmin, (EVEN, ODD), np.fmin),
    Case(ops.fabs, (NONZERO,), np.fabs),
    Case(ops.where, (Arg(kind="bool"), REAL, REAL), np.where),
    Case(ops.clip, (Arg(away=(-1.0, 0.5)),), lambda a, min, max: np.clip(a, min, max), {"min": -1.0, "max": 0.5}),
    Case(ops.clip, (EVEN, ODD), lambda a, min: np.maximum(a, min)),
    Case(ops.clip, (Arg(away=(0.5,)),), lambda a, max: np.minimum(a, max), {"max": 0.5}),
    Case(ops.clip, (THIRDS[0], THIRDS[1], THIRDS[2]), np.clip),  # bounds in either order
    Case(ops.clip, tuple(replace(arg, shape=(4, 6)) for arg in THIRDS), np.clip),  # enough for every order
    Case(ops.clip, (REAL,), lambda a: a),
    Case(ops.lerp, (REAL, REAL, REAL), lambda a, b, weight: a + weight * (b - a)),
    Case(ops.square, (REAL,), np.square),
    Case(ops.reciprocal, (Arg(low=0.5),), np.reciprocal),
    Case(ops.reciprocal, (Arg(high=-0.5),), np.reciprocal),
    Case(ops.sign, (NONZERO,), np.sign),
    Case(ops.floor, (Arg(away=INTEGERS),), np.floor),
    Case(ops.ceil, (Arg(away=INTEGERS),), np.ceil),
    Case(ops.round, (Arg(away=HALVES),), np.round),
    Case(ops.round, (Arg(away=(-15.0, -5.0, 5.0, 15.0), low=-18, high=18),), np.round, {"decimals": -1}),
    Case(ops.copy, (REAL,), np.copy),
    Case(ops.laid_out, (Arg((2, 3, 2)),), lambda a, axes: a, {"axes": (2, 0, 1)}),
    Case(ops.cast, (REAL,), lambda a, dtype: a, {"dtype": np.float64}),
    Case(ops.cast_discrete, (REAL,), lambda a, dtype: np.trunc(a).astype(dtype), {"dtype": np.int32}, order=0),
]
