"""Binary cross-entropy, of probabilities or logits. In docstrings, g is the incoming gradient and a' the gradient in a."""

from __future__ import annotations

import math

import numpy as np

from ...core.graph import Array, Tensor, op
from ...scope import errors
from ..activation import logsigmoid
from ..elementwise import maximum, sub, where
from ..real import refuse
from ..transcendental import sigmoid
from .base import numbers, pair, reduced, warn_if_from

__all__ = ["binary_cross_entropy", "binary_cross_entropy_with_logits"]

_zeros = errors(divide="ignore", invalid="ignore")

LOWEST_LOG = -100.0
"""The lower bound of logarithms of probabilities in binary_cross_entropy: a wrong prediction of 0 or 1 has a finite loss."""


@op(elementwise=True)
def bernoulli_nll(p: Array, t: Array) -> Array:
    """y = -(t log p + (1 - t) log(1 - p)), with logarithms at least -100.   p' = g ((1 - t) / (1 - p) - t / p)."""
    for name, value in (("prediction", p), ("target", t)):
        message = (
            f"binary_cross_entropy: `{name}` holds {{value}}; it must be from 0 to 1: apply sigmoid, or use "
            "binary_cross_entropy_with_logits"
        )
        refuse(value, np.less(value, 0) | np.greater(value, 1), message)
    with _zeros:
        log_p, log_q = (np.maximum(f(v), LOWEST_LOG) for f, v in ((np.log, p), (np.log1p, np.negative(p))))
    return 0 - (t * log_p + (1 - t) * log_q)


def _slope(t: Array, q: Array) -> Array:
    """t / q, and 0 where log q is at its bound. q is limited from below, near the smallest normal number, to avoid overflow."""
    live = q > math.exp(LOWEST_LOG)
    return where(live, t / where(live, maximum(q, 4 * float(np.finfo(q.dtype).tiny)), 1), 0)


bernoulli_nll.vjp(
    p=lambda g, p, t: g * (_slope(1 - t, 1 - p) - _slope(t, p)),
    t=lambda g, p: g * sub(bernoulli_nll(p, 1.0), bernoulli_nll(p, 0.0)),
)


@op(elementwise=True)
def bernoulli_nll_logits(x: Array, t: Array, u: Array) -> Array:
    """y = -(t log sigmoid(x) + u log sigmoid(-x)).   x' = g (u sigmoid(x) - t sigmoid(-x)),  t' and u' = -g times the logs."""
    return 0 - (t * logsigmoid(x) + u * logsigmoid(np.negative(x)))


@op(elementwise=True, linear=["v"])
def bernoulli_nll_logits_pull(v: Array, x: Array, t: Array, u: Array) -> Array:
    """y = v (u s - t r), with s = sigmoid(x) and r = sigmoid(-x): the gradient in x for bernoulli_nll_logits(x, t, u).

    v' = g (u s - t r),  x' = g v (t + u) s r,  t' = -g v r,  u' = g v s.
    """
    return v * (u * sigmoid(x) - t * sigmoid(np.negative(x)))


bernoulli_nll_logits.vjp(
    x=lambda g, x, t, u: bernoulli_nll_logits_pull(g, x, t, u),
    t=lambda g, x: -g * logsigmoid(x),
    u=lambda g, x: -g * logsigmoid(-x),
)
bernoulli_nll_logits_pull.vjp(
    v=lambda g, x, t, u: bernoulli_nll_logits_pull(g, x, t, u),
    x=lambda g, v, x, t, u: g * v * (t + u) * (sigmoid(x) * sigmoid(-x)),
    t=lambda g, v, x: -g * v * sigmoid(-x),
    u=lambda g, v, x: g * v * sigmoid(x),
)


def binary_cross_entropy(prediction: Array, target: Array, weight: Array = None, reduction: str = "mean") -> Tensor:
    """y = -weight (t log p + (1 - t) log(1 - p)), reduced, with p = prediction and t = target from 0 to 1.

    Logarithms are at least -100, as in PyTorch, so y is finite. The gradient is that of this bounded function: 0 for a wrong
    prediction p of exactly 0 or 1, where PyTorch has 1e12. Prefer :func:`binary_cross_entropy_with_logits`, without bound.

    Args:
        prediction, target: the target broadcasts to the prediction's shape.
        weight: a factor for each element, which broadcasts, or None.
        reduction: "mean", "sum" or "none".

    Raises:
        ValueError: for a value outside 0 to 1, a shape that does not match, or another `reduction`.
    """
    p, t = pair("binary_cross_entropy", prediction, target)
    each = bernoulli_nll(p, t)
    return reduced("binary_cross_entropy", each if weight is None else each * numbers(weight, p.dtype), reduction)


def binary_cross_entropy_with_logits(
    logits: Array, target: Array, weight: Array = None, reduction: str = "mean", pos_weight: Array = None
) -> Tensor:
    """y = -weight (pos_weight t log s + (1 - t) log(1 - s)) with s = sigmoid(logits) and t = target, reduced.

    Accurate for logits of any magnitude.   logits' = g weight (s - t) without a pos_weight.

    Args:
        logits, target: the target broadcasts to the logits' shape.
        weight: a factor for each element, which broadcasts, or None.
        reduction: "mean", "sum" or "none".
        pos_weight: a factor for the positive term, which broadcasts, or None: above 1 it raises recall.

    Raises:
        ValueError: for a shape that does not match, or another `reduction`.
    """
    warn_if_from(
        sigmoid,
        logits,
        "binary_cross_entropy_with_logits: `logits` is the result of sigmoid, which the loss applies "
        "itself; leave sigmoid out, or use binary_cross_entropy",
    )
    x, t = pair("binary_cross_entropy_with_logits", logits, target)
    each = bernoulli_nll_logits(x, t if pos_weight is None else t * numbers(pos_weight, x.dtype), 1 - t)
    each = each if weight is None else each * numbers(weight, x.dtype)
    return reduced("binary_cross_entropy_with_logits", each, reduction)
