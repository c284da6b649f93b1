"""The incomplete functions of :mod:`tinygrad_cnn.special`, and their derivatives by all arguments, which JAX lacks.

The derivatives are the library's own integrals, see :mod:`tinygrad_cnn.extra.special.quadrature`, with as many panels for every
element, since sizes do not depend on values here.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from types import SimpleNamespace
from typing import Any

import jax.numpy as jnp
import jax.scipy.special as special
import numpy as np

from .array import Array, has_64_bits, held
from .definitions import helper, here, row
from .errors import JaxError
from .trees import plain

HERE = "tinygrad_cnn.extra.special"
PANELS = 32
"""The panels of an integral: for shapes from 1e-8 to 1e8, none of them is longer than those of the library."""


@functools.cache
def library() -> SimpleNamespace:
    """The functions that the definitions call, for arrays of JAX. They are there if an op of theirs is."""
    from ..special import incomplete, quadrature, student

    nodes, weights = np.polynomial.legendre.leggauss(quadrature.NODES)
    at = ((np.arange(PANELS)[:, None] + 0.5 + nodes / 2) / PANELS).ravel()
    weights = np.tile(weights / (2 * PANELS), PANELS)

    @helper(quadrature.integral)
    def integral(start: Any, center: Any, width: Any, ends: Any, upper: Any, integrand: Callable[..., Any]) -> Any:
        low, high = np.where(upper, start, ends[0]), np.where(upper, ends[1], start)
        first, last = (np.arcsinh((x - center) / width) for x in (low, high))
        length = (last - first)[:, None]
        s = first[:, None] + length * at
        u = center[:, None] + width[:, None] * np.sinh(s)
        values = integrand(u, slice(None)) * width[:, None] * np.cosh(s)
        return np.sum(values * weights, axis=1) * length[:, 0]

    names = ("_gamma_integral", "_gamma_slope", "_beta_integral", "_beta_slope")
    found = {name: here(getattr(incomplete, name)) for name in names}
    return SimpleNamespace(**found, student=here(student.student.op.raw))


def _integrals(f: Any, inside: Any, arrays: Sequence[Any], *orders: int) -> Any:
    """f, a function of flat arrays, where `inside` holds; elsewhere whatever it gives at 1/2."""
    safe = [Array(jnp.where(inside, x, 0.5).reshape(-1)) for x in arrays]
    return plain(f(*safe, *orders)).reshape(inside.shape)


def _wide(*inputs: Any) -> list[Any]:
    return jnp.broadcast_arrays(*[jnp.asarray(x, held(np.float64)) for x in inputs])  # type: ignore[no-any-return]


@row(f"{HERE}.incomplete.upper_gamma")
def upper_gamma(a: Any, x: Any, *, m: int, k: int) -> Any:
    dtype = jnp.result_type(a, x, 1.0)
    a, x = _wide(a, x)
    if not m and not k:
        return special.gammaincc(a, x).astype(dtype)
    endless = (a >= 0) & (x >= 0) & jnp.isinf(a + x) & ~(jnp.isinf(a) & jnp.isinf(x))
    valid = (a >= 0) & (x >= 0) & (a + x > 0) & jnp.isfinite(a + x)
    if k:
        value = -_integrals(library()._gamma_slope, valid, (a, x), m, k - 1)
    else:
        inside = valid & (x > 0)
        value = jnp.where(inside, _integrals(library()._gamma_integral, inside, (a, x), m), 0)
    return jnp.where(valid, value, jnp.where(endless, 0, jnp.nan)).astype(dtype)


@row(f"{HERE}.incomplete.lower_beta")
def lower_beta(a: Any, b: Any, x: Any, *, m: int, n: int, k: int) -> Any:
    dtype = jnp.result_type(a, b, x, 1.0)
    a, b, x = _wide(a, b, x)
    if not (m or n or k):
        return special.betainc(a, b, x).astype(dtype)
    if not k and not has_64_bits():
        raise JaxError(
            "derivatives of the incomplete beta function by its shapes are integrals, which need float64: call "
            "jax.config.update('jax_enable_x64', True) first"
        )
    valid = (a >= 0) & (b >= 0) & (a + b > 0) & (x >= 0) & (x <= 1) & jnp.isfinite(a + b)
    if k:
        value = _integrals(library()._beta_slope, valid, (a, b, x), m, n, k - 1)
    else:
        inside = valid & (x > 0) & (x < 1)
        value = jnp.where(inside, _integrals(library()._beta_integral, inside, (a, b, x), m, n), 0)
    return jnp.where(valid, value, jnp.nan).astype(dtype)


@row(f"{HERE}.student.student")
def student(df: Any, t: Any, *, m: int) -> Any:
    """The probability of the smaller tail, from the incomplete beta function of which the argument is below 1/2."""
    if m:
        return library().student(Array(df), Array(t), m=m)
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
