"""Rows for ops/einsum.py."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from tinygrad_cnn.ops import einsum as ops
from tinygrad_cnn.testing.cases import Arg, Case

SUBSCRIPTS: list[tuple[str, list[tuple[int, ...]]]] = [
    ("ij,jk->ik", [(2, 3), (3, 4)]),
    ("ij,jk", [(2, 3), (3, 4)]),
    ("ba", [(2, 3)]),
    ("ii", [(3, 3)]),
    ("iji->j", [(3, 2, 3)]),
    ("iij,jj->i", [(2, 2, 3), (3, 3)]),
    ("ij->", [(2, 3)]),
    ("ij,k->k", [(2, 3), (2,)]),
    ("i,i,i->i", [(3,), (3,), (3,)]),
    (",i->i", [(), (3,)]),
    ("...ij , ...jk -> ...ik", [(4, 1, 2, 3), (2, 3, 2)]),
    ("i...->...", [(2, 3)]),
    ("...,...", [(3, 1), (2,)]),
    ("...i->i", [(2, 3)]),
    ("ij,ij->j", [(1, 3), (2, 1)]),
    ("bij,bkj,bk->ib", [(2, 3, 2), (2, 2, 2), (2, 2)]),
    ("ij,jk->ik", [(0, 3), (3, 2)]),
]


def _reference(subscripts: str, *arrays: NDArray[Any]) -> Any:
    return np.einsum(subscripts, *arrays, optimize=True)  # which sums the axes of "..." where the output lacks it


CASES = [
    *(
        Case(
            ops.einsum,
            tuple(Arg(shape) for shape in shapes),
            _reference,
            via=lambda f, subscripts=subscripts: lambda *arrays: f(subscripts, *arrays),
        )
        for subscripts, shapes in SUBSCRIPTS
    ),
    Case(
        ops.einsum,
        (Arg((2, 3)), Arg((3, 2, 2))),
        np.einsum,
        via=lambda f: lambda a, b: f(a, [0, 1], b, [1, ..., 0], [..., 0]),
    ),
    Case(ops.einsum, (Arg((2, 3)),), np.einsum, via=lambda f: lambda a: f(a, [30, 2])),
    Case(
        ops.contract,
        (Arg((2, 3)), Arg((3, 2))),
        lambda arrays, subscripts: np.einsum(subscripts, *arrays),
        {"subscripts": "ab,ba->a"},
        sequence=True,
    ),
]
