"""What the losses share.

Every loss takes a `reduction`: "mean" over all that was compared (NaN for nothing), "sum", or "none" for each on its own;
another one is a ValueError. Targets broadcast to the shape of predictions, and integer ones take the predictions' dtype.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ..core.graph import Array
from ..ops.loss import check_reduction, check_target
from ..tensor import Tensor


def reduced(name: str, each: Tensor, reduction: str) -> Tensor:
    """`each`, or its sum or mean."""
    check_reduction(name, reduction)
    if reduction == "none":
        return each
    if reduction == "mean" and each.size:
        return each.mean()
    return each.sum() if reduction == "sum" else each.sum() * math.nan


# Typed as Tensors, for what a Tensor can do; arrays pass through in the same way, and give arrays.


def as_array(value: Array) -> Tensor:
    """`value`, as an array if it is not one nor a Tensor."""
    if not hasattr(value, "dtype"):
        value = np.asarray(value)
    given: Tensor = value
    return given


def numbers(value: Array, dtype: np.dtype[Any]) -> Tensor:
    """`value` with a floating-point dtype: its own, or `dtype`, so that integers beside float32 do not make float64."""
    if not isinstance(value, Tensor):
        value = np.asarray(value, None if hasattr(value, "dtype") and value.dtype.kind == "f" else dtype)
    given: Tensor = value if value.dtype.kind == "f" else value.astype(dtype)
    return given


def pair(name: str, prediction: Array, target: Array, label: str = "target") -> tuple[Tensor, Tensor]:
    """Prediction and target as arrays or Tensors of numbers, the second fitting the first."""
    prediction = as_array(prediction)
    target = numbers(target, prediction.dtype)
    check_target(name, prediction, target, label)
    return prediction, target
