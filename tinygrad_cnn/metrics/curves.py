"""Metrics over all thresholds of the scores: the area under the ROC curve, and average precision."""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..checks import checked, flag, whole
from ..numpy_api.select import searchsorted
from ..ops.elementwise import where
from ..ops.scatter import scatter_add
from ..ops.shape import concatenate
from ..ops.softmax import softmax
from ..ops.transcendental import sigmoid
from ..tensor import Tensor
from .tasks import IGNORED, Averaged, rows, weight_of_each

Weights = NDArray[np.float64]
Scored = tuple[Weights, Weights, Weights]
"""Scores of one class, and the weights of positives and negatives that have them."""


class _OverThresholds(Averaged):
    """A metric of the order of the scores of each class, one class against the rest. :class:`AUROC` explains the arguments.

    Exact metrics keep all scores, which the totals of batches are lists of; with `thresholds`, histograms of the scores.
    """

    def __init__(
        self,
        ignore_index: int = IGNORED,
        *,
        average: str | None = "macro",
        task: str | None = None,
        logits: bool = True,
        thresholds: int | Sequence[float] | None = None,
    ) -> None:
        super().__init__(ignore_index, average, task)
        self.logits: bool = checked(type(self).__name__, {"logits": flag}, {"logits": logits})["logits"]
        self.thresholds = None if thresholds is None else _checked_thresholds(type(self).__name__, thresholds)
        self.joins = thresholds is None

    @staticmethod
    @abstractmethod
    def area(positive: Weights, negative: Weights) -> float:
        """The measure of one class, from the weights of its positives and negatives at each score, highest score first."""

    def measure(self, output: Any, target: Tensor, weight: Tensor | None = None) -> Tensor:
        """Each position's scores, targets and weights; or histograms (2, C, T + 1) of the scores of negatives and positives."""
        task = self._task(output, target)
        each = weight_of_each(target, task, self.ignore_index, weight).astype(np.float64)
        wide = output.astype(np.float64)
        if task == "multiclass":
            scores, right = rows(softmax(wide, axis=1) if self.logits else wide), target.reshape(-1, 1)
        else:
            scores, right = (rows(x) if task == "multilabel" else x.reshape(-1, 1) for x in (wide, target > 0.5))
        if self.thresholds is None:
            return concatenate([scores, right.astype(np.float64), each], axis=1)
        classes, bins = scores.shape[1], len(self.thresholds) + 1
        if task == "multiclass":
            right = right == np.arange(classes)
        elif self.logits:
            scores = sigmoid(scores)
        at = searchsorted(self.thresholds, scores, side="right")
        at = at + np.arange(classes) * bins + where(right, classes * bins, 0)
        each = where((scores == scores) | (each == 0), each, math.nan)  # a score that is NaN has no place
        return scatter_add(np.zeros(2 * classes * bins), 0, at.reshape(-1), each.reshape(-1))

    def totals(self, measured: Tensor, target: Tensor) -> list[float]:
        """The number of elements, for exact metrics that of classes, and the numbers that were measured."""
        count, *numbers = super().totals(measured, target)
        if self.thresholds is not None:
            return [count, *numbers]
        width = measured.shape[1]
        return [count, width - 2 if self._is_of_scores(width - 2) else width // 3, *numbers]

    def merge(self, before: list[float], new: Sequence[float]) -> list[float]:
        """The totals of two batches as those of both: exact metrics keep the positions of both."""
        if self.thresholds is not None or before[1] != new[1]:
            return super().merge(before, new)
        before[0] += new[0]
        before += new[2:]
        return before

    def result(self, count: float, sums: Sequence[float]) -> float | Weights:
        """The average over the classes for which the area is defined; of scores of classes, over those that are targets."""
        pairs = list(self._binned(sums) if self.thresholds is not None else self._kept(sums))
        counted = np.ones(len(pairs), bool)
        if scores := self._is_of_scores(len(pairs)):
            counted = np.arange(len(pairs)) != self.ignore_index
        if self.average == "micro":
            return self.area(*_grouped([pair for pair, counts in zip(pairs, counted, strict=True) if counts]))
        grouped = [_grouped([pair]) for pair in pairs]
        values = np.array(
            [self.area(*each) if counts else math.nan for each, counts in zip(grouped, counted, strict=True)]
        )
        support = np.array([positive.sum() for positive, _ in grouped])
        if np.isnan(support[counted]).any():
            return np.full(len(values), math.nan) if self.average == "none" else math.nan
        return self._averaged(values, support, counted & (support > 0) if scores else counted, math.nan)

    def _kept(self, sums: Sequence[float]) -> Iterator[Scored]:
        """The scores of each class with the weights of positives and negatives."""
        classes = int(sums[0])
        scores = self._is_of_scores(classes)
        table = np.asarray(sums[1:], np.float64).reshape(-1, classes + 2 if scores else 3 * classes)
        for c in range(classes):
            right, weight = (classes, classes + 1) if scores else (classes + c, 2 * classes + c)
            positive = table[:, right] == (c if scores else 1)
            yield table[:, c], np.where(positive, table[:, weight], 0), np.where(positive, 0, table[:, weight])

    def _binned(self, sums: Sequence[float]) -> Iterator[Scored]:
        """The numbers of the bins of each class with the weights of positives and negatives."""
        assert self.thresholds is not None
        bins = len(self.thresholds) + 1
        negative, positive = np.asarray(sums, np.float64).reshape(2, -1, bins)
        for c in range(len(positive)):
            yield np.arange(bins, dtype=np.float64), positive[c], negative[c]

    def __repr__(self) -> str:
        logits = ["logits=False"] * (not self.logits)
        many = [f"thresholds=<{len(self.thresholds)}>"] if self.thresholds is not None else []
        return self._shown(*self._arguments(), *logits, *many)


def _grouped(scored: Sequence[Scored]) -> tuple[Weights, Weights]:
    """The weights of positives and negatives at each score, highest score first; NaN if a score is."""
    scores, positive, negative = (np.concatenate(parts) for parts in zip(*scored, strict=True))
    counts = positive + negative != 0
    found, at = np.unique(-scores[counts], return_inverse=True)
    sums = [np.bincount(at, weights[counts], len(found)).astype(np.float64) for weights in (positive, negative)]
    if len(found) and math.isnan(found[-1]):
        return np.full(1, math.nan), np.full(1, math.nan)
    return sums[0], sums[1]


def _checked_thresholds(owner: str, thresholds: Any) -> Weights:
    """Their values, in ascending order."""
    if isinstance(thresholds, int | np.integer):
        return np.linspace(0, 1, checked(owner, {"thresholds": whole(2)}, {"thresholds": thresholds})["thresholds"])
    values = np.asarray(thresholds)
    if values.ndim != 1 or values.dtype.kind not in "iuf" or not values.size or not (np.diff(values) > 0).all():
        raise ValueError(
            f"{owner}: `thresholds` is {thresholds!r:.80}; it must be a number of them, at least 2, or a list that ascends"
        )
    if not np.isfinite(values).all():
        raise ValueError(f"{owner}: `thresholds` is {thresholds!r:.80}; they must be finite")
    return values.astype(np.float64)


class AUROC(_OverThresholds):
    """The area under the ROC curve: the probability that a positive has a higher score than a negative, where ties count half.

    Without `thresholds` it is exact. Then all scores are kept until the measure is computed, which is after each epoch in
    ``fit``, and it cannot be measured in distributed training. With them it is that of the probabilities rounded down to
    thresholds, from histograms that add up.

    Args:
        ignore_index: positions with this target do not count, and this class is in no average. By name, ``fit`` takes that of
            the loss.
        average: of the classes, each against the rest. "macro": their mean; "weighted": their mean by how often they are the
            target; "micro": the area for the scores of all together; "none" or None: an array of all classes.
        task: "multiclass" for scores (N, C, ...) and integer classes (N, ...); "binary" for an output of the target's shape
            whose elements are all of one class; "multilabel" for an output and target (N, L, ...) of L classes, each there or
            not. None for the first of these that fits the shapes.
        logits: whether outputs are logits, not probabilities. Softmax makes probabilities of those of classes. By name,
            ``fit`` chooses it to fit the loss.
        thresholds: None; or how many, evenly from 0 to 1; or their values, ascending.

    A class without positives or without negatives has no area: it is NaN, and in no average. In scikit-learn, averages are NaN
    then.

    Raises:
        TypeError, ValueError: if an argument is out of range; in use, for other shapes.

    >>> import numpy as np, tinygrad_cnn as tg
    >>> scores, target = np.array([0.1, 0.4, 0.35, 0.8]), np.array([0, 0, 1, 1])
    >>> tg.metrics.AUROC()(scores, target)
    0.75
    """

    name = "auroc"

    @staticmethod
    def area(positive: Weights, negative: Weights) -> float:
        """The share of pairs of a positive and a negative of which the positive is above."""
        pairs = positive.sum() * negative.sum()
        above = np.cumsum(positive) - positive / 2
        return float(np.dot(negative, above) / pairs) if pairs else math.nan


class AveragePrecision(_OverThresholds):
    """The mean over the positives of the precision at their score: sum_n (R_n - R_n-1) P_n over all thresholds.

    P and R are precision and recall of the elements whose score is at least the threshold. It is 0 for a class without
    positives, as in scikit-learn; such a class of scores (N, C, ...) is in no average.

    Arguments and errors are those of :class:`AUROC`.

    >>> import numpy as np, tinygrad_cnn as tg
    >>> scores, target = np.array([0.1, 0.4, 0.35, 0.8]), np.array([0, 0, 1, 1])
    >>> tg.metrics.AveragePrecision()(scores, target) == (1 + 2 / 3) / 2
    True
    """

    name = "average_precision"

    @staticmethod
    def area(positive: Weights, negative: Weights) -> float:
        """The mean of the precisions."""
        found = np.cumsum(positive)
        total = found[-1] if found.size else 0.0
        precisions = found / np.maximum(np.cumsum(positive + negative), np.finfo(np.float64).tiny)
        return float(np.dot(positive, precisions) / total) if total else 0.0
