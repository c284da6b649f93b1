"""Images in memory, channels first or last, and their parts for several threads."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np

from ...allocator import keep_for
from ...kernels.parallel.chunks import PARTS
from ...kernels.parallel.task import Call, Work, halved
from ...kernels.parallel.threads import each
from ...ops.windows import last_view

LARGE = 1 << 18
"""From this many elements on, waking the threads pays off."""

Array = np.ndarray


def order(a: Any, dtype: Any) -> str | None:
    """The memory order of images (N, C, H, W), "first" or "last" by the place of the channels; None for other arrays."""
    if a.__class__ is not np.ndarray or a.dtype != dtype or a.ndim != 4 or not a.size:
        return None
    return "first" if a.flags.c_contiguous else "last" if last_view(a).flags.c_contiguous else None


LINE = 64
"""Bytes of a line of the cache. To write numbers that lie in two takes longer."""


SHORT = 1 << 14
"""Looking for the beginning of a line takes longer than writing fewer bytes."""


def at_line(shape: Sequence[int], dtype: Any) -> Array:
    """A new array in C order, from the beginning of a line on, but if it is short."""
    count = math.prod(shape)
    size = count * np.dtype(dtype).itemsize
    if size < SHORT:
        return np.empty(shape, dtype)
    keep_for(count)
    memory = np.empty(size + LINE - 1, np.uint8)
    start = -memory.__array_interface__["data"][0] % LINE
    a: Array = memory[start : start + size].view(dtype)
    return a.reshape(shape)


def like(order: str, shape: Sequence[int], dtype: Any) -> Array:
    """New images of this order."""
    n, c, *sizes = shape
    return at_line(shape, dtype) if order == "first" else at_line((n, *sizes, c), dtype).transpose(0, 3, 1, 2)


def view(order: str, a: Array) -> Array:
    """Images with their axes as in memory."""
    return a if order == "first" else last_view(a)


def steps(stride: Sequence[int], padding: Sequence[tuple[int, int]]) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """What a loop over windows needs: their strides, and the padding before the first one."""
    return tuple(stride), tuple([before for before, _ in padding])


def cuts(a: Array) -> list[slice]:
    """The images in few parts of nearly equal size, or in one."""
    return halved(len(a), -(-len(a) // PARTS)) if a.size >= LARGE else [slice(0, len(a))]


def each_part(function: Callable[[Any], object], parts: Sequence[Any]) -> None:
    """Call `function` with each part, on several threads; a single one is called at once."""
    if len(parts) == 1:
        function(parts[0])
    else:
        each(function, parts)


def by_images(function: Any, y: Array, views: Sequence[Array], *others: Any) -> Any:
    """A task that calls function(*views, *others), with parts of many images, each of them without gaps, and fills y."""
    *sources, target = views
    largest = max([a.size for a in views])
    if largest < LARGE or len(y) < 2:
        if all(a.flags.c_contiguous for a in sources):
            return partial(_filled, function, y, *views, *others)
        return partial(_gathered, function, y, sources, target, *others)
    images = cuts(next(a for a in views if a.size == largest))

    def arrange(part: slice) -> list[Call]:
        return [lambda: function(*(np.ascontiguousarray(a[part]) for a in sources), target[part], *others)]

    return Work(images, arrange, images=images, out=y)


def _filled(function: Any, y: Array, *given: Any) -> Array:
    function(*given)
    return y


def _gathered(function: Any, y: Array, sources: Sequence[Array], *others: Any) -> Array:
    function(*map(np.ascontiguousarray, sources), *others)
    return y
