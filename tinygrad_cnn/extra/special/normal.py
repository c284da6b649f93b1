"""The error function and the normal distribution."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ...core.graph import Array, Tensor, implements, op
from ...ops.elementwise import clip, exp
from ...ops.half import in_float32
from ...ops.lists import gather
from ...ops.transcendental import FLAT_SQUARED
from ...ops.transcendental import erf as real_erf
from ...scope import errors
from .ufuncs import floating, op_of, scipy

_zeros = errors(divide="ignore")

__all__ = ["erf", "erfc", "erfcinv", "erfinv", "log_ndtr", "ndtr", "ndtri"]


@in_float32
def _bell(g: Array, a: Array, width: float) -> Any:
    """g e^(-width a^2)."""
    if a.dtype.kind == "f":
        a = clip(a, -FLAT_SQUARED, FLAT_SQUARED)
    return g * exp(-width * a * a)


complex_erf = op_of(
    scipy.erf,
    "y = erf a, of complex numbers, too.   a' = g 2 / sqrt(pi) e^(-a^2).",
    "complex_erf",
    complex=True,
    a=lambda g, a: _bell(g, a, 1.0) * (2 / math.sqrt(math.pi)),
)


@implements(scipy.erf)
def erf(a: Array) -> Tensor:
    """y = 2 / sqrt(pi) times the integral of e^(-t^2) from 0 to a, which may be complex.   a' = g 2 / sqrt(pi) e^(-a^2)."""
    a = gather(a, "erf")
    dtype = a.dtype if hasattr(a, "dtype") else np.result_type(a)
    return complex_erf(a) if dtype.kind == "c" else real_erf(a)


erfc = op_of(
    scipy.erfc,
    "y = 1 - erf a, accurate where it is small; a may be complex.   a' = -g 2 / sqrt(pi) e^(-a^2).",
    complex=True,
    a=lambda g, a: -_bell(g, a, 1.0) * (2 / math.sqrt(math.pi)),
)
erfinv = op_of(
    scipy.erfinv,
    "y = the number whose erf is a.   a' = g sqrt(pi) / 2 e^(y^2).",
    a=lambda g, y: g * exp(y * y) * (math.sqrt(math.pi) / 2),
)
ndtr = op_of(
    scipy.ndtr,
    "y = the probability that a standard normal number is below a.   a' = g e^(-a^2 / 2) / sqrt(2 pi).",
    a=lambda g, a: _bell(g, a, 0.5) * (1 / math.sqrt(2 * math.pi)),
)
ndtri = op_of(
    scipy.ndtri,
    "y = the number whose ndtr is a.   a' = g sqrt(2 pi) e^(y^2 / 2).",
    a=lambda g, y: g * exp(y * y / 2) * math.sqrt(2 * math.pi),
)


_HAZARD = (1, -1, -2, -10, -74, -706, -8162, -110410, -1708394, -29752066, -576037442)
"""h(-x) = x + 1/x - 2/x^3 + 10/x^5 - ..., with signs that alternate from the first on."""


@op(elementwise=True)
def normal_hazard(a: Array, *, order: int = 0) -> Array:
    """y = the derivative of this order of h = phi / Phi, of the density and the distribution function of a normal number.

    a' = g times the derivative after it. With e = a + h, h' = -h e. Far below 0, e is a difference of large numbers: there the
    series of h is differentiated.
    """
    dtype, x = floating(a), np.asarray(a, np.float64)
    far = (x < -12) & (order > 0)
    near = np.where(far, 0, x)
    with _zeros:  # infinite at -inf
        h = [math.sqrt(2 / math.pi) / scipy.erfcx(near * -math.sqrt(0.5))]
    e: list[Any] = []
    for n in range(order):
        e.append(h[n] + (n == 1) if n else np.where(h[0] == 0, 0, near + h[0]))
        h.append(-sum(math.comb(n, k) * h[k] * e[n - k] for k in range(n + 1)))
    series = 0.0
    for k, c in enumerate(_HAZARD if order else ()):
        slope = math.prod(2 * k - 1 + i for i in range(order))
        series = series + (-1) ** k * c * slope * np.where(far, -x, 1) ** float(1 - 2 * k - order)
    return np.where(far, series, h[order]).astype(dtype)


normal_hazard.vjp(a=lambda g, a, order: g * normal_hazard(a, order=order + 1))

log_ndtr = op_of(
    scipy.log_ndtr,
    "y = log ndtr(a), accurate far below 0.   a' = g phi(a) / Phi(a), with the normal density phi.",
    a=lambda g, a: g * normal_hazard(a, order=0),
)
erfcinv = op_of(
    scipy.erfcinv,
    "y = the number whose erfc is a.   a' = -g sqrt(pi) / 2 e^(y^2).",
    a=lambda g, y: -g * exp(y * y) * (math.sqrt(math.pi) / 2),
)
