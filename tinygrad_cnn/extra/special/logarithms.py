"""The logistic function, entropies, and products with logarithms."""

from __future__ import annotations

from typing import Any

import numpy as np

from ...core.graph import Array, Tensor
from ...ops.compare import equal, less
from ...ops.elementwise import abs as absolute
from ...ops.elementwise import ceil, exp, log, minimum, mul, sub, where
from ...ops.lists import gather
from ...ops.reduce import logsumexp as log_sum_exp
from ...ops.reduce import max as largest
from ...ops.reduce import sum as total
from ...ops.shape import squeeze
from ...ops.transcendental import log1p
from .ufuncs import op_of, scipy

__all__ = ["entr", "expit", "logit", "logsumexp", "rel_entr", "xlog1py", "xlogy"]

expit = op_of(scipy.expit, "y = 1 / (1 + e^-a).   a' = g y (1 - y).", a=lambda g, y: g * y * (1 - y))
logit = op_of(scipy.logit, "y = log(a / (1 - a)).   a' = g / (a (1 - a)).", a=lambda g, a: g / (a * (1 - a)))


def _quotient(g: Array, a: Array, b: Array) -> Any:
    """g a / b, and 0 where both are 0."""
    return g * (a / where((a == 0) & (b == 0), 1, b))


xlogy = op_of(
    scipy.xlogy,
    "y = a log b, and 0 where a = 0.   a' = g log b, and 0 where a = 0 and b <= 0,  b' = g a / b, and 0 where a = 0.",
    a=lambda g, a, b: g * log(where((a == 0) & (b <= 0), 1, b)),
    b=_quotient,
)
xlog1py = op_of(
    scipy.xlog1py,
    "y = a log(1 + b), and 0 where a = 0.   a' = g log(1 + b), and 0 where a = 0 and b <= -1,  "
    "b' = g a / (1 + b), and 0 where a = 0.",
    a=lambda g, a, b: g * log1p(where((a == 0) & (b <= -1), 0, b)),
    b=lambda g, a, b: _quotient(g, a, 1 + b),
)

entr = op_of(
    scipy.entr,
    "y = -a log a, 0 at 0 and -inf below.   a' = -g (log a + 1), infinite at 0.",
    a=lambda g, a: -g * (log(where(a < 0, np.nan, a)) + 1),
)


def _slope_of_rel_entr(g: Array, a: Array, b: Array) -> Any:
    """g (log(a / b) + 1), and 0 where a and b are 0."""
    both = (a == 0) & (b == 0)
    a, b = where(both, 1, where(a < 0, np.nan, a)), where(both, 1, where(b < 0, np.nan, b))
    return where(both, 0, g * (log(a) - log(b) + 1))


rel_entr = op_of(
    scipy.rel_entr,
    "y = a log(a / b), 0 where a = 0 and b >= 0.   a' = g (log(a / b) + 1),  b' = -g a / b, and 0 where a = 0; both are 0 at "
    "(0, 0), where they have no limit, as in JAX.",
    a=_slope_of_rel_entr,
    b=lambda g, a, b: -_quotient(g, a, b),
)


MOST = 80.0
"""e^MOST is finite in float32."""


def logsumexp(
    a: Array, axis: Any = None, b: Array | None = None, keepdims: bool = False, return_sign: bool = False
) -> Tensor:
    """y = log of the sum of b e^a over `axis`, without overflow.   a' = g b e^(a - y),  b' = g e^(a - y).

    `b` has weights, 1 by default, whose sum with e^a must be positive.

    Raises:
        TypeError: for `return_sign`.
    """
    if return_sign:
        raise TypeError("logsumexp: `return_sign` is refused; the sum must be positive")
    if b is None:
        return log_sum_exp(a, axis=axis, keepdims=keepdims)
    a, b = gather(a, "logsumexp"), gather(b, "logsumexp")
    unused = equal(b, 0)
    top = ceil(largest(where(unused, -np.inf, a), axis=axis, keepdims=True))  # its slope is 0
    top = where(less(absolute(top), np.inf), top, 0)
    gap = sub(a, top)
    powers = exp(where(unused, minimum(gap, MOST), gap))  # 0 times e^a is 0, and e^a is the slope of b
    scaled = log(total(mul(b, powers), axis=axis, keepdims=keepdims))
    return scaled + (top if keepdims else squeeze(top, axis=axis))
