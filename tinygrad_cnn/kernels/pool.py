"""Pooling, parallel over the batch: one pass for each element of the window, on a strided view of the images.

Results keep the memory order of the input. In channels-last memory a row of pixels is contiguous, so the height is reduced
first, on long runs, and the width afterwards, on half as many short runs.
"""

from __future__ import annotations

from functools import lru_cache, partial
from typing import Any

import numpy as np

from ..ops.pool import Windows, lowest
from ..ops.windows import Sizes, last_view
from .blocking import copy_channels_last
from .parallel.chunks import by_images
from .sums import SHORT, total
from .where import select

Array = np.ndarray
Elements = list[tuple[Any, Any]]


def prepare_max(out: Array | None, x: Array, *, windows: Windows) -> Any:
    """The largest element of each window."""
    y = np.empty_like(x, shape=(*x.shape[:2], *windows.grid)) if out is None else out
    return by_images(partial(_reduce, np.maximum, lowest(x.dtype), windows), y, x)


def prepare_sum(out: Array | None, x: Array, *, windows: Windows) -> Any:
    """The sum of each window; large tiles are summed like any other array."""
    if x.dtype.kind != "f":
        return None
    if _are_large(windows, x.shape[2:]):
        return partial(total, _tiles(x, windows), _within(windows), False, out)
    y = np.empty_like(x, shape=(*x.shape[:2], *windows.grid)) if out is None else out
    return by_images(partial(_reduce, np.add, 0, windows), y, x)


def _reduce(ufunc: np.ufunc, padding: Any, windows: Windows, y: Array, x: Array) -> None:
    """Reduce one axis at a time: kH + kW passes instead of kH kW."""
    x = windows.padded(x, padding)
    for axis, (k, o, s, _, d) in enumerate(zip(*windows, strict=True), 2):
        lead = (slice(None),) * axis
        first, *rest = (x[(*lead, slice(i * d, i * d + (o - 1) * s + 1, s))] for i in range(k))
        to = y if axis == x.ndim - 1 else np.empty_like(first)
        if rest:
            ufunc(first, rest[0], out=to)
        else:
            np.copyto(to, first)
        for part in rest[1:]:
            ufunc(to, part, out=to)
        x = to


@lru_cache
def _elements(sizes: Sizes, windows: Windows) -> Elements:
    """The window elements, cached."""
    return windows.elements(sizes)


def prepare_which(out: Array | None, x: Array, top: Array, *, windows: Windows) -> Any:
    """The index of each window's largest element: the number of elements, minus 1 for each pass from the first match on."""
    elements = _elements(x.shape[2:], windows)
    y = np.empty_like(top, np.min_scalar_type(len(elements))) if out is None else out
    return by_images(partial(_which, elements), y, x, top)


def _which(elements: Elements, y: Array, x: Array, top: Array) -> None:
    everywhere = (..., *(slice(0, o) for o in y.shape[2:]))
    last_is_whole = elements[-1][0] == everywhere  # it is the match if no earlier element was
    y[...] = len(elements) - last_is_whole
    found = np.zeros_like(top, bool)
    for inside, places in elements[: len(elements) - last_is_whole]:
        found[inside] |= x[places] == top[inside]
        y -= found.view(np.uint8)
    if np.isnan(top).any():
        for i, (inside, places) in enumerate(elements):
            np.copyto(y[inside], i, where=np.isnan(x[places]))


def prepare_put(out: Array | None, u: Array, which: Array, *, sizes: Sizes, windows: Windows) -> Any:
    """Add each u to the element of its window given by `which`. The result has the memory order of `which`."""
    y = _empty_images(which, u.dtype, sizes) if out is None else out
    return by_images(partial(_put, _elements(sizes, windows), *_overlap(sizes, windows)), y, u, which)


def prepare_spread(out: Array | None, u: Array, *, sizes: Sizes, windows: Windows) -> Any:
    """Add each u to all elements of its window."""
    y = _empty_images(u, u.dtype, sizes) if out is None else out
    if _are_large(windows, sizes):
        return by_images(lambda y, u: np.copyto(_tiles(y, windows), np.expand_dims(u, _within(windows))), y, u)
    return by_images(partial(_put, _elements(sizes, windows), *_overlap(sizes, windows)), y, u)


def _put(elements: Elements, alone: bool, tiled: bool, y: Array, u: Array, which: Array | None = None) -> None:
    if not tiled:
        y.fill(0)
    if which is not None and _channels_last(u) != _channels_last(which):  # convert once, not for every element
        given, u = u, np.empty_like(which, u.dtype)
        copy_channels_last(last_view(u), given) if _channels_last(u) else np.copyto(u, given)
    for i, (inside, places) in enumerate(elements):
        if which is None:
            part = u[inside]
        else:
            part = select(which[inside] == i, u[inside], 0, y[places] if alone else None)
        if not alone:
            y[places] += part
        elif which is None:
            y[places] = part


def prepare_take(out: Array | None, a: Array, which: Array, *, windows: Windows) -> Any:
    """The element of each window given by `which`."""
    y = np.empty_like(which, a.dtype) if out is None else out
    return by_images(partial(_take, _elements(a.shape[2:], windows)), y, a, which)


def _take(elements: Elements, y: Array, a: Array, which: Array) -> None:
    y.fill(0)
    for i, (inside, places) in enumerate(elements):
        y[inside] += select(which[inside] == i, a[places], 0)


def _overlap(sizes: Sizes, windows: Windows) -> tuple[bool, bool]:
    """Whether no two windows share an element, and whether each element is in just one."""
    axes = list(zip(sizes, *windows, strict=True))
    alone = all(s > d * (k - 1) for _, k, _, s, _, d in axes)
    return alone, alone and all(k == s and o * s == n and not p for n, k, o, s, p, _ in axes)


def _are_large(windows: Windows, sizes: Sizes) -> bool:
    """Whether windows are tiles with too many elements for one pass per element."""
    return max(windows.size) > SHORT and _overlap(sizes, windows)[1]


def _tiles(a: Array, windows: Windows) -> Array:
    """Images (N, C, *sizes) with each spatial axis split in two: the index of the tile, and the position in the tile."""
    return a.reshape(*a.shape[:2], *(n for pair in zip(windows.grid, windows.size, strict=True) for n in pair))


def _within(windows: Windows) -> Sizes:
    """The axes of positions within a tile."""
    return tuple(range(3, 3 + 2 * len(windows.size), 2))


def _empty_images(like: Array, dtype: np.dtype[Any], sizes: Sizes) -> Array:
    """An array (N, C, *sizes) in the memory order of `like` (N, C, *grid)."""
    if _channels_last(like):  # empty_like cannot infer the order of axes of size 1
        return np.moveaxis(np.empty((len(like), *sizes, like.shape[1]), dtype), -1, 1)
    return np.empty_like(like, dtype, shape=(*like.shape[:2], *sizes))


def _channels_last(a: Array) -> bool:
    return bool(last_view(a).flags.c_contiguous and not a.flags.c_contiguous)
