"""Elementwise functions of many steps in blocks that stay in the cache, in any memory order; float16 is computed in float32."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import lru_cache, partial
from typing import Any, TypeAlias

import numpy as np

from .parallel import chunks
from .parallel.threads import each
from .parallel.workspace import scratch, with_workspace

BLOCK = 1 << 15
"""Elements per block: some blocks of float32 fit into the L2 cache, and threads seldom meet at the interpreter lock."""

ARRAYS: Any = frozenset({np.ndarray, np.float16, np.float32, np.float64})

OfBlock: TypeAlias = Callable[..., object]
"""A function of 1-d blocks of one shape and dtype, or 0-d arrays, and of the array that it fills, which is none of them."""


def prepare(
    function: OfBlock, out: np.ndarray | None, *arrays: Any, block: int | None = None
) -> Callable[[], Any] | None:
    """A task that computes `function` of 1-d blocks of arrays of one shape, in their dtype (float64 for integers) and memory
    order. None for several arrays that differ in these. A block has BLOCK elements, or `block`."""
    inputs = [np.asarray(a) for a in arrays]
    first = next((a for a in inputs if not _repeats(a)), inputs[0])
    dtype = first.dtype if first.dtype.kind == "f" else np.dtype(np.float64)
    if len(inputs) > 1 and any(a.shape != first.shape or a.dtype != dtype for a in inputs):
        return None
    y = np.empty_like(first, dtype) if out is None else out
    if not y.size:
        return lambda: y
    flat = _flat(inputs, y)
    if flat is None:
        if len(inputs) > 1:  # NumPy chooses the memory order
            return None
        return partial(with_workspace, _buffered, function, [*inputs, y], np.result_type(dtype, np.float32))
    if y.size < chunks.LARGE:
        return partial(with_workspace, _by_block, function, block, flat, y)
    step = -(-y.size // chunks.PARTS)
    parts = [[a[i : i + step] if a.ndim else a for a in flat] for i in range(0, y.size, step)]

    def task() -> np.ndarray:
        each(partial(_by_block, function, block, y=y), parts)
        return y

    return task


def _repeats(a: np.ndarray) -> bool:
    """Whether an array is one element, repeated by strides of 0."""
    return a.size > 1 and not any(a.strides)


def _flat(inputs: list[np.ndarray], y: np.ndarray) -> list[np.ndarray] | None:
    """Arrays without gaps and in one memory order as 1-d views, and all but a single input as 0-d views if they repeat one
    element; None for other arrays."""
    if y.dtype.char not in "fd" or inputs[0].dtype != y.dtype:
        return None
    in_order, views = y.flags.c_contiguous, []
    first: Any = (*(0,) * y.ndim, ...)
    for a in (*inputs, y):
        if len(inputs) > 1 and _repeats(a):
            views.append(a[first])
        elif in_order and a.flags.c_contiguous:
            views.append(a.reshape(-1))
        elif a.strides == y.strides and np.may_share_memory(view := a.ravel("K"), a):
            views.append(view)
        else:
            return None
    return views


def _by_block(function: OfBlock, block: int | None, arrays: Sequence[np.ndarray], y: np.ndarray) -> np.ndarray:
    size, step = arrays[-1].size, block or BLOCK
    if size <= step:
        function(*arrays)
    else:
        for i in range(0, size, step):
            function(*[a[i : i + step] if a.ndim else a for a in arrays])
    return y


def _buffered(function: OfBlock, arrays: list[np.ndarray], dtype: np.dtype[Any]) -> np.ndarray:
    flags: Any = ["external_loop", "buffered", "zerosize_ok"]
    sides: Any = [*(["readonly"] for _ in arrays[1:]), ["writeonly"]]
    with np.nditer(arrays, flags, sides, [dtype] * len(arrays), casting="same_kind", buffersize=BLOCK) as blocks:
        for parts in blocks:
            function(*parts)
    return arrays[-1]


def fits(*arrays: Any) -> bool:
    """Whether all are arrays of floats of up to 64 bits, or scalars, which NumPy makes of arrays without axes."""
    return all(a.__class__ in ARRAYS and a.dtype.char in "efd" for a in arrays)


def temporary(name: str, a: np.ndarray) -> np.ndarray:
    """Scratch for a block like `a`."""
    return scratch(name, a.shape, a.dtype)


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
