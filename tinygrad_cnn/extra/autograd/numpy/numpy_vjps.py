"""``unbroadcast``: sums a gradient to the shape of an argument that was broadcast, for rules of one's own."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from ....ops.shape import broadcast_to, sum_to
from ....tensor import Tensor

__all__ = ["repeat_to_match_shape", "unbroadcast", "unbroadcast_f"]


def unbroadcast(x: Any, target: Any, broadcast_idx: int = 0) -> Any:
    """x summed over the axes along which an array of the shape of `target` is broadcast to x.

    `target` is an array, or a tuple of shape, number of axes, dtype and whether it is complex.
    """
    return _summed(x, tuple(target[0]) if isinstance(target, tuple) else _shape(target))


def _shape(x: Any) -> tuple[int, ...]:
    return x.shape if hasattr(x, "shape") else np.shape(x)  # np.shape alone costs more than the rest


def _summed(x: Any, shape: tuple[int, ...]) -> Any:
    if _shape(x) == shape:
        return x
    return sum_to(x if isinstance(x, Tensor) else np.asarray(x), shape=shape)


def unbroadcast_f(target: Any, f: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """The function g -> unbroadcast(f(g), target)."""
    shape = _shape(target)
    return lambda g: _summed(f(g), shape)


def repeat_to_match_shape(g: Any, shape: Any, dtype: Any, axis: Any, keepdims: bool) -> tuple[Any, int]:
    """g, a reduction of an array over `axis`, repeated to the array's shape; and how many elements were reduced to one."""
    if shape == ():
        return g, 1
    whole = range(len(shape)) if axis is None else (axis,) if isinstance(axis, int) else axis
    axes = [i % len(shape) for i in whole]
    kept = tuple(1 if i in axes else n for i, n in enumerate(shape))
    array = g if isinstance(g, Tensor) else np.asarray(g)
    count = int(np.prod([shape[i] for i in axes]))
    return broadcast_to(array.reshape(kept), shape=tuple(shape)), count
