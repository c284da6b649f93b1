"""float16 is computed in float32 and rounded once, where an op or a rule takes several steps."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, TypeVar

import numpy as np

from .elementwise import astype

F = TypeVar("F", bound=Callable[..., Any])

HALF = np.dtype(np.float16)


def in_float32(function: F) -> F:
    """Decorate a definition, a rule, or a function composed of ops: it computes float16 in float32, and rounds its result once.

    A sum in float16 would end at 2,048, the first number to which adding 1 changes nothing, and each step would round to three
    digits. Other dtypes are passed on as they are.
    """

    @functools.wraps(function)
    def computed(*inputs: Any, **params: Any) -> Any:
        for a in inputs:
            if getattr(a, "dtype", None) == HALF:
                break
        else:
            return function(*inputs, **params)
        wide = [astype(a, np.float32) if getattr(a, "dtype", None) == HALF else a for a in inputs]
        y = function(*wide, **params)
        return astype(y, HALF) if y.dtype == np.float32 else y

    return computed  # type: ignore[return-value]
