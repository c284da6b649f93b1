"""The base of metrics: numbers that add up over batches, and a result computed from their sums."""

from __future__ import annotations

import inspect
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from ..core.grad_mode import no_grad
from ..tensor import Tensor

if TYPE_CHECKING:
    from ..core.graph import Array


class Metric(ABC):
    """A measure of the outputs of a model over all examples, however they are cut into batches.

    :meth:`measure` returns sums over one batch. They are added up over the batches, and :meth:`result` makes the measure
    of the sums. A metric has no state, so one object can serve several trainings.

    Attributes:
        name: its name in the history.

    >>> import numpy as np, tinygrad_cnn as tg
    >>> class MaxNormShare(tg.metrics.Metric):
    ...     name = "within_0.1"
    ...     def measure(self, output, target):
    ...         return (tg.abs(output - target) < 0.1).sum()
    >>> MaxNormShare()(np.array([1.0, 2.0]), np.array([1.05, 3.0]))
    0.5
    """

    name: str
    sums: ClassVar[int | None] = None
    """How many sums :meth:`measure` gives, if that is the same for all outputs: saved sums are checked by it."""
    joins: bool = False
    """Whether :meth:`merge` keeps the numbers of all batches instead of adding them."""

    @abstractmethod
    def measure(self, output: Any, target: Tensor) -> Tensor | None:
        """Sums over one batch, as a Tensor of any shape; None if there is nothing to measure."""

    def elements(self, target: Tensor) -> float:
        """How many measures of a batch the sums have: one for each element of the target, by default."""
        return target.size

    def weighted_elements(self, target: Tensor, weight: Tensor) -> float:
        """How many they are if each counts by the weight of its example, (N, 1, ...)."""
        return self.elements(target) * float(weight.mean().item())

    def totals(self, measured: Tensor, target: Tensor) -> list[float]:
        """The number of elements, and after it the sums: numbers that add up over batches."""
        return [self.elements(target), *np.ravel(measured.numpy()).tolist()]

    def merge(self, before: list[float], new: Sequence[float]) -> list[float]:
        """The totals of two batches as those of both: their sums by default. It may change `before`.

        Raises:
            ValueError: if they are not of equal length.
        """
        if len(before) != len(new):
            raise ValueError(
                f"metric '{self.name}': it gave {len(new)} numbers for a batch and {len(before)} for those before; outputs "
                "must have the same number of classes"
            )
        return [a + b for a, b in zip(before, new, strict=True)]

    def result(self, count: float, sums: Sequence[float]) -> float | NDArray[np.float64]:
        """The measure, from the number of elements of all targets and the sums over all batches. Their ratio by default.

        An array has a measure of each class: in the history they have the names "name.0", "name.1" and so on.
        """
        return sums[0] / count if count else float("nan")

    def __call__(self, output: Array, target: Array, sample_weight: Array | None = None) -> Any:
        """The measure of these outputs: a float, or an array if there is one for each class.

        Args:
            output: of the model.
            target: of the same examples.
            sample_weight: how much each example counts, (N,): 2 as if it were there twice, 0 as if it were not. None counts
                all alike. The metrics of this module take them; one of your own does if its ``measure`` has a parameter
                ``weight``, which gets them as (N, 1, ...) with an axis for each of the target, or None.

        Raises:
            TypeError: if there are weights, and the metric takes none.
            ValueError: if outputs, targets or weights do not fit.
        """
        output, target = _tensor(output), _tensor(target)
        weight = {} if sample_weight is None else {"weight": self._weight(sample_weight, target)}
        with no_grad():
            measured = self.measure(output, target, **weight)
        if measured is None:
            raise ValueError(f"{self!r}: there is nothing to measure in these outputs and targets")
        count, *sums = self.totals(measured, target)
        if weight:
            count = self.weighted_elements(target, weight["weight"])
        result = self.result(count, sums)
        return result if isinstance(result, np.ndarray) else float(result)

    def _weight(self, sample_weight: Any, target: Tensor) -> Tensor:
        """The weights, checked, with an axis for each of the target."""
        if "weight" not in inspect.signature(self.measure).parameters:
            raise TypeError(
                f"metric '{self.name}': it takes no `sample_weight`; its `measure` has no parameter `weight`"
            )
        weights = checked_weights(f"metric '{self.name}'", sample_weight, target.shape)
        return Tensor(weights.reshape(-1, *(1,) * (target.ndim - 1)))

    def __repr__(self) -> str:
        return f"{type(self).__name__}()"

    def _refused(self, output: Any, target: Tensor, rule: str) -> ValueError:
        shape = f"of shape {output.shape}" if isinstance(output, Tensor) else f"a {type(output).__name__}"
        return ValueError(
            f"metric '{self.name}': the output is {shape} and the target {target.dtype} of shape {target.shape}; {rule}"
        )


def weighted_sum(values: Tensor, weight: Tensor | None) -> Tensor:
    """The sum of all values, each times the weight of its example."""
    return values.sum() if weight is None else (values * weight).sum()


def checked_weights(owner: str, sample_weight: Any, shape: Sequence[int]) -> NDArray[np.float64]:
    """Weights of the examples of a target of this shape; ValueError, beginning with `owner`, if they are none."""
    rule = "it must have a finite number of at least 0 for each example, and not only zeros"
    weights = sample_weight.detach().numpy() if isinstance(sample_weight, Tensor) else np.asarray(sample_weight)
    if not shape or weights.shape != (shape[0],):
        raise ValueError(
            f"{owner}: `sample_weight` has shape {weights.shape} for a target of shape {tuple(shape)}; {rule}"
        )
    if weights.dtype.kind not in "biuf" or not (np.isfinite(weights) & (weights >= 0)).all() or not weights.any():
        raise ValueError(f"{owner}: `sample_weight` is {weights!r:.80}; {rule}")
    return weights.astype(np.float64)


def checked_name(name: Any) -> str:
    """The name of a metric in the history; TypeError if it is none."""
    if not isinstance(name, str):
        raise TypeError(f"`metrics` has the name {name!r:.60}; it must be a string")
    return name


class Average(Metric):
    """The mean over all examples of a function that returns the mean of a batch.

    Args:
        function: of (output, target), both Tensors, that returns a single number.
        name: its name in the history; None for the name of the function.

    Raises:
        TypeError: if `function` cannot be called.
        ValueError: if a name is needed; in use, if the function returns more than one number.

    >>> import numpy as np, tinygrad_cnn as tg
    >>> bias = tg.metrics.Average(lambda output, target: (output - target).mean(), name="bias")
    >>> bias(np.array([1.0, 2.0]), np.array([0.0, 0.0]))
    1.5
    """

    sums = 1

    def __init__(self, function: Callable[[Any, Tensor], Tensor], name: str | None = None) -> None:
        if not callable(function):
            raise TypeError(f"Average: `function` is {function!r}; it must be a function of (output, target)")
        name = getattr(function, "__name__", "") if name is None else name
        if not name or name == "<lambda>":
            raise ValueError("Average: the function has no name; give it one: metrics={'name': function}")
        self.function, self.name = function, checked_name(name)

    def measure(self, output: Any, target: Tensor) -> Tensor:
        """What the function returns."""
        value = self.function(output, target)
        if not isinstance(value, Tensor | np.ndarray | np.generic | int | float):
            raise TypeError(f"metric '{self.name}': it returned {value!r:.60}; it must return the mean of the batch")
        value = value if isinstance(value, Tensor) else Tensor(value)
        if value.size != 1:
            raise ValueError(
                f"metric '{self.name}': it returned shape {value.shape}; it must return the mean of the batch"
            )
        return value

    def weighted_elements(self, target: Tensor, weight: Tensor) -> float:
        """How many they are if each counts by the weight of its example, (N, 1, ...)."""
        return self.elements(target) * float(weight.mean().item())

    def totals(self, measured: Tensor, target: Tensor) -> list[float]:
        """The number of examples, and the mean times it."""
        return [len(target), measured.item() * len(target)]

    def __repr__(self) -> str:
        return f"Average({self.name})"


def _tensor(value: Array) -> Tensor:
    return value if isinstance(value, Tensor) else Tensor(np.asarray(value))
