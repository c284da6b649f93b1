"""Rows for ops/masked.py, and for the reductions that it gives further arguments."""

from __future__ import annotations

from typing import Any

import numpy as np

from tinygrad_cnn.ops import masked as ops
from tinygrad_cnn.ops import reduce, scan
from tinygrad_cnn.testing.cases import Arg, Case

WHOLE = Arg((2, 3, 4))
DISTINCT = Arg((2, 3, 4), distinct=True)
SMALL = Arg((2, 2, 3))
MASK = np.array([[True, True, False, True], [False, True, True, True], [True, True, False, True]])
COLUMNS = np.array([[True, False, True], [False, True, True]])
SOME: list[dict[str, Any]] = [
    {"where": MASK},
    {"where": MASK, "axis": (0, 1)},
    {"where": MASK, "axis": -1, "keepdims": True},
]


def about(f: Any) -> Any:
    """The spread about given values."""
    return lambda a, m, **params: f(a, mean=m, **params)


CASES = [
    *(Case(f, (WHOLE,), g, some) for f, g in ((reduce.sum, np.sum), (reduce.mean, np.mean)) for some in SOME),
    *(Case(f, (WHOLE,), g, some, order=0) for f, g in ((reduce.any, np.any), (reduce.all, np.all)) for some in SOME),
    *(
        Case(f, (DISTINCT,), g, {"initial": initial, **how})
        for f, g, initial in ((reduce.max, np.max, -9.0), (reduce.min, np.min, 9), (reduce.max, np.max, 0.1))
        for how in ({}, {"axis": 1}, *SOME)
    ),
    Case(reduce.sum, (WHOLE,), np.sum, {"initial": 2.5, "axis": 1}),
    Case(reduce.prod, (SMALL,), np.prod, {"initial": 2, "axis": 1, "where": COLUMNS}),
    Case(reduce.prod, (SMALL,), np.prod, {"where": COLUMNS, "keepdims": True}),
    *(
        Case(f, (WHOLE,), g, {"dtype": np.float64, "axis": 0})
        for f, g in (
            (reduce.sum, np.sum), (reduce.prod, np.prod), (reduce.mean, np.mean), (ops.var, np.var),
            (scan.cumsum, np.cumsum), (scan.cumprod, np.cumprod),
        )
    ),
    Case(ops.var, (WHOLE,), np.var, {"axis": 1, "correction": 1}),
    Case(ops.var, (WHOLE,), np.var, {"ddof": 2, "keepdims": True}),
    Case(ops.std, (DISTINCT,), np.std, {"dtype": np.float64, "axis": 0}),
    Case(ops.std, (DISTINCT,), np.std, {"axis": -1, "correction": 1.5}),
    Case(ops.std, (DISTINCT,), np.std, {"ddof": 1}),
    *(Case(f, (DISTINCT,), g, some) for f, g in ((ops.var, np.var), (ops.std, np.std)) for some in SOME),
    Case(ops.var, (DISTINCT,), np.var, {"axis": 2, "correction": 1, "where": MASK}),
    *(
        Case(f, (WHOLE, Arg((2, 3, 1), low=2.5, high=3.0)), g, {"axis": -1, "ddof": 1, **how}, via=about)
        for f, g in ((ops.var, np.var), (ops.std, np.std)) for how in ({}, {"where": MASK})
    ),
]  # fmt: skip
