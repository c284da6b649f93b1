"""Rows for ops/linalg.py and ops/affine.py."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from tinygrad_cnn.numpy_api import products
from tinygrad_cnn.ops import matmul as ops
from tinygrad_cnn.testing.cases import Arg, Case

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

DOTS = [((), (2, 3)), ((3,), (3,)), ((2, 3), (3,)), ((2, 3), (3, 2)), ((2, 1, 3), (2, 3, 2))]
INNERS = [((2, 3), ()), ((3,), (3,)), ((2, 3), (2, 1, 3))]
PAIRS = [
    (1, (2, 3), (3, 2)),
    (0, (2,), (3,)),
    (2, (2, 3, 2), (3, 2)),
    (((0, -1), (2, 0)), (2, 3, 2), (2, 2, 2)),
    ((1, 0), (2, 3), (3, 2)),
]


def _bilinear(a: NDArray[Any], b: NDArray[Any], w: NDArray[Any], bias: Any = 0.0) -> NDArray[Any]:
    return np.stack([((a @ m) * b).sum(-1) for m in w], -1) + bias


CASES = [
    *(Case(ops.matmul, (Arg(a), Arg(b)), np.matmul) for a, b in SHAPES),
    *(Case(ops.dot, (Arg(a), Arg(b)), np.dot) for a, b in DOTS),
    *(Case(products.inner, (Arg(a), Arg(b)), np.inner) for a, b in INNERS),
    Case(products.outer, (Arg((2, 2)), Arg((3,))), np.outer),
    *(Case(ops.tensordot, (Arg(a), Arg(b)), np.tensordot, {"axes": axes}) for axes, a, b in PAIRS),
    *(
        Case(ops.linear, (Arg(x), Arg((2, 3)), Arg((2,))), lambda x, w, b: x @ w.T + b)
        for x in [(3,), (4, 3), (5, 0, 3), (2, 4, 3)]
    ),
    Case(ops.bilinear, (Arg((2, 3)), Arg((2, 4)), Arg((5, 3, 4)), Arg((5,))), _bilinear),
    Case(ops.bilinear, (Arg((2, 3, 3)), Arg((2, 3, 3)), Arg((3, 3, 3))), _bilinear),
    Case(ops.bilinear, (Arg((2,)), Arg((3,)), Arg((2, 2, 3))), _bilinear),
    Case(ops.linear, (Arg((4, 3)), Arg((2, 3))), lambda x, w: x @ w.T),
    Case(ops.linear, (Arg((2, 4, 3)), Arg((2, 3))), lambda x, w: x @ w.T),
    Case(ops.trace, (Arg((2, 3, 4)),), np.trace),
    Case(ops.trace, (Arg((2, 3, 4)),), np.trace, {"offset": -1, "axis1": 2, "axis2": 1}),
    Case(products.vdot, (Arg((2, 3)), Arg((3, 2))), np.vdot),
    Case(products.vecdot, (Arg((2, 3)), Arg((4, 1, 3))), np.vecdot),
    Case(products.vecdot, (Arg((3, 2)), Arg((3, 2))), np.vecdot, {"axis": 0}),
    Case(products.matvec, (Arg((2, 3, 4)), Arg((4,))), lambda a, b: np.einsum("...ij,...j->...i", a, b)),
    Case(products.vecmat, (Arg((3,)), Arg((2, 3, 4))), lambda a, b: np.einsum("...i,...ij->...j", np.conj(a), b)),
    Case(products.kron, (Arg((2, 3)), Arg((3, 2))), np.kron),
    Case(products.kron, (Arg((2,)), Arg((2, 1, 3))), np.kron),
    Case(products.cross, (Arg((2, 3)), Arg((3,))), np.cross),
    Case(products.cross, (Arg((3, 2)), Arg((3, 2))), np.cross, {"axis": 0}),
    Case(products.cross, (Arg((2, 2)), Arg((2,))), lambda a, b: a[..., 0] * b[1] - a[..., 1] * b[0], fixed=True),
    Case(
        products.cross,
        (Arg((2, 4)), Arg((4, 3))),
        lambda a, b, axisa: np.cross(np.pad(a.T, [(0, 0), (0, 1)]), b),
        {"axisa": 0},
        fixed=True,
    ),
    Case(products.cross, (Arg((3, 2, 3)), Arg((2, 3, 3))), np.cross, {"axisa": 0, "axisb": 1, "axisc": 0}),
]
