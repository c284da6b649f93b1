"""Softmax and related functions: one node each, with rules in terms of the output.

In docstrings, g is the incoming gradient and a' the gradient with respect to a. The functions are stable for logits of any
size. A logit of -inf gets probability 0; if all logits are -inf, or one is inf, the result is NaN.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ..core.graph import Array, op
from .elementwise import exp
from .half import in_float32
from .reduce import floating, sum

__all__ = ["log_softmax", "softmax", "softmin"]


MANY = 1 << 12
"""From this many terms on, log p has lost digits that the gradient of log_softmax needs: p is computed again, in float64."""


def below_top(a: Array, axis: int) -> Any:
    """a minus its largest element along `axis`."""
    a = floating(a)
    with np.errstate(invalid="ignore", over="ignore"):  # -inf gets probability 0
        return np.asarray(np.subtract(a, np.max(a, axis=axis, keepdims=True, initial=-np.inf)))


@op
@in_float32
def softmax(a: Array, *, axis: int = -1) -> Array:
    """y = e^a / sum of e^a along `axis`.   a' = y (g - sum of g y)."""
    y = np.exp(below_top(a, axis))
    return y / sum(y, axis=axis, keepdims=True)


@op
def softmin(a: Array, *, axis: int = -1) -> Array:
    """y = e^-a / sum of e^-a along `axis`.   a' = -y (g - sum of g y)."""
    return softmax(np.negative(floating(a)), axis=axis)


@op
@in_float32
def log_softmax(a: Array, *, axis: int = -1) -> Array:
    """y = a - log of the sum of e^a along `axis`.   a' = g - e^y sum of g."""
    z = below_top(a, axis)
    return z - np.log(sum(np.exp(z), axis=axis, keepdims=True))


@in_float32
def _softmax_rule(g: Array, y: Array, axis: int) -> Array:
    return y * (g - sum(g * y, axis=axis, keepdims=True))


@in_float32
def _log_softmax_rule(g: Array, a: Array, y: Array, axis: int) -> Array:
    whole: Array = sum(g, axis=axis, keepdims=True)
    if a.dtype == np.float32 and a.ndim and a.shape[axis] > MANY:
        return (g - softmax(a.astype(np.float64), axis=axis) * whole).astype(g.dtype)
    return g - exp(y) * whole


softmax.vjp(a=_softmax_rule)
softmin.vjp(a=lambda g, y, axis: -_softmax_rule(g, y, axis))
log_softmax.vjp(a=_log_softmax_rule)
softmax.jvp(a=lambda t, y, axis: _softmax_rule(t, y, axis))  # the matrix of dy/da is symmetric
softmin.jvp(a=lambda t, y, axis: -_softmax_rule(t, y, axis))
log_softmax.jvp(a=lambda t, y, axis: t - sum(exp(y) * t, axis=axis, keepdims=True))
