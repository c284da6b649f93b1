"""Kinds of classification: scores of classes, one class that is there or not, and several such classes."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..checks import any_number, checked, one_of, whole
from ..ops.reduce import argmax
from ..ops.shape import moveaxis
from ..tensor import Tensor
from .metric import Metric, weighted_sum

SCORES = "it needs scores (N, C, ...) for C classes, and integer classes (N, ...)"
IGNORED = -100
"""The default `ignore_index` of the losses of classes."""

TASKS = ("binary", "multiclass", "multilabel")
AVERAGES = ("macro", "micro", "weighted", "none")


def are_scores(output: Any, target: Any) -> bool:
    """Whether the output is scores (N, C, ...) and the target integer classes (N, ...)."""
    if (
        not isinstance(output, Tensor)
        or not isinstance(target, Tensor | np.ndarray)
        or target.dtype.kind not in "iu"
        or output.ndim < 2
        or output.shape[1] < 2
    ):
        return False
    return (output.shape[0], *output.shape[2:]) == target.shape


def rows(x: Tensor) -> Tensor:
    """(N, C, ...) as (positions, C)."""
    return moveaxis(x, 1, -1).reshape(-1, x.shape[1])


class OfClasses(Metric):
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


class Thresholded(Metric):
    """A metric of elements that are positive where output > threshold."""

    def __init__(self, threshold: float = 0.0) -> None:
        found = checked(type(self).__name__, {"threshold": any_number}, {"threshold": threshold})
        self.threshold: float = found["threshold"]

    def _decided(self, output: Any, target: Tensor) -> tuple[Tensor, Tensor]:
        """Whether each output, and each target, is positive."""
        if not isinstance(output, Tensor) or not same_but_for_ones(output, target):
            raise self._refused(output, target, "both must have the same shape")
        return output.reshape(target.shape) > self.threshold, target > 0.5

    def __repr__(self) -> str:
        return f"{type(self).__name__}(threshold={self.threshold})"


def same_but_for_ones(output: Tensor, target: Tensor) -> bool:
    """Whether the shapes are the same without axes of length 1."""
    ours, theirs = ([n for n in part.shape if n != 1] for part in (output, target))
    return ours == theirs


class Averaged(OfClasses):
    """A metric of each class, and an average of these."""

    def __init__(self, ignore_index: int, average: str | None, task: str | None) -> None:
        super().__init__(ignore_index)
        given = {"average": "none" if average is None else average, "task": task}
        found = checked(type(self).__name__, _AVERAGED, given)
        self.average: str = found["average"]
        self.task: str | None = found["task"]

    def _task(self, output: Any, target: Tensor) -> str:
        """The task, as it is given or as the shapes say; ValueError for shapes that do not fit."""
        scores = are_scores(output, target)
        task = self.task or ("multiclass" if scores else "binary")
        if task == "multiclass":
            fits, rule = scores, SCORES
        elif task == "binary":
            fits, rule = (
                isinstance(output, Tensor) and same_but_for_ones(output, target),
                "both must have the same shape",
            )
        else:
            fits = isinstance(output, Tensor) and output.ndim >= 2 and output.shape == target.shape
            rule = "both must have the same shape (N, L, ...) for L labels"
        if not fits:
            raise self._refused(output, target, rule)
        return task

    def _is_of_scores(self, classes: int) -> bool:
        """Whether so many classes have scores of which the highest counts."""
        return self.task == "multiclass" or (self.task is None and classes > 1)

    def _averaged(
        self, values: NDArray[np.float64], support: NDArray[np.float64], occurs: NDArray[np.bool], empty: float
    ) -> float | NDArray[np.float64]:
        """An average of the values of all classes, without NaN, over those that occur; `empty` if there is none."""
        if self.average == "none" and (len(values) > 1 or self.task == "multilabel"):
            return values
        kept = occurs & ~np.isnan(values)
        if not kept.any():
            return empty if not occurs.any() else float("nan")
        weights = support[kept] if self.average == "weighted" and support[kept].any() else None
        return float(np.average(values[kept], weights=weights))

    def _arguments(self) -> list[str]:
        task = [f"task={self.task!r}"] * (self.task is not None)
        return [*[f"average={self.average!r}"] * (self.average != "macro"), *task]


def _task_or_none(value: Any) -> Any:
    return None if value is None else one_of(*TASKS)(value)


_AVERAGED = {"average": one_of(*AVERAGES), "task": _task_or_none}


def decided(output: Tensor, target: Tensor, task: str, threshold: float) -> tuple[Tensor, Tensor]:
    """Which classes are predicted and which are right, (positions, C) each."""
    if task == "multiclass":
        classes = np.arange(output.shape[1])
        return argmax(output, axis=1).reshape(-1, 1) == classes, target.reshape(-1, 1) == classes
    if task == "binary":
        return output.reshape(-1, 1) > threshold, target.reshape(-1, 1) > 0.5
    return rows(output) > threshold, rows(target) > 0.5


def weight_of_each(target: Tensor, task: str, ignored: int, weight: Tensor | None) -> Tensor:
    """How much each position counts, (positions, 1) or (positions, L): Boolean if examples have no weights."""
    counts = target != ignored
    if weight is not None:
        counts = counts * weight
    return rows(counts) if task == "multilabel" else counts.reshape(-1, 1)
