"""Shares of labels in a mean: one pass that checks them as well, where NumPy makes eight calls."""

from __future__ import annotations

from typing import Any

import numpy as np

from ...ops.losses.labels import label_weights
from .compiled import Number, loop

FLOAT32, INDEX = np.dtype(np.float32), np.dtype(np.intp)

LEAST = -(1 << (8 * INDEX.itemsize - 1))
"""The least number that a label can be."""

Array = np.ndarray


def prepare_label_weights(
    out: Array | None, target: Any, weight: Any = None, *, classes: int, ignore_index: int | None, function: str,
    dtype: Any, mean: bool = False,
) -> Any:  # fmt: skip
    """A task for ``label_weights`` with `mean` and without weights, of labels in C order; None for others."""
    if not mean or weight is not None or dtype != FLOAT32 or target.__class__ is not np.ndarray:
        return None
    ignored = -1 if ignore_index is None else ignore_index
    if target.dtype != INDEX or not target.flags.c_contiguous or not LEAST <= ignored <= -LEAST - 1:
        return None
    y = np.empty(target.shape, FLOAT32) if out is None else out
    if not y.flags.c_contiguous:
        return None
    labels, shares = (target, y) if y.ndim == 1 else (target.reshape(-1), y.reshape(-1))

    def task() -> Array:
        if not _shares(labels, classes, ignored, ignore_index is not None, shares):
            label_weights.op.raw(  # which says what is wrong
                target, classes=classes, ignore_index=ignore_index, function=function, dtype=dtype, mean=mean
            )
        return y

    return task


@loop
def _shares(target: Array, classes: int, ignored: Number, ignores: bool, y: Array) -> bool:
    """1 / n for each of the n classes that are not ignored, and 0 for the others; False if a label is neither."""
    count = 0
    for i in range(target.size):
        label = target[i]
        if label != ignored:
            if not 0 <= label < classes:
                return False
            count += 1
        elif not ignores:
            return False
    share = np.float32(1.0) / np.float32(count)
    for i in range(target.size):
        y[i] = share if target[i] != ignored else np.float32(0.0)
    return True
