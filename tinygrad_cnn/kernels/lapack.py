"""Linear algebra of LAPACK on one thread: BLAS would share it from 128 x 128 on, and round in another order for each number."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

from ..core.acceleration import accelerate
from ..core.graph import OpFunction
from ..scope import contained
from .parallel.threads import blas_alone


def alone(function: OpFunction[Any]) -> None:
    """Let an op run its definition with single-threaded BLAS."""
    raw = function.op.raw

    def prepare(out: np.ndarray | None, *inputs: Any, **params: Any) -> Callable[[], Any]:
        return task(out, partial(raw, *inputs, **params))

    accelerate(function, prepare)


def task(out: np.ndarray | None, compute: Callable[[], Any]) -> Callable[[], Any]:
    """A task that computes with single-threaded BLAS."""
    alone = partial(blas_alone, contained, compute)
    return alone if out is None else lambda: _copied(out, alone())


def _copied(out: np.ndarray, y: Any) -> np.ndarray:
    np.copyto(out, y)
    return out
