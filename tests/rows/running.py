"""Rows for ops/running.py."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tinygrad_cnn.ops import running as ops
from tinygrad_cnn.testing.cases import Arg, Case

MATRIX, APART = Arg((3, 4)), Arg((3, 4), distinct=True)


def _which(a: NDArray[Any], axis: int, least: bool = False) -> NDArray[Any]:
    lines = np.moveaxis(-a if least else a, axis, -1)
    y = np.zeros(lines.shape, int)
    for at in np.ndindex(lines.shape):
        before = lines[at[:-1]][: at[-1] + 1]
        y[at] = at[-1] - np.argmax(before[::-1])
    return np.moveaxis(y, -1, axis)


def _first(f: Callable[..., Any]) -> Callable[..., Any]:
    """A function whose result is the first of two."""
    return lambda *args, **params: (f(*args, **params), None)


def _logcumsumexp(a: NDArray[Any], axis: int) -> NDArray[Any]:
    return np.asarray(np.log(np.cumsum(np.exp(a), axis)))


def _sums(a: NDArray[Any], axis: int | None = None, include_initial: bool = False) -> NDArray[Any]:
    sums = np.cumsum(a, axis or 0)
    return np.insert(sums, 0, 0.0, axis or 0) if include_initial else sums


def _products(a: NDArray[Any], axis: int | None = None, include_initial: bool = False) -> NDArray[Any]:
    products = np.cumprod(a, axis or 0)
    return np.insert(products, 0, 1.0, axis or 0) if include_initial else products


CASES = [
    *(
        Case(f, (APART,), _first(g.accumulate), {"axis": axis}, via=lambda f: lambda a, **params: f(a, **params)[0])
        for f, g in ((ops.cummax, np.maximum), (ops.cummin, np.minimum))
        for axis in (0, 1)
    ),
    Case(ops.running_argmax, (APART,), _which, {"axis": 1}, order=0),
    Case(ops.running_argmax, (APART,), _which, {"axis": 0, "least": True}, order=0),
    *(Case(ops.logcumsumexp, (MATRIX,), _logcumsumexp, {"axis": axis}) for axis in (0, -1)),
    Case(ops.cumulative_sum, (Arg((4,)),), _sums),
    Case(ops.cumulative_sum, (MATRIX,), _sums, {"axis": 0}),
    Case(ops.cumulative_sum, (MATRIX,), _sums, {"axis": 1, "include_initial": True}),
    Case(ops.cumulative_prod, (Arg((4,)),), _products),
    Case(ops.cumulative_prod, (MATRIX,), _products, {"axis": 1}),
    Case(ops.cumulative_prod, (MATRIX,), _products, {"axis": 0, "include_initial": True}),
]
