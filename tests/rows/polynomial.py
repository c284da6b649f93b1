"""Rows for numpy_api/polynomial.py."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from tinygrad_cnn.numpy_api import polynomial as ops
from tinygrad_cnn.testing.cases import Arg, Case


def _product(a1: NDArray[Any], a2: NDArray[Any]) -> NDArray[Any]:
    """NumPy's product with the leading zeros that it drops."""
    y = np.polymul(a1, a2)
    return np.pad(y, (a1.size + a2.size - 1 - y.size, 0))


LONG, SHORT, ONE = Arg((5,)), Arg((2,)), Arg((1,))

CASES = [
    *(
        Case(f, (a, v), g, {"mode": mode})
        for f, g in ((ops.convolve, np.convolve), (ops.correlate, np.correlate))
        for mode in ("full", "same", "valid")
        for a, v in ((LONG, SHORT), (SHORT, LONG), (LONG, Arg((3,))), (ONE, ONE))
    ),
    Case(ops.polyval, (Arg((4,)), Arg((2, 2))), np.polyval, fixed=True),
    Case(ops.polyval, (Arg((3,)), Arg((3, 3))), np.polyval, fixed=True),
    *(
        Case(ops.vander, (Arg((3,)),), np.vander, {"N": n, "increasing": increasing})
        for n in (None, 0, 1, 4) for increasing in (True, False)
    ),
    *(Case(f, (a, b), g) for f, g in (
        (ops.polyadd, np.polyadd), (ops.polysub, np.polysub), (ops.polymul, _product),
    ) for a, b in ((LONG, SHORT), (SHORT, LONG), (ONE, ONE))),
    *(Case(ops.polyder, (LONG,), np.polyder, {"m": m}) for m in (0, 1, 3)),
    *(Case(ops.polyint, (LONG,), np.polyint, {"m": m}) for m in (0, 1, 3)),
    Case(ops.poly, (LONG,), np.poly),
    Case(ops.poly, (Arg((2, 2), low=-0.25, high=0.25),), np.poly, via=lambda f: (
        lambda a: f(a + np.diag(np.arange(2, dtype=a.dtype)))
    ), order=2),
    *(Case(ops.polyfit, (Arg((6,), low=-0.25, high=0.25), Arg(size)), np.polyfit, {"deg": 2}, via=lambda f: (
        lambda x, y, deg: f(x + np.arange(-2, 4, dtype=x.dtype), y, deg)
    ), order=2) for size in ((6,), (6, 6))),
    Case(ops.polyfit, (Arg((4,)), Arg((4,), low=0.5)), np.polyfit, {"deg": 1}, via=lambda f: (
        lambda y, w, deg: f(np.arange(4, dtype=y.dtype), y, deg, w=w)
    ), order=2),
    Case(ops.polyint, (LONG, SHORT), np.polyint, via=lambda f: lambda p, k: f(p, 2, k), fixed=True),
    Case(ops.polyint, (LONG, Arg(())), np.polyint, via=lambda f: lambda p, k: f(p, 2, k)),
]  # fmt: skip
