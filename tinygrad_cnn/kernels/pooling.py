"""Pooling in any number of spatial dimensions, one kernel element at a time: each is a strided view of the input.

Sizes, kernels, strides and dilations have one entry per spatial axis; `before` is the padding before the first element,
and the number of windows `out` says where they end. Results keep the channels-last memory order of their input.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import reduce
from itertools import product
from typing import Any

import numpy as np

from .window import Sizes, overlaps, volume


def sum_windows(x: np.ndarray, kernel: Sizes, out: Sizes, stride: Sizes, before: Sizes) -> np.ndarray:
    """The sum of each window of x: (N, C, *sizes) to (N, C, *out). Padding counts as zero."""
    y = np.zeros_like(x, shape=(*x.shape[:2], *out))
    for _, windows, places in overlaps(x.shape[2:], kernel, out, stride, before, (1,) * len(out)):
        y[windows] += x[places]
    return y


def spread_windows(u: np.ndarray, sizes: Sizes, kernel: Sizes, stride: Sizes, before: Sizes) -> np.ndarray:
    """Adjoint of :func:`sum_windows`: each u (N, C, *out) added to every element of its window in (N, C, *sizes)."""
    x = np.zeros_like(u, shape=(*u.shape[:2], *sizes))
    for _, windows, places in overlaps(sizes, kernel, u.shape[2:], stride, before, (1,) * len(sizes)):
        x[places] += u[windows]
    return x


def max_windows(
    x: np.ndarray, kernel: Sizes, out: Sizes, stride: Sizes, before: Sizes, dilation: Sizes
) -> tuple[np.ndarray, np.ndarray]:
    """The largest element of each window of x (N, C, *sizes), and its index in the flattened sizes: both (N, C, *out).

    The first of equal elements wins, padding never does, NaN always does. A window without an element has index -1.
    """
    sizes = x.shape[2:]
    elements = []
    for k, windows, places in overlaps(sizes, kernel, out, stride, before, dilation):
        axes = zip(windows[1:], k, stride, before, dilation, strict=True)
        positions = [np.arange(w.start, w.stop) * s + (i * d - p) for w, i, s, p, d in axes]
        elements.append((windows, places, _flat(positions, sizes)))
    return _maximum(x, out, elements)


def max_regions(x: np.ndarray, out: Sizes) -> tuple[np.ndarray, np.ndarray]:
    """:func:`max_windows` for the `out` regions of :func:`regions` along each axis, which may differ in size."""
    sizes = x.shape[2:]
    tables = []
    for n, o in zip(sizes, out, strict=True):
        starts, stops = regions(n, o)
        reach = int((stops - starts).max())
        tables.append([np.minimum(starts + i, stops - 1) for i in range(reach)])
    everywhere = (..., *(slice(None) for _ in out))
    elements = [(everywhere, (..., *np.ix_(*at)), _flat(at, sizes)) for at in product(*tables)]
    return _maximum(x, out, elements)


def regions(n: int, out: int) -> tuple[np.ndarray, np.ndarray]:
    """Where n elements are cut into `out` regions that may share elements: from floor(i n / out) to ceil((i + 1) n / out)."""
    i = np.arange(out)
    return i * n // out, -(-(i + 1) * n // out)


def _flat(positions: Iterable[np.ndarray], sizes: Sizes) -> np.ndarray:
    """Indices into the flattened sizes for the grid of positions along each axis."""
    steps = [volume(sizes[axis + 1 :]) for axis in range(len(sizes))]
    return reduce(np.add, np.ix_(*(p * step for p, step in zip(positions, steps, strict=True))))


def _maximum(x: np.ndarray, out: Sizes, elements: list[tuple[Any, Any, np.ndarray]]) -> tuple[np.ndarray, np.ndarray]:
    lowest = -np.inf if x.dtype.kind == "f" else False if x.dtype.kind == "b" else np.iinfo(x.dtype).min
    y = np.full_like(x, lowest, shape=(*x.shape[:2], *out))
    indices = np.full_like(y, -1, np.int64)
    for windows, places, flat in reversed(elements):  # backward, so that of equals the first is written last
        values, best = x[places], y[windows]
        np.copyto(indices[windows], flat, where=values >= best)
        np.maximum(values, best, out=best)
    if np.isnan(y).any():  # comparisons with NaN are false: point at the last one of its window
        for windows, places, flat in elements:
            np.copyto(indices[windows], flat, where=np.isnan(x[places]))
    return y, indices


def gather(a: np.ndarray, indices: np.ndarray) -> np.ndarray:
    """y[n, c, p] = a[n, c, indices[n, c, p]], the index into the flattened spatial axes of a."""
    _check_indices(indices, a.shape[:2], a.shape[2:])
    last = _channels_last(indices)
    y = np.take_along_axis(_planes(a, last), _planes(indices, last), 1 if last else 2)
    return _unplanes(y, indices.shape[2:], last)


def scatter(u: np.ndarray, indices: np.ndarray, sizes: Sizes) -> np.ndarray:
    """Adjoint of :func:`gather`: u (N, C, *out) added at `indices` into zeros (N, C, *sizes)."""
    _check_indices(indices, u.shape[:2], sizes)
    n, c, total = *u.shape[:2], volume(sizes)
    last = _channels_last(u)
    flat = _planes(indices, last)
    if last:  # (N, out, C) into (N, total, C)
        flat = flat * c + (np.arange(n)[:, None, None] * (total * c) + np.arange(c))
    else:  # (N, C, out) into (N, C, total)
        flat = flat + np.arange(n * c).reshape(n, c, 1) * total
    sums = np.bincount(flat.ravel(), _planes(u, last).ravel(), n * c * total).astype(u.dtype)
    return _unplanes(sums.reshape((n, total, c) if last else (n, c, total)), sizes, last)


def last_written(indices: np.ndarray, size: int) -> np.ndarray:
    """Which elements of (N, C, *out) a plain assignment at `indices` would leave standing: the last at each index."""
    _check_indices(indices, indices.shape[:2], (size,))
    n, c = indices.shape[:2]
    flat = (_planes(indices, False) + np.arange(n * c).reshape(n, c, 1) * size).ravel()
    order = np.arange(flat.size)
    writer = np.zeros(n * c * size, np.int64)
    writer[flat] = order
    kept: np.ndarray = (writer[flat] == order).reshape(indices.shape)
    return kept


def _check_indices(indices: np.ndarray, lead: Sizes, sizes: Sizes) -> None:
    if indices.shape[:2] != lead:
        raise ValueError(f"`indices` has shape {indices.shape}; it must begin with {lead}, as the values do")
    if indices.size and (indices.min() < 0 or indices.max() >= volume(sizes)):
        raise IndexError(
            f"`indices` has values from {indices.min()} to {indices.max()}; they must lie in the {volume(sizes)} elements "
            f"of {sizes}"
        )


def _channels_last(a: np.ndarray) -> bool:
    return bool(np.moveaxis(a, 1, -1).flags.c_contiguous and not a.flags.c_contiguous)


def _planes(a: np.ndarray, last: bool) -> np.ndarray:
    """a (N, C, *sizes) with flattened sizes: (N, size, C) if `last`, else (N, C, size)."""
    n, c, total = *a.shape[:2], volume(a.shape[2:])
    return np.moveaxis(a, 1, -1).reshape(n, total, c) if last else a.reshape(n, c, total)


def _unplanes(a: np.ndarray, sizes: Sizes, last: bool) -> np.ndarray:
    """The inverse of :func:`_planes`, as a view (N, C, *sizes)."""
    if last:
        return np.moveaxis(a.reshape(a.shape[0], *sizes, a.shape[2]), -1, 1)
    return a.reshape(*a.shape[:2], *sizes)
