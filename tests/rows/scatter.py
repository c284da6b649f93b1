"""Rows for ops/scatter.py, one element at a time."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tinygrad_cnn.ops import scatter as ops
from tinygrad_cnn.testing.cases import GAP, Arg, Case

REDUCE = {"sum": np.sum, "prod": np.prod, "mean": np.mean, "amax": np.max, "amin": np.min}


def scattered(
    x: NDArray[Any], axis: int, index: NDArray[Any], src: NDArray[Any], reduce: str, include_self: bool = True
) -> NDArray[Any]:  # fmt: skip
    """The elements for each place in a list, and then their reduction."""
    found: dict[Any, list[Any]] = defaultdict(list)
    for place in np.ndindex(index.shape):
        at = list(place)
        at[axis] = index[place] % x.shape[axis]
        found[tuple(at)].append(src[place])
    y = x.copy()
    for target, values in found.items():
        y[target] = REDUCE[reduce]([*values, *[x[target]] * include_self])
    return y


def _axis_second(f: Any) -> Any:
    return lambda x, index, src, axis: f(x, axis, index, src)


def apart(f: Any) -> Any:
    """The function with arrays first, of which no two elements are equal."""
    return lambda x, index, src, axis, **params: f(x, axis, index, src + GAP, **params)


def extreme(f: Any) -> Any:
    """The primitive, with distinct elements."""
    return lambda x, index, src, **params: f(x, index, src + GAP, **params)


def by_extreme(x: NDArray[Any], index: NDArray[Any], src: NDArray[Any], axis: int, largest: bool, **params: Any) -> Any:
    """The oracle of the primitive."""
    return scattered(x, axis, index, src, "amax" if largest else "amin", **params)


SHAPE, ALONG = (3, 4, 2), [(0, (4, 4, 2), (4, 4, 2)), (-1, (2, 3, 4), (2, 4, 5)), (1, (3, 3, 3), (3, 3, 3))]
TIED = Arg((3, 3), distinct=True, ties=True)

CASES = [
    *(
        Case(ops.scatter_add, (Arg(SHAPE), Arg(index, -SHAPE[axis], SHAPE[axis] - 1, kind="int"), Arg(src)),
             partial(scattered, reduce="sum"), {"axis": axis}, via=_axis_second)
        for axis, index, src in ALONG[:2]
    ),
    *(
        Case(ops.scatter_reduce, (Arg((3, 4, 3), distinct=True), Arg(index, -3, 2, kind="int"), Arg(src, distinct=True)),
             scattered, {"axis": axis, "reduce": reduce, "include_self": own}, order=2, via=apart)
        for (axis, index, src), own in ((ALONG[1], True), (ALONG[2], False)) for reduce in ops.REDUCTIONS
    ),
    *(
        Case(ops.scatter_extreme, (Arg((3, 3), distinct=True), Arg((4, 3), 0, 2, kind="int"), Arg((4, 3), distinct=True)),
             by_extreme, {"axis": 0, "largest": largest, "include_self": own}, order=2, via=extreme)
        for largest in (True, False) for own in (True, False)
    ),
    *(
        Case(ops.scatter_extreme, (TIED, Arg((4, 3), 0, 2, kind="int"), replace(TIED, shape=(4, 3))),
             by_extreme, {"axis": 0, "largest": True, "include_self": own}, order=1)
        for own in (True, False)
    ),
]  # fmt: skip
