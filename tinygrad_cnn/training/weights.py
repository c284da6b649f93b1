"""A loss in which classes have weights."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..metrics.resolve import function_of, threshold_of
from ..nn import Module
from ..ops.losses.classification import cross_entropy, nll_loss
from ..tensor import Tensor
from .arguments import is_arrays


class ClassWeighted:
    """sum over the examples i of w(class of i) loss_i, divided by the number of examples.

    Args:
        loss: a cross-entropy, binary or not, as a function or a layer, with reduction="mean" and without a weight.
        weights: one for each class, by its number; classes that are left out weigh 1.
        complete: whether there must be a weight for every class.

    Raises:
        TypeError, ValueError: if the loss is another one, or a weight is not a finite number of at least 0.
    """

    def __init__(self, loss: Any, weights: Mapping[int, float], complete: bool = False) -> None:
        for label, weight in weights.items():
            if isinstance(label, bool) or not isinstance(label, int | np.integer) or label < 0:
                raise ValueError(
                    f"fit: `class_weight` has the class {label!r}; classes are whole numbers of at least 0"
                )
            if not isinstance(weight, int | float | np.number) or not 0 <= weight < math.inf:
                raise ValueError(
                    f"fit: `class_weight` of class {label} is {weight!r}; it must be a number of at least 0"
                )
        self.unweighted, self.complete = loss, complete
        self.weights = {int(label): float(weight) for label, weight in weights.items()}
        self._function = function_of(loss)
        self._binary = threshold_of(loss) is not None
        if not self._binary and self._function not in (cross_entropy, nll_loss):
            name = getattr(self._function, "__name__", type(loss).__name__)
            raise ValueError(
                f"fit: `class_weight` is given, but the loss {name} has no classes; it needs cross_entropy, nll_loss, or a "
                "binary cross-entropy, as a function or a layer"
            )
        self._options()
        if self._binary and (not self.weights.keys() <= {0, 1} or (complete and len(self.weights) < 2)):
            raise ValueError(f"fit: `class_weight` has the classes {sorted(self.weights)}; a binary loss has 0 and 1")

    def _options(self) -> dict[str, Any]:
        """The loss's other options, read at each call, since they may change during a training."""
        options = _options(self.unweighted)
        if options.pop("reduction", "mean") != "mean" or options.pop("weight", None) is not None:
            raise ValueError(
                "fit: `class_weight` is given, but the loss has a weight or a reduction of its own; leave one out"
            )
        return options

    def __call__(self, output: Any, target: Tensor) -> Tensor:
        value: Tensor
        options = self._options()
        if self._binary:
            negative, positive = (self.weights.get(label, 1.0) for label in (0, 1))
            weight = target.astype(output.dtype) * (positive - negative) + negative
            value = self._function(output, target, weight=weight, **options)
            return value
        classes = output.shape[1]
        if max(self.weights, default=0) >= classes:
            raise ValueError(f"fit: `class_weight` has the class {max(self.weights)}, but the output {classes} classes")
        if self.complete and len(self.weights) != classes:
            raise ValueError(
                f"fit: `class_weight` has {len(self.weights)} weights, but the output {classes} classes; give one for each, or "
                "a dict for some of them"
            )
        weights = np.ones(classes, output.dtype)
        weights[list(self.weights)] = list(self.weights.values())
        total: Tensor = self._function(output, target, weight=weights, reduction="sum", **options)
        if target.shape == output.shape:  # probabilities
            value = total / (output.size // classes)
        else:
            value = total / (target != options.get("ignore_index", -100)).sum().astype(output.dtype)
        return value


def weighted(loss: Any, class_weight: Any, data: Any) -> Any:
    """The loss with the weights of the classes that `fit` was given: None, a dict, a sequence, or "balanced"."""
    if class_weight is None:
        return loss
    if isinstance(class_weight, str):
        if class_weight != "balanced":
            raise ValueError(f"fit: `class_weight` is '{class_weight}'; it must be 'balanced', a dict, or a sequence")
        if not is_arrays(data):
            raise ValueError(
                "fit: `class_weight` is 'balanced', for which the targets must be at hand; pass the data as a tuple of arrays, "
                "(x, y), or give the weights as a dict"
            )
        return ClassWeighted(loss, balanced(data[-1]))
    if isinstance(class_weight, Mapping):
        return ClassWeighted(loss, class_weight)
    if isinstance(class_weight, Sequence | np.ndarray | Tensor):
        return ClassWeighted(loss, dict(enumerate(np.asarray(class_weight).tolist())), complete=True)
    raise TypeError(f"fit: `class_weight` is {class_weight!r}; it must be 'balanced', a dict, or a sequence")


def balanced(target: Any) -> dict[int, float]:
    """Weights n / (k n_c) for k classes, of which each occurs n_c times among n: all classes weigh the same in total."""
    array: NDArray[Any] = np.asarray(target)
    classes, counts = np.unique(array, return_counts=True)
    if not np.array_equal(classes, classes.astype(np.int64)) or (classes < 0).any():
        raise ValueError("fit: `class_weight` is 'balanced', but the targets are not classes: whole numbers from 0")
    weights = array.size / (len(classes) * counts)
    return dict(zip(classes.astype(int).tolist(), weights.tolist(), strict=True))


def _options(loss: Any) -> dict[str, Any]:
    """The arguments that a partial call or a layer passes to its function."""
    if isinstance(loss, partial):
        if loss.args:
            raise ValueError(
                "fit: `class_weight` is given, but the loss is a partial call with positional arguments; name them"
            )
        return {**_options(loss.func), **loss.keywords}
    if not isinstance(loss, Module):
        return {}
    names = ("reduction", "weight", "ignore_index", "label_smoothing", "pos_weight")
    return {name: getattr(loss, name) for name in names if hasattr(loss, name)}
