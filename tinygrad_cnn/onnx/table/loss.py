"""Losses."""

from __future__ import annotations

from typing import Any

import numpy as np

from ...core.graph import Array
from ...ops import elementwise as e
from ...ops import gather, softmax
from ...ops import reduce as r
from ...ops import shape as s
from .base import Weight, dtype_of, reads, refuse


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
