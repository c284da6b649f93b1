"""Losses."""

from __future__ import annotations

from typing import Any

import numpy as np

from ....core.graph import Array
from ....ops import elementwise as e
from ....ops import gather, softmax
from ....ops import reduce as r
from ....ops import shape as s
from ....ops.losses import binary, distance, regression
from ....ops.losses import classification as k
from ....ops.losses.labels import label_mask, label_weights
from .base import Weight, dtype_of, reads, refuse, writes


@reads("NegativeLogLikelihoodLoss")
def _nll(
    input: Array, target: Array, weight: Weight = None, *, ignore_index: int | None = None, reduction: str = "mean"
) -> Array:
    safe = target if ignore_index is None else e.where(target == ignore_index, 0, target)
    picked = s.squeeze(gather.take_along_axis(input, s.expand_dims(safe, 1), axis=1), 1)
    each: Any = None if weight is None else gather.take(weight, safe, axis=0)
    if ignore_index is not None:
        each = e.where(target == ignore_index, 0, np.ones((), dtype_of(input)) if each is None else each)
    loss = e.neg(picked if each is None else e.mul(picked, each))
    if reduction == "none":
        return loss
    if reduction == "sum":
        return r.sum(loss)
    refuse(reduction != "mean", f"`reduction` is {reduction!r}; it must be none, sum or mean")
    return r.mean(loss) if each is None else e.div(r.sum(loss), r.sum(each))


@reads("SoftmaxCrossEntropyLoss")
def _cross_entropy(
    scores: Array, labels: Array, weights: Weight = None, *, ignore_index: int | None = None, reduction: str = "mean",
    outputs: int,
) -> Any:  # fmt: skip
    logs = softmax.log_softmax(scores, axis=1)
    loss = _nll(logs, labels, weights, ignore_index=ignore_index, reduction=reduction)
    return loss if outputs == 1 else (loss, logs)


# Writing


@writes(regression.mse)
def _mse(w: Any, prediction: Any, target: Any, *, reduction: Any, out: Any) -> Any:
    gap = w.node("Sub", *w.same(out.dtype, prediction, target))
    square = w.node("Mul", gap, gap)
    if reduction == "none":
        return square
    return w.node("ReduceMean" if reduction == "mean" else "ReduceSum", square, keepdims=0)


@writes(label_weights)
def _label_weights(
    w: Any, target: Any, weight: Any = None, *, classes: Any, ignore_index: Any, function: Any, dtype: Any, mean: Any,
    out: Any,
) -> Any:  # fmt: skip
    found = _factors(w, target, weight, ignore_index, out)
    return w.node("Div", found, w.node("ReduceSum", found, keepdims=0)) if mean else found


def _factors(w: Any, target: Any, weight: Any, ignore_index: Any, out: Any) -> Any:
    kept = w.node("Not", w.node("Equal", target, w.number(-1 if ignore_index is None else ignore_index, target.dtype)))
    if weight is None:
        return w.cast(kept, out.dtype)
    safe = w.node("Where", kept, target, w.number(0, target.dtype))
    factors = w.node("Gather", w.as_dtype(weight, out.dtype), w.as_index(safe), axis=0)
    return w.node("Where", kept, factors, w.number(0, out.dtype))


@writes(label_mask)
def _label_mask(w: Any, labels: Any, *, classes: Any) -> Any:
    numbers = np.arange(classes).reshape(-1, *(1,) * (len(labels.shape) - 1)).astype(labels.dtype)
    return w.node("Equal", w.node("Unsqueeze", labels, w.ints([1])), w.constant(numbers))


@writes(k.softmax_nll)
def _softmax_nll(w: Any, logits: Any, target: Any, weights: Any, *, out: Any) -> Any:
    mask = _label_mask(w, target, classes=logits.shape[1])
    picked = w.node("Where", mask, w.node("LogSoftmax", logits, axis=1), w.number(0, logits.dtype))
    return w.node("Neg", w.node("Mul", w.as_dtype(weights, out.dtype), w.reduce("ReduceSum", picked, [1], False)))


@writes(k.mean_nll)
def _mean_nll(w: Any, logits: Any, target: Any, share: Any, *, out: Any) -> Any:
    return w.node("ReduceSum", _softmax_nll(w, logits, target, share, out=out), keepdims=0)


@writes(k.mean_by)
def _mean_by(w: Any, a: Any, weights: Any, *, out: Any) -> Any:
    total, weight = (w.node("ReduceSum", w.as_dtype(x, out.dtype), keepdims=0) for x in (a, weights))
    return w.node("Div", total, weight)


@writes(binary.bernoulli_nll)
def _bernoulli(w: Any, p: Any, t: Any, *, out: Any) -> Any:
    p, t = w.same(out.dtype, p, t)
    one, least = w.number(1, out.dtype), w.number(binary.LOWEST_LOG, out.dtype)
    yes, no = (w.node("Max", w.node("Log", x), least) for x in (p, w.node("Sub", one, p)))
    return w.node("Neg", w.node("Add", w.node("Mul", t, yes), w.node("Mul", w.node("Sub", one, t), no)))


@writes(regression.checked_variance)
def _checked_variance(w: Any, a: Any, *, eps: Any, out: Any) -> Any:
    return w.node("Max", w.as_dtype(a, out.dtype), w.number(eps, out.dtype))


@writes(regression.divergence)
def _divergence(w: Any, t: Any, x: Any, *, out: Any) -> Any:
    t, x = w.same(out.dtype, t, x)
    safe = w.node("Where", w.node("Equal", t, w.number(0, out.dtype)), w.number(1, out.dtype), t)
    return w.node("Mul", t, w.node("Sub", w.node("Log", safe), x))


@writes(distance.is_positive)
def _is_positive(w: Any, target: Any, *, function: Any) -> Any:
    return w.node("Equal", target, w.number(1, target.dtype))


@writes(binary.bernoulli_nll_logits)
def _bernoulli_logits(w: Any, x: Any, t: Any, u: Any, *, out: Any) -> Any:
    x, t, u = w.same(out.dtype, x, t, u)
    yes, no = w.node("Softplus", w.node("Neg", x)), w.node("Softplus", x)
    return w.node("Add", w.node("Mul", t, yes), w.node("Mul", u, no))
