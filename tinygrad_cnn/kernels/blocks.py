"""Elementwise functions of many steps in blocks that stay in the cache, in any memory order; float16 is computed in float32."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache, partial
from typing import Any, TypeAlias

import numpy as np

BLOCK = 1 << 14
"""Elements per block."""

OfBlock: TypeAlias = Callable[[np.ndarray, np.ndarray], object]
"""A function of a 1-d block and of the array that it fills."""


def prepare(function: OfBlock, out: np.ndarray | None, a: Any) -> Callable[[], Any]:
    """A task that computes `function` of 1-d blocks of a, in its dtype (float64 for integers) and memory order."""
    x = np.asarray(a)
    y = np.empty_like(x, x.dtype if x.dtype.kind == "f" else np.float64) if out is None else out
    return partial(_by_block, function, x, y, np.result_type(y.dtype, np.float32))


def _by_block(function: OfBlock, x: np.ndarray, y: np.ndarray, dtype: np.dtype[Any]) -> np.ndarray:
    flags = ["external_loop", "buffered", "zerosize_ok"]
    sides = [["readonly"], ["writeonly"]]
    with np.nditer([x, y], flags, sides, [dtype] * 2, casting="same_kind", buffersize=BLOCK) as blocks:  # type: ignore[call-overload]
        for source, target in blocks:
            function(source, target)
    return y


def polynomial(coefficients: tuple[float, ...], x: np.ndarray) -> np.ndarray:
    """Horner's rule, highest power first, in place."""
    first, *others = _arrays(coefficients, x.dtype)
    value: np.ndarray = x * first
    for c in others[:-1]:
        np.add(value, c, value)
        np.multiply(value, x, value)
    value += others[-1]
    return value


@lru_cache(maxsize=64)
def _arrays(numbers: tuple[float, ...], dtype: np.dtype[Any]) -> list[np.ndarray]:
    """The numbers as arrays without axes: ufuncs would convert Python floats in every call."""
    return [np.array(c, dtype) for c in numbers]
