"""Derivatives of the incomplete gamma and beta functions with respect to their shapes, by numerical integration.

Such a function is the integral of a density f from a point to an end. Its derivative is the integral of the derivative of f,
which is f times a polynomial in log t whose coefficients are polygamma functions. Over all t, f integrates to 1, and its
derivative to 0. So the integral may be taken on either side of the point: on the one where the integrand keeps its sign, and
nothing cancels.

With u = log t (gamma) or u = log t / (1 - t) (beta), log f is concave. The integral ends where f has fallen by e^-50. The
variable s with u = center + width sinh s resolves the peak, whose width may be 1 / sqrt(a), and a tail of length 1 / a alike.
Panels of the same length in s have 20 Gauss-Legendre nodes each.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from ...scope import silent
from .ufuncs import scipy

Floats: TypeAlias = NDArray[np.float64]

DROP = 50.0
"""The integral ends where the density has fallen by e^-DROP."""

PANEL, LEAST, NODES, CHUNK = 1.25, 5, 20, 1 << 18
"""The length of a panel, the least panels, the nodes of each, and the most values of the integrand at once."""

SMALL = 0.5
"""Below it, derivatives of 1 / Gamma come from its power series: there, polygamma functions are large and cancel."""

_x, _w = np.polynomial.legendre.leggauss(NODES)


def _coefficients() -> Floats:
    """The power series of 1 / Gamma(a) = a + gamma a^2 + ... at 0, from that of log Gamma(1 + a)."""
    count = 32
    zeta = [0.0, 0.5772156649015329, *(scipy.zeta(float(k)) for k in range(2, count))]
    logs = [0.0] + [-((-1) ** k) * zeta[k] / k for k in range(1, count)]  # of 1 / Gamma(1 + a)
    series = [1.0]
    for n in range(1, count):
        series.append(sum(k * logs[k] * series[n - k] for k in range(1, n + 1)) / n)
    return np.array([0.0, *series])


_RECIPROCAL = _coefficients()


def reciprocal_gamma(a: Floats, order: int) -> list[Floats]:
    """The derivatives of 1 / Gamma(a), from the 0-th to the `order`-th, where a < SMALL."""
    found: list[Any] = []
    powers, coefficients = np.arange(len(_RECIPROCAL)), _RECIPROCAL
    for _ in range(order + 1):
        found.append(np.polynomial.polynomial.polyval(a, coefficients))
        coefficients = coefficients[1:] * powers[1 : len(coefficients)]
    return found


def exponential(logs: Callable[[int, int], Any], m: int, n: int) -> dict[tuple[int, int], Any]:
    """The derivatives of e^L by two variables divided by e^L, up to orders m and n, from those of L."""
    found: dict[tuple[int, int], Any] = {(0, 0): 1.0}
    for i in range(m + 1):
        for j in range(n + 1):
            if i:
                found[i, j] = sum(
                    math.comb(i - 1, k) * math.comb(j, q) * logs(k + 1, q) * found[i - 1 - k, j - q]
                    for k in range(i) for q in range(j + 1)
                )  # fmt: skip
            elif j:
                found[i, j] = sum(math.comb(j - 1, q) * logs(0, q + 1) * found[0, j - 1 - q] for q in range(j))
    return found


def excess(a: Any) -> Any:
    """digamma(a) - log a, without cancellation: about -1 / (2 a)."""
    large = a > 10
    z = 1 / np.where(large, a, 10.0)
    square = z * z
    series = -z / 2 - square * (
        1 / 12
        - square * (1 / 120 - square * (1 / 252 - square * (1 / 240 - square * (1 / 132 - square * (691 / 32760)))))
    )
    near = np.where(large, 1.0, a)
    with silent:
        return np.where(large, series, scipy.psi(near) - np.log(near))


def stirling(a: Any) -> Any:
    """log Gamma(a) - ((a - 1/2) log a - a + log(2 pi) / 2), without cancellation: about 1 / (12 a)."""
    large = a > 10
    z = 1 / np.where(large, a, 10.0)
    square = z * z
    series = z * (
        1 / 12
        + square
        * (-1 / 360 + square * (1 / 1260 + square * (-1 / 1680 + square * (1 / 1188 - square * (691 / 360360)))))
    )
    near = np.where(large, 1.0, a)
    return np.where(
        large, series, scipy.gammaln(near) - ((near - 0.5) * np.log(near) - near + 0.5 * math.log(2 * math.pi))
    )


def integral(
    start: Floats, center: Floats, width: Floats, ends: tuple[Floats, Floats], upper: NDArray[np.bool],
    integrand: Callable[[Floats, NDArray[np.intp]], Floats],
) -> Floats:  # fmt: skip
    """The integrals of `integrand`, a function of u and of the numbers of the elements, from `start` to an end or from an end.

    `ends` are the points at which it has fallen to nothing; `upper` says which integrals go up to the higher one.
    """
    low, high = np.where(upper, start, ends[0]), np.where(upper, ends[1], start)
    first, last = (np.arcsinh((x - center) / width) for x in (low, high))
    count = np.maximum(np.ceil((last - first) / PANEL), LEAST)
    result = np.zeros(start.shape)
    for panels in np.unique(count[np.isfinite(count)]):
        rows = np.flatnonzero(count == panels)
        nodes = ((np.arange(panels)[:, None] + 0.5 + _x / 2) / panels).ravel()
        weights = np.tile(_w / (2 * panels), int(panels))
        step = max(CHUNK // len(nodes), 1)
        for at in range(0, len(rows), step):
            own = rows[at : at + step]
            length = (last - first)[own, None]
            s = first[own, None] + length * nodes
            u = center[own, None] + width[own, None] * np.sinh(s)
            values = integrand(u, own) * width[own, None] * np.cosh(s)
            result[own] = (values * weights).sum(1) * length[:, 0]
    return result


def reach(start: Floats, center: Floats, slope: Floats, far: Floats, sign: int) -> Any:
    """How far beyond `start`, up (1) or down (-1), the density reaches: `far` beyond the center, or e^-DROP by its slope."""
    beyond = np.maximum(sign * (start - center), 0)
    falls = np.maximum(-sign * slope, 1e-300)
    return center + sign * (beyond + np.where(beyond > 0, np.minimum(far, 1.2 * DROP / falls), far))
