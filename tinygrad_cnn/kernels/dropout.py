"""Dropout's mask, in the memory order of the array it is multiplied with."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from ..ops.dropout import mask_shape, survivors
from ..ops.random import Seed, generator


def prepare(out: np.ndarray | None, x: Any, *, p: float, spatial: int, rng: Seed) -> Callable[[], np.ndarray]:
    """A task for ``keep_mask``."""
    x = np.asarray(x)
    y = np.empty_like(x, np.result_type(x.dtype, 1.0), shape=mask_shape(x.shape, spatial)) if out is None else out
    scale = y.dtype.type(1 / (1 - p) if p < 1 else 0)
    return lambda: np.multiply(survivors(generator(rng), y.shape, p), scale, out=y)
