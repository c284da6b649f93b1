"""Products of matrices on threads of our own.

The threads of OpenBLAS wait for their next product by spinning, for as long as a whole step of training takes, and our own
threads then share the processors with them. So a large product is cut into parts like any other work, each for one thread
with a single-threaded BLAS; the cut depends on shapes alone, so results do not depend on the number of threads.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

from .parallel.threads import blas_alone, each

SMALL, FEW = 1 << 18, 1 << 13
"""Multiplications for which BLAS uses one thread anyway: of two matrices, and where one of them is a vector."""

LARGE = 1 << 23
"""Multiplications from which on it pays to share them."""

PARTS, LEAST = 4, 32
"""A product is cut into as many parts, of at least so many rows or columns."""


def multiply(a: Any, b: Any, out: np.ndarray | None = None) -> Any:
    """np.matmul."""
    plain = _is_plain(a, b, out)
    size = len(a) * b.size if plain else _size(a, b)
    if size < FEW or (size < SMALL and size != a.size and size != b.size):  # no vector is among them
        return a.dot(b, out) if plain else np.matmul(a, b, out=out)
    if size < LARGE or a.ndim != 2 or b.ndim != 2:
        return blas_alone(np.matmul, a, b, out)
    y = np.empty((len(a), b.shape[1]), np.result_type(a, b)) if out is None else out
    each(_call, _parts(a, b, y))
    return y


def multiplying(a: Any, b: Any, out: np.ndarray) -> Callable[[], object]:
    """:func:`multiply` in the same memory every time."""
    size = _size(a, b)
    if size < FEW or (size < SMALL and size != a.size and size != b.size):
        return partial(a.dot, b, out) if _is_plain(a, b, out) else partial(np.matmul, a, b, out)
    if size < LARGE or a.ndim != 2 or b.ndim != 2:
        return partial(multiply, a, b, out)
    return partial(each, _call, _parts(a, b, out))


def _is_plain(a: Any, b: Any, out: np.ndarray | None) -> bool:
    """Whether `a.dot(b, out)`, which calls BLAS with less ado, does the same as np.matmul."""
    return (
        a.__class__ is b.__class__ is np.ndarray
        and a.ndim == 2
        and 0 < b.ndim < 3
        and (dtype := a.dtype) is b.dtype
        and dtype.char in "fd"
        and (out is None or (out.dtype is dtype and out.flags.c_contiguous and out.shape == a.shape[:1] + b.shape[1:]))
    )


def _size(a: Any, b: Any) -> int:
    """Multiplications."""
    if not isinstance(a, np.ndarray) or not isinstance(b, np.ndarray) or not b.size:
        return 0
    return int(a.size * (b.shape[-1] if b.ndim == 2 else b.size // b.shape[-2 if b.ndim > 1 else 0]))


def _parts(a: np.ndarray, b: np.ndarray, y: np.ndarray) -> list[Callable[[], object]]:
    rows, columns = y.shape
    if rows >= columns:
        step = max(LEAST, -(-rows // PARTS))
        return [partial(np.matmul, a[i : i + step], b, y[i : i + step]) for i in range(0, rows, step)]
    step = max(LEAST, -(-columns // PARTS))
    return [partial(np.matmul, a, b[:, j : j + step], y[:, j : j + step]) for j in range(0, columns, step)]


def _call(part: Callable[[], object]) -> object:
    return part()
