"""Losses on preallocated buffers."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
from numpy import ndarray

from ..scope import errors
from .sums import SHORT, total

_zeros = errors(divide="ignore", invalid="ignore")

FLOATS = {np.dtype(np.float32), np.dtype(np.float64)}
"""In native byte order."""


def prepare_mse(out: np.ndarray | None, prediction: Any, target: Any, *, reduction: str) -> Callable[[], Any] | None:
    """A task for the mean or sum of squares of arrays of equal shape and dtype in C order; None for other arrays."""
    if prediction.__class__ is not ndarray or target.__class__ is not ndarray or reduction not in ("mean", "sum"):
        return None
    alike = prediction.shape == target.shape and prediction.dtype is target.dtype and prediction.dtype in FLOATS
    if not (
        alike and prediction.flags.c_contiguous and target.flags.c_contiguous and prediction.size and prediction.ndim
    ):
        return None
    count = prediction.size if reduction == "mean" else 1
    few = prediction.size <= SHORT
    add: Any = np.add.reduce
    if out is None:

        def task() -> Any:
            squares = np.subtract(prediction, target)
            if few:
                return squares.ravel().dot(squares.ravel()) / count
            return add(np.square(squares, squares), None) / count

        return task
    buffer, divisor = np.empty(prediction.size, prediction.dtype), np.array(count, prediction.dtype)
    first, second = prediction.reshape(-1), target.reshape(-1)

    def task_into() -> Any:
        np.subtract(first, second, buffer)
        total = buffer.dot(buffer, out) if few else add(np.square(buffer, buffer), None, None, out)
        return np.divide(total, divisor, out)

    return task_into


def _are_alike(a: Any, w: Any) -> bool:
    """Whether they are an array of floats, and an array or NumPy's number of the same dtype."""
    return a.__class__ is ndarray and isinstance(w, ndarray | np.generic) and a.dtype in FLOATS and w.dtype is a.dtype


def prepare_mean_by(out: np.ndarray | None, a: Any, w: Any) -> Callable[[], Any] | None:
    """A task for the sum of a / sum of w, for arrays of one dtype; None for others."""
    if not _are_alike(a, w):
        return None
    return partial(_mean_by, out, a, w)


def _mean_by(out: np.ndarray | None, a: Any, w: Any) -> Any:
    whole = total(a, tuple(range(a.ndim)))
    weight = total(w, tuple(range(w.ndim))) if w.ndim else w
    if weight:
        y = np.divide(whole, weight)
    else:
        with _zeros:
            y = np.divide(whole, weight)
    if out is None:
        return y
    out.fill(y)
    return out
