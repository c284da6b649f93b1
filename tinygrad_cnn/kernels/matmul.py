"""Large matrix products, shared among the library's own threads.

OpenBLAS threads wait for the next product by spinning, for as long as a whole training step takes, and compete with the
library's threads for the CPUs. So a large product is cut into parts, each computed by one thread with single-threaded BLAS.
The cut depends on shapes alone, so results do not depend on the number of threads.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import lru_cache, partial
from typing import Any, TypeAlias

import numpy as np
from numpy import ndarray

from ..allocator import keep_for
from ..ops.matmul import linear
from . import lapack, thin
from .parallel.threads import blas_alone, each

SMALL, FEW = 1 << 18, 1 << 13
"""Multiplications below which BLAS uses one thread anyway: for two matrices, and for a matrix and a vector."""

OUTER = 1 << 10
"""Elements of many columns or rows from which their outer products are not left to BLAS; one product only from SMALL on."""

LARGE = 1 << 23
"""Multiplications from which sharing a product pays off."""

Prepare: TypeAlias = Callable[[np.ndarray | None, np.ndarray, np.ndarray], Callable[[], Any]]
"""Prepares the task of a product a b in `out`."""

PARTS, LEAST = 4, 32
"""The number of parts of a product, and the fewest rows or columns in a part."""


def prepare(out: np.ndarray | None, a: Any, b: Any) -> Callable[[], Any] | None:
    """A task for np.matmul; None if an operand is not an array, or the shapes do not match."""
    if a.__class__ is not ndarray or b.__class__ is not ndarray:
        return None
    how = _how(a.shape, b.shape)
    if how is _dot and out is None and (dtype := a.dtype) is b.dtype and dtype.char in "fd":
        return partial(a.dot, b)
    return how and how(out, a, b)


@lru_cache(maxsize=4096)
def _how(left: tuple[int, ...], right: tuple[int, ...]) -> Prepare | None:
    """The function that prepares a product of arrays of these shapes; None if the shapes do not match."""
    if not left or not right or (k := left[-1]) != right[-2 if len(right) > 1 else 0]:
        return None
    first, second = math.prod(left), math.prod(right)
    size = first * (second // (k or 1))
    are_matrices = len(left) == 2 == len(right)
    if k == 1 and len(left) > 1 < len(right) and (size >= SMALL if are_matrices else max(first, second) >= OUTER):
        return _outer
    if size < FEW or (size < SMALL and size != first and size != second):  # neither is a vector
        how = _dot if len(left) == 2 and len(right) < 3 else _matmul
    else:
        how = _alone if size < LARGE or not are_matrices else _shared
    return partial(_in_pieces, how) if are_matrices and thin.may_be(left[0], k, right[1]) else how


def _in_pieces(whole: Prepare, out: np.ndarray | None, a: np.ndarray, b: np.ndarray) -> Callable[[], Any]:
    """A task for a product that may be cut into pieces."""
    return thin.prepare(out, a, b, whole is _shared) or whole(out, a, b)


def _outer(out: np.ndarray | None, a: np.ndarray, b: np.ndarray) -> Callable[[], Any]:
    return partial(np.einsum, "...ij,...jk->...ik", a, b, out=out)  # BLAS is slow for many or large outer products


def _matmul(out: np.ndarray | None, a: np.ndarray, b: np.ndarray) -> Callable[[], Any]:
    return partial(np.matmul, a, b, out)


def _dot(out: np.ndarray | None, a: np.ndarray, b: np.ndarray) -> Callable[[], Any]:
    dtype = a.dtype
    if dtype is b.dtype and dtype.char in "fd" and (out is None or (out.dtype is dtype and out.flags.c_contiguous)):
        return partial(a.dot, b, out)  # less overhead than np.matmul
    return _matmul(out, a, b)


def _alone(out: np.ndarray | None, a: np.ndarray, b: np.ndarray) -> Callable[[], Any]:
    return partial(blas_alone, (_dot if a.ndim == 2 and b.ndim < 3 else _matmul)(out, a, b))


def _shared(out: np.ndarray | None, a: np.ndarray, b: np.ndarray) -> Callable[[], Any]:
    y = np.empty((len(a), b.shape[1]), np.result_type(a, b)) if out is None else out
    parts = _parts(a, b, y)

    def task() -> np.ndarray:
        each(_call, parts)
        return y

    return task


def prepare_linear(out: np.ndarray | None, x: Any, w: Any, b: Any = None) -> Callable[[], Any] | None:
    """A task for x w^T + b; None if the shapes do not match."""
    if (
        x.__class__ is not ndarray
        or w.__class__ is not ndarray
        or w.ndim != 2
        or not x.ndim
        or x.shape[-1] != w.shape[1]
    ):
        return None
    fits = x.ndim == 2 or x.flags.c_contiguous
    if b is not None:
        fits = fits and b.__class__ is ndarray and b.shape == w.shape[:1] and b.dtype == w.dtype == x.dtype
    if fits and x.ndim == 2 and x.size * len(w) < SMALL and min(len(x), len(w)) > 1:  # a definition with less to check
        return partial(_few_linear, out, x, w, b)
    keep_for(math.prod(x.shape[:-1]) * len(w))
    if not fits:  # BLAS alone: with several threads it may round otherwise
        return lapack.task(out, partial(linear.op.raw, x, w, b))
    if x.ndim == 2:
        product = prepare(out, x, w.T)
    else:
        rows, y = math.prod(x.shape[:-1]), (*x.shape[:-1], len(w))
        flat = prepare(None if out is None else out.reshape(rows, len(w)), x.reshape(rows, x.shape[-1]), w.T)
        product = flat and (lambda: flat().reshape(y))
    return product if product is None or b is None else lambda: np.add(y := product(), b, y)


def _few_linear(out: np.ndarray | None, x: np.ndarray, w: np.ndarray, b: Any) -> Any:
    y = x.dot(w.T)
    if b is not None:
        np.add(y, b, y)
    if out is None:
        return y
    np.copyto(out, y)
    return out


def _parts(a: np.ndarray, b: np.ndarray, y: np.ndarray) -> list[Callable[[], object]]:
    rows, columns = y.shape
    if rows >= columns:
        step = max(LEAST, -(-rows // PARTS))
        return [partial(np.matmul, a[i : i + step], b, y[i : i + step]) for i in range(0, rows, step)]
    step = max(LEAST, -(-columns // PARTS))
    return [partial(np.matmul, a, b[:, j : j + step], y[:, j : j + step]) for j in range(0, columns, step)]


def _call(part: Callable[[], object]) -> object:
    return part()
