"""``where`` without a branch: the bits of a float, as an integer, multiplied by 1 or 0 are the bits of the float or of 0.

np.where and np.copyto branch on every element, which the CPU mispredicts half of the time on the masks of relu or dropout, and
np.where does not keep the memory order. An integer product does neither, and unlike in a float product, 0 times infinity is 0.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
from numpy import empty_like, multiply, ndarray

from .copies import flattened, into
from .parallel.chunks import LARGE, shared

BITS: dict[Any, Any] = {np.dtype(f"f{size}"): np.dtype(f"i{size}") for size in (2, 4, 8)}
"""The integers of the same size as each float, in native byte order."""

SHORT = 1 << 7
"""Up to this many elements np.where takes less time than the bits."""

LONG = 1 << 15
"""From this many elements on, the mask is converted in a pass of its own."""

BOOL, INT8 = np.dtype(bool), np.dtype(np.int8)


def prepare(out: np.ndarray | None, condition: Any, a: Any, b: Any) -> Callable[[], Any] | None:
    """A task for np.where, bit for bit, in the memory order of the condition, or of all inputs; `out` may be an input.

    None for few elements unless b is 0, and for arrays that need a conversion first.
    """
    cut = b.__class__ is int and not b and a.__class__ is ndarray
    if not cut and (isinstance(a, list | tuple) or isinstance(b, list | tuple) or _are_few(condition, a, b)):
        return None
    dtype = a.dtype if cut else np.result_type(a, b)
    bits = BITS.get(dtype)
    if bits is None:
        return None
    if cut and condition.__class__ is ndarray and condition.dtype is BOOL and condition.shape == a.shape:
        if out is None and a.size < LONG:
            return partial(_cut_few, condition, a, bits)
        y = empty_like(condition, dtype) if out is None else out
        operands = y.view(bits), condition, a.view(bits)
        direct = a.size < LONG or (out is not None and _overlap(out, condition, a))
        work: Callable[..., object] = _cut if direct else _cut_long
        if out is not None and a.size < LARGE:
            target, mask, bits_of_a = flattened(*operands) or operands
            return partial(multiply, bits_of_a, mask, target) if direct else partial(work, target, mask, bits_of_a)
        return shared(work, y, *operands) if a.size >= LARGE else partial(into, y, work, *operands)
    mask, a, b = _viewed(condition, BOOL, INT8), _viewed(a, dtype, bits), None if cut else _viewed(b, dtype, bits)
    if mask is None or a is None or (b is None and not cut):
        return None
    whole = not cut and (mask.shape == a.shape or not a.ndim) and (mask.shape == b.shape or not b.ndim)
    if out is None and whole:
        out = empty_like(mask, dtype)
    if out is None:
        return lambda: np.asarray(_choose(None, mask, a, b)).view(dtype)
    if whole and mask.size >= LARGE:
        return shared(_choose, out, out.view(bits), mask, a, b)
    return partial(_choose_into, out, out.view(bits), mask, a, b)


def _viewed(x: Any, dtype: np.dtype[Any], bits: Any) -> np.ndarray | None:
    """The bits of a number, or of an array of this dtype."""
    if x.__class__ is not ndarray:
        x = np.asarray(x, dtype)
    return x.view(bits) if x.dtype == dtype else None


def _choose(y: np.ndarray | None, mask: np.ndarray, a: np.ndarray, b: np.ndarray | None = None) -> Any:
    """The bits of a where the mask is 1, else of b, or 0."""
    if b is None:
        return multiply(a, mask, y)
    if not a.ndim and not a:
        return multiply(b, mask ^ 1, y)
    return np.bitwise_xor(np.bitwise_xor(a, b) * mask, b, y)


def _overlap(out: np.ndarray, *inputs: np.ndarray) -> bool:
    return any(np.may_share_memory(out, a) for a in inputs)


def _are_few(*inputs: Any) -> bool:
    return all(a.size <= SHORT if a.__class__ is ndarray else a.__class__ in (int, float) for a in inputs)


def _cut_few(mask: np.ndarray, a: np.ndarray, bits: Any) -> np.ndarray:
    """a where the mask is 1, else 0: in the memory order of the mask, as a gradient has that of its input."""
    y = mask.astype(bits)
    return multiply(y, a.view(bits), y).view(a.dtype)  # type: ignore[no-any-return]


def _cut(y: np.ndarray, mask: np.ndarray, a: np.ndarray) -> None:
    """The bits of a where the mask is 1, else 0."""
    multiply(a, mask, y)


def _cut_long(y: np.ndarray, mask: np.ndarray, a: np.ndarray) -> None:
    """The same, without the buffers in which NumPy converts a factor. y is none of the inputs."""
    np.copyto(y, mask.view(INT8))
    multiply(y, a, y)


def _choose_into(out: np.ndarray, *operands: Any) -> np.ndarray:
    _choose(*operands)
    return out


def select(condition: Any, a: Any, b: Any, out: np.ndarray | None = None) -> Any:
    """The result of :func:`prepare`'s task, or of np.where."""
    task = prepare(out, condition, a, b)
    if task is not None:
        return task()
    y = np.where(condition, a, b)
    if out is None:
        return y
    np.copyto(out, y)
    return out
