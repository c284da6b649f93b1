"""Margin losses: how far the scores of the right classes are above the others, by a hinge or its smooth form."""

from __future__ import annotations

import numpy as np

from ...core.graph import Array, Tensor
from ..activation import logsigmoid, relu
from ..compare import equal, logical_and
from ..elementwise import where
from ..half import in_float32
from ..real import real
from ..reduce import mean, sum
from ..scan import cumsum
from ..shape import expand_dims
from .base import as_array, check_reduction, numbers, pair, reduced
from .binary import bernoulli_nll_logits
from .labels import class_count, label_mask, label_weights, picked, single

__all__ = ["multi_margin_loss", "multilabel_margin_loss", "multilabel_soft_margin_loss", "soft_margin_loss"]


def soft_margin_loss(prediction: Array, target: Array, reduction: str = "mean") -> Tensor:
    """y = log(1 + e^(-t x)) with x = prediction and t = target, 1 or -1, reduced.   Accurate for x of any magnitude.

    Raises:
        ValueError: if the shape of `target` does not match, or for another `reduction`.
    """
    x, t = pair("soft_margin_loss", prediction, target)
    return reduced("soft_margin_loss", -logsigmoid(t * x), reduction)


def multi_margin_loss(
    prediction: Array, target: Array, p: int = 1, margin: float = 1.0, weight: Array = None, reduction: str = "mean"
) -> Tensor:  # fmt: skip
    """y = the sum over the classes i other than t of weight_t max(0, margin - x_t + x_i)^p, divided by C, reduced.

    x = prediction and t = target. At a hinge the gradient is 0.

    Args:
        prediction: scores (N, C), (C,) or (N, C, d1, ...).
        target: class indices, (N,), () or (N, d1, ...), integers.
        p: 1 or 2.
        margin: by how much the score of the class should be the largest.
        weight: a factor for each class, (C,), or None; it has no gradient. A mean is divided by N.
        reduction: "mean", "sum" or "none".

    Raises:
        IndexError: for a class that does not exist.
        TypeError: for class indices that are not integers.
        ValueError: for shapes that do not match, another `p`, or another `reduction`.
    """
    name = "multi_margin_loss"
    check_reduction(name, reduction)
    margin = real(name, "margin", margin)
    if p not in (1, 2):
        raise ValueError(f"{name}: `p` is {p!r}; it must be 1 or 2")
    x, target = as_array(prediction), as_array(target)
    if x.ndim == 1:
        return single(multi_margin_loss, x, target, p=p, margin=margin, weight=weight, reduction=reduction)
    classes = class_count(name, "prediction", x, target, weight, dense=False)
    w = label_weights(target, weight, classes=classes, ignore_index=None, function=name, dtype=x.dtype)
    return reduced(name, w * _hinges(x, target, p, margin), reduction)


@in_float32
def _hinges(x: Array, target: Array, p: int, margin: float) -> Array:
    hinges = relu(margin + x - expand_dims(picked(x, target), 1))
    others = where(label_mask(target, classes=x.shape[1]), 0, hinges if p == 1 else hinges * hinges)
    return mean(others, axis=1)


def multilabel_margin_loss(prediction: Array, target: Array, reduction: str = "mean") -> Tensor:
    """y = the sum over the classes t of an example and all others i of max(0, 1 - x_t + x_i), divided by C, reduced.

    x = prediction. At a hinge the gradient is 0.

    Args:
        prediction: scores (N, C), or (C,).
        target: integers of the same shape: the classes of an example, then -1, behind which nothing counts.
        reduction: "mean", "sum" or "none".

    Raises:
        IndexError: for a class that does not exist.
        TypeError: for a `target` that does not hold integers.
        ValueError: for shapes that do not match, or another `reduction`.
    """
    name = "multilabel_margin_loss"
    check_reduction(name, reduction)
    x, target = as_array(prediction), as_array(target)
    if x.ndim not in (1, 2) or not x.shape[-1] or target.shape != x.shape:
        raise ValueError(
            f"{name}: `prediction` {x.shape} and `target` {target.shape} must both be (N, C), or (C,), with C > 0"
        )
    classes = x.shape[-1]
    kept = label_weights(target, classes=classes, ignore_index=-1, function=name, dtype=x.dtype)
    listed = equal(cumsum(1 - kept, axis=-1), 0)
    named = logical_and(equal(expand_dims(target, -1), np.arange(classes)), expand_dims(listed, -1))
    times = sum(named.astype(x.dtype), axis=-2)  # how often each class is named
    return reduced(name, _gaps(x, times, classes), reduction)


@in_float32
def _gaps(x: Array, times: Array, classes: int) -> Array:
    """The mean over `classes` of max(0, 1 - x_t + x_i), for each named class t and all others i; `times` counts the names."""
    gaps = relu(1 - expand_dims(x, -1) + expand_dims(x, -2))
    pairs = expand_dims(times, -1) * where(expand_dims(equal(times, 0), -2), gaps, 0)
    return sum(pairs, axis=(-2, -1)) / classes


def multilabel_soft_margin_loss(
    prediction: Array, target: Array, weight: Array = None, reduction: str = "mean"
) -> Tensor:
    """y = the mean over the classes of -weight (t log s + (1 - t) log(1 - s)), with s = sigmoid(prediction), reduced.

    Args:
        prediction: scores (..., C).
        target: t, from 0 to 1; it broadcasts to the shape of the prediction.
        weight: a factor for each class, which broadcasts, or None.
        reduction: "mean", "sum" or "none" for each example.

    Raises:
        ValueError: for a shape that does not match, or another `reduction`.
    """
    name = "multilabel_soft_margin_loss"
    check_reduction(name, reduction)
    x, t = pair(name, prediction, target)
    if not x.ndim:
        raise ValueError(f"{name}: `prediction` has no axis; it must be (..., C)")
    each = bernoulli_nll_logits(x, t, 1 - t)
    return reduced(name, mean(each if weight is None else each * numbers(weight, x.dtype), axis=-1), reduction)
