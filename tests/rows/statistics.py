"""Rows for numpy_api/statistics.py."""

from __future__ import annotations

import numpy as np

from tinygrad_cnn.numpy_api import statistics as ops
from tinygrad_cnn.testing.cases import Arg, Case

MATRIX = Arg((3, 4))
APART, CUBE, VECTOR = Arg((3, 4), distinct=True), Arg((2, 3, 4), distinct=True), Arg((5,), distinct=True)
WEIGHTS = Arg((4,), low=0.5)
METHODS = (
    "linear", "lower", "higher", "midpoint", "nearest", "weibull", "hazen", "median_unbiased", "normal_unbiased",
    "interpolated_inverted_cdf",
)  # fmt: skip


def closest(a, q, axis=0, method=None):
    """The observation of rank n q - 1/2, rounded up, but where that is an even number. NumPy 2.0 has other numbers."""
    n, ranks = a.shape[axis], []
    for p in q:
        r = n * p - 0.5
        ranks.append(r if r == np.floor(r) and r % 2 == 0 else np.floor(r) + 1)
    places = np.clip(np.array(ranks, int), 1, n) - 1
    return np.moveaxis(np.take(np.sort(a, axis), places, axis), axis, 0)


CASES = [
    Case(ops.ptp, (APART,), np.ptp),
    Case(ops.ptp, (CUBE,), np.ptp, {"axis": (0, -1), "keepdims": True}),
    Case(ops.average, (MATRIX,), np.average, {"axis": 0}),
    Case(ops.average, (MATRIX,), np.average),
    Case(ops.average, (MATRIX, Arg((3, 4), low=0.5)), np.average, via=lambda f: lambda a, w: f(a, weights=w)),
    Case(ops.average, (MATRIX, WEIGHTS), np.average, via=lambda f: lambda a, w: f(a, 1, w, keepdims=True)),
    Case(ops.average, (MATRIX, WEIGHTS), np.average, via=lambda f: lambda a, w: f(a, 1, w, returned=True)[1] * a[:, 0]),
    Case(
        ops.average,
        (Arg((2, 3, 4)), Arg((4, 2), low=0.5)),
        lambda a, axis, weights: np.average(a.transpose(2, 0, 1).reshape(-1, a.shape[1]), 0, weights.reshape(-1)),
        via=lambda f: lambda a, w: f(a, (2, 0), w),
    ),
    Case(ops.median, (APART,), np.median),
    Case(ops.median, (VECTOR,), np.median),
    Case(ops.median, (CUBE,), np.median, {"axis": (0, 2), "keepdims": True}),
    *(
        Case(ops.quantile, (APART,), np.quantile, {"q": [0.0, 0.3, 1.0], "axis": 1, "method": method})
        for method in METHODS
    ),
    Case(ops.quantile, (CUBE,), np.quantile, {"q": 0.4, "axis": (0, 1)}),
    *(
        Case(ops.quantile, (CUBE,), np.quantile, {"q": [0.1, 0.5, 0.75, 1.0], "axis": -1, "method": method})
        for method in ("inverted_cdf", "averaged_inverted_cdf")
    ),
    Case(ops.quantile, (CUBE,), closest, {"q": [0.1, 0.5, 0.75, 1.0], "axis": -1, "method": "closest_observation"}),
    Case(ops.quantile, (VECTOR,), closest, {"q": [0.1, 0.3, 0.5, 0.9], "method": "closest_observation"}),
    Case(
        ops.quantile,
        (APART,),
        np.quantile,
        {"q": [[0.1, 0.3], [0.6, 1.0]], "axis": 1, "method": "inverted_cdf", "weights": np.array([0.0, 2.0, 1.0, 0.5])},
    ),
    Case(
        ops.percentile,
        (APART,),
        np.percentile,
        {"q": 40, "method": "inverted_cdf", "weights": np.arange(12.0).reshape(3, 4), "axis": 0},
    ),
    Case(
        ops.weighed_places,
        (Arg((2, 4), low=0.125, high=2.0),),
        lambda w, q: np.array([[np.searchsorted(np.cumsum(row) / row.sum(), p) for p in q] for row in w], float),
        {"q": (0.0, 0.25, 0.9, 1.0)},
        order=0,
    ),
    Case(ops.cov, (MATRIX,), np.cov, {"dtype": np.float64}),
    Case(
        ops.corrcoef,
        (Arg((3, 7)),),
        np.corrcoef,
        {"dtype": np.float64},
        via=lambda f: lambda m, **dtype: f(m + 3 * np.eye(3, 7, dtype=m.dtype), **dtype),
        fixed=True,
    ),
    Case(ops.quantile, (CUBE,), np.quantile, {"q": [[0.2, 0.9]], "axis": 1, "keepdims": True}),
    Case(ops.percentile, (APART,), np.percentile, {"q": [10, 80], "axis": 0}),
    Case(ops.percentile, (VECTOR,), np.percentile, {"q": 37.5, "method": "lower"}),
    Case(ops.cov, (MATRIX,), np.cov),
    Case(ops.cov, (Arg((4,)),), np.cov),
    Case(ops.cov, (MATRIX, WEIGHTS), np.cov, via=lambda f: lambda m, y: f(m, y, bias=True)),
    Case(ops.cov, (MATRIX, Arg((3, 1))), np.cov, via=lambda f: lambda m, y: f(m, y, rowvar=False, ddof=0)),
    Case(
        ops.cov,
        (MATRIX,),
        np.cov,
        via=lambda f: lambda m: f(m, fweights=[1, 2, 1, 3], aweights=[0.5, 1.0, 2.0, 1.0]),
        fixed=True,
    ),
    Case(
        ops.corrcoef,
        (Arg((3, 7)),),
        np.corrcoef,
        via=lambda f: lambda m: f(m + 3 * np.eye(3, 7, dtype=m.dtype)),
        fixed=True,
    ),
    Case(
        ops.corrcoef,
        (Arg((3, 3)),),
        np.corrcoef,
        via=lambda f: lambda m: f(m + 9 * np.eye(3, dtype=m.dtype)),
        fixed=True,
    ),
]
