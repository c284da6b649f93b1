"""Rows for ops/transcendental.py."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tinygrad_cnn.ops import transcendental as ops
from tinygrad_cnn.testing.cases import Arg, Case

REAL = Arg()
POSITIVE = Arg(low=0.25, high=3.0)
INSIDE = Arg(low=-0.75, high=0.75)
RIGHT, LEFT = Arg(low=0.5, high=2.0), Arg(low=-2.0, high=-0.5)


def _bessel(a: NDArray[Any], order: int) -> NDArray[Any]:
    terms = ((a / 2) ** (2 * k + order) / (math.factorial(k) * math.factorial(k + order)) for k in range(40))
    return np.asarray(sum(terms))


def _sinc_slope(a: NDArray[Any], order: int) -> NDArray[Any]:
    """In long double, by the quotient rule away from 0, and its first terms near it."""
    z = a.astype(np.longdouble) * np.pi
    far = np.where(np.abs(z) < 0.02, 1, z)
    near = -z / 3 * (1 - z**2 / 10 * (1 - z**2 / 28))
    return np.asarray(np.pi * np.where(np.abs(z) < 0.02, near, np.cos(far) / far - np.sin(far) / far**2), np.float64)


CASES = [
    Case(ops.exp2, (REAL,), np.exp2),
    Case(ops.expm1, (REAL,), np.expm1),
    Case(ops.log2, (POSITIVE,), np.log2),
    Case(ops.log10, (POSITIVE,), np.log10),
    Case(ops.log1p, (Arg(low=-0.75),), np.log1p),
    Case(ops.sin, (REAL,), np.sin),
    Case(ops.cos, (REAL,), np.cos),
    Case(ops.tan, (Arg(low=-1.0, high=1.0),), np.tan),
    Case(ops.arcsin, (INSIDE,), np.arcsin),
    Case(ops.arccos, (INSIDE,), np.arccos),
    Case(ops.arctan, (REAL,), np.arctan),
    Case(ops.arctan2, (REAL, RIGHT), np.arctan2),
    Case(ops.arctan2, (LEFT, REAL), np.arctan2),
    Case(lambda a: ops.arctan2(a, 2.0), (REAL,), lambda a: np.arctan2(a, 2.0)),
    Case(ops.hypot, (REAL, LEFT), np.hypot),
    Case(lambda a: ops.hypot(1.5, a), (REAL,), lambda a: np.sqrt(2.25 + a * a)),
    Case(ops.sinh, (REAL,), np.sinh),
    Case(ops.cosh, (REAL,), np.cosh),
    Case(ops.tanh, (REAL,), np.tanh),
    Case(ops.arcsinh, (REAL,), np.arcsinh),
    Case(ops.arccosh, (Arg(low=1.5, high=4.0),), np.arccosh),
    Case(ops.arctanh, (INSIDE,), np.arctanh),
    Case(ops.sigmoid, (Arg(low=-6, high=6),), lambda a: 1 / (1 + np.exp(-a))),
    Case(ops.sigmoid_pull, (Arg(), Arg(low=0.1, high=0.9)), lambda u, s: u * s * (1 - s)),
    Case(ops.logaddexp, (REAL, REAL), lambda a, b: np.log(np.exp(a) + np.exp(b))),
    Case(lambda a: ops.logaddexp(a, 0.5), (REAL,), lambda a: np.log(np.exp(a) + math.exp(0.5))),
    Case(ops.erf, (Arg(low=-3, high=3),), lambda a: np.vectorize(math.erf, otypes=[float])(a)),
    Case(ops.cbrt, (RIGHT,), np.cbrt),
    Case(ops.cbrt, (LEFT,), np.cbrt),
    Case(
        ops.float_power,
        (POSITIVE, REAL),
        np.float_power,
        {"dtype": np.float64},
        via=lambda f: lambda a, b, dtype: f(a, b),
    ),
    Case(ops.deg2rad, (REAL,), np.deg2rad),
    Case(ops.rad2deg, (REAL,), np.rad2deg),
    Case(ops.logaddexp2, (REAL, REAL), np.logaddexp2),
    Case(ops.i0, (REAL,), np.i0),
    Case(ops.bessel, (REAL,), lambda a, order: np.i0(a), {"order": 0}),
    Case(ops.bessel, (Arg(low=-9, high=9),), _bessel, {"order": 1}),
    Case(ops.sinc, (REAL,), np.sinc),
    Case(ops.sinc, (Arg(low=-20, high=20),), np.sinc),
    Case(ops.sinc_derivative, (REAL,), _sinc_slope, {"order": 1}),
    Case(ops.sinc_derivative, (Arg(low=-0.5, high=0.5),), np.sinc, {}),
]
