"""The mean squared error, and the mean cross-entropy of labels."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
from numpy import ndarray

from ..ops.losses.classification import softmax_nll
from .block_sums import BLOCK, SHORT, ones
from .sums import total

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


def prepare_mean_nll(out: np.ndarray | None, logits: Any, target: Any, share: Any) -> Callable[[], Any] | None:
    """A task for ``mean_nll`` where softmax_nll has one."""
    rows = softmax_nll.op.prepare and softmax_nll.op.prepare(None, logits, target, share)
    return rows and partial(_mean_nll, out, rows, share)


def _mean_nll(out: np.ndarray | None, rows: Callable[[], Any], share: np.ndarray) -> Any:
    each = rows()
    y = each.dot(ones(len(each), each.dtype)) if len(each) <= BLOCK else total(each, (0,))
    if not y and not share.any():
        y = y + math.nan
    if out is None:
        return y
    out.fill(y)
    return out
