"""Copies of many short runs. NumPy spends longer on beginning a run than on the run; a run that is one item it just moves."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import numpy as np

LONG = 1 << 10
"""Bytes of a run for which it makes no difference."""


def copying(to: np.ndarray, source: np.ndarray) -> Callable[[], object]:
    """What does np.copyto(to, source), of one shape, in the same memory every time."""
    return partial(np.copyto, *in_runs(to, source))


def in_runs(to: np.ndarray, source: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Both, as arrays of items, each of which was a run along the last axis, if it is one in both."""
    size = to.itemsize
    run = to.shape[-1] * size
    if to.dtype is not source.dtype or not size < run < LONG or to.strides[-1] != size or source.strides[-1] != size:
        return to, source
    item = np.dtype((np.void, run))
    return to.view(item)[..., 0], source.view(item)[..., 0]
