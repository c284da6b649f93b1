"""Derivatives of digamma and of 1 / Gamma, and the beta function."""

from __future__ import annotations

import math
from typing import Any

import jax.numpy as jnp
import jax.scipy.special as special
import numpy as np

from .calls import SPECIAL
from .definitions import row
from .errors import JaxError

HERE = "tinygrad_cnn.extra.special.gammas"
MANY = 10
"""From this number on, Stirling's series is exact."""


@row(f"{HERE}.polygamma_of")
def polygamma_of(x: Any, *, n: int) -> Any:
    """Of negative numbers by reflection, as JAX's is wrong there."""
    if n == 0:
        return special.digamma(x)
    x = jnp.asarray(x, jnp.result_type(x, 1.0))
    below = x <= 0
    value = special.polygamma(n, jnp.where(below, 1 - x, x))
    turned = jnp.where(below, x - jnp.round(x), 0.25)
    whole = turned == 0
    cot = 1 / jnp.tan(math.pi * jnp.where(whole, 0.25, turned))
    slope = np.polynomial.Polynomial([0.0, 1.0])
    for _ in range(n):  # cot' = -pi (1 + cot^2)
        slope = slope.deriv() * np.polynomial.Polynomial([-1.0, 0.0, -1.0]) * np.pi
    reflected = (-1) ** n * value - math.pi * jnp.polyval(jnp.asarray(slope.coef[::-1], x.dtype), cot)
    return jnp.where(whole, (-1) ** (n + 1) * jnp.inf, jnp.where(below, reflected, value))


@row(f"{HERE}.reciprocal_gamma_of")
def reciprocal_gamma_of(a: Any, *, n: int) -> Any:
    if n > 2:
        raise JaxError("JAX has no polygamma function of negative numbers, and so no third derivative of 1 / Gamma")
    x = jnp.asarray(a, jnp.result_type(a, 1.0))
    whole = (x <= 0) & (x == jnp.floor(x))
    safe = jnp.where(whole, 1, x)
    value, psi = 1 / special.gamma(safe), special.digamma(safe)
    if not n:
        return jnp.where(whole, 0, value)
    k = jnp.where(whole, -x, 0)
    limit = jnp.where(k % 2 == 0, 1, -1) * special.gamma(k + 1)
    if n == 1:
        return jnp.where(whole, limit, -psi * value)
    below = x < 0
    curve = special.polygamma(1, jnp.where(below, 1 - safe, safe))
    turned = jnp.sin(math.pi * jnp.where(below & ~whole, safe - jnp.round(safe), 0.5))
    curve = jnp.where(below, (math.pi / turned) ** 2 - curve, curve)
    return jnp.where(whole, -2 * limit * special.digamma(k + 1), (psi * psi - curve) * value)


# The beta function, of which JAX's has an error of 1e-6


def log_beta(a: Any, b: Any) -> Any:
    """log |B(a, b)|. Of large numbers without the logs of Gamma, which cancel, but for Stirling's remainders."""
    low, high = jnp.minimum(a, b), jnp.maximum(a, b)
    y = special.gammaln(a) + special.gammaln(b) - special.gammaln(a + b)
    s, z = jnp.maximum(low, MANY), jnp.maximum(high, MANY)
    rest = _remainder(z) - _remainder(s + z)
    both = (
        _remainder(s)
        + rest
        - 0.5 * jnp.log(s / (2 * math.pi) * (z / (s + z)))
        - s * jnp.log1p(z / s)
        - z * jnp.log1p(s / z)
    )
    s = jnp.clip(low, 0, MANY)
    one = (
        special.gammaln(low) + _remainder(z) - _remainder(s + z) + s - s * jnp.log(z) - (s + z - 0.5) * jnp.log1p(s / z)
    )
    return jnp.where(low >= MANY, both, jnp.where((low > 0) & (high >= MANY), one, y))


def _remainder(a: Any) -> Any:
    """log Gamma(a) - ((a - 1/2) log a - a + log(2 pi) / 2) for a >= MANY: about 1 / (12 a)."""
    z = 1 / a
    q = z * z
    return z * (
        1 / 12 - q * (1 / 360 - q * (1 / 1260 - q * (1 / 1680 - q * (1 / 1188 - q * (691 / 360360 - q / 156)))))
    )


def beta(a: Any, b: Any) -> Any:
    sign = special.gammasgn(a) * special.gammasgn(b) * special.gammasgn(a + b)
    return sign * jnp.exp(log_beta(a, b))


SPECIAL.update(betaln=log_beta, beta=beta)
