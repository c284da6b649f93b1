"""Losses between predicted numbers and targets, and between distributions. g is the incoming gradient, a' the gradient in a."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ...core.graph import Array, Tensor, op
from ..elementwise import abs, clip, exp, in_floats, log, square, where
from ..real import not_negative, positive, refuse
from ..shape import expand_dims, sum_to
from ..softmax import softmax
from .base import check_reduction, check_target, numbers, pair, reduced, warn_if_from

__all__ = ["gaussian_nll_loss", "huber_loss", "kl_div", "l1_loss", "mse", "poisson_nll_loss", "smooth_l1_loss"]


@op
def mse(prediction: Array, target: Array, *, reduction: str = "mean") -> Array:
    """Squared error: y = mean of (prediction - target)^2, or the sum, or the squares themselves ("none").

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
    prediction = in_floats(prediction)
    return reduced("mse", np.square(np.subtract(prediction, numbers(target, prediction.dtype))), reduction)


def _mse_rule(g: Array, prediction: Array, target: Array, reduction: str) -> Array:
    scale = 2 / (prediction.size or 1) if reduction == "mean" else 2
    return (g * scale) * (prediction - numbers(target, g.dtype))


mse.vjp(
    prediction=_mse_rule,
    target=lambda g, prediction, target, in_shape, reduction: sum_to(
        -_mse_rule(g, prediction, target, reduction), shape=in_shape
    ),
)


mse.jvp(
    prediction=lambda t, prediction, target, reduction: reduced(
        "mse", t * (prediction - numbers(target, t.dtype)) * 2, reduction
    ),
    target=lambda t, prediction, target, reduction: reduced("mse", t * (target - prediction) * 2, reduction),
)


def l1_loss(prediction: Array, target: Array, reduction: str = "mean") -> Tensor:
    """y = |prediction - target|, reduced.   prediction' = g sign(prediction - target), which is 0 at 0.

    Raises:
        ValueError: if `target` does not broadcast to the shape of `prediction`, or for another `reduction`.
    """
    prediction, target = pair("l1_loss", prediction, target)
    return reduced("l1_loss", abs(prediction - target), reduction)


def _huber(difference: Tensor, delta: float) -> Tensor:
    """d^2 / 2 up to |d| = delta, then delta (|d| - delta / 2): both are c (d - c / 2), where c is d clipped to delta."""
    c = clip(difference, -delta, delta)
    return c * (difference - c * 0.5)


def huber_loss(
    prediction: Array, target: Array, reduction: str = "mean", delta: float = 1.0, weight: Array = None
) -> Tensor:
    """y = d^2 / 2 where |d| <= delta, else delta (|d| - delta / 2), with d = prediction - target, reduced.

    prediction' = g d clipped to [-delta, delta].   Huber, "Robust estimation of a location parameter", 1964.

    Args:
        prediction, target: the target broadcasts to the prediction's shape.
        reduction: "mean" over the elements, "sum" or "none".
        delta: where the quadratic part ends, above 0.
        weight: a factor for each element, or None.

    Raises:
        ValueError: for shapes that do not match, a `delta` that is not above 0, or another `reduction`.
        TypeError: for a `delta` that is not a real number.
    """
    delta = positive("huber_loss", "delta", delta)
    prediction, target = pair("huber_loss", prediction, target)
    each = _huber(prediction - target, delta)
    if weight is None:
        return reduced("huber_loss", each, reduction)
    weight = numbers(weight, prediction.dtype)
    return reduced("huber_loss", each * weight, reduction)


def smooth_l1_loss(prediction: Array, target: Array, reduction: str = "mean", beta: float = 1.0) -> Tensor:
    """y = d^2 / (2 beta) where |d| <= beta, else |d| - beta / 2, with d = prediction - target, reduced.

    Equal to huber_loss / beta, and to l1_loss for beta = 0.   Girshick, "Fast R-CNN", arXiv:1504.08083.

    Raises:
        ValueError: if the shape of `target` does not match, for a negative `beta` or another `reduction`.
        TypeError: for a `beta` that is not a real number.
    """
    beta = not_negative("smooth_l1_loss", "beta", beta)
    if beta == 0:
        return l1_loss(prediction, target, reduction)
    prediction, target = pair("smooth_l1_loss", prediction, target)
    return reduced("smooth_l1_loss", _huber(prediction - target, beta) * (1 / beta), reduction)


def poisson_nll_loss(
    prediction: Array,
    target: Array,
    log_input: bool = True,
    full: bool = False,
    eps: float = 1e-8,
    reduction: str = "mean",
) -> Tensor:
    """y = e^x - t x with x = prediction, the log rate, and t = target, the counts, reduced.   prediction' = g (e^x - t).

    Args:
        prediction, target: the target broadcasts to the prediction's shape.
        log_input: x is the logarithm of the rate; else the rate itself, and y = x - t log(x + eps).
        full: add Stirling's approximation of log t! where t > 1: t log t - t + log(2 pi t) / 2.
        eps: added to the rate to avoid log 0.
        reduction: "mean", "sum" or "none".

    Raises:
        ValueError: if the shape of `target` does not match, for a negative `eps` or another `reduction`.
    """
    eps = not_negative("poisson_nll_loss", "eps", eps)
    x, t = pair("poisson_nll_loss", prediction, target)
    each = exp(x) - t * x if log_input else x - t * log(x + eps)
    if full:
        count = where(t > 1, t, 1)
        each = each + where(t > 1, count * log(count) - count + log(count * (2 * math.pi)) * 0.5, 0)
    return reduced("poisson_nll_loss", each, reduction)


@op(elementwise=True)
def checked_variance(a: Array, *, eps: float) -> Array:
    """y = max(a, eps), for the variances of gaussian_nll_loss.   a' = g: the gradient ignores the bound."""
    message = "gaussian_nll_loss: `var` holds {value}; a variance must not be negative: apply exp or softplus"
    refuse(a, np.less(a, 0), message)
    return np.maximum(a, eps)


checked_variance.vjp(a=lambda g: g)


def gaussian_nll_loss(
    prediction: Array, target: Array, var: Array, full: bool = False, eps: float = 1e-6, reduction: str = "mean"
) -> Tensor:
    """y = (log v + (prediction - target)^2 / v) / 2 with v = max(var, eps), reduced.

    The gradient of v passes to var even where var < eps, as in PyTorch, so that a variance of 0 can grow again.
    Nix and Weigend, "Estimating the mean and variance of the target probability distribution", 1994.

    Args:
        prediction, target: the target broadcasts to the prediction's shape.
        var: variances that broadcast to the prediction's shape, or have that shape without its last axis.
        full: add log(2 pi) / 2.
        eps: the smallest variance.
        reduction: "mean", "sum" or "none".

    Raises:
        ValueError: if a shape does not match, for a negative variance or `eps`, or another `reduction`.
    """
    name = "gaussian_nll_loss"
    eps = not_negative(name, "eps", eps)
    prediction, target = pair(name, prediction, target)
    var = numbers(var, prediction.dtype)
    if var.ndim and var.shape == prediction.shape[:-1]:
        var = expand_dims(var, -1)
    check_target(name, prediction, var, label="var")
    v = checked_variance(var, eps=eps)
    each = (log(v) + square(prediction - target) / v) * 0.5
    return reduced(name, each + 0.5 * math.log(2 * math.pi) if full else each, reduction)


@op(elementwise=True)
def log_ratio(t: Array, x: Array) -> Array:
    """y = log t - x, and -x where t = 0: computed in float64, because it cancels, and rounded once.   t' = g / t,  x' = -g."""
    return np.asarray(_log_ratio(t, x)).astype(np.result_type(t, x))


def _log_ratio(t: Array, x: Array) -> Any:
    return np.log(np.where(np.equal(t, 0), 1, t), dtype=np.float64) - x


log_ratio.vjp(t=lambda g, t: where(t == 0, 0, g / where(t == 0, 1, t)),
              x=lambda g: -g)  # fmt: skip


@op(elementwise=True)
def divergence(t: Array, x: Array) -> Array:
    """y = t (log t - x), and 0 where t = 0.   t' = g (log t - x + 1), and -g x where t = 0;  x' = -g t."""
    return np.asarray(t * _log_ratio(t, x)).astype(np.result_type(t, x))


def _divergence_rule(g: Array, t: Array, x: Array) -> Array:
    ratio: Array = log_ratio(t, x)
    return g * where(t == 0, ratio, ratio + 1)


divergence.vjp(t=_divergence_rule,
               x=lambda g, t: -g * t)  # fmt: skip


def kl_div(prediction: Array, target: Array, reduction: str = "mean", log_target: bool = False) -> Tensor:
    """y = t (log t - x), the Kullback-Leibler divergence of log-probabilities x from probabilities t, reduced.

    prediction' = -g t,  target' = g (log t + 1 - x), and -g x where t = 0, because t log t is 0 there. NaN if t is negative.

    Args:
        prediction: log-probabilities x.
        target: probabilities that broadcast to the prediction's shape, or their logarithms.
        reduction: "mean" over all elements, "batchmean" (the sum divided by the size of the first axis, which is the
            divergence itself), "sum" or "none".
        log_target: the target is log t.

    Raises:
        ValueError: if the shape of `target` does not match, or for another `reduction`.
    """
    warn_if_from(
        softmax, prediction, "kl_div: `prediction` is the result of softmax, and it must be logarithms; use log_softmax"
    )
    x, t = pair("kl_div", prediction, target)
    each = exp(t) * (t - x) if log_target else divergence(t, x)
    if reduction == "batchmean":
        return each.sum() * (1 / x.shape[0] if x.ndim and x.shape[0] else 1)
    return reduced("kl_div", each, reduction)
