"""Rows for ops/standardize.py."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from tinygrad_cnn.ops import standardize as ops
from tinygrad_cnn.testing.cases import Arg, Case

WHOLE = Arg((2, 3, 2))
AXES: list[dict[str, Any]] = [{"axis": (0, 2), "centred": True}, {"axis": (1,), "centred": False}]


def mean(a: NDArray[Any], axis: Any) -> NDArray[Any]:
    """The mean with its axes kept."""
    return np.asarray(a.mean(axis=axis, keepdims=True))


def spread(x: NDArray[Any], axis: Any, centred: bool) -> NDArray[Any]:
    """The variance, or the mean square."""
    return mean((x - centred * mean(x, axis)) ** 2, axis)


def standard(x: NDArray[Any], axis: Any, eps: float, centred: bool) -> NDArray[Any]:
    """The formula as it is written."""
    return np.asarray((x - centred * mean(x, axis)) / np.sqrt(spread(x, axis, centred) + eps))


def normalized(x: NDArray[Any], w: NDArray[Any], b: NDArray[Any], axis: Any, eps: float) -> NDArray[Any]:
    """Standardized, scaled and shifted."""
    return np.asarray(standard(x, axis, eps, True) * w + b)


def correlations(u: NDArray[Any], x: NDArray[Any], axis: Any, eps: float) -> NDArray[Any]:
    """Two sums."""
    s = standard(x, axis, eps, True)
    return np.stack([part.sum(axis=axis, keepdims=True) for part in (u, u * s)])


def normalized_dx(u: NDArray[Any], x: NDArray[Any], w: NDArray[Any], axis: Any, eps: float) -> NDArray[Any]:
    """The gradient's formula, scaled."""
    return np.asarray(w * pulled(u, standard(x, axis, eps, True), 1 / np.sqrt(spread(x, axis, True) + eps), axis, True))


def pulled(u: NDArray[Any], s: NDArray[Any], r: NDArray[Any], axis: Any, centred: bool) -> NDArray[Any]:
    """The gradient's formula."""
    return np.asarray(r * (u - centred * mean(u, axis) - s * mean(u * s, axis)))


CASES = [
    *(
        Case(
            ops.moments,
            (WHOLE,),
            lambda x, axis, centred: np.stack([centred * mean(x, axis), spread(x, axis, centred)]),
            axes,
            order=0,
        )
        for axes in AXES
    ),
    *(Case(ops.standardize, (WHOLE,), standard, {"eps": 0.5, **axes}) for axes in AXES),
    *(
        Case(
            ops.rstd,
            (WHOLE,),
            lambda x, axis, eps, centred: 1 / np.sqrt(spread(x, axis, centred) + eps),
            {"eps": 0.5, **axes},
        )
        for axes in AXES
    ),
    Case(ops.standardize_dx, (WHOLE, WHOLE, Arg((1, 3, 1), low=0.5)), pulled, AXES[0]),
    Case(ops.standardize_dx, (WHOLE, WHOLE, Arg((2, 1, 2), low=0.5)), pulled, AXES[1]),
    *(
        case
        for axis, size in (((0, 2), (1, 3, 1)), ((2,), (1, 3, 1)), ((1,), (2, 1, 1)))
        for case in (
            Case(ops.normalized, (WHOLE, Arg(size), Arg(size)), normalized, {"axis": axis, "eps": 0.5}),
            Case(ops.correlations, (WHOLE, WHOLE), correlations, {"axis": axis, "eps": 0.5}),
            Case(ops.normalized_dx, (WHOLE, WHOLE, Arg(size)), normalized_dx, {"axis": axis, "eps": 0.5}),
        )
    ),
    Case(ops.product_to, (WHOLE, WHOLE), lambda a, b, shape: (a * b).sum((0, 2)).reshape(shape), {"shape": (3, 1)}),
    Case(ops.affine, (WHOLE, Arg((3, 1)), Arg((1, 3, 1))), lambda x, w, b: x * w + b),
    Case(ops.affine, (WHOLE, Arg((3, 1))), lambda x, w: x * w),
    Case(ops.affine, (WHOLE, Arg((3, 2)), Arg((3, 2))), lambda x, w, b: x * w + b),
]
