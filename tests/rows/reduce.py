"""Rows for ops/reduce.py."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from tinygrad_cnn.ops import reduce as ops
from tinygrad_cnn.testing.cases import Arg, Case

WHOLE = Arg((2, 3, 4))
DISTINCT = Arg((2, 3, 4), distinct=True)
NONZERO = Arg((2, 3, 2), away=(-0.25, -0.125, 0.0, 0.125, 0.25))
SMALL = Arg((2, 2, 3))
ARGS = ((ops.argmax, np.argmax), (ops.argmin, np.argmin))
TRUTHS = ((ops.any, np.any), (ops.all, np.all))
HITS = np.array([[True, False, False, True], [False, True, True, False], [False, True, False, False]])
AXES: list[dict[str, Any]] = [
    {},
    {"axis": 1},
    {"axis": -1, "keepdims": True},
    {"axis": (0, -1)},
    {"axis": (0, 2), "keepdims": True},
    {"axis": ()},
]


def log_of_sum(a: NDArray[Any], axis: Any = None, keepdims: bool = False) -> Any:
    """logsumexp as it is written."""
    return np.log(np.sum(np.exp(a), axis=axis, keepdims=keepdims))


def shared(u: NDArray[Any], hits: NDArray[Any], axis: Any = None) -> Any:
    """u divided by the number of hits over `axis`, where they are."""
    return np.where(hits, u / hits.sum(axis=axis, keepdims=True), 0)


def _beside_hits(f: Any) -> Any:
    return lambda u, axis: f(u, HITS, axis=axis)


def _beside_square(f: Any) -> Any:
    return lambda u, axis: f(u, HITS[:, 1:], axis=axis)


def p_norm(a: NDArray[Any], p: float, axis: Any = None, keepdims: bool = False) -> Any:
    """The p-norm as it is written."""
    return np.sum(np.abs(a) ** p, axis=axis, keepdims=keepdims) ** (1 / p)


CASES = [
    *(Case(ops.sum, (WHOLE,), np.sum, axes) for axes in AXES),
    *(Case(ops.mean, (WHOLE,), np.mean, axes) for axes in AXES),
    *(Case(ops.max, (DISTINCT,), np.max, axes) for axes in AXES),
    *(Case(ops.min, (DISTINCT,), np.min, axes) for axes in AXES),
    *(
        Case(ops.share, (Arg(shape),), shared, {"axis": axis}, via=_beside_hits)
        for shape, axis in (((3, 1), 1), ((1, 4), -2), ((), None), ((1, 1), (0, 1)), ((3, 4), 1))
    ),
    *(Case(ops.share, (Arg((3, 3)),), shared, {"axis": axis}, via=_beside_square) for axis in (0, 1)),
    *(Case(f, (Arg(()),), g) for f, g in ((ops.sum, np.sum), (ops.mean, np.mean), (ops.max, np.max))),
    *(Case(ops.prod, (SMALL,), np.prod, axes) for axes in AXES),
    Case(ops.prod, (Arg((4,), low=0.0, high=0.25),), np.prod),  # zeros among the factors, often several
    *(
        Case(ops.centre, (WHOLE,), lambda a, axis: a - np.mean(a, axis=axis, keepdims=True), {"axis": x})
        for x in (1, (0, 2))
    ),
    *(Case(ops.variance, (WHOLE,), np.var, axes) for axes in AXES[2:5]),
    *(Case(ops.deviation, (DISTINCT,), np.std, axes) for axes in AXES[1:5]),
    Case(ops.exp_gap, (Arg(), Arg()), lambda a, b: np.exp(a - b)),
    *(Case(ops.logsumexp, (WHOLE,), log_of_sum, axes) for axes in AXES),
    *(Case(ops.power_norm, (NONZERO,), p_norm, {"p": p, **axes}) for p in (2, 3, 4, 1.5) for axes in AXES[1:3]),
    *(Case(ops.norm, (NONZERO,), np.linalg.vector_norm, {"ord": p}) for p in (1, 2.0, 0.5)),
    Case(ops.norm, (NONZERO,), np.linalg.vector_norm, {"axis": (0, 2), "keepdims": True}),
    *(Case(ops.norm, (DISTINCT,), np.linalg.vector_norm, {"ord": p, "axis": 1}) for p in (np.inf, -np.inf)),
    *(Case(f, (WHOLE,), g, axes, order=0) for f, g in ARGS for axes in AXES[:3]),
    *(Case(f, (Arg((2, 3, 4), kind="bool"),), g, axes, order=0) for f, g in TRUTHS for axes in AXES[:4]),
]
