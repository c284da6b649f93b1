"""Losses of classifiers: scores or probabilities against classes. g is the incoming gradient, a' the gradient in a."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from ...core.graph import Array, Tensor, op
from ...scope import errors
from ..activation import logsigmoid, relu
from ..compare import equal, logical_and
from ..elementwise import in_floats, maximum, sub, where
from ..gather import checked_labels
from ..half import in_float32
from ..matmul import linear
from ..real import real, refuse
from ..reduce import mean, sum
from ..scan import cumsum
from ..shape import broadcast_to, expand_dims, reshape
from ..softmax import log_softmax, softmax, softmax_pull
from ..transcendental import sigmoid
from .base import as_array, check_reduction, numbers, pair, reduced, warn_if_from

__all__ = [
    "binary_cross_entropy", "binary_cross_entropy_with_logits", "cross_entropy", "multi_margin_loss", "multilabel_margin_loss",
    "multilabel_soft_margin_loss", "nll_loss", "soft_margin_loss",
]  # fmt: skip

# Labels: integers (N, ...), for scores (N, C, ...)


@op(differentiable=False)
def label_weights(
    target: Array, weight: Array = None, *, classes: int, ignore_index: int | None, function: str, dtype: np.dtype[Any],
    mean: bool = False,
) -> Array:  # fmt: skip
    """y = weight[target], or 1 without weights, and 0 where `target` is `ignore_index`; no gradient.

    With `mean`, y is each label's share of their sum, or 0 if they sum to 0, in float32 at least.
    This checks the labels too: a TypeError or IndexError begins with the name `function`.
    """
    target = checked_labels(function, "target", target, classes, ignore_index)
    kept = np.not_equal(target, -1 if ignore_index is None else ignore_index)
    if mean and dtype.itemsize < 4:
        dtype = np.dtype(np.float32)  # a sum in float16 overflows, and a share loses digits
    if weight is None:
        w = kept.astype(dtype)
    else:
        w = np.where(kept, np.asarray(weight, dtype)[np.where(kept, target, 0)], 0)
    if not mean:
        return w
    total = np.asarray(np.count_nonzero(kept) if weight is None else sum(w), dtype)
    return np.divide(w, total + (total == 0))


@op(differentiable=False)
def label_mask(labels: Array, *, classes: int) -> Array:
    """y[n, c, ...] = whether c is labels[n, ...], Boolean, without a gradient."""
    labels = labels[:, None]
    return labels == np.arange(classes).reshape(-1, *(1,) * (labels.ndim - 2))


def _pick(a: Array, labels: Array) -> Tensor:
    """a[n, labels[n, ...], ...], and 0 if a label is out of range."""
    return sum(where(label_mask(labels, classes=a.shape[1]), a, 0), axis=1)


@op
def softmax_nll(logits: Array, target: Array, w: Array) -> Array:
    """y[n, ...] = -w[n, ...] log of the softmax over axis 1 at target[n, ...].   logits' = g w (softmax - one at target).

    A label out of range belongs to no class and has w = 0.
    """
    return w * np.subtract(0, _pick(log_softmax(logits, axis=1), target))


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
        return _single(cross_entropy, logits, target, weight=weight, **options)
    logits = in_floats(logits)  # a weight in the dtype of integers would lose its fraction
    classes = _classes(name, "logits", logits, target, weight, dense=True)
    if target.shape != logits.shape:
        mean = reduction == "mean" and not label_smoothing
        w = label_weights(
            target, weight, classes=classes, ignore_index=ignore_index, function=name, dtype=logits.dtype, mean=mean
        )
        labels = _without(target, ignore_index)
        if mean:
            return mean_nll(logits, labels, w)
        if not label_smoothing:
            return reduced(name, softmax_nll(logits, labels, w), reduction)
        log_p = log_softmax(logits, axis=1)
        spread = where(target != ignore_index, _over_classes(log_p, weight), 0)
        each = w * _pick(log_p, labels) * (label_smoothing - 1) - spread * (label_smoothing / classes)
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
        return _single(nll_loss, log_probs, target, weight=weight, ignore_index=ignore_index, reduction=reduction)
    log_probs = in_floats(log_probs)
    classes = _classes("nll_loss", "log_probs", log_probs, target, weight, dense=False)
    form = {"classes": classes, "ignore_index": ignore_index, "function": "nll_loss", "dtype": log_probs.dtype}
    w = label_weights(target, weight, **form)
    return _labelled("nll_loss", -(w * _pick(log_probs, _without(target, ignore_index))), w, reduction)


def _without(target: Tensor, ignore_index: int) -> Tensor:
    """The labels, out of range where they are ignored: a log-probability of -inf there would be NaN times a weight of 0."""
    return target if ignore_index < 0 else where(equal(target, ignore_index), -1, target.astype(np.int64))


def _single(loss: Callable[..., Tensor], scores: Tensor, target: Tensor, **options: Any) -> Tensor:
    """The loss of a single example, computed as a batch of one."""
    y = loss(expand_dims(scores, 0), expand_dims(target, 0), **options)
    return reshape(y, shape=()) if options["reduction"] == "none" else y


def _classes(name: str, label: str, scores: Array, target: Array, weight: Array, dense: bool) -> int:
    """The number of classes of scores (N, C, ...); checks the shapes of target and weight."""
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
    if getattr(weight, "requires_grad", False):
        raise TypeError(f"{name}: `weight` requires a gradient but has none; pass `weight.detach()`")
    return int(classes)


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
        return _single(multi_margin_loss, x, target, p=p, margin=margin, weight=weight, reduction=reduction)
    classes = _classes(name, "prediction", x, target, weight, dense=False)
    w = label_weights(target, weight, classes=classes, ignore_index=None, function=name, dtype=x.dtype)
    return reduced(name, w * _hinges(x, target, p, margin), reduction)


@in_float32
def _hinges(x: Array, target: Array, p: int, margin: float) -> Array:
    hinges = relu(margin + x - expand_dims(_pick(x, target), 1))
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
