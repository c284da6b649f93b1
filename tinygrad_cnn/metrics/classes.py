"""Metrics of classes."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from ..checks import any_number, checked, whole
from ..ops.reduce import argmax
from ..ops.shape import broadcast_to, stack
from ..ops.sort import topk
from ..tensor import Tensor
from .metric import Metric, weighted_sum

SCORES = "it needs scores (N, C, ...) for C classes, and integer classes (N, ...)"


def correct(output: Any, target: Tensor) -> Tensor | None:
    """The number of positions whose highest score is at their class: a Tensor (), or None if there are no classes.

    Args:
        output: scores (N, C, ...) with at least two classes.
        target: classes (N, ...), integers.
    """
    return (argmax(output, axis=1) == target).sum() if _are_scores(output, target) else None


def _are_scores(output: Any, target: Tensor) -> bool:
    if (
        not isinstance(output, Tensor)
        or not isinstance(target, Tensor | np.ndarray)
        or target.dtype.kind not in "iu"
        or output.ndim < 2
        or output.shape[1] < 2
    ):
        return False
    return (output.shape[0], *output.shape[2:]) == target.shape


class _OfClasses(Metric):
    """A metric of scores and classes that leaves out the positions whose class is `ignore_index`, as the losses do."""

    def __init__(self, ignore_index: int) -> None:
        self.ignore_index: int = checked(type(self).__name__, _INDEX, {"ignore_index": ignore_index})["ignore_index"]

    def elements(self, target: Tensor) -> float:
        """The number of positions that count."""
        return int(np.count_nonzero(self._counted(target)))

    def weighted_elements(self, target: Tensor, weight: Tensor) -> float:
        """The sum of the weights of the positions that count."""
        return float((weight.numpy() * self._counted(target)).sum())

    def _counted(self, target: Any) -> Any:
        classes = target.numpy() if isinstance(target, Tensor) else target  # a shard's are an array
        return classes != self.ignore_index

    def _right(self, right: Tensor, target: Tensor, weight: Tensor | None) -> Tensor:
        # A class below 0 is nobody's prediction.
        return weighted_sum(right & (target != self.ignore_index) if self.ignore_index >= 0 else right, weight)

    def _shown(self, *arguments: str) -> str:
        """For a repr: `ignore_index` stands there unless it is the default."""
        ignored = [f"ignore_index={self.ignore_index}"] * (self.ignore_index != IGNORED)
        return f"{type(self).__name__}({', '.join([*arguments, *ignored])})"


_INDEX = {"ignore_index": whole(-(2**63))}
IGNORED = -100
"""The default `ignore_index` of the losses of classes."""


class Accuracy(_OfClasses):
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
        if _are_scores(output, target):
            return self._right(argmax(output, axis=1) == target, target, weight)
        if not self.if_classes:
            raise self._refused(output, target, SCORES)
        return None

    def __repr__(self) -> str:
        return self._shown()


class TopK(_OfClasses):
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
        if not _are_scores(output, target):
            raise self._refused(output, target, SCORES)
        if self.k > output.shape[1]:
            raise self._refused(output, target, f"there are fewer than {self.k} classes")
        _, places = topk(output, self.k, axis=1)
        found = (places == target.reshape(len(target), 1, *target.shape[1:])).any(axis=1)
        return self._right(found, target, weight)

    def __repr__(self) -> str:
        return self._shown(str(self.k))


class _Thresholded(Metric):
    def __init__(self, threshold: float = 0.0) -> None:
        found = checked(type(self).__name__, {"threshold": any_number}, {"threshold": threshold})
        self.threshold: float = found["threshold"]

    def _decided(self, output: Any, target: Tensor) -> tuple[Tensor, Tensor]:
        """Whether each output, and each target, is positive."""
        if not isinstance(output, Tensor) or _without_ones(output.shape) != _without_ones(target.shape):
            raise self._refused(output, target, "both must have the same shape")
        return output.reshape(target.shape) > self.threshold, target > 0.5

    def __repr__(self) -> str:
        return f"{type(self).__name__}(threshold={self.threshold})"


def _without_ones(shape: Sequence[int]) -> list[int]:
    return [n for n in shape if n != 1]


class BinaryAccuracy(_Thresholded):
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


class F1(_OfClasses, _Thresholded):
    """F1 = 2 TP / (2 TP + FP + FN): of the positive class, or the mean over all classes ("macro").

    For scores (N, C, ...) and integer classes (N, ...) it is the mean over the classes that occur in targets or predictions.
    For an output of the target's shape it is that of the positive class: output > threshold, target > 1/2; 0 if none occurs.

    Args:
        threshold: for a single class: 0 for logits, 0.5 for probabilities. By name, ``fit`` chooses it to fit the loss.
        ignore_index: for classes: positions with this class do not count. By name, ``fit`` takes that of the loss.

    Raises:
        ValueError: in use, for other shapes.

    >>> import numpy as np, tinygrad_cnn as tg
    >>> tg.metrics.F1()(np.array([1.0, 1.0, -1.0]), np.array([1, 0, 1]))
    0.5
    """

    name = "f1"

    def __init__(self, threshold: float = 0.0, ignore_index: int = IGNORED) -> None:
        _OfClasses.__init__(self, ignore_index)
        _Thresholded.__init__(self, threshold)

    def measure(self, output: Any, target: Tensor, weight: Tensor | None = None) -> Tensor:
        """(2, C): how often each class is right, and how often it is predicted plus how often it is the target."""
        if not _are_scores(output, target):
            guess, real = (part.reshape(-1, 1) for part in self._decided(output, target))
        else:
            classes = np.arange(output.shape[1])
            counted = target.reshape(-1, 1) != self.ignore_index
            guess, real = ((part.reshape(-1, 1) == classes) & counted for part in (argmax(output, axis=1), target))
        if weight is None:
            return stack([(guess & real).sum(axis=0), guess.sum(axis=0) + real.sum(axis=0)])
        each = broadcast_to(weight, target.shape).reshape(-1, 1)
        return stack([(part * each).sum(axis=0) for part in (guess & real, guess.astype(each.dtype) + real)])

    def result(self, count: float, sums: Sequence[float]) -> float:
        """The mean over the classes that occur."""
        half = len(sums) // 2
        scores = [2 * right / seen for right, seen in zip(sums[:half], sums[half:], strict=True) if seen]
        return math.fsum(scores) / len(scores) if scores else 0.0

    def __repr__(self) -> str:
        return self._shown(f"threshold={self.threshold}")
