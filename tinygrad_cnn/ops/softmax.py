"""Softmax and related functions: one node each, with rules in terms of the output.

In docstrings, g is the incoming gradient and a' the gradient with respect to a. The functions are stable for logits of any
size. A logit of -inf gets probability 0; if all logits are -inf, or one is inf, the result is NaN.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ..core.graph import Array, op
from ..scope import errors
from .elementwise import exp
from .half import in_float32
from .reduce import floating, sum

__all__ = ["log_softmax", "softmax", "softmin"]


MANY = 1 << 12
"""From this many terms on, log p has lost digits that the gradient of log_softmax needs: p is computed again, in float64."""


_infinities = errors(invalid="ignore", over="ignore")


def below_top(a: Array, axis: int) -> Any:
    """a minus its largest element along `axis`."""
    a = floating(a)
    with _infinities:  # -inf gets probability 0
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


def _whole(a: Array, axis: int) -> Any:
    """The sum of a along `axis`, with keepdims."""
    return sum(a, axis=axis, keepdims=True)


@op(linear=["u"])
@in_float32
def softmax_pull(u: Array, p: Array, *, axis: int) -> Array:
    """y = p (u - sum of u p) along `axis`, the gradient in a for p = softmax(a).

    u' = p (g - sum of g p),  p' = g (u - sum of u p) - u sum of g p.
    """
    return p * (u - _whole(u * p, axis))


softmax_pull.vjp(
    u=lambda g, p, axis: softmax_pull(g, p, axis=axis),
    p=in_float32(lambda g, u, p, axis: g * (u - _whole(u * p, axis)) - u * _whole(g * p, axis)),
)
softmax_pull.jvp(p=lambda t, u, p, axis: t * (u - _whole(u * p, axis)) - p * _whole(u * t, axis))


@op(linear=["u"])
@in_float32
def log_softmax_pull(u: Array, q: Array, *, axis: int) -> Array:
    """y = u - e^q sum of u along `axis`, the gradient in a for q = log_softmax(a).

    u' = g - sum of g e^q,  q' = -g e^q sum of u.
    """
    return u - exp(q) * _whole(u, axis)


log_softmax_pull.vjp(
    u=in_float32(lambda g, q, axis: g - _whole(g * exp(q), axis)),
    q=in_float32(lambda g, u, q, axis: -g * (exp(q) * _whole(u, axis))),
)
log_softmax_pull.jvp(q=lambda t, u, q, axis: -t * (exp(q) * _whole(u, axis)))


def _log_softmax_rule(g: Array, a: Array, y: Array, axis: int) -> Array:
    if a.dtype.char in "ef" and a.ndim and a.shape[axis] > MANY:
        whole = _whole(g.astype(np.float32), axis)  # which float16 may be too small for
        return (g - softmax(a.astype(np.float64), axis=axis) * whole).astype(g.dtype)
    return log_softmax_pull(g, y, axis=axis)


def _negative(g: Array, p: Array, axis: int) -> Array:
    y: Array = softmax_pull(g, p, axis=axis)
    return -y


softmax.vjp(a=lambda g, y, axis: softmax_pull(g, y, axis=axis))
softmin.vjp(a=lambda g, y, axis: _negative(g, y, axis))
log_softmax.vjp(a=_log_softmax_rule)
softmax.jvp(a=lambda t, y, axis: softmax_pull(t, y, axis=axis))  # the matrix of dy/da is symmetric
softmin.jvp(a=lambda t, y, axis: _negative(t, y, axis))
log_softmax.jvp(a=lambda t, y, axis: t - sum(exp(y) * t, axis=axis, keepdims=True))
