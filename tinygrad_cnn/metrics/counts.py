"""Metrics of right and wrong decisions: precision, recall, specificity, F1, IoU, Dice.

TP, FP, FN and TN count the true and false positives and negatives of a class.
"""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..checks import checked, number
from ..ops.shape import broadcast_to, stack
from ..tensor import Tensor
from .tasks import IGNORED, Averaged, Thresholded, decided, weight_of_each

Counts = NDArray[np.float64]


class _OfCounts(Averaged, Thresholded):
    """A ratio of counts. :class:`Precision` explains the arguments."""

    def __init__(
        self,
        threshold: float = 0.0,
        ignore_index: int = IGNORED,
        *,
        average: str | None = "macro",
        task: str | None = None,
        zero_division: float = 0.0,
    ) -> None:
        Averaged.__init__(self, ignore_index, average, task)
        Thresholded.__init__(self, threshold)
        checks = {"zero_division": _ZERO_DIVISION}
        self.zero_division: float = checked(type(self).__name__, checks, {"zero_division": zero_division})[
            "zero_division"
        ]

    @staticmethod
    @abstractmethod
    def ratio(tp: Counts, predicted: Counts, right: Counts, total: Counts) -> tuple[Counts, Counts]:
        """Numerators and denominators, of TP, TP + FP, TP + FN and all positions of each class."""

    def measure(self, output: Any, target: Tensor, weight: Tensor | None = None) -> Tensor:
        """(4, C): for each class TP, TP + FP, TP + FN, and all positions."""
        task = self._task(output, target)
        ours, theirs = decided(output, target, task, self.threshold)
        each = broadcast_to(weight_of_each(target, task, self.ignore_index, weight), ours.shape)
        parts = (ours & theirs, ours, theirs)
        return stack(
            [*((part & each if weight is None else part * each).sum(axis=0) for part in parts), each.sum(axis=0)]
        )

    def result(self, count: float, sums: Sequence[float]) -> float | Counts:
        """The average over the classes that occur in targets or predictions; of labels, over all."""
        counts = np.reshape(np.asarray(sums, np.float64), (4, -1))
        classes = counts.shape[1]
        occurs = np.ones(classes, bool)
        if scores := self._is_of_scores(classes):
            occurs = counts[1] + counts[2] > 0
            if 0 <= self.ignore_index < classes:
                occurs[self.ignore_index] = False
        support = counts[2]
        if self.average == "micro":
            counts = counts[:, occurs].sum(axis=1, keepdims=True)
            support, occurs = counts[2], np.ones(1, bool)
        numerator, denominator = self.ratio(*counts)
        values = np.full(len(support), self.zero_division)
        np.divide(numerator, denominator, out=values, where=denominator > 0)
        if scores and self.average == "none" and 0 <= self.ignore_index < classes:
            values[self.ignore_index] = math.nan
        return self._averaged(values, support, occurs, self.zero_division)

    def __repr__(self) -> str:
        zero = [f"zero_division={self.zero_division}"] * (self.zero_division != 0)
        return self._shown(f"threshold={self.threshold}", *self._arguments(), *zero)


_ZERO_DIVISION = number("a number from 0 to 1, or NaN", lambda x: math.isnan(x) or 0 <= x <= 1)


class Precision(_OfCounts):
    """TP / (TP + FP): the share of the predictions of a class that are right.

    Args:
        threshold: where a class is decided alone: output > threshold. 0 for logits, 0.5 for probabilities. By name, ``fit``
            chooses it to fit the loss.
        ignore_index: positions with this target do not count, and this class is in no average. By name, ``fit`` takes that of
            the loss.
        average: of the classes. "macro": their mean; "weighted": their mean by how often they are the target; "micro": the
            ratio of all counts together; "none" or None: an array of all classes.
        task: "multiclass" for scores (N, C, ...), of which the highest counts, and integer classes (N, ...); "binary" for an
            output of the target's shape whose elements are all of one class; "multilabel" for an output and target
            (N, L, ...) of L classes, each there or not. None for the first of these that fits the shapes.
        zero_division: the value of a class whose ratio is 0 / 0: a number, or NaN, which leaves the class out of averages.

    Raises:
        TypeError, ValueError: if an argument is out of range; in use, for other shapes.

    >>> import numpy as np, tinygrad_cnn as tg
    >>> tg.metrics.Precision()(np.array([1.0, 2.0, 3.0, -1.0]), np.array([1, 0, 1, 1])) == 2 / 3
    True
    """

    name = "precision"

    @staticmethod
    def ratio(tp: Counts, predicted: Counts, right: Counts, total: Counts) -> tuple[Counts, Counts]:
        """TP and TP + FP."""
        return tp, predicted


class Recall(_OfCounts):
    """TP / (TP + FN): the share of the positions of a class that are found. Its mean over classes is the balanced accuracy.

    Arguments and errors are those of :class:`Precision`.

    >>> import numpy as np, tinygrad_cnn as tg
    >>> scores, classes = np.eye(3)[[0, 1, 1, 2]], np.array([0, 1, 2, 2])
    >>> tg.metrics.Recall(average="none")(scores, classes).tolist()
    [1.0, 1.0, 0.5]
    """

    name = "recall"

    @staticmethod
    def ratio(tp: Counts, predicted: Counts, right: Counts, total: Counts) -> tuple[Counts, Counts]:
        """TP and TP + FN."""
        return tp, right


class Specificity(_OfCounts):
    """TN / (TN + FP): the share of the positions of other classes for which this one is not predicted.

    Arguments and errors are those of :class:`Precision`.

    >>> import numpy as np, tinygrad_cnn as tg
    >>> tg.metrics.Specificity()(np.array([1.0, -2.0, -3.0, -1.0]), np.array([0, 0, 0, 1])) == 2 / 3
    True
    """

    name = "specificity"

    @staticmethod
    def ratio(tp: Counts, predicted: Counts, right: Counts, total: Counts) -> tuple[Counts, Counts]:
        """TN and TN + FP."""
        return total - predicted - right + tp, total - right


class F1(_OfCounts):
    """2 TP / (2 TP + FP + FN): the harmonic mean of precision and recall.

    Arguments and errors are those of :class:`Precision`.

    >>> import numpy as np, tinygrad_cnn as tg
    >>> tg.metrics.F1()(np.array([1.0, 1.0, -1.0]), np.array([1, 0, 1]))
    0.5
    """

    name = "f1"

    @staticmethod
    def ratio(tp: Counts, predicted: Counts, right: Counts, total: Counts) -> tuple[Counts, Counts]:
        """2 TP and 2 TP + FP + FN."""
        return 2 * tp, predicted + right


class Dice(F1):
    """2 TP / (2 TP + FP + FN) = 2 |A & B| / (|A| + |B|) for predicted positions A and true ones B: F1 by its other name.

    Arguments and errors are those of :class:`Precision`.

    >>> import numpy as np, tinygrad_cnn as tg
    >>> maps, masks = np.array([[[1.0, 1.0], [-1.0, -1.0]]]), np.array([[[1, 0], [1, 0]]])
    >>> tg.metrics.Dice()(maps, masks)
    0.5
    """

    name = "dice"


class IoU(_OfCounts):
    """TP / (TP + FP + FN) = |A & B| / |A | B| for predicted positions A and true ones B: the Jaccard index.

    The counts are those of all examples together; that is the mean IoU of segmentation.

    Arguments and errors are those of :class:`Precision`.

    >>> import numpy as np, tinygrad_cnn as tg
    >>> maps, masks = np.array([[[1.0, 1.0], [-1.0, -1.0]]]), np.array([[[1, 0], [1, 0]]])
    >>> tg.metrics.IoU()(maps, masks) == 1 / 3
    True
    """

    name = "iou"

    @staticmethod
    def ratio(tp: Counts, predicted: Counts, right: Counts, total: Counts) -> tuple[Counts, Counts]:
        """TP and TP + FP + FN."""
        return tp, predicted + right - tp
