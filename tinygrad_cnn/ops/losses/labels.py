"""Labels, the integers (N, ...) of the classes of scores (N, C, ...): their weights, and what they pick of the scores."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from ...core.graph import Array, Tensor, op
from ..compare import equal
from ..elementwise import where
from ..gather import checked_labels
from ..reduce import sum
from ..shape import expand_dims, reshape

__all__: list[str] = []


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
        return np.divide(kept, np.asarray(np.maximum(np.count_nonzero(kept), 1), dtype)) if mean else kept.astype(dtype)
    w = np.where(kept, np.asarray(weight, dtype)[np.where(kept, target, 0)], 0)
    if not mean:
        return w
    total = np.asarray(sum(w), dtype)
    return np.divide(w, total + (total == 0))


@op(differentiable=False)
def label_mask(labels: Array, *, classes: int) -> Array:
    """y[n, c, ...] = whether c is labels[n, ...], Boolean, without a gradient."""
    labels = labels[:, None]
    return labels == np.arange(classes).reshape(-1, *(1,) * (labels.ndim - 2))


def picked(a: Array, labels: Array) -> Tensor:
    """a[n, labels[n, ...], ...], and 0 if a label is out of range."""
    return sum(where(label_mask(labels, classes=a.shape[1]), a, 0), axis=1)


def without(target: Tensor, ignore_index: int) -> Tensor:
    """The labels, out of range where they are ignored: a log-probability of -inf there would be NaN times a weight of 0."""
    return target if ignore_index < 0 else where(equal(target, ignore_index), -1, target.astype(np.int64))


def single(loss: Callable[..., Tensor], scores: Tensor, target: Tensor, **options: Any) -> Tensor:
    """The loss of a single example, computed as a batch of one."""
    y = loss(expand_dims(scores, 0), expand_dims(target, 0), **options)
    return reshape(y, shape=()) if options["reduction"] == "none" else y


def class_count(name: str, label: str, scores: Array, target: Array, weight: Array, dense: bool) -> int:
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
