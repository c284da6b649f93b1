"""Metrics of numbers."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from ..ops.elementwise import abs, maximum, sqrt, square
from ..ops.shape import stack
from ..ops.transcendental import log1p
from ..tensor import Tensor
from .metric import Metric, weighted_sum

EPS = float(np.finfo(np.float64).eps)
"""The smallest |target| of a relative error, as scikit-learn's."""

CONSTANT = 4e-15
"""The share of their squares that the spread of targets must have, in float64, to be more than rounding."""


class _OfPairs(Metric):
    """A metric of outputs and targets of one shape."""

    def _pair(self, output: Any, target: Tensor) -> tuple[Tensor, Tensor]:
        """Both in a type in which differences and sums neither wrap around nor overflow soon."""
        if not isinstance(output, Tensor) or output.shape != target.shape:
            raise self._refused(output, target, "both must have the same shape")
        plain = all(part.dtype in (np.float32, np.float64) for part in (output, target))
        return (output, target) if plain else (output.astype(np.float64), target.astype(np.float64))


class MAE(_OfPairs):
    """The mean absolute error: the mean over all elements of |output - target|.

    Raises:
        ValueError: in use, if output and target have different shapes.
    """

    name = "mae"
    sums = 1

    def measure(self, output: Any, target: Tensor, weight: Tensor | None = None) -> Tensor:
        """The sum of |output - target|."""
        ours, theirs = self._pair(output, target)
        return weighted_sum(abs(ours - theirs), weight)


class MAPE(_OfPairs):
    """The mean absolute error in proportion to the target: the mean over all elements of |output - target| / |target|.

    It is a share, not a percentage, as scikit-learn's. A target of 0 counts as 2.2e-16, so that it gives a huge measure.

    Raises:
        ValueError: in use, if output and target have different shapes.

    >>> import numpy as np, tinygrad_cnn as tg
    >>> tg.metrics.MAPE()(np.array([1.0, 3.0]), np.array([2.0, 4.0]))
    0.375
    """

    name = "mape"
    sums = 1

    def measure(self, output: Any, target: Tensor, weight: Tensor | None = None) -> Tensor:
        """The sum of |output - target| / |target|, in float64."""
        ours, theirs = (part.astype(np.float64) for part in self._pair(output, target))
        return weighted_sum(abs(ours - theirs) / maximum(abs(theirs), EPS), weight)


class RMSE(_OfPairs):
    """The root of the mean squared error over all elements, of all batches together.

    Raises:
        ValueError: in use, if output and target have different shapes.

    >>> import numpy as np, tinygrad_cnn as tg
    >>> tg.metrics.RMSE()(np.array([1.0, 1.0]), np.array([1.0, 3.0])) == 2**0.5
    True
    """

    name = "rmse"
    sums = 1

    def measure(self, output: Any, target: Tensor, weight: Tensor | None = None) -> Tensor:
        """The sum of (output - target)^2."""
        ours, theirs = self._pair(output, target)
        return weighted_sum(square(ours - theirs), weight)

    def result(self, count: float, sums: Sequence[float]) -> float:
        """The root of the mean."""
        return math.sqrt(sums[0] / count) if count else math.nan


class MSLE(_OfPairs):
    """The mean squared error of the logarithms: the mean over all elements of (log(1 + output) - log(1 + target))^2.

    It is NaN if an output or a target is below -1.

    Raises:
        ValueError: in use, if output and target have different shapes.

    >>> import numpy as np, tinygrad_cnn as tg
    >>> round(tg.metrics.MSLE()(np.array([np.e - 1, 0.0]), np.array([0.0, 0.0])), 12)
    0.5
    """

    name = "msle"
    sums = 1

    def measure(self, output: Any, target: Tensor, weight: Tensor | None = None) -> Tensor:
        """The sum of (log(1 + output) - log(1 + target))^2."""
        ours, theirs = self._pair(output, target)
        return weighted_sum(square(log1p(ours) - log1p(theirs)), weight)


class R2(_OfPairs):
    """The coefficient of determination, 1 - sum (target - output)^2 / sum (target - mean of the targets)^2.

    For targets (N, D) it is the mean over the D columns. It is 1 for outputs that equal the targets, and 0 for those that are
    always their mean. Targets that are all equal have no spread: then it is 1 for equal outputs and else 0, as in scikit-learn.
    The sums are 64-bit; they cannot tell a spread below a ten-millionth of the mean from none.

    Raises:
        ValueError: in use, if output and target have different shapes, or are single numbers.

    >>> import numpy as np, tinygrad_cnn as tg
    >>> tg.metrics.R2()(np.array([1.0, 2.0, 4.0]), np.array([1.0, 2.0, 3.0]))
    0.5
    """

    name = "r2"

    def measure(self, output: Any, target: Tensor, weight: Tensor | None = None) -> Tensor:
        """(3, D): the sums over the examples of the target, of its square, and of the squared error."""
        if not target.ndim:
            raise self._refused(output, target, "it needs several targets")
        ours, theirs = (part.reshape(len(target), -1).astype(np.float64) for part in self._pair(output, target))
        terms = theirs, square(theirs), square(ours - theirs)
        factor = 1.0 if weight is None else weight.reshape(-1, 1)
        return stack([(term * factor).sum(axis=0) for term in terms])

    def result(self, count: float, sums: Sequence[float]) -> float:
        """The mean over the columns."""
        columns = len(sums) // 3
        if not columns or not count:
            return math.nan
        examples = count / columns
        found = []
        for total, squares, errors in zip(
            sums[:columns], sums[columns : 2 * columns], sums[2 * columns :], strict=True
        ):
            spread = squares - total * total / examples
            if spread <= CONSTANT * squares:
                found.append(float(errors == 0.0))
            else:
                found.append(1.0 - errors / spread)
        return math.fsum(found) / columns


class Cosine(_OfPairs):
    """The mean cosine of the angle between outputs and targets, vectors along the last axis. With a vector of zeros it is 0.

    Raises:
        ValueError: in use, if output and target have different shapes, or fewer than two axes.

    >>> import numpy as np, tinygrad_cnn as tg
    >>> tg.metrics.Cosine()(np.array([[1.0, 0.0], [0.0, 2.0]]), np.array([[3.0, 0.0], [4.0, 0.0]]))
    0.5
    """

    name = "cosine"
    sums = 1

    def measure(self, output: Any, target: Tensor, weight: Tensor | None = None) -> Tensor:
        """The sum of the cosines."""
        if target.ndim < 2:
            raise self._refused(output, target, "it needs vectors along the last axis, as in (N, D)")
        ours, theirs = (part.astype(np.float64) for part in self._pair(output, target))
        lengths = sqrt(square(ours).sum(axis=-1)) * sqrt(square(theirs).sum(axis=-1))
        cosines = (ours * theirs).sum(axis=-1) / maximum(lengths, np.finfo(np.float64).tiny)
        return weighted_sum(cosines, None if weight is None else weight.squeeze(-1))

    def elements(self, target: Tensor) -> float:
        """The number of vectors."""
        return target.size / target.shape[-1] if target.shape[-1] else 0
