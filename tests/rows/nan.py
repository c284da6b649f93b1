"""Rows for numpy_api/nan.py."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from tinygrad_cnn.numpy_api import nan as ops
from tinygrad_cnn.testing.cases import Arg, Case

MATRIX, APART = Arg((3, 3)), Arg((3, 3), distinct=True)
HOLES = np.array([[False, True, False], [False, False, False], [True, False, False]])

MOST = np.array([[True, True, True], [False, True, True], [True, True, True]])


def holed(f: Callable[..., Any]) -> Callable[..., Any]:
    """A function of a matrix in which some elements are NaN."""
    return lambda a, **params: f(np.where(HOLES, np.nan, a), **params)


CASES = [
    *(
        Case(f, (arg,), g, params, via=via)
        for f, g, arg in (
            (ops.nansum, np.nansum, MATRIX), (ops.nanprod, np.nanprod, MATRIX), (ops.nanmean, np.nanmean, MATRIX),
            (ops.nanvar, np.nanvar, MATRIX), (ops.nanstd, np.nanstd, APART), (ops.nanmax, np.nanmax, APART),
            (ops.nanmin, np.nanmin, APART), (ops.nanmedian, np.nanmedian, APART),
        )
        for params, via in (({}, holed), ({"axis": 1}, holed), ({"axis": 0, "keepdims": True}, lambda f: f))
    ),
    *(
        Case(f, (MATRIX,), g, {"axis": axis}, via=holed)
        for f, g in ((ops.nancumsum, np.nancumsum), (ops.nancumprod, np.nancumprod))
        for axis in (None, 0, 1)
    ),
    *(Case(f, (APART,), g, {"axis": 1, "ddof": 1}, via=holed) for f, g in ((ops.nanvar, np.nanvar), (ops.nanstd, np.nanstd))),
    *(
        Case(f, (APART,), g, {"axis": 1, "where": MOST, **how}, via=holed)
        for f, g, how in (
            (ops.nansum, np.nansum, {"initial": 2.0}), (ops.nanprod, np.nanprod, {"initial": 2.0}),
            (ops.nanmax, np.nanmax, {"initial": -9.0}), (ops.nanmin, np.nanmin, {"initial": 9.0}),
            (ops.nanmean, np.nanmean, {}),
            (ops.nanvar, np.nanvar, {}), (ops.nanstd, np.nanstd, {}),
            (ops.nanmean, np.nanmean, {"dtype": np.float64}),
        )
    ),
    Case(ops.nanquantile, (APART,), np.nanquantile, {"q": [0.25, 0.8], "axis": 1}, via=holed),
    Case(ops.nanquantile, (APART,), np.nanquantile, {"q": 0.3, "method": "hazen"}, via=holed),
    Case(
        ops.nanquantile, (APART,), np.nanquantile,
        {"q": [0.1, 0.4, 1.0], "axis": 1, "method": "inverted_cdf", "weights": np.arange(9.0).reshape(3, 3)}, via=holed,
    ),
    Case(ops.nanpercentile, (APART,), np.nanpercentile, {"q": 70, "axis": 0, "keepdims": True}, via=holed),
]  # fmt: skip
