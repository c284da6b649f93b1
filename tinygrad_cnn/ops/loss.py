"""Losses that are one node each, where the composite would be slow or inexact."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from ..core.graph import Array, op
from ..kernels.sums import total
from ..kernels.where import select
from .activation import logsigmoid
from .binders import bind
from .elementwise import maximum, sub, where
from .label import pick, places
from .reduce import sum
from .shape import broadcast_to, expand_dims, sum_to
from .softmax import below_top, softmax
from .transcendental import sigmoid

__all__ = ["mse"]

REDUCTIONS = ("mean", "sum", "none")


def check_reduction(name: str, reduction: str) -> None:
    """ValueError unless `reduction` is one of mean, sum and none."""
    if reduction not in REDUCTIONS:
        raise ValueError(f"{name}: `reduction` is {reduction!r}; it must be one of {', '.join(map(repr, REDUCTIONS))}")


def check_target(name: str, prediction: Array, target: Array, label: str = "target") -> None:
    """ValueError unless `target`, called `label`, broadcasts to the shape of `prediction`."""
    try:
        wanted, given = prediction.shape, target.shape
    except AttributeError:
        wanted, given = np.shape(prediction), np.shape(target)
    if wanted == given:
        return
    if len(given) > len(wanted) or any(n not in (1, m) for n, m in zip(given[::-1], wanted[::-1], strict=False)):
        raise ValueError(
            f"{name}: `{label}` has shape {given}, which does not broadcast to the {wanted} it is compared with; reshape it"
        )


@op
def mse(prediction: Array, target: Array, *, reduction: str = "mean", out: Array = None) -> Array:
    """Squared error: y = mean of (prediction - target)^2, or its sum, or the squares themselves ("none").

    prediction' = 2 g (prediction - target) / n,  target' = -prediction', with n the number of elements for "mean".

    Args:
        prediction: any shape.
        target: the same shape, or one that broadcasts to it.
        reduction: "mean", "sum" or "none".

    Raises:
        ValueError: if `target` does not broadcast to the shape of `prediction`, or for another `reduction`.
    """
    check_reduction("mse", reduction)
    check_target("mse", prediction, target)
    squares = np.subtract(prediction, target)
    if reduction == "none":
        return np.square(squares, out=out)
    squares = np.square(squares, out=squares if squares.ndim and squares.dtype.kind == "f" else None)
    share = (squares.size or math.nan) if reduction == "mean" else 1
    half = squares.dtype.char == "e"  # whose sum would overflow
    y = total(squares, tuple(range(squares.ndim)), share=share) if half else np.add.reduce(squares, axis=None)
    y = y if half or reduction == "sum" else y / share
    return y if out is None else np.positive(y, out=out)


@bind(mse)
def _arranged(prediction: Array, target: Array, *, reduction: str = "mean", out: Array) -> Callable[[], object] | None:
    arrays = prediction, target
    alike = all(a.shape == prediction.shape and a.dtype == out.dtype and a.flags.c_contiguous for a in arrays)
    if not alike or reduction == "none" or not prediction.size or out.dtype.char not in "fd":
        return None
    squares, count = np.empty_like(prediction), np.array(prediction.size if reduction == "mean" else 1, out.dtype)

    def run() -> None:
        np.subtract(prediction, target, squares)
        np.square(squares, squares)
        np.add.reduce(squares, None, None, out)
        np.divide(out, count, out)

    return run


def _mse_rule(g: Array, prediction: Array, target: Array, reduction: str) -> Array:
    scale = 2 / (prediction.size or 1) if reduction == "mean" else 2
    return (g * scale) * (prediction - target)


mse.vjp(
    prediction=_mse_rule,
    target=lambda g, prediction, target, in_shape, reduction: sum_to(
        -_mse_rule(g, prediction, target, reduction), shape=in_shape
    ),
)


@op(residuals=["p"])
def softmax_nll(logits: Array, target: Array, w: Array) -> Array:
    """y[n, ...] = -w[n, ...] log of the softmax over axis 1 at target[n, ...].   logits' = g w (softmax - one at target).

    A label out of range counts as no class at all, with w = 0.
    """
    z = below_top(logits, 1)
    index, valid = places(target, z.shape[1])
    hit = z[index]
    p = np.exp(z, out=z)
    sums = total(p, (1,))
    p /= np.expand_dims(sums, 1)
    return np.multiply(w, select(valid, np.log(sums) - hit, 0)), p


@op
def softmax_nll_dx(u: Array, logits: Array, target: Array, p: Array = None) -> Array:
    """y = u (p - one at `target`) along axis 1, with p the softmax of `logits`, which may be given as a hint."""
    p = softmax(logits, axis=1) if p is None else p
    u = np.asarray(u)
    index, valid = places(target, p.shape[1])
    y = np.multiply(np.expand_dims(u, 1), p)
    y[index] -= select(valid, u, 0)
    return y


def _softmax_nll_dx_logits(g: Array, u: Array, logits: Array) -> Array:
    p = softmax(logits, axis=1)
    g = g * expand_dims(u, 1)
    return p * (g - sum(g * p, axis=1, keepdims=True))


def _softmax_nll_dx_u(g: Array, logits: Array, target: Array) -> Array:
    mean: Array = sum(g * softmax(logits, axis=1), axis=1)
    return mean - pick(g, target)


softmax_nll.vjp(logits=lambda g, logits, target, w, p: softmax_nll_dx(g * w, logits, target, p))
softmax_nll_dx.vjp(
    u=_softmax_nll_dx_u,
    logits=_softmax_nll_dx_logits,
)


@op
def mean_by(a: Array, w: Array) -> Array:
    """y = sum of a / sum of w, and NaN where w sums to 0.   a' = g / sum of w, or g then, when all of a is 0."""
    a, w = np.asarray(a), np.asarray(w)
    dtype = a.dtype
    if dtype.char == "e":  # whose sums would overflow
        a = a.astype(np.float32)
    with np.errstate(divide="ignore", invalid="ignore"):
        y = total(a, tuple(range(a.ndim))) / total(w.astype(a.dtype, copy=False), tuple(range(w.ndim)))
    return y.astype(dtype)


def _mean_by_rule(g: Array, w: Array, in_shape: tuple[int, ...]) -> Array:
    weight: Array = sum(w.astype(g.dtype))
    return broadcast_to(g / where(weight == 0, 1, weight), shape=in_shape)


mean_by.vjp(a=_mean_by_rule)

LOWEST_LOG = -100.0
"""Where binary_cross_entropy stops the logarithm of a probability, so that one wrong certainty is not infinite."""


@op(elementwise=True)
def bernoulli_nll(p: Array, t: Array) -> Array:
    """y = -(t log p + (1 - t) log(1 - p)), logarithms not below -100.   p' = g ((1 - t) / (1 - p) - t / p)."""
    for name, value in (("prediction", p), ("target", t)):
        wrong = np.ravel(np.less(value, 0) | np.greater(value, 1))
        if wrong.any():
            raise ValueError(
                f"binary_cross_entropy: `{name}` holds {np.ravel(value)[wrong.argmax()]}; it must be from 0 to 1: apply "
                "sigmoid, or use binary_cross_entropy_with_logits"
            )
    with np.errstate(divide="ignore"):
        log_p, log_q = (np.maximum(f(v), LOWEST_LOG) for f, v in ((np.log, p), (np.log1p, np.negative(p))))
    return 0 - (t * log_p + (1 - t) * log_q)


def _slope(t: Array, q: Array) -> Array:
    """t / q, and 0 where log q was stopped. Below the smallest normal number it grows no further, not to overflow."""
    live = q > math.exp(LOWEST_LOG)
    return where(live, t / where(live, maximum(q, 4 * float(np.finfo(q.dtype).tiny)), 1), 0)


bernoulli_nll.vjp(
    p=lambda g, p, t: g * (_slope(1 - t, 1 - p) - _slope(t, p)),
    t=lambda g, p: g * sub(bernoulli_nll(p, 1.0), bernoulli_nll(p, 0.0)),
)


@op(elementwise=True)
def bernoulli_nll_logits(x: Array, t: Array, pos_weight: Array = None) -> Array:
    """y = -(pos_weight t log sigmoid(x) + (1 - t) log sigmoid(-x)).

    x' = g ((1 - t) sigmoid(x) - pos_weight t sigmoid(-x)),  t' and pos_weight' = g times their factors.
    """
    positive = t if pos_weight is None else np.multiply(pos_weight, t)
    tail = np.log1p(np.exp(-np.abs(x)))
    return positive * (tail - np.minimum(x, 0)) + np.subtract(1, t) * (tail + np.maximum(x, 0))


def _weighted(value: Array, pos_weight: Array) -> Array:
    return value if pos_weight is None else value * pos_weight


bernoulli_nll_logits.vjp(
    x=lambda g, x, t, pos_weight: g * ((1 - t) * sigmoid(x) - _weighted(t, pos_weight) * sigmoid(-x)),
    t=lambda g, x, pos_weight: g * (logsigmoid(-x) - _weighted(logsigmoid(x), pos_weight)),
    pos_weight=lambda g, x, t: -g * t * logsigmoid(x),
)


@op(elementwise=True)
def checked_variance(a: Array, *, eps: float) -> Array:
    """y = max(a, eps), for the variances of gaussian_nll_loss.   a' = g: the bound is not seen by the gradient."""
    wrong = np.ravel(np.less(a, 0))
    if wrong.any():
        raise ValueError(
            f"gaussian_nll_loss: `var` holds {np.ravel(a)[wrong.argmax()]}; a variance must not be negative: "
            "apply exp or softplus"
        )
    return np.maximum(a, eps)


checked_variance.vjp(a=lambda g: g)


@op
def is_positive(target: Array, *, function: str) -> Array:
    """y = (target == 1), without a gradient. ValueError in the name of `function` unless every element is 1 or -1."""
    target = np.asarray(target)
    wrong = (target != 1) & (target != -1)
    if wrong.any():
        at = tuple(int(i) for i in np.unravel_index(np.argmax(wrong), wrong.shape))
        raise ValueError(
            f"{function}: `target` holds {target[at]} at {at}; it must be 1 or -1: use 2 * target - 1 for 0, 1"
        )
    return np.asarray(target == 1)
