"""Rows for ops/softmax.py, against the formulas as they are written."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from tinygrad_cnn.ops import softmax as ops
from tinygrad_cnn.testing.cases import Arg, Case

WHOLE = Arg((2, 3, 2))


def share(a: NDArray[Any], axis: int = -1) -> NDArray[Any]:
    """Softmax."""
    return np.asarray(np.exp(a) / np.exp(a).sum(axis=axis, keepdims=True))


CASES = [
    *(Case(ops.softmax, (WHOLE,), share, p) for p in ({}, {"axis": 1})),
    *(Case(ops.softmin, (WHOLE,), lambda a, axis=-1: share(-a, axis), p) for p in ({}, {"axis": 0})),
    *(
        Case(
            ops.softmax_pull, (WHOLE, WHOLE), lambda u, p, axis: p * (u - (u * p).sum(axis, keepdims=True)), {"axis": i}
        )
        for i in (-1, 1)
    ),
    *(
        Case(
            ops.log_softmax_pull,
            (WHOLE, WHOLE),
            lambda u, q, axis: u - np.exp(q) * u.sum(axis, keepdims=True),
            {"axis": i},
        )
        for i in (-1, 1)
    ),
    *(Case(ops.log_softmax, (WHOLE,), lambda a, axis=-1: np.log(share(a, axis)), p) for p in ({}, {"axis": 1})),
]
