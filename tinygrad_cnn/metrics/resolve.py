"""Metrics by name, and which metric a loss has by default."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from copy import copy
from functools import partial
from typing import Any

from ..core.remedies import original
from ..ops.losses.binary import binary_cross_entropy, binary_cross_entropy_with_logits
from ..ops.losses.classification import cross_entropy, nll_loss
from .classes import Accuracy, BinaryAccuracy, TopK
from .counts import F1, Dice, IoU, Precision, Recall, Specificity
from .curves import AUROC, AveragePrecision
from .errors import MAE, MAPE, MSLE, R2, RMSE, Cosine
from .metric import Average, Metric, checked_name
from .tasks import IGNORED

NAMES = (
    "accuracy, auroc, average_precision, binary_accuracy, cosine, dice, f1, iou, mae, mape, msle, precision, r2, recall, rmse, "
    "specificity, top3, top5"
)
TAKEN = ("epoch", "loss", "lr", "seconds")


def function_of(loss: Any) -> Any:
    """The function that a loss calls: of a layer of ``nn``, of a partial call, or the loss itself."""
    if isinstance(loss, partial):
        return function_of(loss.func)
    if hasattr(loss, "unweighted"):
        return function_of(loss.unweighted)
    return original(getattr(type(loss), "function", loss))


def threshold_of(loss: Any) -> float | None:
    """The output above which a binary loss means the positive class; None for any other loss."""
    function = function_of(loss)
    return 0.0 if function is binary_cross_entropy_with_logits else 0.5 if function is binary_cross_entropy else None


def ignored_by(loss: Any) -> int:
    """The class whose positions a cross-entropy leaves out; the default for any other loss."""
    if hasattr(loss, "unweighted"):
        return ignored_by(loss.unweighted)
    if function_of(loss) not in (cross_entropy, nll_loss):
        return IGNORED
    if isinstance(loss, partial):
        return int(loss.keywords["ignore_index"]) if "ignore_index" in loss.keywords else ignored_by(loss.func)
    return int(getattr(loss, "ignore_index", IGNORED))


def resolved(metrics: Any, loss: Any) -> list[Metric]:
    """The metrics that a user names, for a loss.

    Args:
        metrics: names, functions of (output, target), and objects of :class:`Metric`, in a list; or in a dict, by the
            names that they have in the history; or one of them. None for the default: "accuracy" for binary
            cross-entropies, and for any other loss where the targets are classes.
        loss: for which "accuracy", thresholds and `ignore_index` are chosen.

    Raises:
        TypeError: if one of them is something else.
        ValueError: for an unknown name, or one that occurs twice.

    >>> import tinygrad_cnn as tg
    >>> tg.metrics.resolved(["accuracy", "top3"], tg.cross_entropy)
    [Accuracy(), TopK(3)]
    >>> tg.metrics.resolved(["accuracy"], tg.binary_cross_entropy)
    [BinaryAccuracy(threshold=0.5)]
    """
    threshold, ignored = threshold_of(loss), ignored_by(loss)
    if metrics is None:
        return [Accuracy(True, ignored) if threshold is None else BinaryAccuracy(threshold, "accuracy")]
    if isinstance(metrics, Mapping):
        named = [
            Average(value, name) if _is_function(value) else _one(value, threshold, ignored)
            for name, value in metrics.items()
        ]
        given: list[Any] = [copy(metric) for metric in named]
        for metric, name in zip(given, metrics, strict=True):
            metric.name = checked_name(name)
    elif isinstance(metrics, str | Metric) or not isinstance(metrics, Iterable):
        given = [metrics]
    else:
        given = list(metrics)
    found = [_one(metric, threshold, ignored) for metric in given]
    for name, times in Counter(metric.name for metric in found).items():
        if times > 1 or name in TAKEN or name.startswith("val_"):
            why = "occurs twice" if times > 1 else "is the name of another column of the history"
            raise ValueError(f"`metrics`: the name '{name}' {why}; rename the metric: metrics={{'name': function}}")
    return found


def _is_function(value: Any) -> bool:
    return callable(value) and not isinstance(value, Metric | type)


def _one(metric: Any, threshold: float | None, ignored: int) -> Metric:
    if isinstance(metric, Metric):
        return metric
    if isinstance(metric, str):
        if top := re.fullmatch(r"top([1-9]\d*)", metric):
            return TopK(int(top[1]), ignored)
        name, _, average = metric.rpartition("_")
        if name in _AVERAGED and average in ("macro", "micro", "weighted"):
            found = _averaged(name, threshold, ignored, average)
            found.name = metric
            return found
        if metric not in _BY_NAME:
            raise ValueError(
                f"`metrics` has '{metric}'; the names are {NAMES}, with any other number for top-k, and with _micro "
                f"or _weighted for another average of {', '.join(_AVERAGED)}"
            )
        return _BY_NAME[metric](threshold, ignored)
    if isinstance(metric, type):
        raise TypeError(f"`metrics` has the class {metric.__name__}; pass an object: {metric.__name__}(...)")
    if _is_function(metric):
        return Average(metric)
    raise TypeError(
        f"`metrics` has {metric!r}; a metric is a name, a function of (output, target), or a tg.metrics.Metric"
    )


def _averaged(name: str, threshold: float | None, ignored: int, average: str) -> Metric:
    if name in _CURVES:
        return _CURVES[name](ignored, average=average)
    return _COUNTS[name](threshold or 0.0, ignored, average=average)


_COUNTS = {kind.name: kind for kind in (Dice, F1, IoU, Precision, Recall, Specificity)}
_CURVES = {kind.name: kind for kind in (AUROC, AveragePrecision)}
_AVERAGED = sorted([*_COUNTS, *_CURVES])
"""Metrics of classes, by their names, with an average."""

_BY_NAME: dict[str, Callable[[float | None, int], Metric]] = {
    "accuracy": lambda at, ignored: Accuracy(False, ignored) if at is None else BinaryAccuracy(at, "accuracy"),
    "binary_accuracy": lambda at, ignored: BinaryAccuracy(at or 0.0),
    **{name: lambda at, ignored, name=name: _averaged(name, at, ignored, "macro") for name in _AVERAGED},  # type: ignore[misc]
    **{kind.name: lambda at, ignored, kind=kind: kind() for kind in (Cosine, MAE, MAPE, MSLE, R2, RMSE)},  # type: ignore[misc]
}
