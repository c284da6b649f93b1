"""Special functions by SciPy's names: ``tinygrad_cnn.special.gammaln``. They need SciPy, the extra ``scipy``.

Once this module is loaded, SciPy's own functions of these names record on Tensors, too; with SCIPY_ARRAY_API=1 they refuse
Tensors that require a gradient.
"""

from __future__ import annotations

import builtins
import inspect
import math
from operator import index
from types import SimpleNamespace
from typing import Any

import numpy as np

try:
    from scipy import special
except ModuleNotFoundError as error:
    raise ModuleNotFoundError(
        "tinygrad_cnn.special needs SciPy, which is not installed; pip install 'tinygrad_cnn[scipy]'", name="scipy"
    ) from error

from ..core.graph import Array, OpFunction, Tensor, implements, op
from ..ops.elementwise import clip, exp, log, where
from ..ops.half import in_float32
from ..ops.transcendental import FLAT_SQUARED, erf, log1p

__all__ = [
    "betaln", "digamma", "erf", "erfc", "erfinv", "expit", "gamma", "gammaln", "i0e", "i1e", "log_ndtr", "logit", "ndtr",
    "ndtri", "polygamma", "xlog1py", "xlogy",
]  # fmt: skip

# The ufuncs themselves: with SCIPY_ARRAY_API=1, SciPy has functions around them, which choose a library by the argument.
scipy = SimpleNamespace(
    **{name: inspect.unwrap(function) for name, function in vars(special).items() if callable(function)}
)

implements(scipy.erf)(erf)


def _floating(*inputs: Any) -> np.dtype[Any]:
    """The dtype of a function of the inputs: their own if it is floating-point, and float64 for integers and numbers."""
    dtype = np.result_type(*inputs)
    return dtype if dtype.kind == "f" else np.dtype(np.float64)


def _special(ufunc: Any, doc: str, name: str = "", **rules: Any) -> OpFunction[[]]:
    """An op that is a ufunc of SciPy, in the dtype of its inputs: SciPy computes float16 in float32 or float64."""

    def one(a: Array) -> Array:
        return np.asarray(ufunc(a)).astype(_floating(a), copy=False)

    def two(a: Array, b: Array) -> Array:
        return np.asarray(ufunc(a, b)).astype(_floating(a, b), copy=False)

    raw: Any = one if ufunc.nin == 1 else two
    raw.__name__ = raw.__qualname__ = name or ufunc.__name__
    raw.__doc__ = doc
    function: OpFunction[[]] = op(elementwise=True, numpy=ufunc)(raw)
    function.vjp(**rules)
    return function


# Gamma functions


@op(elementwise=True)
def polygamma_of(x: Array, *, n: int) -> Array:
    """y = psi^(n)(x), the n-th derivative of digamma.   x' = g psi^(n+1)(x)."""
    return np.asarray(scipy.polygamma(n, x)).astype(_floating(x))


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


digamma: OpFunction[[]] = _special(
    scipy.psi, "y = d/da log Gamma(a).   a' = g polygamma(1, a).", "digamma", a=lambda g, a: g * polygamma_of(a, n=1)
)
gammaln = _special(scipy.gammaln, "y = log |Gamma(a)|.   a' = g digamma(a).", a=lambda g, a: g * digamma(a))
gamma = _special(scipy.gamma, "y = Gamma(a).   a' = g y digamma(a).", a=lambda g, y, a: g * y * digamma(a))


@in_float32
def _betaln_rule(g: Array, a: Array, b: Array) -> Array:
    own: Array = digamma(a)
    return g * (own - digamma(a + b))


betaln = _special(
    scipy.betaln,
    "y = log B(a, b), with B = Gamma(a) Gamma(b) / Gamma(a + b).   a' = g (digamma(a) - digamma(a + b)),  b' in the same way.",
    a=_betaln_rule,
    b=lambda g, a, b: _betaln_rule(g, b, a),
)

# The logistic function, the normal distribution and the error function

expit = _special(scipy.expit, "y = 1 / (1 + e^-a).   a' = g y (1 - y).", a=lambda g, y: g * y * (1 - y))
logit = _special(scipy.logit, "y = log(a / (1 - a)).   a' = g / (a (1 - a)).", a=lambda g, a: g / (a * (1 - a)))


@in_float32
def _bell(g: Array, a: Array, width: float) -> Any:
    """g e^(-width a^2)."""
    a = clip(a, -FLAT_SQUARED, FLAT_SQUARED)
    return g * exp(-width * a * a)


erfc = _special(
    scipy.erfc,
    "y = 1 - erf a, accurate where it is small.   a' = -g 2 / sqrt(pi) e^(-a^2).",
    a=lambda g, a: -_bell(g, a, 1.0) * (2 / math.sqrt(math.pi)),
)
erfinv = _special(
    scipy.erfinv,
    "y = the number whose erf is a.   a' = g sqrt(pi) / 2 e^(y^2).",
    a=lambda g, y: g * exp(y * y) * (math.sqrt(math.pi) / 2),
)
ndtr = _special(
    scipy.ndtr,
    "y = the probability that a standard normal number is below a.   a' = g e^(-a^2 / 2) / sqrt(2 pi).",
    a=lambda g, a: _bell(g, a, 0.5) * (1 / math.sqrt(2 * math.pi)),
)
ndtri = _special(
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
    x: Any = np.asarray(a, np.float64)
    far = (x < -12) & (order > 0)
    near = np.where(far, 0, x)
    with np.errstate(divide="ignore"):  # infinite at -inf
        h = [math.sqrt(2 / math.pi) / scipy.erfcx(near * -math.sqrt(0.5))]
    e: list[Any] = []
    for n in range(order):
        e.append(h[n] + (n == 1) if n else np.where(h[0] == 0, 0, near + h[0]))
        h.append(-builtins.sum(math.comb(n, k) * h[k] * e[n - k] for k in range(n + 1)))
    series = 0.0
    for k, c in enumerate(_HAZARD if order else ()):
        slope = math.prod(2 * k - 1 + i for i in range(order))
        series = series + (-1) ** k * c * slope * np.where(far, -x, 1) ** float(1 - 2 * k - order)
    return np.where(far, series, h[order]).astype(_floating(a))


normal_hazard.vjp(a=lambda g, a, order: g * normal_hazard(a, order=order + 1))

log_ndtr = _special(
    scipy.log_ndtr,
    "y = log ndtr(a), accurate far below 0.   a' = g phi(a) / Phi(a), with the normal density phi.",
    a=lambda g, a: g * normal_hazard(a, order=0),
)

# Products with logarithms


def _quotient(g: Array, a: Array, b: Array) -> Any:
    """g a / b, and 0 where both are 0."""
    return g * (a / where((a == 0) & (b == 0), 1, b))


xlogy = _special(
    scipy.xlogy,
    "y = a log b, and 0 where a = 0.   a' = g log b, and 0 where a = 0 and b <= 0,  b' = g a / b, and 0 where a = 0.",
    a=lambda g, a, b: g * log(where((a == 0) & (b <= 0), 1, b)),
    b=_quotient,
)
xlog1py = _special(
    scipy.xlog1py,
    "y = a log(1 + b), and 0 where a = 0.   a' = g log(1 + b), and 0 where a = 0 and b <= -1,  "
    "b' = g a / (1 + b), and 0 where a = 0.",
    a=lambda g, a, b: g * log1p(where((a == 0) & (b <= -1), 0, b)),
    b=lambda g, a, b: _quotient(g, a, 1 + b),
)

# Bessel functions


def _scaled(a: Any, n: int) -> Any:
    """e^-|a| I_n(a)."""
    named = {0: scipy.i0e, 1: scipy.i1e}.get(n)
    return np.asarray(scipy.ive(n, a) if named is None else named(a))


@op(elementwise=True)
def scaled_bessel(a: Array, *, n: int, order: int = 0) -> Array:
    """y = the derivative of this order of e^-|a| I_n(a), with the modified Bessel function.   a' = g times the one after it.

    I_n' = (I_(n-1) + I_(n+1)) / 2. Where |a| is large, these terms cancel: there the series of |a|^(-1/2-k) is differentiated.
    """
    if not order:
        return _scaled(a, n).astype(_floating(a))
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
    return np.where(far, series, y).astype(_floating(a))


scaled_bessel.vjp(a=lambda g, a, n, order: g * scaled_bessel(a, n=n, order=order + 1))


@implements(scipy.i0e)
def i0e(a: Array) -> Tensor:
    """y = e^-|a| I_0(a), with the modified Bessel function of order 0.   a' = g (i1e(a) - sign(a) y)."""
    return scaled_bessel(a, n=0, order=0)


@implements(scipy.i1e)
def i1e(a: Array) -> Tensor:
    """y = e^-|a| I_1(a), with the modified Bessel function of order 1.   a' = g (e^-|a| (I_0(a) + I_2(a)) / 2 - sign(a) y)."""
    return scaled_bessel(a, n=1, order=0)


def __dir__() -> list[str]:
    """Public names only."""
    return list(__all__)
