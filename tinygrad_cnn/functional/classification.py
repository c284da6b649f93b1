"""Losses of classifiers: scores or probabilities against classes."""

from __future__ import annotations

import numpy as np

from ..core.graph import Array
from ..ops.activation import logsigmoid
from ..ops.elementwise import where
from ..ops.label import label_weights, pick
from ..ops.loss import bernoulli_nll, bernoulli_nll_logits, check_reduction, mean_by, softmax_nll
from ..ops.real import real
from ..ops.shape import reshape
from ..ops.softmax import log_softmax
from ..tensor import Tensor
from .losses import as_array, numbers, pair, reduced

__all__ = [
    "binary_cross_entropy",
    "binary_cross_entropy_with_logits",
    "cross_entropy",
    "nll_loss",
    "soft_margin_loss",
]


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
        logits: (N, C), (C,) or (N, C, d1, ...), of any size.
        target: class indices, (N,), () or (N, d1, ...), integers; or probabilities of the logits' shape and kind.
        weight: a factor for each class, (C,), or None; it has no gradient.
        ignore_index: the index of what does not count. Probabilities have no index.
        reduction: "mean" divides by the sum of the weights of the classes in `target` (for probabilities by their number),
            so it is NaN, with a gradient of 0, where nothing counts; "sum"; or "none".
        label_smoothing: the share of each t that is spread evenly over the classes, from 0 to 1.

    Raises:
        IndexError: for a class that does not exist.
        TypeError: for class indices that are not integers, or probabilities that are.
        ValueError: for shapes that do not fit, another argument out of range, or the `ignore_index` of a class beside
            probabilities.

    >>> import numpy as np, tinygrad_cnn as tg
    >>> logits = tg.Tensor([[100.0, 0.0], [0.0, 0.0]], requires_grad=True)
    >>> tg.cross_entropy(logits, np.array([0, 1]), reduction="none").tolist()
    [0.0, 0.6931471824645996]
    """
    name = "cross_entropy"
    check_reduction(name, reduction)
    logits, target = as_array(logits), as_array(target)
    real(name, "label_smoothing", label_smoothing, "be from 0 to 1", lambda x: 0 <= x <= 1)
    if logits.ndim == 1:
        single = reshape(logits, shape=(1, -1)), reshape(target, shape=(1, *target.shape))
        y = cross_entropy(*single, weight, ignore_index, reduction, label_smoothing)
        return reshape(y, shape=()) if reduction == "none" else y
    classes = _classes(name, "logits", logits, target, weight, dense=True)
    if target.shape == logits.shape:
        if target.dtype.kind != "f":
            raise TypeError(
                f"{name}: `target` has the shape of `logits`, so it holds probabilities, but is {target.dtype}; "
                "convert it with astype(np.float32)"
            )
        if ignore_index >= 0:
            raise ValueError(
                f"{name}: `ignore_index` is {ignore_index} but `target` holds probabilities, which have no index; leave it "
                "out, and give the rows that do not count probabilities of 0"
            )
        t = target * (1 - label_smoothing) + label_smoothing / classes if label_smoothing else target
        each = -_over_classes(t * log_softmax(logits, axis=1), weight)
        return reduced(name, each, reduction)
    w = label_weights(target, weight, classes=classes, ignore_index=ignore_index, function=name, dtype=logits.dtype)
    if not label_smoothing:
        return _labelled(name, softmax_nll(logits, target, w), w, reduction)
    log_p = log_softmax(logits, axis=1)
    spread = where(target != ignore_index, _over_classes(log_p, weight), 0)
    each = w * pick(log_p, target) * (label_smoothing - 1) - spread * (label_smoothing / classes)
    return _labelled(name, each, w, reduction)


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
    log_probs, target = as_array(log_probs), as_array(target)
    if log_probs.ndim == 1:
        y = nll_loss(
            reshape(log_probs, shape=(1, -1)),
            reshape(target, shape=(1, *target.shape)),
            weight,
            ignore_index,
            reduction,
        )
        return reshape(y, shape=()) if reduction == "none" else y
    classes = _classes("nll_loss", "log_probs", log_probs, target, weight, dense=False)
    w = label_weights(
        target, weight, classes=classes, ignore_index=ignore_index, function="nll_loss", dtype=log_probs.dtype
    )
    return _labelled("nll_loss", -(w * pick(log_probs, target)), w, reduction)


def _classes(name: str, label: str, scores: Array, target: Array, weight: Array, dense: bool) -> int:
    """The number of classes of scores (N, C, ...), which target and weight must fit."""
    if scores.ndim < 2:
        raise ValueError(f"{name}: `{label}` has shape {scores.shape}; it must be (N, C), (C,) or (N, C, d1, ...)")
    n, classes, *rest = scores.shape
    fitting = [(n, *rest), scores.shape] if dense else [(n, *rest)]
    if target.shape not in fitting:
        raise ValueError(
            f"{name}: `target` has shape {target.shape} beside `{label}` {scores.shape}; class indices must be {(n, *rest)}"
            + (" and probabilities of the shape of `logits`" if dense else "")
        )
    if weight is not None and np.shape(weight) != (classes,):
        raise ValueError(f"{name}: `weight` has shape {np.shape(weight)}; it must be ({classes},), one for each class")
    if isinstance(weight, Tensor) and weight.requires_grad:
        raise TypeError(f"{name}: `weight` requires a gradient but has none; pass `weight.detach()`")
    return int(classes)


def _over_classes(values: Tensor, weight: Array) -> Tensor:
    """The sum of weight * values over axis 1."""
    if weight is not None:
        factors = numbers(weight, values.dtype).astype(values.dtype)
        values = values * reshape(factors, shape=(-1, *(1 for _ in values.shape[2:])))
    return values.sum(axis=1)


def _labelled(name: str, each: Tensor, w: Tensor, reduction: str) -> Tensor:
    return mean_by(each, w) if reduction == "mean" else reduced(name, each, reduction)


def binary_cross_entropy(prediction: Array, target: Array, weight: Array = None, reduction: str = "mean") -> Tensor:
    """y = -weight (t log p + (1 - t) log(1 - p)), reduced, with p = prediction and t = target from 0 to 1.

    The logarithms stop at -100, as in PyTorch, so y is finite. The gradient is that of this function, and so 0 for a p of 0
    or 1 on the wrong side, where PyTorch has 1e12. Prefer :func:`binary_cross_entropy_with_logits`, which needs no bound.

    Args:
        prediction, target: the target broadcasts to the prediction's shape.
        weight: a factor for each element, which broadcasts, or None.
        reduction: "mean", "sum" or "none".

    Raises:
        ValueError: for a value outside 0 to 1, a shape that does not fit, or another `reduction`.
    """
    p, t = pair("binary_cross_entropy", prediction, target)
    each = bernoulli_nll(p, t)
    return reduced("binary_cross_entropy", each if weight is None else each * numbers(weight, p.dtype), reduction)


def binary_cross_entropy_with_logits(
    logits: Array, target: Array, weight: Array = None, reduction: str = "mean", pos_weight: Array = None
) -> Tensor:
    """y = -weight (pos_weight t log s + (1 - t) log(1 - s)) with s = sigmoid(logits) and t = target, reduced.

    Exact for logits of any size.   logits' = g weight (s - t) without a pos_weight.

    Args:
        logits, target: the target broadcasts to the logits' shape.
        weight: a factor for each element, which broadcasts, or None.
        reduction: "mean", "sum" or "none".
        pos_weight: a factor for the positive part, which broadcasts: above 1 it raises recall. Or None.

    Raises:
        ValueError: for a shape that does not fit, or another `reduction`.
    """
    x, t = pair("binary_cross_entropy_with_logits", logits, target)
    each = bernoulli_nll_logits(x, t, None if pos_weight is None else numbers(pos_weight, x.dtype))
    each = each if weight is None else each * numbers(weight, x.dtype)
    return reduced("binary_cross_entropy_with_logits", each, reduction)


def soft_margin_loss(prediction: Array, target: Array, reduction: str = "mean") -> Tensor:
    """y = log(1 + e^(-t x)) with x = prediction and t = target, 1 or -1, reduced.   Exact for x of any size.

    Raises:
        ValueError: if `target` does not fit, or for another `reduction`.
    """
    x, t = pair("soft_margin_loss", prediction, target)
    return reduced("soft_margin_loss", -logsigmoid(t * x), reduction)
