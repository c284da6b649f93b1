"""Rows for extra/special, where it and SciPy are installed."""

from __future__ import annotations

import importlib.util

from tinygrad_cnn.testing.cases import Arg, Case

CASES: list[Case] = []

try:
    present = all(importlib.util.find_spec(name) for name in ("scipy", "tinygrad_cnn.extra.special"))
except ModuleNotFoundError:  # without `extra`
    present = False

if present:
    import numpy as np
    from scipy import special as scipy

    from tinygrad_cnn.extra import special as ops

    REAL, POSITIVE, INSIDE = Arg(), Arg(low=0.5, high=4.0), Arg(low=0.125, high=0.875)
    NONZERO = Arg(away=(0.0,))

    CASES = [
        Case(ops.gammaln, (POSITIVE,), scipy.gammaln),
        Case(ops.gammaln, (Arg(low=-0.875, high=-0.125),), scipy.gammaln),
        Case(ops.gamma, (POSITIVE,), scipy.gamma),
        Case(ops.digamma, (POSITIVE,), scipy.digamma),
        *(Case(ops.polygamma, (POSITIVE,), scipy.polygamma, via=lambda f, n=n: lambda a: f(n, a)) for n in (0, 1, 2)),
        Case(ops.polygamma_of, (POSITIVE,), lambda x, n: scipy.polygamma(n, x), {"n": 1}),
        Case(ops.betaln, (POSITIVE, POSITIVE), scipy.betaln),
        Case(ops.expit, (REAL,), scipy.expit),
        Case(ops.logit, (INSIDE,), scipy.logit),
        Case(ops.erfc, (REAL,), scipy.erfc),
        Case(ops.erfinv, (Arg(low=-0.75, high=0.75),), scipy.erfinv),
        Case(ops.ndtr, (REAL,), scipy.ndtr),
        Case(ops.ndtri, (INSIDE,), scipy.ndtri),
        Case(ops.log_ndtr, (Arg(low=-6, high=4),), scipy.log_ndtr),
        Case(ops.normal_hazard, (REAL,), lambda a: np.exp(-a * a / 2) / np.sqrt(2 * np.pi) / scipy.ndtr(a)),
        Case(
            ops.normal_hazard,
            (Arg(low=-16, high=-12.5),),  # of the series; beside it, the third difference is lost in rounding
            lambda a, order: (lambda h: -h * (a + h))(np.sqrt(2 / np.pi) / scipy.erfcx(-a / np.sqrt(2))),
            {"order": 1},
        ),
        Case(ops.xlogy, (REAL, POSITIVE), scipy.xlogy),
        Case(ops.xlogy, (Arg(low=-0.02, high=0.02), POSITIVE), scipy.xlogy),  # mostly 0
        Case(ops.xlog1py, (REAL, Arg(low=-0.5)), scipy.xlog1py),
        Case(ops.i0e, (NONZERO,), scipy.i0e),
        Case(ops.i1e, (NONZERO,), scipy.i1e),
        Case(ops.scaled_bessel, (NONZERO,), lambda a, n: scipy.ive(n, a), {"n": 2}),
        Case(
            ops.scaled_bessel,
            (NONZERO,),
            lambda a, n, order: scipy.ivp(0, a) * np.exp(-abs(a)) - np.sign(a) * scipy.i0e(a),
            {"n": 0, "order": 1},
        ),
        Case(
            ops.scaled_bessel,
            (Arg(low=32, high=48),),
            lambda a, n, order: scipy.ivp(1, a) * np.exp(-a) - scipy.i1e(a),
            {"n": 1, "order": 1},
        ),
    ]
