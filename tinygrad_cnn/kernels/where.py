"""Choosing between arrays without a branch: a float times 1 or 0, as the integer that its bits are, is the float or 0.

np.where and np.copyto jump on every element, which the processor guesses wrong half of the time on the masks of relu or
dropout, and np.where forgets the memory order. A product of integers does neither, and unlike one of floats, 0 times
infinity is 0.
"""

from __future__ import annotations

from collections.abc import Callable
from operator import attrgetter
from typing import Any

import numpy as np

from .parallel.chunks import LARGE, share, sharing

BITS: dict[Any, Any] = {np.dtype(f"f{size}"): np.dtype(f"i{size}") for size in (2, 4, 8)}
"""The integers of the same size as each float, in native byte order."""


def select(condition: Any, a: Any, b: Any, out: np.ndarray | None = None) -> Any:
    """y = a where `condition` holds, else b, broadcast and bit for bit, as np.where but in the memory order of its inputs.

    Python numbers do not promote. `out` may be an input.
    """
    dtype = np.result_type(a, b)
    bits = BITS.get(dtype)
    if bits is None:
        return _by_branch(condition, a, b, out)
    a, b = np.asarray(a, dtype).view(bits), np.asarray(b, dtype).view(bits)
    mask = np.asarray(condition, bool).view(np.int8)
    big = max(mask, a, b, key=_size)
    if big.size >= LARGE and all(c.shape in ((), big.shape) for c in (mask, a, b)):
        y = np.empty_like(big, dtype) if out is None else out
        share(_choose, y.view(bits), mask, a, b)
        return y
    y = _choose(None if out is None else out.view(bits), mask, a, b)
    return out if out is not None else np.asarray(y).view(dtype)


_size = attrgetter("size")


def _choose(y: np.ndarray | None, mask: np.ndarray, a: np.ndarray, b: np.ndarray) -> Any:
    """The bits of a where the mask is 1, of b where it is 0."""
    if not b.ndim and not b:
        return np.multiply(a, mask, out=y)
    if not a.ndim and not a:
        return np.multiply(b, mask ^ 1, out=y)
    different = np.bitwise_xor(a, b) * mask
    return np.bitwise_xor(different, b, out=y)


def selecting(condition: Any, a: Any, b: Any, out: np.ndarray) -> Callable[[], object] | None:
    """:func:`select` in the same memory every time, where one of the choices is the number 0."""
    if not (
        isinstance(condition, np.ndarray)
        and condition.dtype == bool
        and isinstance(a, np.ndarray)
        and isinstance(b, int)
        and b == 0
    ):
        return None
    bits = BITS.get(a.dtype)
    if bits is None or out.dtype != a.dtype:
        return None
    return sharing(_masked, out.view(bits), a.view(bits), condition.view(np.int8))


def _masked(y: np.ndarray, a: np.ndarray, mask: np.ndarray) -> None:
    np.multiply(a, mask, y)


def _by_branch(condition: Any, a: Any, b: Any, out: np.ndarray | None) -> Any:
    y = np.where(condition, a, b)
    if out is None:
        return y
    np.copyto(out, y)
    return out
