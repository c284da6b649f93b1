"""The logistic function, entropies, and products with logarithms."""

from __future__ import annotations

from typing import Any

import numpy as np

from ...core.graph import Array, Tensor
from ...ops.elementwise import exp, log, where
from ...ops.reduce import logsumexp as log_sum_exp
from ...ops.reduce import sum as total
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
rel_entr = op_of(
    scipy.rel_entr,
    "y = a log(a / b), 0 where a = 0 and b >= 0.   a' = g (log(a / b) + 1),  b' = -g a / b, and 0 where a = 0.",
    a=lambda g, a, b: g * (log(where(a < 0, np.nan, a)) - log(where(b < 0, np.nan, b)) + 1),
    b=lambda g, a, b: -_quotient(g, a, b),
)


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
    values, weights = np.asarray(getattr(a, "_array", a)), np.asarray(getattr(b, "_array", b))
    used = np.where(np.broadcast_to(weights, np.broadcast_shapes(values.shape, weights.shape)) == 0, -np.inf, values)
    peak = np.max(used, axis=axis, keepdims=True)
    peak = np.where(np.isfinite(peak), peak, 0)
    scaled = log(total(b * exp(where(weights == 0, 0, a - peak)), axis=axis, keepdims=keepdims))
    return scaled + (peak if keepdims else peak.squeeze(axis))
