"""Metrics of classes."""

from __future__ import annotations

from typing import Any

from ..checks import checked, whole
from ..ops.reduce import argmax
from ..ops.sort import topk
from ..tensor import Tensor
from .metric import weighted_sum
from .tasks import IGNORED, SCORES, OfClasses, Thresholded, are_scores


def correct(output: Any, target: Tensor) -> Tensor | None:
    """The number of positions whose highest score is at their class: a Tensor (), or None if there are no classes.

    Args:
        output: scores (N, C, ...) with at least two classes.
        target: classes (N, ...), integers.
    """
    return (argmax(output, axis=1) == target).sum() if are_scores(output, target) else None


class Accuracy(OfClasses):
    """The share of positions whose highest score is at their class, for scores (N, C, ...) and classes (N, ...).

    Args:
        if_classes: whether to measure nothing where outputs and targets are something else, instead of raising.
        ignore_index: positions with this class do not count. By its name, ``fit`` takes that of the loss.

    Raises:
        ValueError: in use, if outputs and targets have other shapes.

    >>> import numpy as np, tinygrad_cnn as tg
    >>> tg.metrics.Accuracy()(np.array([[0.1, 0.9], [0.8, 0.2]]), np.array([1, 1]))
    0.5
    """

    name = "accuracy"
    sums = 1

    def __init__(self, if_classes: bool = False, ignore_index: int = IGNORED) -> None:
        super().__init__(ignore_index)
        self.if_classes = if_classes

    def measure(self, output: Any, target: Tensor, weight: Tensor | None = None) -> Tensor | None:
        """How many are right."""
        if are_scores(output, target):
            return self._right(argmax(output, axis=1) == target, target, weight)
        if not self.if_classes:
            raise self._refused(output, target, SCORES)
        return None

    def __repr__(self) -> str:
        return self._shown()


class TopK(OfClasses):
    """The share of positions whose class has one of the k highest scores. Of equal scores, the first counts as the higher.

    Args:
        k: how many scores: at least 1.
        ignore_index: positions with this class do not count. By its name, ``fit`` takes that of the loss.

    Raises:
        TypeError, ValueError: if `k` is out of range; in use, if it exceeds the number of classes, or for other shapes.

    >>> import numpy as np, tinygrad_cnn as tg
    >>> tg.metrics.TopK(2)(np.array([[0.5, 0.3, 0.2], [0.5, 0.3, 0.2]]), np.array([1, 2]))
    0.5
    """

    sums = 1

    def __init__(self, k: int = 5, ignore_index: int = IGNORED) -> None:
        super().__init__(ignore_index)
        self.k: int = checked("TopK", {"k": whole(1)}, {"k": k})["k"]
        self.name = f"top{k}"

    def measure(self, output: Any, target: Tensor, weight: Tensor | None = None) -> Tensor:
        """How many are right."""
        if not are_scores(output, target):
            raise self._refused(output, target, SCORES)
        if self.k > output.shape[1]:
            raise self._refused(output, target, f"there are fewer than {self.k} classes")
        _, places = topk(output, self.k, axis=1)
        found = (places == target.reshape(len(target), 1, *target.shape[1:])).any(axis=1)
        return self._right(found, target, weight)

    def __repr__(self) -> str:
        return self._shown(str(self.k))


class BinaryAccuracy(Thresholded):
    """The share of elements that are on the right side: output > threshold just where target > 1/2.

    Args:
        threshold: 0 for logits, 0.5 for probabilities. By its name, ``fit`` takes the one that the loss needs.
        name: its name in the history.

    Raises:
        ValueError: in use, if output and target have different shapes.

    >>> import numpy as np, tinygrad_cnn as tg
    >>> tg.metrics.BinaryAccuracy()(np.array([-1.0, 2.0, 3.0, 0.5]), np.array([0, 1, 0, 1]))
    0.75
    """

    sums = 1

    def __init__(self, threshold: float = 0.0, name: str = "binary_accuracy") -> None:
        super().__init__(threshold)
        self.name = name

    def measure(self, output: Any, target: Tensor, weight: Tensor | None = None) -> Tensor:
        """How many are right."""
        ours, theirs = self._decided(output, target)
        return weighted_sum(ours == theirs, weight)
