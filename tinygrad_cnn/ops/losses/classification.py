"""Losses of scores or log-probabilities against classes: the cross-entropy and the negative log-likelihood.

In docstrings, g is the incoming gradient and a' the gradient in a.
"""

from __future__ import annotations

import math

import numpy as np

from ...core.graph import Array, Tensor, op
from ...scope import errors
from ..elementwise import in_floats, where
from ..matmul import linear
from ..real import real
from ..reduce import sum
from ..shape import broadcast_to, expand_dims, reshape
from ..softmax import log_softmax, softmax, softmax_pull
from .base import as_array, check_reduction, numbers, reduced, warn_if_from
from .labels import class_count, label_mask, label_weights, picked, single, without

__all__ = ["cross_entropy", "nll_loss"]


@op
def softmax_nll(logits: Array, target: Array, w: Array) -> Array:
    """y[n, ...] = -w[n, ...] log of the softmax over axis 1 at target[n, ...].   logits' = g w (softmax - one at target).

    A label out of range belongs to no class and has w = 0.
    """
    return w * np.subtract(0, picked(log_softmax(logits, axis=1), target))


@op(linear=["u"])
def softmax_nll_pull(u: Array, logits: Array, target: Array) -> Array:
    """y[n, c, ...] = u[n, ...] (softmax over axis 1 - one at target): the gradient of softmax_nll in the logits, for u = g w.

    u' = sum over axis 1 of g (softmax - one at target),  logits' = u times the gradient of softmax for g.
    """
    return u[:, None] * _over_target(logits, target)


def _over_target(logits: Array, target: Array) -> Array:
    return softmax(logits, axis=1) - label_mask(target, classes=logits.shape[1])


def _softmax_nll_pull_logits(g: Array, u: Array, logits: Array) -> Array:
    return softmax_pull(g * expand_dims(u, 1), softmax(logits, axis=1), axis=1)


softmax_nll.vjp(logits=lambda g, logits, target, w: softmax_nll_pull(g * w, logits, target))
softmax_nll.jvp(logits=lambda t, logits, target, w: w * sum(t * _over_target(logits, target), axis=1))
softmax_nll_pull.vjp(
    u=lambda g, logits, target: sum(g * _over_target(logits, target), axis=1), logits=_softmax_nll_pull_logits
)
softmax_nll_pull.jvp(logits=lambda t, u, logits: _softmax_nll_pull_logits(t, u, logits))


@op
def mean_nll(logits: Array, target: Array, share: Array) -> Array:
    """y = sum of softmax_nll(logits, target, share); NaN if all shares are 0.   logits' = g share (softmax - one at target)."""
    y = sum(softmax_nll(logits, target, share))
    return np.where(np.any(share), y, math.nan).astype(np.result_type(logits, np.float16))


mean_nll.vjp(logits=lambda g, logits, target, share: softmax_nll_pull(g * numbers(share, logits.dtype), logits, target))
mean_nll.jvp(logits=lambda t, logits, target, share: sum(share * sum(t * _over_target(logits, target), axis=1)))


_zeros = errors(divide="ignore", invalid="ignore")


@op(linear=["a"])
def mean_by(a: Array, w: Array) -> Array:
    """y = sum of a / sum of w; NaN if w sums to 0.   a' = g / sum of w, or g if w sums to 0, where all of a is 0."""
    dtype = np.result_type(a, np.float32)  # in float16 the sums would overflow
    with _zeros:
        return np.divide(sum(np.asarray(a, dtype)), sum(np.asarray(w, dtype))).astype(np.result_type(a, np.float16))


def _mean_by_rule(g: Array, w: Array, in_shape: tuple[int, ...]) -> Array:
    weight = w
    if w.ndim:
        dtype = np.result_type(g.dtype, np.float32)  # in float16 the sum would overflow
        weight = sum(w if w.dtype == dtype else w.astype(dtype))
    return broadcast_to(g / (weight + (weight == 0)), shape=in_shape)


mean_by.vjp(a=_mean_by_rule)
mean_by.jvp(a=lambda t, w: where(sum(w) == 0, 0, mean_by(t, w)))


def cross_entropy(
    logits: Array,
    target: Array,
    weight: Array = None,
    ignore_index: int = -100,
    reduction: str = "mean",
    label_smoothing: float = 0.0,
) -> Tensor:
    """y = -sum over the classes c of t_c weight_c log softmax(logits)_c, reduced; t is 1 at the class, or probabilities.

    logits' = g weight (softmax(logits) - t).

    Args:
        logits: (N, C), (C,) or (N, C, d1, ...), of any magnitude.
        target: class indices, (N,), () or (N, d1, ...), integers; or probabilities of the logits' shape and dtype kind.
        weight: a factor for each class, (C,), or None; it has no gradient.
        ignore_index: targets with this value do not contribute to the loss. Only for class indices.
        reduction: "mean" divides by the sum of the weights of the target classes (for probabilities by their number), so if
            every target is ignored the loss is NaN, with a gradient of 0; "sum"; or "none".
        label_smoothing: the part of each t that is spread evenly over the classes, from 0 to 1.

    Raises:
        IndexError: for a class that does not exist.
        TypeError: for class indices that are not integers, or probabilities that are.
        ValueError: for shapes that do not match, another argument out of range, or a non-negative `ignore_index` with
            probabilities.

    >>> import numpy as np, tinygrad_cnn as tg
    >>> logits = tg.Tensor([[100.0, 0.0], [0.0, 0.0]], requires_grad=True)
    >>> tg.cross_entropy(logits, np.array([0, 1]), reduction="none").tolist()
    [0.0, 0.6931471824645996]
    """
    name = "cross_entropy"
    check_reduction(name, reduction)
    logits, target = as_array(logits), as_array(target)
    warn_if_from(
        softmax,
        logits,
        "cross_entropy: `logits` is the result of softmax, which the loss applies itself; "
        "leave softmax out of the model",
    )
    if ignore_index.__class__ is not int:
        ignore_index = int(real(name, "ignore_index", ignore_index, "be an integer", float.is_integer))
    if label_smoothing.__class__ is not float or not 0 <= label_smoothing <= 1:
        label_smoothing = real(name, "label_smoothing", label_smoothing, "be from 0 to 1", lambda x: 0 <= x <= 1)
    if logits.ndim == 1:
        options = {"ignore_index": ignore_index, "reduction": reduction, "label_smoothing": label_smoothing}
        return single(cross_entropy, logits, target, weight=weight, **options)
    logits = in_floats(logits)  # a weight in the dtype of integers would lose its fraction
    classes = class_count(name, "logits", logits, target, weight, dense=True)
    if target.shape != logits.shape:
        mean = reduction == "mean" and not label_smoothing
        w = label_weights(
            target, weight, classes=classes, ignore_index=ignore_index, function=name, dtype=logits.dtype, mean=mean
        )
        labels = without(target, ignore_index)
        if mean:
            return mean_nll(logits, labels, w)
        if not label_smoothing:
            return reduced(name, softmax_nll(logits, labels, w), reduction)
        log_p = log_softmax(logits, axis=1)
        spread = where(target != ignore_index, _over_classes(log_p, weight), 0)
        each = w * picked(log_p, labels) * (label_smoothing - 1) - spread * (label_smoothing / classes)
        return _labelled(name, each, w, reduction)
    if target.dtype.kind != "f":
        raise TypeError(
            f"{name}: `target` has the shape of `logits`, so it holds probabilities, but is {target.dtype}; "
            "convert it with astype(np.float32)"
        )
    if ignore_index >= 0:
        raise ValueError(
            f"{name}: `ignore_index` is {ignore_index} but `target` holds probabilities, which have no index; leave it "
            "out, and set the probabilities of ignored rows to 0"
        )
    t = target * (1 - label_smoothing) + label_smoothing / classes if label_smoothing else target
    return reduced(name, -_over_classes(t * log_softmax(logits, axis=1), weight), reduction)


def nll_loss(
    log_probs: Array, target: Array, weight: Array = None, ignore_index: int = -100, reduction: str = "mean"
) -> Tensor:
    """y = -weight_t log_probs_t with t = target, reduced: cross_entropy after log_softmax.   log_probs' = -g weight at t.

    Args:
        log_probs: (N, C), (C,) or (N, C, d1, ...).
        target: class indices, (N,), () or (N, d1, ...), integers.
        weight, ignore_index, reduction: as for :func:`cross_entropy`.

    Raises:
        IndexError, TypeError, ValueError: as :func:`cross_entropy`.
    """
    check_reduction("nll_loss", reduction)
    ignore_index = int(real("nll_loss", "ignore_index", ignore_index, "be an integer", float.is_integer))
    log_probs, target = as_array(log_probs), as_array(target)
    warn_if_from(
        softmax,
        log_probs,
        "nll_loss: `log_probs` is the result of softmax, and it must be logarithms; "
        "use log_softmax, or cross_entropy without softmax",
    )
    warn_if_from(
        linear,
        log_probs,
        "nll_loss: `log_probs` is the result of linear, and it must be logarithms of probabilities; use cross_entropy",
    )
    if log_probs.ndim == 1:
        return single(nll_loss, log_probs, target, weight=weight, ignore_index=ignore_index, reduction=reduction)
    log_probs = in_floats(log_probs)
    classes = class_count("nll_loss", "log_probs", log_probs, target, weight, dense=False)
    form = {"classes": classes, "ignore_index": ignore_index, "function": "nll_loss", "dtype": log_probs.dtype}
    w = label_weights(target, weight, **form)
    return _labelled("nll_loss", -(w * picked(log_probs, without(target, ignore_index))), w, reduction)


def _over_classes(values: Tensor, weight: Array) -> Tensor:
    """The sum of weight * values over axis 1."""
    if weight is not None:
        factors = numbers(weight, values.dtype).astype(values.dtype)
        values = values * reshape(factors, shape=(-1, *(1 for _ in values.shape[2:])))
    return values.sum(axis=1)


def _labelled(name: str, each: Tensor, w: Tensor, reduction: str) -> Tensor:
    if reduction != "mean":
        return reduced(name, each, reduction)
    return mean_by(each, sum(w) if w.dtype.itemsize > 2 else w)  # so that the gradient need not add the weights again
