"""The gamma and beta functions, their logarithms, and the derivatives of these."""

from __future__ import annotations

import math
from operator import index

import numpy as np

from ...core.graph import Array, OpFunction, Tensor, implements, op
from ...ops.compare import greater
from ...ops.elementwise import sub, where
from ...ops.half import in_float32
from ...ops.lists import gather
from .ufuncs import floating, op_of, scipy

__all__ = ["beta", "betaln", "digamma", "gamma", "gammaln", "multigammaln", "polygamma", "psi", "rgamma"]


@op(elementwise=True)
def polygamma_of(x: Array, *, n: int) -> Array:
    """y = psi^(n)(x), the n-th derivative of digamma.   x' = g psi^(n+1)(x)."""
    return np.asarray(scipy.polygamma(n, x)).astype(floating(x))


polygamma_of.vjp(x=lambda g, x, n: g * polygamma_of(x, n=n + 1))


def polygamma(n: int, x: Array) -> Tensor:
    """y = psi^(n)(x), the n-th derivative of digamma.   x' = g psi^(n+1)(x).

    Raises:
        TypeError: if `n` is not an integer.
        ValueError: if it is negative.
    """
    if index(n) < 0:
        raise ValueError(f"polygamma: `n` is {n}; it must be 0 or more")
    return polygamma_of(x, n=index(n))


digamma: OpFunction[[]] = op_of(
    scipy.psi, "y = d/da log Gamma(a).   a' = g polygamma(1, a).", "digamma", a=lambda g, a: g * polygamma_of(a, n=1)
)
gammaln = op_of(scipy.gammaln, "y = log |Gamma(a)|.   a' = g digamma(a).", a=lambda g, a: g * digamma(a))
gamma = op_of(scipy.gamma, "y = Gamma(a).   a' = g y digamma(a).", a=lambda g, y, a: g * y * digamma(a))


@in_float32
def _betaln_rule(g: Array, a: Array, b: Array) -> Array:
    own: Array = digamma(a)
    return g * (own - digamma(a + b))


betaln = op_of(
    scipy.betaln,
    "y = log B(a, b), with B = Gamma(a) Gamma(b) / Gamma(a + b).   a' = g (digamma(a) - digamma(a + b)),  b' in the same way.",
    a=_betaln_rule,
    b=lambda g, a, b: _betaln_rule(g, b, a),
)
beta = op_of(
    scipy.beta,
    "y = B(a, b) = Gamma(a) Gamma(b) / Gamma(a + b).   a' = g y (digamma(a) - digamma(a + b)),  b' in the same way.",
    a=lambda g, y, a, b: _betaln_rule(g * y, a, b),
    b=lambda g, y, a, b: _betaln_rule(g * y, b, a),
)


@op(elementwise=True)
def reciprocal_gamma_of(a: Array, *, n: int) -> Array:
    """y = the n-th derivative of 1 / Gamma(a).   a' = g times the one after it.

    At 0, -1, -2, ..., digamma is infinite; there the derivative is a limit: of order 1 it is (-1)^k k! at -k.
    """
    dtype = floating(a)
    if not n:
        return np.asarray(scipy.rgamma(a)).astype(dtype)
    x = np.asarray(a, np.float64)
    whole = (x <= 0) & (x == np.floor(x))
    safe = np.where(whole, 1.0, x)
    found = [scipy.rgamma(safe)]
    logs = [-scipy.psi(safe), *(-_polygamma(k, safe) for k in range(1, n))]
    for i in range(n):
        found.append(sum(math.comb(i, j) * logs[j] * found[i - j] for j in range(i + 1)))
    if n > 2 and whole.any():
        raise NotImplementedError("rgamma: derivatives of order 3 and more at 0, -1, -2, ... are not known here")
    k = np.where(whole, -x, 0.0)
    first = np.where(k % 2 == 0, 1.0, -1.0) * scipy.gamma(k + 1)
    limit = first if n == 1 else -2 * first * scipy.psi(k + 1)
    return np.where(whole, limit, found[n]).astype(dtype)


def _polygamma(n: int, a: Array) -> Array:
    """psi^(n)(a), for negative a by reflection, which SciPy does for n = 0 only."""
    return np.where(a > 0, scipy.polygamma(n, np.where(a > 0, a, 1.0)), _reflected(n, np.where(a > 0, -0.5, a)))


def _reflected(n: int, a: Array) -> Array:
    """psi^(n)(a) = (-1)^n psi^(n)(1 - a) - pi d^n/da^n cot(pi a)."""
    cot = 1 / np.tan(np.pi * a)
    polynomial = np.polynomial.Polynomial([0.0, 1.0])
    for _ in range(n):  # cot' = -pi (1 + cot^2)
        polynomial = polynomial.deriv() * np.polynomial.Polynomial([-1.0, 0.0, -1.0]) * np.pi
    return (-1) ** n * scipy.polygamma(n, 1 - a) - np.pi * polynomial(cot)


reciprocal_gamma_of.vjp(a=lambda g, a, n: g * reciprocal_gamma_of(a, n=n + 1))


@implements(scipy.rgamma)
def rgamma(a: Array) -> Tensor:
    """y = 1 / Gamma(a), which is 0 at 0, -1, -2, ...   a' = -g y digamma(a), and its limit where y = 0."""
    return reciprocal_gamma_of(a, n=0)


def multigammaln(a: Array, d: int) -> Tensor:
    """y = log of the multivariate gamma function: d (d - 1) / 4 log pi + sum over j < d of gammaln(a - j / 2).

    Raises:
        ValueError: if `d` is not a positive whole number, or a <= (d - 1) / 2.
    """
    if index(d) < 1:
        raise ValueError(f"multigammaln: `d` is {d}; it must be positive")
    a = gather(a, "multigammaln")
    values = getattr(a, "_array", a)
    known = isinstance(values, np.ndarray) or not hasattr(values, "dtype")  # where not, NaN by the last line
    if known and np.any(np.asarray(values) <= 0.5 * (d - 1)):
        raise ValueError(f"multigammaln: `a` must be more than {0.5 * (d - 1)}, which is (d - 1) / 2")
    total = gammaln(a) + 0.25 * d * (d - 1) * math.log(math.pi)
    for j in range(1, index(d)):
        total = total + gammaln(sub(a, 0.5 * j))
    return where(greater(a, 0.5 * (d - 1)), total, np.nan)  # under vmap, samples after the first may be too small


psi = digamma
for _ufunc in (scipy.psi, scipy.digamma):  # two objects, in some versions
    implements(_ufunc)(digamma)
