"""Bessel functions of whole and half orders: jax.scipy.special has the modified ones of orders 0 and 1 alone.

J and Y up to FAR: e^(i x sin t) is the sum of J_k(x) e^(i k t) over all k, so a sum of weights[k] J_k(x) is a sum over nodes t.
With more than 3 FAR nodes it is exact to rounding, as J_k(x) vanishes for k > 2 FAR. Y_0 and Y_1 are such sums; those of higher
orders follow from their recurrence, which is stable. Beyond FAR there are the asymptotic series.

Reference: Abramowitz and Stegun, "Handbook of mathematical functions" (1964), 9.1.10, 9.1.27, 9.1.42, 9.1.88, 9.2.5 and 9.2.6;
9.6.10 and 9.7.1 for I.
"""

from __future__ import annotations

import math
from typing import Any

import jax.numpy as jnp
import jax.scipy.special as special
import numpy as np

from .array import held
from .definitions import row
from .errors import JaxError

HERE = "tinygrad_cnn.extra.special.bessel"
FAR = 30
"""From this argument on, a function is its asymptotic series."""
HIGHEST = 8
"""The largest order for which the terms of the asymptotic series are exact."""
NODES = 2 * math.pi * np.arange(200) / 200
ODD = np.arange(81) % 2 == 1


def checked(name: str, n: float) -> float:
    """The order. JaxError for one that has no function here."""
    if not float(2 * n).is_integer() or abs(n) > HIGHEST + 0.5:
        raise JaxError(
            f"JAX has no Bessel function {name} of order {n:g}; here are whole and half orders from -{HIGHEST} to {HIGHEST}"
        )
    return float(n)


@row(f"{HERE}.bessel_j")
def bessel_j(a: Any, *, n: float) -> Any:
    return _first(a, checked("J", n)).astype(jnp.result_type(a, 1.0))


@row(f"{HERE}.bessel_y")
def bessel_y(a: Any, *, n: float) -> Any:
    if checked("Y", n).is_integer():
        y = _second(a, int(n))
    else:  # (-1)^(k + 1) J of the order -n = -k - 1/2
        y = _first(a, -n) * (-1.0) ** (n + 0.5)
        y = jnp.where((a == 0) & (n > 0), -jnp.inf, y)
    return y.astype(jnp.result_type(a, 1.0))


def _first(a: Any, n: float) -> Any:
    """J_n(a)."""
    x = jnp.asarray(a, held(np.float64))
    size = jnp.abs(x)
    if n.is_integer():
        sign, n = (-1.0 if n < 0 and n % 2 else 1.0), abs(n)
        turned = jnp.where(x < 0, sign * (-1) ** n, sign)
        weights = np.zeros(len(ODD))
        weights[int(n)] = 1
        value = jnp.where(size < FAR, _sum(size, weights), _asymptotic(jnp.maximum(size, FAR), n)[0])
    else:
        turned = jnp.where(x < 0, jnp.nan, 1.0)
        value = _asymptotic(jnp.maximum(size, 1), n)[0]  # exact: it ends
    reach = 2 * math.sqrt(abs(n) + 1)
    small = jnp.minimum(size, reach)
    term = series = jnp.ones_like(small)
    for k in range(1, 25):
        term = term * -(small * small / 4) / (k * (k + n))
        series = series + term
    return turned * jnp.where(size < reach, series * (small / 2) ** n / math.gamma(n + 1), value)


def _second(a: Any, n: int) -> Any:
    """Y_n(a), by the recurrence Y_(k+1) = 2 k / a Y_k - Y_(k-1)."""
    x = jnp.asarray(a, held(np.float64))
    sign, n = (-1 if n < 0 and n % 2 else 1), abs(n)
    size = jnp.clip(x, min=0)
    near = jnp.minimum(jnp.where(size > 0, size, 1.0), FAR)
    k = np.arange(1, 40)
    zero, one = np.zeros(len(ODD)), np.zeros(len(ODD))
    zero[2 * k] = -4 / math.pi * (-1.0) ** k / k
    one[2 * k + 1] = -2 / math.pi * (-1.0) ** k * (1 + 2 * k) / (k * (1 + k))
    log = jnp.log(near / 2)
    before = 2 / math.pi * (log + np.euler_gamma) * _first(near, 0.0) + _sum(near, zero)
    value = 2 / math.pi * ((log + np.euler_gamma - 1) * _first(near, 1.0) - _first(near, 0.0) / near) + _sum(near, one)
    if not n:
        value = before
    for order in range(1, n):
        after = 2 * order / near * value - before
        before, value = value, jnp.where(jnp.isinf(value) | jnp.isinf(after), -jnp.inf, after)
    value = jnp.where(size < FAR, value, _asymptotic(jnp.maximum(size, FAR), n)[1])
    return sign * jnp.where(x > 0, value, jnp.where(x == 0, -jnp.inf, jnp.nan))


def _sum(x: Any, weights: Any) -> Any:
    """The sum of weights[k] J_k(x), for 0 <= x <= FAR, over k."""
    x = jnp.minimum(x, FAR)[..., None]
    waves = np.arange(len(weights))[:, None] * NODES
    even = (weights * ~ODD) @ np.cos(waves) / len(NODES)
    odd = (weights * ODD) @ np.sin(waves) / len(NODES)
    return (jnp.cos(x * np.sin(NODES)) * even + jnp.sin(x * np.sin(NODES)) * odd).sum(-1)


def _asymptotic(x: Any, n: float) -> tuple[Any, Any]:
    """J_n(x) and Y_n(x) for x >= FAR; of half orders for every x > 0, as the terms end."""
    term = jnp.ones_like(x)
    parts = [term, jnp.zeros_like(x)]
    for k in range(1, 31):
        term = term * (4 * n * n - (2 * k - 1) ** 2) / (8 * k * x)
        parts[k % 2] = parts[k % 2] + (-1) ** (k // 2) * term
    p, q = parts
    turn = (n / 2 + 0.25) * math.pi
    c = jnp.cos(x) * math.cos(turn) + jnp.sin(x) * math.sin(turn)
    s = jnp.sin(x) * math.cos(turn) - jnp.cos(x) * math.sin(turn)
    scale = jnp.sqrt(2 / (math.pi * x))
    return scale * (p * c - q * s), scale * (p * s + q * c)


# Modified Bessel functions


@row(f"{HERE}.scaled_bessel_of")
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


@row(f"{HERE}.bessel_i")
def bessel_i(a: Any, *, n: float) -> Any:
    return jnp.exp(jnp.abs(a)) * scaled_bessel_of(a, n=n)


@row(f"{HERE}.scaled_bessel")
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
