"""Special functions by SciPy's names: ``tinygrad_cnn.special.gammaln``. They need SciPy, the extra ``scipy``.

Once this module is loaded, SciPy's own functions of these names record on Tensors, too.
"""

from __future__ import annotations

import math
from operator import index
from typing import Any

import numpy as np

try:
    from scipy import special as scipy
except ModuleNotFoundError as error:
    raise ModuleNotFoundError(
        "tinygrad_cnn.special needs SciPy, which is not installed; pip install 'tinygrad_cnn[scipy]'", name="scipy"
    ) from error

from .core.graph import Array, OpFunction, Tensor, implements, op
from .ops.elementwise import clip, exp, log, sign, where
from .ops.transcendental import FLAT_SQUARED, erf, log1p
from .ops.ufunc import binary, unary

__all__ = [
    "betaln", "digamma", "erf", "erfc", "erfinv", "expit", "gamma", "gammaln", "i0e", "i1e", "log_ndtr", "logit", "ndtr",
    "ndtri", "polygamma", "xlog1py", "xlogy",
]  # fmt: skip

implements(scipy.erf)(erf)

# Gamma functions


@op(elementwise=True)
def polygamma_of(x: Array, *, n: int) -> Array:
    """y = psi^(n)(x), the n-th derivative of digamma.   x' = g psi^(n+1)(x)."""
    return np.asarray(scipy.polygamma(n, x)).astype(np.result_type(x, np.float16))


polygamma_of.vjp(x=lambda g, x, n: g * polygamma_of(x, n=n + 1))


def polygamma(n: int, x: Array) -> Tensor:
    """y = psi^(n)(x), the n-th derivative of digamma.   x' = g psi^(n+1)(x).

    Raises:
        TypeError: if `n` is no integer.
        ValueError: if it is negative.
    """
    if index(n) < 0:
        raise ValueError(f"polygamma: `n` is {n}; it must be 0 or more")
    return polygamma_of(x, n=index(n))


digamma: OpFunction[[]] = unary(
    scipy.psi, "y = d/da log Gamma(a).   a' = g polygamma(1, a).", "digamma", a=lambda g, a: g * polygamma_of(a, n=1)
)
gammaln = unary(scipy.gammaln, "y = log |Gamma(a)|.   a' = g digamma(a).", a=lambda g, a: g * digamma(a))
gamma = unary(scipy.gamma, "y = Gamma(a).   a' = g y digamma(a).", a=lambda g, y, a: g * y * digamma(a))


def _betaln_rule(g: Array, a: Array, b: Array) -> Array:
    own: Array = digamma(a)
    return g * (own - digamma(a + b))


betaln = binary(
    scipy.betaln,
    "y = log B(a, b), with B = Gamma(a) Gamma(b) / Gamma(a + b).   a' = g (digamma(a) - digamma(a + b)),  b' in the same way.",
    a=_betaln_rule,
    b=lambda g, a, b: _betaln_rule(g, b, a),
)

# The logistic function, the normal distribution and the error function

expit = unary(scipy.expit, "y = 1 / (1 + e^-a).   a' = g y (1 - y).", a=lambda g, y: g * y * (1 - y))
logit = unary(scipy.logit, "y = log(a / (1 - a)).   a' = g / (a (1 - a)).", a=lambda g, a: g / (a * (1 - a)))


def _bell(g: Array, a: Array, width: float) -> Any:
    """g e^(-width a^2)."""
    a = clip(a, -FLAT_SQUARED, FLAT_SQUARED)
    return g * exp(-width * a * a)


erfc = unary(
    scipy.erfc,
    "y = 1 - erf a, accurate where it is small.   a' = -g 2 / sqrt(pi) e^(-a^2).",
    a=lambda g, a: -_bell(g, a, 1.0) * (2 / math.sqrt(math.pi)),
)
erfinv = unary(
    scipy.erfinv,
    "y = the number whose erf is a.   a' = g sqrt(pi) / 2 e^(y^2).",
    a=lambda g, y: g * exp(y * y) * (math.sqrt(math.pi) / 2),
)
ndtr = unary(
    scipy.ndtr,
    "y = the probability that a standard normal number is below a.   a' = g e^(-a^2 / 2) / sqrt(2 pi).",
    a=lambda g, a: _bell(g, a, 0.5) * (1 / math.sqrt(2 * math.pi)),
)
ndtri = unary(
    scipy.ndtri,
    "y = the number whose ndtr is a.   a' = g sqrt(2 pi) e^(y^2 / 2).",
    a=lambda g, y: g * exp(y * y / 2) * math.sqrt(2 * math.pi),
)


@op(elementwise=True)
def normal_hazard(a: Array) -> Array:
    """y = phi(a) / Phi(a), the density over the distribution function of a normal number.   a' = -g y (a + y)."""
    a = np.asarray(a)
    return np.asarray(math.sqrt(2 / math.pi) / scipy.erfcx(a * -math.sqrt(0.5)))


normal_hazard.vjp(a=lambda g, y, a: -g * y * (a + y))

log_ndtr = unary(
    scipy.log_ndtr,
    "y = log ndtr(a), accurate far below 0.   a' = g phi(a) / Phi(a), with the normal density phi.",
    a=lambda g, a: g * normal_hazard(a),
)

# Products with logarithms


def _quotient(g: Array, a: Array, b: Array) -> Any:
    """g a / b, and 0 where both are 0."""
    return g * (a / where((a == 0) & (b == 0), 1, b))


xlogy = binary(
    scipy.xlogy,
    "y = a log b, and 0 where a = 0.   a' = g log b,  b' = g a / b, and 0 where a = 0.",
    a=lambda g, b: g * log(b),
    b=_quotient,
)
xlog1py = binary(
    scipy.xlog1py,
    "y = a log(1 + b), and 0 where a = 0.   a' = g log(1 + b),  b' = g a / (1 + b), and 0 where a = 0.",
    a=lambda g, b: g * log1p(b),
    b=lambda g, a, b: _quotient(g, a, 1 + b),
)

# Bessel functions


@op(elementwise=True)
def scaled_bessel(a: Array, *, order: int) -> Array:
    """y = e^-|a| I_n(a), with the modified Bessel function.   a' = g ((y_(n-1) + y_(n+1)) / 2 - sign(a) y_n)."""
    named = {0: scipy.i0e, 1: scipy.i1e}.get(order)
    return np.asarray(scipy.ive(order, a) if named is None else named(a)).astype(np.result_type(a, np.float16))


def _scaled_bessel_rule(g: Array, y: Array, a: Array, order: int) -> Any:
    below: Array = scaled_bessel(a, order=abs(order - 1))
    return g * ((below + scaled_bessel(a, order=order + 1)) * 0.5 - sign(a) * y)


scaled_bessel.vjp(a=_scaled_bessel_rule)


@implements(scipy.i0e)
def i0e(a: Array) -> Tensor:
    """y = e^-|a| I_0(a), with the modified Bessel function of order 0.   a' = g (i1e(a) - sign(a) y)."""
    return scaled_bessel(a, order=0)


@implements(scipy.i1e)
def i1e(a: Array) -> Tensor:
    """y = e^-|a| I_1(a), with the modified Bessel function of order 1.   a' = g ((y_0 + y_2) / 2 - sign(a) y)."""
    return scaled_bessel(a, order=1)
