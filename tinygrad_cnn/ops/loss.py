"""Losses."""

from __future__ import annotations

import numpy as np

from ..graph import Array, op
from .shape import sum_to

__all__ = ["mse"]

REDUCTIONS = ("mean", "sum", "none")


def check_reduction(name: str, reduction: str) -> None:
    """ValueError unless `reduction` is one of mean, sum and none."""
    if reduction not in REDUCTIONS:
        raise ValueError(f"{name}: `reduction` is {reduction!r}; it must be one of {', '.join(map(repr, REDUCTIONS))}")


@op
def mse(prediction: Array, target: Array, *, reduction: str = "mean") -> Array:
    """Squared error: y = mean of (prediction - target)^2, or its sum, or the squares themselves ("none").

    prediction' = 2 g (prediction - target) / n,  target' = -prediction', with n the number of elements for "mean".

    Args:
        prediction: any shape.
        target: the same shape, or one that broadcasts to it.
        reduction: "mean", "sum" or "none".

    Raises:
        ValueError: if `target` does not broadcast to the shape of `prediction`, or for another `reduction`.
    """
    check_reduction("mse", reduction)
    difference = np.subtract(prediction, target)
    if difference.shape != np.shape(prediction):
        raise ValueError(
            f"mse: `target` {np.shape(target)} must broadcast to `prediction` {np.shape(prediction)} but the two make "
            f"{difference.shape}; reshape `target` to the shape of `prediction`"
        )
    squares = np.square(difference)
    if reduction == "none":
        return squares
    return np.mean(squares) if reduction == "mean" else np.sum(squares)


def _mse_rule(g: Array, prediction: Array, target: Array, reduction: str) -> Array:
    scale = 2 / (np.size(prediction) or 1) if reduction == "mean" else 2
    return (g * scale) * (prediction - target)


mse.vjp(
    prediction=_mse_rule,
    target=lambda g, prediction, target, in_shape, reduction: sum_to(
        -_mse_rule(g, prediction, target, reduction), shape=in_shape
    ),
)
