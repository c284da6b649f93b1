"""Helpers shared by the losses.

Every loss takes a `reduction`: "mean" over all compared elements (NaN if there are none), "sum", or "none" for the elements;
any other value is a ValueError. Targets broadcast to the shape of predictions; integer targets take the predictions' dtype.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ...core.graph import Array, Tensor
from ...frames import warn_user
from ..elementwise import REAL, in_floats
from ..reduce import mean, sum

REDUCTIONS = ("mean", "sum", "none")


def check_reduction(name: str, reduction: str, remedy: str = "") -> None:
    """ValueError unless `reduction` is one of mean, sum and none; `remedy` ends the error for what is no string."""
    if not isinstance(reduction, str) or reduction not in REDUCTIONS:
        rule = f"it must be one of {', '.join(map(repr, REDUCTIONS))}"
        remedy = "" if isinstance(reduction, str) else remedy
        raise ValueError(f"{name}: `reduction` is {reduction!r:.60}; {rule}{remedy}")


def check_target(name: str, prediction: Array, target: Array, label: str = "target") -> None:
    """ValueError unless `target`, called `label`, broadcasts to the shape of `prediction`."""
    wanted, given = np.shape(prediction), np.shape(target)
    if wanted == given:
        return
    if len(given) > len(wanted) or any(n not in (1, m) for n, m in zip(given[::-1], wanted[::-1], strict=False)):
        raise ValueError(
            f"{name}: `{label}` has shape {given}, which does not broadcast to the {wanted} it is compared with; reshape it"
        )


def warn_if_from(function: Any, scores: Array, message: str) -> None:
    """Warn at the user's line if `scores` is what an op returned: training would go on, only badly."""
    node = getattr(scores, "_node", None)
    if node is not None and node.op is function.op:
        warn_user(message)


def reduced(name: str, each: Array, reduction: str) -> Tensor:
    """`each`, or its sum or mean."""
    check_reduction(name, reduction)
    if reduction == "none":
        return each  # type: ignore[no-any-return]
    if reduction == "mean" and each.size:
        return mean(each)
    return sum(each) if reduction == "sum" else sum(each) * math.nan


# Typed as Tensors, for their methods; arrays work in the same way, and give arrays.


def as_array(value: Array) -> Tensor:
    """`value`, converted to an array unless it is an array or a Tensor."""
    try:
        given, kind = value, value.dtype.kind
    except AttributeError:
        given = np.asarray(value)
        kind = given.dtype.kind
    if kind == "c":
        raise TypeError(REAL)
    if kind not in "biuf":
        raise TypeError(
            f"a loss is given {value!r:.60}; it must be an array or a Tensor: does `forward` return its result?"
        )
    return given  # type: ignore[no-any-return]


def numbers(value: Array, dtype: np.dtype[Any]) -> Tensor:
    """`value` in a floating-point dtype: its own, or `dtype`, so that integers with float32 do not become float64."""
    given: Any = value if hasattr(value, "dtype") else np.asarray(value, dtype)
    if given.dtype.kind == "c":
        raise TypeError(REAL)
    return given if given.dtype.kind == "f" else given.astype(dtype)  # type: ignore[no-any-return]


def pair(name: str, prediction: Array, target: Array, label: str = "target") -> tuple[Tensor, Tensor]:
    """Prediction and target as arrays or Tensors of numbers, with the target's shape checked."""
    prediction = in_floats(prediction)
    target = numbers(target, prediction.dtype)
    check_target(name, prediction, target, label)
    return prediction, target
