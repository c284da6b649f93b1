"""max(a, 0), and what its gradient lets pass.

The maximum is taken beside an array of zeros: NumPy's maximum with a scalar does not use the processor's vectors. The
gradient is multiplied by 1 or 0 as the integer that its bits are: see select.py.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache, partial
from typing import Any

import numpy as np

from .parallel.chunks import LARGE, share, sharing
from .where import BITS, select

SHORT = 1 << 12
"""Elements that are dealt with sooner than they are seen as one run of memory."""

RUN = 1 << 14
"""Elements compared at a time: their zeros stay in the first-level cache."""


@cache
def _zero(dtype: np.dtype[Any]) -> np.ndarray:
    """Ufuncs take it in sooner than Python's."""
    return np.zeros((), dtype)


@cache
def _zeros(dtype: np.dtype[Any]) -> np.ndarray:
    zeros = np.zeros(RUN, dtype)
    zeros.flags.writeable = False
    return zeros


def positive_part(a: Any, out: np.ndarray | None = None) -> Any:
    """y = max(a, 0), NaN where a is NaN, in the memory order of a. `out` may be a."""
    if not isinstance(a, np.ndarray) or a.dtype.kind != "f":
        return np.maximum(a, 0, out=out)
    if a.size <= SHORT:
        return np.maximum(a, _zero(a.dtype), out=out)
    y = np.empty_like(a) if out is None else out
    views = _flat(a, y)
    if views is None:
        return np.maximum(a, 0, out=y)
    share(_rectify, *views)
    return y


def _rectify(source: np.ndarray, target: np.ndarray) -> None:
    zeros = _zeros(source.dtype)
    whole = source.size - source.size % RUN
    if whole:
        np.maximum(source[:whole].reshape(-1, RUN), zeros, out=target[:whole].reshape(-1, RUN))
    if whole < source.size:
        np.maximum(source[whole:], zeros[: source.size - whole], out=target[whole:])


def rectifying(a: Any, out: np.ndarray) -> Callable[[], object] | None:
    """:func:`positive_part` of the same memory every time."""
    if not isinstance(a, np.ndarray) or a.size <= SHORT or a.dtype.kind != "f":
        return partial(np.maximum, a, 0, out=out)
    views = _flat(a, out)
    if views is None:
        return None
    if a.size > RUN:
        return sharing(_rectify, *views)
    return partial(np.maximum, views[0], _zeros(a.dtype)[: a.size], out=views[1])


def pass_positive(g: Any, y: Any, out: np.ndarray | None = None) -> Any:
    """g where y > 0, else 0, in the memory order of y: a gradient is best laid out as what it is the gradient of. `out` may be
    g or y."""
    if g.__class__ is y.__class__ is np.ndarray and g.size <= SHORT and g.shape == y.shape and out is None:
        bits = BITS.get(g.dtype)
        if bits is not None:  # in few steps
            target = np.empty_like(y, bits)
            np.multiply(g.view(bits), np.greater(y, _zero(y.dtype)).view(np.int8), target)
            return target.view(g.dtype)
    target = np.empty_like(y, np.result_type(g)) if out is None else out
    views = _gradient(g, y, target)
    if views is None:
        return select(np.greater(y, 0), g, 0, out)
    share(_pass, *views)
    return target


def passing_positive(g: Any, y: Any, out: np.ndarray) -> Callable[[], object] | None:
    """:func:`pass_positive` in the same memory every time."""
    views = _gradient(g, y, out)
    if views is None or g.size >= LARGE:
        return None if views is None else sharing(_pass, *views)
    gradient, values, target = views
    mask = np.empty_like(values, bool)
    ones = mask.view(np.int8)

    def run() -> None:
        np.greater(values, 0, mask)
        np.multiply(gradient, ones, target)

    return run


def _gradient(g: Any, y: Any, out: np.ndarray) -> list[np.ndarray] | None:
    """The bits of g, y, and the bits of `out`, each as one run of memory if all are laid out alike."""
    if not isinstance(g, np.ndarray) or not isinstance(y, np.ndarray) or not g.shape == y.shape == out.shape:
        return None
    bits = BITS.get(g.dtype)
    if bits is None or out.dtype != g.dtype:
        return None
    if g.size > SHORT:
        g, y, out = _flat(g, y, out) or (g, y, out)
    return [g.view(bits), y, out.view(bits)]


def _pass(g: np.ndarray, y: np.ndarray, out: np.ndarray) -> None:
    np.multiply(g, np.greater(y, 0).view(np.int8), out)


def _flat(*arrays: np.ndarray) -> list[np.ndarray] | None:
    """All as one run of memory, if they are laid out alike and without gaps."""
    if not all(a.flags.c_contiguous for a in arrays):
        first = arrays[0]
        order = sorted(range(first.ndim), key=first.strides.__getitem__, reverse=True)
        arrays = tuple(a.transpose(order) for a in arrays)
        if not all(a.flags.c_contiguous for a in arrays):
            return None
    return [a.reshape(-1) for a in arrays]
