"""Memory layouts, on which no result may depend."""

from collections.abc import Callable
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray


def strided(a: NDArray[Any]) -> NDArray[Any]:
    """All at once: axes reversed in memory, elements skipped, negative strides, read-only."""
    return _readonly(_within(a, -2, order="F"))


def _within(a: NDArray[Any], step: int, order: Literal["C", "F"] = "C") -> NDArray[Any]:
    """A copy that takes one element in `step` of a larger array, along every axis; backward if that is negative."""
    each: Any = (..., *(slice(None, None, step),) * a.ndim)
    view: NDArray[Any] = np.zeros([n * abs(step) for n in a.shape], a.dtype, order)[each]
    view[...] = a
    return view


def _readonly(a: NDArray[Any]) -> NDArray[Any]:
    a.flags.writeable = False
    return a


LAYOUTS: dict[str, Callable[[NDArray[Any]], NDArray[Any]]] = {
    "plain": np.array,
    "transposed": lambda a: np.array(a, order="F"),
    "backward": lambda a: _within(a, -1),
    "skipping": lambda a: _within(a, 2),
    "readonly": lambda a: _readonly(np.array(a)),
    "strided": strided,
}
"""Functions that copy an array into another layout, the plainest first."""
