"""The Euclidean norm from the sum of the squares, where no square is too large or too small for it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from ..ops.reduce import power_norm, reduced_axes
from ..ops.shape import Axis
from ..scope import errors
from .product_sums import product_sums

_overflow = errors(over="ignore", under="ignore", invalid="ignore")

FEW = 1 << 9
"""Fewer elements are computed as soon by the definition."""

LEAST = 1e16
"""A sum of squares is above the smallest normal number by this factor, or the squares that are lost could matter."""


def prepare(out: np.ndarray | None, a: Any, *, p: float, axis: Axis, keepdims: bool) -> Callable[[], np.ndarray] | None:
    """A task for ``power_norm`` with p = 2; None for other norms, and for few elements."""
    if p != 2 or a.__class__ is not np.ndarray or a.dtype.char not in "fd" or a.size < FEW:
        return None
    axes, least = reduced_axes(axis, a.ndim), float(np.finfo(a.dtype).tiny) * LEAST

    def task() -> np.ndarray:
        with _overflow:
            squares = np.asarray(product_sums(a, a, axes))
        if least < squares.min() and squares.max() < np.inf:
            y = np.sqrt(squares if keepdims else np.squeeze(squares, axes))
        else:
            y = power_norm.op.raw(a, p=p, axis=axis, keepdims=keepdims)
        if out is None:
            return np.asarray(y)
        np.copyto(out, y)
        return out

    return task
