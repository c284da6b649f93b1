"""Student's t distribution function, differentiable by both arguments."""

from __future__ import annotations

from typing import Any

import numpy as np

from ...core.graph import Array, op
from ...ops.elementwise import exp, log
from ...ops.transcendental import log1p
from ...scope import silent
from .gammas import betaln, digamma, polygamma_of
from .incomplete import lower_beta
from .ufuncs import floating, scipy

__all__ = ["stdtr"]


def _density(df: Any, t: Any, m: int) -> Any:
    """The derivative of order m by df of the density (1 + t^2 / df)^(-(df + 1) / 2) / (sqrt(df) B(df / 2, 1 / 2))."""
    half, square = 0.5 * df, t * t
    density = exp(-betaln(half, 0.5) - 0.5 * log(df) - (half + 0.5) * log1p(square / df))
    if not m:
        return density
    ratio = square / (df + square)
    slope = 0.5 * (digamma(half + 0.5) - digamma(half) - 1 / df - log1p(square / df) + (df + 1) / df * ratio)
    if m == 1:
        return density * slope
    curve = 0.25 * (polygamma_of(half + 0.5, n=1) - polygamma_of(half, n=1)) + 0.5 * (
        1 / (df * df) + ratio / df - ratio / (df * df) - (df + 1) / df * ratio / (df + square)
    )
    return density * (slope * slope + curve)


@op(elementwise=True)
def student(df: Array, t: Array, *, m: int) -> Array:
    """y = the derivative of order m by df of the distribution function.   df' = g times that of order m + 1.

    t' = g times the derivative of order m by df of the density. The value comes from the incomplete beta function
    I_x(df / 2, 1 / 2) with x = df / (df + t^2), or with 1 - x and the shapes exchanged if x is the larger one.
    """
    if not m:
        return np.asarray(scipy.stdtr(df, t)).astype(floating(df, t))
    if m > 2:
        raise NotImplementedError("stdtr: derivatives of order 3 and more by `df` are not known here")
    nu, at = np.broadcast_arrays(np.asarray(df, np.float64), np.asarray(t, np.float64))
    with silent:
        square = at * at
        near = square < nu
        z = np.where(np.isinf(square), 1.0, square / (nu + square))
        x = np.where(near, z, nu / (nu + square))
        first, second = np.where(near, 0.5, nu / 2), np.where(near, nu / 2, 0.5)
        moved = np.where(near, -1, 1) * z / (nu + square)  # dx / d nu

        def by(order: int, k: int) -> Any:
            """The derivative by df / 2 and by x of the incomplete beta function."""
            return np.where(
                near, lower_beta(first, second, x, m=0, n=order, k=k), lower_beta(first, second, x, m=order, n=0, k=k)
            )

        if m == 1:
            value = 0.5 * by(1, 0) + by(0, 1) * moved
        else:
            value = 0.25 * by(2, 0) + by(1, 1) * moved + by(0, 2) * moved**2 - by(0, 1) * 2 * moved / (nu + square)
    value = np.where(near, 1, -1) * np.sign(at) * 0.5 * value
    value = np.where((nu > 0) & ((at == 0) | np.isinf(at) | np.isinf(nu)), 0.0, np.where(nu > 0, value, np.nan))
    return value.astype(floating(df, t))


student.vjp(df=lambda g, df, t, m: g * student(df, t, m=m + 1), t=lambda g, df, t, m: g * _density(df, t, m))


@op(elementwise=True, numpy=scipy.stdtr)
def stdtr(df: Array, t: Array) -> Array:
    """y = the probability that a number with Student's t distribution of df degrees of freedom is at most t.

    df' = g dy/df, t' = g times the density. The derivatives by df have an absolute error below 1e-13.
    """
    return np.asarray(scipy.stdtr(df, t)).astype(floating(df, t))


stdtr.vjp(df=lambda g, df, t: g * student(df, t, m=1), t=lambda g, df, t: g * _density(df, t, 0))
