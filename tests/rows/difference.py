"""Rows for numpy_api/difference.py."""

from __future__ import annotations

import numpy as np

from tinygrad_cnn.numpy_api import difference as ops
from tinygrad_cnn.testing.cases import Arg, Case

VECTOR, MATRIX, CUBE = Arg((5,)), Arg((4, 5)), Arg((3, 4, 3))
GROWING = Arg((5,), low=-0.25, high=0.25)  # with 0, 1, 2, ... added
TURNS = Arg((4, 4), low=-0.4, high=0.4)
JUMPS = np.array([[0.0, 4.0, 9.0, 2.0]]) + np.arange(4.0)[:, None]
KNOTS = (-6.0, -5.0, -3.0, -2.0, -1.0, 1.0, 2.0, 3.0, 5.0, 6.0)

CASES = [
    Case(ops.diff, (VECTOR,), np.diff),
    Case(ops.diff, (CUBE,), np.diff, {"n": 2, "axis": 1}),
    Case(ops.diff, (MATRIX,), np.diff, {"n": 0}),
    Case(ops.diff, (MATRIX, Arg((4, 1)), Arg(())), np.diff, via=lambda f: lambda a, b, c: f(a, prepend=b, append=c)),
    Case(ops.diff, (Arg((5,), kind="bool"),), np.diff, order=0),
    Case(ops.ediff1d, (Arg((2, 3)),), np.ediff1d),
    Case(ops.ediff1d, (Arg((3, 3)), Arg((2,)), Arg(())), np.ediff1d),
    *(Case(ops.gradient, (VECTOR,), np.gradient, {"edge_order": order}) for order in (1, 2)),
    *(
        Case(ops.gradient, (VECTOR, GROWING), np.gradient, {"edge_order": order}, via=lambda f: (
            lambda a, x, **p: f(a, x + np.arange(5, dtype=x.dtype) ** 2, **p)
        ), fixed=True)
        for order in (1, 2)
    ),
    Case(ops.gradient, (MATRIX,), np.gradient, via=lambda f: lambda a: f(a)[0] * 2 + f(a)[1]),
    Case(ops.gradient, (MATRIX, Arg((), low=0.5)), np.gradient, {"axis": 0}),
    Case(ops.gradient, (CUBE,), np.gradient, {"axis": (2, 0)}, via=lambda f: lambda a, axis: f(a, 0.5, 2.0, axis=axis)[1]),
    Case(ops.gradient, (Arg((2,)),), np.gradient),
    Case(ops.trapezoid, (MATRIX,), np.trapezoid),
    Case(ops.trapezoid, (CUBE, Arg((3,))), np.trapezoid, {"axis": 0}, via=lambda f: lambda y, x, axis: f(y, x, axis=axis)),
    Case(ops.trapezoid, (MATRIX, MATRIX), np.trapezoid),
    Case(ops.trapezoid, (MATRIX, Arg(())), np.trapezoid, via=lambda f: lambda y, h: f(y, dx=h, axis=0)),
    Case(ops.interp, (Arg((4, 4), low=-0.9, high=3.9, away=(0.0, 1.0, 2.0, 3.0)), Arg((4,))), np.interp, via=lambda f: (
        lambda x, y: f(x, np.arange(4, dtype=x.dtype), y)
    ), fixed=True),
    Case(ops.interp, (GROWING, Arg((4,), low=-0.1, high=0.1), Arg((4,))), np.interp, via=lambda f: (
        lambda x, xp, fp: f(x + np.arange(5, dtype=x.dtype) - 0.5, xp + np.arange(4, dtype=x.dtype), fp)
    ), fixed=True, order=2),
    Case(ops.interp, (Arg((5,), low=-0.9, high=3.9, away=(0.0, 1.0, 3.0)), Arg(()), Arg(())), np.interp, via=lambda f: (
        lambda x, a, b: f(x, np.array([0, 1, 3], x.dtype), np.array([1, -1, 2], x.dtype), left=a, right=b)
    )),
    Case(ops.interp, (Arg((5,), low=-6, high=6, away=KNOTS), Arg((3,))), np.interp, via=lambda f: (
        lambda x, y: f(x, np.array([3, 1, 6], x.dtype), y, period=4)
    ), fixed=True),
    Case(ops.interp, (Arg((1,)),), np.interp, via=lambda f: (
        lambda y: f(np.arange(3, dtype=y.dtype), np.ones(1, y.dtype), y)
    )),
    Case(ops.unwrap, (TURNS,), np.unwrap, via=lambda f: lambda p: f(p + JUMPS.astype(p.dtype))),
    Case(ops.unwrap, (TURNS,), np.unwrap, {"axis": 0, "period": 3.0}, via=lambda f: (
        lambda p, **params: f(p + JUMPS.T.astype(p.dtype), **params)
    )),
    Case(ops.unwrap, (TURNS,), np.unwrap, {"discont": 5.5}, via=lambda f: (
        lambda p, **params: f(p + JUMPS.astype(p.dtype), **params)
    )),
]  # fmt: skip
