"""The base of metrics: numbers that add up over batches, and a result computed from their sums."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

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

    @abstractmethod
    def measure(self, output: Any, target: Tensor) -> Tensor | None:
        """Sums over one batch, as a Tensor of any shape; None if there is nothing to measure.

        `fit` compiles this method with the step: it may use ops, but not read values.
        """

    def totals(self, measured: Tensor, target: Tensor) -> list[float]:
        """The number of elements of the target, and after it the sums: numbers that add up over batches."""
        value = measured.numpy()
        return [target.size, *np.ravel(value).tolist()] if value.ndim else [target.size, value.item()]

    def result(self, count: float, sums: Sequence[float]) -> float:
        """The measure, from the number of elements of all targets and the sums over all batches. Their ratio by default."""
        return sums[0] / count if count else float("nan")

    def __call__(self, output: Array, target: Array) -> float:
        """The measure of these outputs."""
        output, target = _tensor(output), _tensor(target)
        with no_grad():
            measured = self.measure(output, target)
        if measured is None:
            raise ValueError(f"{self!r}: there is nothing to measure in these outputs and targets")
        count, *sums = self.totals(measured, target)
        return self.result(count, sums)

    def __repr__(self) -> str:
        return f"{type(self).__name__}()"

    def _refused(self, output: Any, target: Tensor, rule: str) -> ValueError:
        shape = f"of shape {output.shape}" if isinstance(output, Tensor) else f"a {type(output).__name__}"
        return ValueError(
            f"metric '{self.name}': the output is {shape} and the target {target.dtype} of shape {target.shape}; {rule}"
        )


def checked_name(name: Any) -> str:
    """The name of a metric in the history; TypeError if it is none."""
    if not isinstance(name, str):
        raise TypeError(f"`metrics` has the name {name!r:.60}; it must be a string")
    return name


class Average(Metric):
    """The mean over all examples of a function that returns the mean of a batch.

    Args:
        function: of (output, target), both Tensors, that returns a single number. ``fit`` compiles it with the step.
        name: its name in the history; None for the name of the function.

    Raises:
        TypeError: if `function` cannot be called.
        ValueError: if a name is needed; in use, if the function returns more than one number.

    >>> import numpy as np, tinygrad_cnn as tg
    >>> bias = tg.metrics.Average(lambda output, target: (output - target).mean(), name="bias")
    >>> bias(np.array([1.0, 2.0]), np.array([0.0, 0.0]))
    1.5
    """

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

    def totals(self, measured: Tensor, target: Tensor) -> list[float]:
        """The number of examples, and the mean times it."""
        return [len(target), measured.item() * len(target)]

    def __repr__(self) -> str:
        return f"Average({self.name})"


def _tensor(value: Array) -> Tensor:
    return value if isinstance(value, Tensor) else Tensor(np.asarray(value))
