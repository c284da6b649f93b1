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
    from tinygrad_cnn.extra.special.bessel import bessel_i, bessel_j, bessel_y, scaled_bessel, scaled_bessel_of
    from tinygrad_cnn.extra.special.gammas import polygamma_of, reciprocal_gamma_of
    from tinygrad_cnn.extra.special.incomplete import lower_beta, upper_gamma
    from tinygrad_cnn.extra.special.normal import complex_erf, normal_hazard
    from tinygrad_cnn.extra.special.student import student

    REAL, POSITIVE, INSIDE = Arg(), Arg(low=0.5, high=4.0), Arg(low=0.125, high=0.875)
    NONZERO = Arg(away=(0.0,))

    CASES = [
        Case(ops.gammaln, (POSITIVE,), scipy.gammaln),
        Case(ops.gammaln, (Arg(low=-0.875, high=-0.125),), scipy.gammaln),
        Case(ops.gamma, (POSITIVE,), scipy.gamma),
        Case(ops.digamma, (POSITIVE,), scipy.digamma),
        *(Case(ops.polygamma, (POSITIVE,), scipy.polygamma, via=lambda f, n=n: lambda a: f(n, a)) for n in (0, 1, 2)),
        Case(polygamma_of, (POSITIVE,), lambda x, n: scipy.polygamma(n, x), {"n": 1}),
        Case(ops.betaln, (POSITIVE, POSITIVE), scipy.betaln),
        Case(ops.expit, (REAL,), scipy.expit),
        Case(ops.logit, (INSIDE,), scipy.logit),
        Case(ops.erfc, (REAL,), scipy.erfc),
        Case(complex_erf, (REAL,), scipy.erf),
        Case(ops.erfinv, (Arg(low=-0.75, high=0.75),), scipy.erfinv),
        Case(ops.ndtr, (REAL,), scipy.ndtr),
        Case(ops.ndtri, (INSIDE,), scipy.ndtri),
        Case(ops.log_ndtr, (Arg(low=-6, high=4),), scipy.log_ndtr),
        Case(normal_hazard, (REAL,), lambda a: np.exp(-a * a / 2) / np.sqrt(2 * np.pi) / scipy.ndtr(a)),
        Case(
            normal_hazard,
            (Arg(low=-16, high=-12.5),),  # of the series; beside it, the third difference is lost in rounding
            lambda a, order: (lambda h: -h * (a + h))(np.sqrt(2 / np.pi) / scipy.erfcx(-a / np.sqrt(2))),
            {"order": 1},
        ),
        Case(ops.xlogy, (REAL, POSITIVE), scipy.xlogy),
        Case(ops.xlogy, (Arg(low=-0.02, high=0.02), POSITIVE), scipy.xlogy),  # mostly 0
        Case(ops.xlog1py, (REAL, Arg(low=-0.5)), scipy.xlog1py),
        Case(ops.i0e, (NONZERO,), scipy.i0e),
        Case(ops.i1e, (NONZERO,), scipy.i1e),
        Case(scaled_bessel, (NONZERO,), lambda a, n: scipy.ive(n, a), {"n": 2}),
        Case(
            scaled_bessel,
            (NONZERO,),
            lambda a, n, order: scipy.ivp(0, a) * np.exp(-abs(a)) - np.sign(a) * scipy.i0e(a),
            {"n": 0, "order": 1},
        ),
        Case(
            scaled_bessel,
            (Arg(low=32, high=48),),
            lambda a, n, order: scipy.ivp(1, a) * np.exp(-a) - scipy.i1e(a),
            {"n": 1, "order": 1},
        ),
        Case(ops.beta, (POSITIVE, POSITIVE), scipy.beta),
        Case(ops.rgamma, (POSITIVE,), scipy.rgamma),
        Case(ops.rgamma, (Arg(low=-0.875, high=-0.125),), scipy.rgamma),
        Case(reciprocal_gamma_of, (POSITIVE,), lambda a, n: -scipy.rgamma(a) * scipy.psi(a), {"n": 1}),
        Case(ops.multigammaln, (Arg(low=1.5, high=4.0),), lambda a, d: np.vectorize(scipy.multigammaln)(a, d), {"d": 3}),
        Case(ops.erfcinv, (Arg(low=0.25, high=1.75),), scipy.erfcinv),
        Case(ops.entr, (POSITIVE,), scipy.entr),
        Case(ops.rel_entr, (POSITIVE, POSITIVE), scipy.rel_entr),
        Case(ops.logsumexp, (Arg((2, 3)),), scipy.logsumexp),  # of nothing it is -inf
        Case(ops.logsumexp, (Arg((2, 3)),), scipy.logsumexp, {"axis": 1, "keepdims": True}),
        Case(
            ops.logsumexp, (Arg((2, 3)), Arg((2, 3), low=0.5)), scipy.logsumexp, {"axis": 1},
            via=lambda f: lambda a, b, axis: f(a, axis, b=b),
        ),
        *(Case(f, (POSITIVE,), getattr(scipy, f.__name__)) for f in (ops.j0, ops.j1, ops.y0, ops.y1, ops.i0, ops.i1)),
        *(
            Case(f, (POSITIVE,), g, via=lambda f: lambda a: f(1.5, a))
            for f, g in ((ops.jv, scipy.jv), (ops.yv, scipy.yv), (ops.iv, scipy.iv), (ops.ive, scipy.ive), (ops.yn, scipy.yv))
        ),
        Case(bessel_j, (POSITIVE,), lambda a, n: scipy.jv(n, a), {"n": 0.5}),
        Case(bessel_y, (POSITIVE,), lambda a, n: scipy.yv(n, a), {"n": 2.0}),
        Case(bessel_i, (POSITIVE,), lambda a, n: scipy.iv(n, a), {"n": 0.5}),
        Case(scaled_bessel_of, (POSITIVE,), lambda a, n: scipy.ive(n, a), {"n": 0.5}),
        Case(ops.gammaincc, (POSITIVE, POSITIVE), scipy.gammaincc),
        Case(ops.gammainc, (POSITIVE, POSITIVE), scipy.gammainc),
        Case(ops.gammainc, (Arg(low=0.0625, high=0.375), POSITIVE), scipy.gammainc),
        Case(
            upper_gamma, (POSITIVE, POSITIVE), lambda a, x, m, k: -np.exp((a - 1) * np.log(x) - x - scipy.gammaln(a)),
            {"m": 0, "k": 1},
        ),
        Case(ops.betainc, (POSITIVE, POSITIVE, INSIDE), scipy.betainc),
        Case(ops.betainc, (Arg(low=0.0625, high=0.375), POSITIVE, INSIDE), scipy.betainc),
        Case(
            lower_beta, (POSITIVE, POSITIVE, INSIDE),
            lambda a, b, x, m, n, k: x ** (a - 1) * (1 - x) ** (b - 1) / scipy.beta(a, b), {"m": 0, "n": 0, "k": 1},
        ),
        Case(ops.stdtr, (POSITIVE, NONZERO), scipy.stdtr, order=2),
        Case(student, (POSITIVE, NONZERO), lambda df, t, m: scipy.stdtr(df, t), {"m": 0}, order=2),
    ]  # fmt: skip
