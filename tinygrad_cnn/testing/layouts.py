"""The same values in other places of memory: what an op must not depend on."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["LAYOUTS", "strided"]


def transposed(a: NDArray[Any]) -> NDArray[Any]:
    """Axes in reverse order in memory."""
    return np.array(a, order="F")


def backward(a: NDArray[Any]) -> NDArray[Any]:
    """Negative strides along every axis."""
    return _each(np.array(_each(a, -1), order="C"), -1)


def skipping(a: NDArray[Any]) -> NDArray[Any]:
    """Every second element of a larger array, along every axis."""
    view = _each(np.zeros([2 * n for n in a.shape], a.dtype), 2)
    view[...] = a
    return view


def readonly(a: NDArray[Any]) -> NDArray[Any]:
    """Memory that cannot be written."""
    copy = np.array(a)
    copy.flags.writeable = False
    return copy


def strided(a: NDArray[Any]) -> NDArray[Any]:
    """All of it: axes reversed, elements skipped, walked backward, read-only."""
    view = _each(np.zeros([2 * n for n in a.shape[::-1]], a.dtype).T, -2)
    view[...] = a
    view.flags.writeable = False
    return view


def _each(a: NDArray[Any], step: int) -> NDArray[Any]:
    index: Any = (..., *(slice(None, None, step),) * a.ndim)
    return a[index]  # type: ignore[no-any-return]


LAYOUTS: dict[str, Callable[[NDArray[Any]], NDArray[Any]]] = {
    "plain": np.array,
    "transposed": transposed,
    "backward": backward,
    "skipping": skipping,
    "readonly": readonly,
    "strided": strided,
}
"""Functions that copy an array into another layout, the plainest first."""
