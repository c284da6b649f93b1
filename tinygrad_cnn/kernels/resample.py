"""Interpolation along an axis: as copies of slices, or as a product with a small matrix, most of whose elements are 0.

BLAS multiplies by the zeros sooner than NumPy picks the elements. But 0 times infinity is not 0: if the result has an element
that is not finite, it is computed again by the definition, in which each element depends on its own sources alone.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import lru_cache, partial
from typing import Any, NamedTuple

import numpy as np

from ..ops.resize import Taps, resample
from ..scope import silent
from .blocking import copying
from .parallel.threads import blas_alone

LONGEST = 128
"""With more elements along the axis, the zeros take longer than what they save."""

FEW = 1 << 8
"""Fewer results are not worth the matrix."""

MOST = 8
"""The most slices of an axis that are copied."""


class _Slices(NamedTuple):
    """Pairs of slices of the result and of x: each is copied, or, if `adds`, all but the first are added."""

    pairs: list[tuple[slice, slice]]
    adds: bool
    leaves_zeros: bool
    """Whether the first pair leaves elements that no other need write."""


def prepare(out: np.ndarray | None, x: Any, *, axis: int, size: int, taps: Taps) -> Callable[[], Any] | None:
    """A task for ``resample``; None for few elements, long axes with other weights than 1, and other dtypes than float32 and
    float64."""
    if x.__class__ is not np.ndarray or x.dtype.char not in "fd" or not x.size or not size:
        return None
    n, shape = x.shape[axis], (*x.shape[:axis], size, *x.shape[axis + 1 :])
    if math.prod(shape) < FEW:
        return None
    how = how_of(n, size, x.dtype, *[(part.dtype.str, part.tobytes()) for part in taps])
    order = sorted(range(x.ndim), key=lambda i: -x.strides[i])  # of the axes in memory, from the outermost
    rows = x.transpose(order)
    if how is None or not rows.flags.c_contiguous:
        return None
    y = np.empty([shape[i] for i in order], x.dtype).transpose(np.argsort(order)) if out is None else out
    filled, at = y.transpose(order), order.index(axis)
    if not filled.flags.c_contiguous or y.dtype != x.dtype:
        return None
    lead, trail = math.prod(rows.shape[:at]), math.prod(rows.shape[at + 1 :])
    source, target = rows.reshape(lead, n, trail), filled.reshape(lead, size, trail)
    if isinstance(how, _Slices):
        first, *others = [(target[:, t], source[:, s]) for t, s in how.pairs]
        calls = [copying(*first), *[partial(np.add, t, s, t) if how.adds else copying(t, s) for t, s in others]]
        return partial(_run, [partial(y.fill, 0), *calls] if how.leaves_zeros else calls, y)
    if trail == 1:
        product = partial(np.matmul, source[..., 0], how.T, target[..., 0])
    else:
        product = partial(np.matmul, how, source, target)
    return partial(_multiply, product, y, x, axis, size, taps)


def _run(calls: list[Callable[[], object]], y: np.ndarray) -> np.ndarray:
    for call in calls:
        call()
    return y


def _multiply(
    product: Callable[[], np.ndarray], y: np.ndarray, x: np.ndarray, axis: int, size: int, taps: Taps
) -> np.ndarray:
    with silent:
        is_finite = np.isfinite(np.add.reduce(blas_alone(product), None))
    if not is_finite:
        np.copyto(y, resample.op.raw(x, axis=axis, size=size, taps=taps))
    return y


@lru_cache(maxsize=256)
def how_of(n: int, size: int, dtype: np.dtype[Any], *parts: tuple[str, bytes]) -> _Slices | np.ndarray | None:
    """The slices, or the matrix, for taps whose arrays are given as their dtypes and bytes; None where
    the definition computes, or refuses a tap out of range."""
    targets, sources, weights = (np.frombuffer(data, dtype) for dtype, data in parts)
    if targets.size and not (0 <= targets.min() <= targets.max() < size and 0 <= sources.min() <= sources.max() < n):
        return None
    if (weights == 1).all() and (slices := _slices(targets, sources, size, n)) is not None:
        return slices
    if n > LONGEST:
        return None
    matrix = np.zeros((size, n), dtype)
    np.add.at(matrix, (targets, sources), weights.astype(dtype))
    return matrix


def _slices(targets: np.ndarray, sources: np.ndarray, size: int, n: int) -> _Slices | None:
    """The taps as a few slices, if one side is in order and the other one proceeds evenly; else None."""
    if np.array_equal(targets, np.arange(size)):
        pairs = _pairs(sources)
        return None if pairs is None else _Slices(pairs, False, False)
    if np.array_equal(sources, np.arange(n)) and (pairs := _pairs(targets)):
        return _Slices([(b, a) for a, b in pairs], True, pairs[0][1] != slice(0, size, 1))
    return None


def _pairs(places: np.ndarray) -> list[tuple[slice, slice]] | None:
    """Slices of the indices of an array, and the slices that it has there as values."""
    for step in range(1, MOST + 1):
        if len(places) % step == 0:
            rows = places.reshape(-1, step)
            by = max(int(rows[1, 0] - rows[0, 0]), 1) if len(rows) > 1 else 1
            if (np.diff(rows, axis=0) == by).all():
                ends = zip(rows[0], rows[-1], strict=True)
                return [(slice(i, len(places), step), slice(int(a), int(b) + 1, by)) for i, (a, b) in enumerate(ends)]
    return None
