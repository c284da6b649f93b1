"""Rows for ops/rounding.py."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from tinygrad_cnn.ops import rounding as ops
from tinygrad_cnn.testing.cases import Arg, Case

REAL, NONZERO = Arg(), Arg(away=(0.0,))
INTEGERS = tuple(map(float, range(-3, 4)))
BETWEEN = Arg(low=-3, high=3, away=INTEGERS)
SMALL = Arg(low=-0.375, high=0.375, away=(0.0,))  # beside divisors that are larger, a quotient is not an integer
POWERS = tuple(s * 2.0**k for s in (-1, 1) for k in range(-3, 3))


def item(i: int) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """One result of a function that has several."""
    return lambda f: lambda *args, **params: f(*args, **params)[i]


CASES = [
    Case(ops.trunc, (BETWEEN,), np.trunc),
    Case(ops.floor_divide, (SMALL, Arg(low=0.5)), np.floor_divide),
    Case(ops.floor_divide, (SMALL, Arg(high=-0.5)), np.floor_divide),
    Case(ops.remainder, (SMALL, Arg(low=0.5)), np.remainder),
    Case(ops.remainder, (SMALL, Arg(high=-0.5)), np.remainder),
    Case(ops.fmod, (SMALL, Arg(low=0.5)), np.fmod),
    *(
        Case(function, (BETWEEN,), reference, via=lambda f, b=b: lambda a: f(a, b))
        for function, reference in (
            (ops.remainder, np.remainder),
            (ops.fmod, np.fmod),
            (ops.floor_divide, np.floor_divide),
        )
        for b in (1.0, -0.5)
    ),
    *(
        Case(function, (Arg(low=-0.2, high=0.2),), reference, via=lambda f, a=a: lambda b: f(a, b + 2.75))
        for function, reference in ((ops.remainder, np.remainder), (ops.fmod, np.fmod))
        for a in (7.3, -7.3)
    ),
    *(Case(ops.divmod, (SMALL, Arg(low=0.5)), np.divmod, via=item(i)) for i in range(2)),
    *(Case(ops.modf, (BETWEEN,), np.modf, via=item(i)) for i in range(2)),
    Case(ops.frexp, (Arg(low=-4, high=4, away=(0.0, *POWERS)),), np.frexp, via=item(0)),
    Case(ops.frexp, (REAL,), np.frexp, via=item(1), order=0),
    Case(ops.exponent, (REAL,), lambda a: np.frexp(a)[1], order=0),
    Case(ops.heaviside, (NONZERO, REAL), np.heaviside),
    Case(ops.heaviside, (REAL,), np.heaviside, via=lambda f: lambda b: f(0.0, b)),
    Case(ops.heaviside, (Arg(kind="bool"), REAL), np.heaviside),
    Case(ops.copysign, (NONZERO, NONZERO), np.copysign),
    Case(ops.ldexp, (REAL, Arg(low=-3, high=3, kind="int")), np.ldexp),
    Case(ops.ldexp, (Arg(low=-3, high=3, kind="int"), REAL), np.ldexp, via=lambda f: lambda b, a: f(a, b)),
    Case(ops.positive, (REAL,), np.positive),
    Case(ops.nan_to_num, (REAL,), np.nan_to_num),
    Case(
        ops.nan_to_num,
        (REAL,),
        np.nan_to_num,
        {"nan": 2.5, "posinf": 3.5},
        via=lambda f: lambda a, **params: f(np.where(a > 1, np.inf, np.where(a < -1, np.nan, a)), **params),
        order=0,
    ),
]
