"""Metrics of numbers."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from ..ops.elementwise import abs, square
from ..tensor import Tensor
from .metric import Metric


class _Error(Metric):
    def _difference(self, output: Any, target: Tensor) -> Tensor:
        if not isinstance(output, Tensor) or output.shape != target.shape:
            raise self._refused(output, target, "both must have the same shape")
        return output - target


class MAE(_Error):
    """The mean absolute error: the mean over all elements of |output - target|.

    Raises:
        ValueError: in use, if output and target have different shapes.
    """

    name = "mae"

    def measure(self, output: Any, target: Tensor) -> Tensor:
        """The sum of |output - target|."""
        return abs(self._difference(output, target)).sum()


class RMSE(_Error):
    """The root of the mean squared error over all elements, of all batches together.

    Raises:
        ValueError: in use, if output and target have different shapes.

    >>> import numpy as np, tinygrad_cnn as tg
    >>> tg.metrics.RMSE()(np.array([1.0, 1.0]), np.array([1.0, 3.0])) == 2**0.5
    True
    """

    name = "rmse"

    def measure(self, output: Any, target: Tensor) -> Tensor:
        """The sum of (output - target)^2."""
        return square(self._difference(output, target)).sum()

    def result(self, count: float, sums: Sequence[float]) -> float:
        """The root of the mean."""
        return math.sqrt(sums[0] / count) if count else math.nan
