"""Bessel functions of real order, which is a constant."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from ...core.graph import Array, Tensor, implements, op
from ...ops.elementwise import sign
from .ufuncs import floating, scipy

__all__ = ["i0", "i0e", "i1", "i1e", "iv", "ive", "j0", "j1", "jn", "jv", "y0", "y1", "yn", "yv"]


def _scaled(a: Any, n: int) -> Any:
    """e^-|a| I_n(a)."""
    named = {0: scipy.i0e, 1: scipy.i1e}.get(n)
    return np.asarray(scipy.ive(n, a) if named is None else named(a))


@op(elementwise=True)
def scaled_bessel(a: Array, *, n: int, order: int = 0) -> Array:
    """y = the derivative of this order of e^-|a| I_n(a), with the modified Bessel function.   a' = g times the one after it.

    I_n' = (I_(n-1) + I_(n+1)) / 2. Where |a| is large, these terms cancel: there the series of |a|^(-1/2-k) is differentiated.
    """
    dtype = floating(a)
    if not order:
        return _scaled(a, n).astype(dtype)
    x = np.asarray(a, np.float64)
    far, size = np.abs(x) > 30, np.maximum(np.abs(x), 30)
    near = np.where(far, 1, x)
    y: Any = 0.0
    for i in range(order + 1):
        for j in range(i + 1):
            times = math.comb(order, i) * math.comb(i, j) * 0.5**i
            y = y + times * (-np.sign(near)) ** (order - i) * _scaled(near, abs(n + i - 2 * j))
    term = 1 / math.sqrt(2 * math.pi)
    series: Any = 0.0
    for k in range(20):
        slope = math.prod(-0.5 - k - i for i in range(order))
        series = series + term * slope * size ** (-0.5 - k - order)
        term *= ((2 * k + 1) ** 2 - 4 * n * n) / (8 * (k + 1))
    series = series * np.where(x < 0, -1, 1) ** (n + order)
    return np.where(far, series, y).astype(dtype)


scaled_bessel.vjp(a=lambda g, a, n, order: g * scaled_bessel(a, n=n, order=order + 1))


@implements(scipy.i0e)
def i0e(a: Array) -> Tensor:
    """y = e^-|a| I_0(a), with the modified Bessel function of order 0.   a' = g (i1e(a) - sign(a) y)."""
    return scaled_bessel(a, n=0, order=0)


@implements(scipy.i1e)
def i1e(a: Array) -> Tensor:
    """y = e^-|a| I_1(a), with the modified Bessel function of order 1.   a' = g (e^-|a| (I_0(a) + I_2(a)) / 2 - sign(a) y)."""
    return scaled_bessel(a, n=1, order=0)


@op(elementwise=True)
def bessel_j(a: Array, *, n: float) -> Array:
    """y = J_n(a), the Bessel function of the first kind.   a' = g (J_(n-1)(a) - J_(n+1)(a)) / 2."""
    return np.asarray(scipy.jv(n, a)).astype(floating(a))


@op(elementwise=True)
def bessel_y(a: Array, *, n: float) -> Array:
    """y = Y_n(a), the Bessel function of the second kind.   a' = g (Y_(n-1)(a) - Y_(n+1)(a)) / 2."""
    return np.asarray(scipy.yv(n, a)).astype(floating(a))


@op(elementwise=True)
def bessel_i(a: Array, *, n: float) -> Array:
    """y = I_n(a), the modified Bessel function.   a' = g (I_(n-1)(a) + I_(n+1)(a)) / 2."""
    return np.asarray(scipy.iv(n, a)).astype(floating(a))


@op(elementwise=True)
def scaled_bessel_of(a: Array, *, n: float) -> Array:
    """y = e^-|a| I_n(a).   a' = g (e^-|a| (I_(n-1)(a) + I_(n+1)(a)) / 2 - sign(a) y)."""
    return np.asarray(scipy.ive(n, a)).astype(floating(a))


bessel_j.vjp(a=lambda g, a, n: g * (bessel_j(a, n=n - 1) - bessel_j(a, n=n + 1)) * 0.5)
bessel_y.vjp(a=lambda g, a, n: g * (bessel_y(a, n=n - 1) - bessel_y(a, n=n + 1)) * 0.5)
bessel_i.vjp(a=lambda g, a, n: g * (bessel_i(a, n=n - 1) + bessel_i(a, n=n + 1)) * 0.5)
scaled_bessel_of.vjp(
    a=lambda g, y, a, n: g * ((scaled_bessel_of(a, n=n - 1) + scaled_bessel_of(a, n=n + 1)) * 0.5 - sign(a) * y)
)


def _order(name: str, n: Any) -> float:
    """The order as a number; TypeError for anything else, as it is not differentiated by."""
    if not isinstance(n, int | float | np.integer | np.floating):
        raise TypeError(f"{name}: the order is {n!r:.60}; it must be a number")
    return float(n)


def _of_order(function: Any, name: str, kind: str) -> Callable[[Any, Array], Tensor]:
    def bessel(n: Any, a: Array) -> Tensor:
        return function(a, n=_order(name, n))  # type: ignore[no-any-return]

    bessel.__name__ = bessel.__qualname__ = name
    bessel.__doc__ = f"""y = {kind} of order n, a number, at a.   a' = g times its derivative."""
    return implements(getattr(scipy, name))(bessel)


def _of_whole(function: Any, name: str, n: float, kind: str) -> Callable[[Array], Tensor]:
    def bessel(a: Array) -> Tensor:
        return function(a, n=n)  # type: ignore[no-any-return]

    bessel.__name__ = bessel.__qualname__ = name
    bessel.__doc__ = f"""y = {kind} of order {n:g} at a.   a' = g times its derivative."""
    return implements(getattr(scipy, name))(bessel)


_FIRST, _SECOND, _MODIFIED = (
    "the Bessel function of the first kind",
    "that of the second kind",
    "the modified Bessel function",
)
jv, yv, iv = _of_order(bessel_j, "jv", _FIRST), _of_order(bessel_y, "yv", _SECOND), _of_order(bessel_i, "iv", _MODIFIED)
ive = _of_order(scaled_bessel_of, "ive", "e^-|a| times the modified Bessel function")
jn, yn = jv, _of_order(bessel_y, "yn", _SECOND)
j0, j1 = (_of_whole(bessel_j, f"j{n}", n, _FIRST) for n in (0, 1))
y0, y1 = (_of_whole(bessel_y, f"y{n}", n, _SECOND) for n in (0, 1))
i0, i1 = (_of_whole(bessel_i, f"i{n}", n, _MODIFIED) for n in (0, 1))
