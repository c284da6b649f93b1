"""What ops of :mod:`tinygrad_cnn.special` compute here: SciPy's functions take arrays of NumPy alone.

jax.scipy.special has most of them. The Bessel functions J_n and Y_n and the derivatives of the incomplete beta function by its
shapes are in no public function of JAX: they are errors.
"""

from __future__ import annotations

import math
from typing import Any

import jax
import jax.numpy as jnp
import jax.scipy.special as special

from .definitions import row
from .errors import JaxError

HERE = "tinygrad_cnn.extra.special"
FAR = 30
"""From this argument on, I_n is its asymptotic series."""
HIGHEST = 8
"""The largest order n for which 20 terms of that series are exact."""


@row(f"{HERE}.gammas.polygamma_of")
def polygamma_of(x: Any, *, n: int) -> Any:
    return special.polygamma(n, x)


@row(f"{HERE}.gammas.reciprocal_gamma_of")
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


# Incomplete functions: at the ends of the range, some of their derivatives are NaN here


@row(f"{HERE}.incomplete.upper_gamma")
def upper_gamma(a: Any, x: Any, *, m: int, k: int) -> Any:
    if not k:
        if m > 1:
            raise JaxError("JAX has no second derivative of the incomplete gamma function by its shape")
        if not m:
            return special.gammaincc(a, x)
        a, x = jnp.broadcast_arrays(a, x)
        return jnp.where(x == 0, jnp.where(a >= 0, 0.0, jnp.nan), -jax.lax.igamma_grad_a(a, x))

    def slope(a: Any, x: Any) -> Any:
        """The derivative of order k - 1 by x of -x^(a - 1) e^-x / Gamma(a)."""
        total: Any = 0.0
        for j in range(k):
            factor = math.comb(k - 1, j) * (-1) ** (k - j) * math.prod([a - 1 - i for i in range(j)])
            term = factor * jnp.exp(special.xlogy(a - 1 - j, x) - x - special.gammaln(a))
            total = total + (term if m else jnp.where(factor == 0, 0, term))
        return total

    if not m:
        return slope(a, x)
    a, x = jnp.broadcast_arrays(a, x)
    at = _derivative(lambda a: slope(a, jnp.where(x > 0, x, 1)), m)(a)
    return jnp.where(x > 0, at, jnp.where(a > k, 0.0, jnp.nan))  # powers of log x


@row(f"{HERE}.incomplete.lower_beta")
def lower_beta(a: Any, b: Any, x: Any, *, m: int, n: int, k: int) -> Any:
    if not (m or n or k):
        return special.betainc(a, b, x)
    if not k:
        raise JaxError("JAX has no derivatives of the incomplete beta function by its shapes")
    if (m, n, k) == (0, 0, 1):
        return jnp.exp(special.xlogy(a - 1, x) + special.xlog1py(b - 1, -x) - special.betaln(a, b))
    a, b, x = jnp.broadcast_arrays(a, b, x)
    by_x = _derivative(lambda a, b, x: jnp.exp(_log_density(a, b, x)), k - 1, 2)
    return _derivative(_derivative(by_x, n, 1), m, 0)(a, b, x)


def _log_density(a: Any, b: Any, x: Any) -> Any:
    """The log of x^(a - 1) (1 - x)^(b - 1) / B(a, b), without betaln, whose second derivatives are wrong for a = b."""
    gammaln = special.gammaln
    return (a - 1) * jnp.log(x) + (b - 1) * jnp.log1p(-x) - gammaln(a) - gammaln(b) + gammaln(a + b)


@row(f"{HERE}.student.student")
def student(df: Any, t: Any, *, m: int) -> Any:
    """The probability of the smaller tail, from the incomplete beta function of which the argument is below 1/2."""
    if m:
        raise JaxError("JAX has no derivatives of the incomplete beta function by its shapes")
    df, t = jnp.broadcast_arrays(df, t)
    square, nu = t * t, jnp.where(jnp.isinf(df), 1, df)
    near = square < nu
    ratio = jnp.where(jnp.isinf(square), 1, square / (nu + square))
    inner = special.betainc(0.5, nu / 2, jnp.where(near, ratio, 0))
    outer = special.betainc(nu / 2, 0.5, jnp.where(near, 1, nu / (nu + square)))
    tail = jnp.where(near, 0.5 - inner / 2, outer / 2)
    tail = jnp.where(jnp.isinf(df), special.ndtr(-abs(t)), tail)
    return jnp.where(df > 0, jnp.where(t > 0, 1 - tail, tail), jnp.nan)


@row(f"{HERE}.student.stdtr")
def stdtr(df: Any, t: Any) -> Any:
    return student(df, t, m=0)


def _derivative(f: Any, order: int, by: int = 0) -> Any:
    """The derivative of this order of an elementwise function by one of its arguments."""
    if not order:
        return f
    before = _derivative(f, order - 1, by)

    def slope(*args: Any) -> Any:
        def along(x: Any) -> Any:
            return before(*args[:by], x, *args[by + 1 :])

        return jax.jvp(along, (args[by],), (jnp.ones_like(args[by]),))[1]

    return slope


# Modified Bessel functions


@row(f"{HERE}.bessel.scaled_bessel_of")
def scaled_bessel_of(a: Any, *, n: float) -> Any:
    """e^-|a| I_n(a), by the power series, or far away by the asymptotic one."""
    whole = float(n).is_integer()
    n = abs(int(n)) if whole else n
    if abs(n) > HIGHEST:
        raise JaxError(f"JAX has no Bessel function I of order {n:g}; here are orders from -{HIGHEST} to {HIGHEST}")
    if n in (0, 1):
        return (special.i1e if n else special.i0e)(a)
    x = jnp.asarray(a, jnp.result_type(a, 1.0))
    size = jnp.abs(x)
    near, far = jnp.minimum(size, FAR), jnp.maximum(size, FAR)
    term = inside = jnp.exp(-near) / math.gamma(n + 1)
    for k in range(1, 80):
        term = term * (near * near / 4) / (k * (k + n))
        inside = inside + term
    term = outside = 1 / jnp.sqrt(2 * math.pi * far)
    for k in range(20):
        term = term * ((2 * k + 1) ** 2 - 4 * n**2) / (8 * (k + 1) * far)
        outside = outside + term
    value = jnp.where(size < FAR, (near / 2) ** n * inside, outside)
    return value * jnp.where(x < 0, (-1) ** n if whole else math.nan, 1)


@row(f"{HERE}.bessel.bessel_i")
def bessel_i(a: Any, *, n: float) -> Any:
    return jnp.exp(jnp.abs(a)) * scaled_bessel_of(a, n=n)


@row(f"{HERE}.bessel.scaled_bessel")
def scaled_bessel(a: Any, *, n: int, order: int = 0) -> Any:
    """The derivatives of :func:`scaled_bessel_of`, as the definition computes them."""
    if not order:
        return scaled_bessel_of(a, n=n)
    x = jnp.asarray(a, jnp.result_type(a, 1.0))
    size = jnp.maximum(jnp.abs(x), FAR)
    near = jnp.clip(x, -FAR, FAR)
    y: Any = 0.0
    for i in range(order + 1):
        for j in range(i + 1):
            times = math.comb(order, i) * math.comb(i, j) * 0.5**i
            y = y + times * (-jnp.sign(near)) ** (order - i) * scaled_bessel_of(near, n=n + i - 2 * j)
    term, series = 1 / math.sqrt(2 * math.pi), jnp.zeros_like(x)
    for k in range(20):
        series = series + term * math.prod(-0.5 - k - i for i in range(order)) * size ** (-0.5 - k - order)
        term *= ((2 * k + 1) ** 2 - 4 * n * n) / (8 * (k + 1))
    return jnp.where(jnp.abs(x) > FAR, series * jnp.where(x < 0, -1, 1) ** (n + order), y)
