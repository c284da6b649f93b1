"""Rows for numpy_api/matrix_functions.py."""

from __future__ import annotations

import numpy as np

from tinygrad_cnn.numpy_api import matrix_functions as ops
from tinygrad_cnn.testing.cases import Arg, Case

from .decomposition import apart

SQUARE, STACK = Arg((3, 3), low=-0.25, high=0.25), Arg((2, 3, 3), low=-0.25, high=0.25)
WIDE, APART = Arg((2, 4), low=-0.25, high=0.25), Arg((3, 4), distinct=True)
CUBE = Arg((2, 3, 4), distinct=True)

CASES = [
    *(Case(ops.cond, (arg,), np.linalg.cond, {"p": p}, via=apart, order=2) for arg in (SQUARE, WIDE) for p in (None, 2, -2)),
    *(Case(ops.cond, (SQUARE,), np.linalg.cond, {"p": p}, via=apart, order=2) for p in (1, -1, np.inf, -np.inf, "fro", "nuc")),
    *(Case(ops.matrix_norm, (STACK,), np.linalg.matrix_norm, {"ord": p}, via=apart, order=2) for p in ("fro", "nuc", 2, -2)),
    *(Case(ops.matrix_norm, (CUBE,), np.linalg.matrix_norm, {"ord": p}, order=2) for p in (1, -1, np.inf, -np.inf)),
    Case(ops.matrix_norm, (CUBE,), np.linalg.matrix_norm, {"ord": 1, "keepdims": True}, order=2),
    Case(ops.norm, (APART,), np.linalg.norm),
    Case(ops.norm, (CUBE,), np.linalg.norm),
    Case(ops.norm, (Arg((4,), distinct=True),), np.linalg.norm, {"ord": 3}),
    *(Case(ops.norm, (APART,), np.linalg.norm, {"ord": p}, order=2) for p in (1, -np.inf)),
    Case(ops.norm, (WIDE,), np.linalg.norm, {"ord": "nuc"}, via=apart, order=2),
    Case(ops.norm, (CUBE,), np.linalg.norm, {"ord": np.inf, "axis": 1, "keepdims": True}, order=2),
    Case(ops.norm, (CUBE,), np.linalg.norm, {"ord": 1, "axis": (2, 0)}, order=2),
    Case(ops.norm, (CUBE,), np.linalg.norm, {"ord": "fro", "axis": (0, 2), "keepdims": True}, order=2),
    Case(ops.matrix_rank, (STACK,), np.linalg.matrix_rank, via=apart, order=0),
    *(Case(ops.matrix_power, (arg,), np.linalg.matrix_power, {"n": n}, via=apart)
      for arg in (SQUARE, STACK) for n in (0, 1, 2, 5, -3)),
    *(Case(ops.multi_dot, tuple(map(Arg, shapes)), np.linalg.multi_dot, sequence=True) for shapes in (
        ((2, 3), (3, 1)), ((2, 3), (3, 4), (4, 1)), ((3,), (3, 4), (4, 2), (2,)), ((5, 1), (1, 3), (3, 2), (2, 4)),
    )),
    Case(ops.tensorsolve, (Arg((2, 2, 4), low=-0.1, high=0.1), Arg((2, 2))), np.linalg.tensorsolve, via=lambda f: (
        lambda a, b: f(a + np.eye(4, dtype=a.dtype).reshape(2, 2, 4), b)
    ), fixed=True),
    Case(ops.tensorsolve, (Arg((2, 4, 2), low=-0.1, high=0.1), Arg((2, 2))), np.linalg.tensorsolve, via=lambda f: (
        lambda a, b: f(a + np.eye(4, dtype=a.dtype).reshape(2, 2, 4).swapaxes(1, 2), b, axes=(1,))
    ), fixed=True),
    Case(ops.tensorinv, (Arg((4, 2, 2), low=-0.1, high=0.1),), np.linalg.tensorinv, via=lambda f: (
        lambda a: f(a + np.eye(4, dtype=a.dtype).reshape(4, 2, 2), ind=1)
    ), fixed=True),
    Case(ops.tensorinv, (Arg((2, 2, 4), low=-0.1, high=0.1),), np.linalg.tensorinv, via=lambda f: (
        lambda a: f(a + np.eye(4, dtype=a.dtype).reshape(2, 2, 4))
    ), fixed=True),
    *(Case(ops.diagonal, (Arg((2, 3, 4)),), np.linalg.diagonal, {"offset": k}) for k in (0, 1)),
    *(Case(ops.trace, (Arg((2, 3, 4)),), np.linalg.trace, {"offset": k}) for k in (0, -1)),
    Case(ops.outer, (Arg((2,)), Arg((3,))), np.linalg.outer),
]  # fmt: skip
