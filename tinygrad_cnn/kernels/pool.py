"""Pooling, parallel over the batch: a few passes over strided views of the images.

Results keep the memory order of the input. In channels-last memory a row of pixels is contiguous, so the height is reduced
first, on long runs, and the width afterwards, on half as many short runs.

On small images, calls and views take longer than passes. So what depends on shapes alone is kept, one call finds all elements
of the windows for a gradient, and a compiled program keeps the calls with their views.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import lru_cache, partial
from typing import Any, NamedTuple, TypeAlias

import numpy as np

from ..ops.pool import Windows, lowest
from ..ops.windows import Pairs, Sizes, interior, last_view
from .block_sums import SHORT
from .blocking import copy_channels_last
from .parallel import chunks
from .parallel.chunks import by_images
from .parallel.task import Call
from .parallel.workspace import with_workspace
from .sums import total
from .where import BITS, BOOL

Array = np.ndarray
Arrange: TypeAlias = Callable[..., list[Call]]

TOGETHER = 1 << 17
"""Up to so many elements of windows get their gradient in one call: what it writes stays in the cache."""


class _Plan(NamedTuple):
    """What depends on the sizes of images and on windows alone."""

    padding: Pairs
    passes: list[list[Any]]
    """For each spatial axis, the index of each element of the windows along it."""
    elements: list[tuple[Any, Any]]
    """As Windows.elements; where all windows have the element, `...` for these windows."""
    alone: bool
    """Whether no two windows share an element."""
    tiled: bool
    """Whether each element is in just one window."""
    large: bool
    """Whether windows are tiles with too many elements for one pass per element."""
    numbers: Array
    """The number of each element, along a first axis."""
    tiles: Sizes
    """With each axis split in two: the index of the tile, and the position in the tile."""
    positions: Sizes
    """The order of the axes of images split so that puts positions first, then images, then tiles: NumPy's inner loop is then
    over many tiles, not over one."""


@lru_cache(maxsize=1024)
def _plan(sizes: Sizes, windows: Windows) -> _Plan:
    axes = list(zip(sizes, *windows, strict=True))
    reach = [(o - 1) * s + (k - 1) * d + 1 for _, k, o, s, _, d in axes]
    padding = tuple((p, max(0, r - p - n)) for r, (n, _, _, _, p, _) in zip(reach, axes, strict=True))
    passes = [
        [(*(slice(None),) * axis, slice(i * d, i * d + (o - 1) * s + 1, s)) for i in range(k)]
        for axis, (_, k, o, s, _, d) in enumerate(axes, 2)
    ]
    everywhere = (..., *(slice(0, o) for o in windows.grid))
    elements = [(... if inside == everywhere else inside, places) for inside, places in windows.elements(sizes)]
    alone = all(s > d * (k - 1) for _, k, _, s, _, d in axes)
    tiled = alone and all(k == s and o * s == n and not p for n, k, o, s, p, _ in axes)
    numbers = np.arange(len(elements), dtype=np.min_scalar_type(len(elements))).reshape(-1, *(1,) * (len(sizes) + 2))
    numbers.flags.writeable = False
    tiles = tuple(n for pair in zip(windows.grid, windows.size, strict=True) for n in pair)
    d = len(sizes)
    positions = (*range(3, 3 + 2 * d, 2), 0, 1, *range(2, 2 + 2 * d, 2))
    return _Plan(
        padding, passes, elements, alone, tiled, tiled and max(windows.size) > SHORT, numbers, tiles, positions
    )


def _task(arrange: Arrange, given: tuple[Any, ...], y: Array, a: Array, *others: Array) -> Any:
    """A task that makes the calls of arrange(*given, y, a, *others), which fill y. Large arrays are cut into parts, for which
    they are arranged in every run. No other array is larger than y and a."""
    if y.size < chunks.SMALL > a.size:
        return partial(_made, arrange(*given, y, a, *others), y)
    return by_images(lambda *parts: _made(arrange(*given, *parts)), y, a, *others)


def _made(calls: Iterable[Call], y: Array | None = None) -> Any:
    for call in calls:
        call()
    return y


def prepare_max(out: Array | None, x: Array, *, windows: Windows) -> Any:
    """The largest element of each window."""
    y = np.empty_like(x, shape=(*x.shape[:2], *windows.grid)) if out is None else out
    return _task(_reduce, (np.maximum, lowest(x.dtype), _plan(x.shape[2:], windows)), y, x)


def prepare_sum(out: Array | None, x: Array, *, windows: Windows) -> Any:
    """The sum of each window; large tiles are summed like any other array."""
    if x.dtype.kind != "f":
        return None
    plan = _plan(x.shape[2:], windows)
    if plan.large:
        return partial(total, x.reshape(x.shape[:2] + plan.tiles), _within(windows), False, out)
    y = np.empty_like(x, shape=(*x.shape[:2], *windows.grid)) if out is None else out
    return _task(_reduce, (np.add, 0, plan), y, x)


def _reduce(ufunc: np.ufunc, padding: Any, plan: _Plan, y: Array, x: Array) -> list[Call]:
    """Reduce one axis at a time: kH + kW passes instead of kH kW."""
    calls: list[Call] = []
    if any(map(any, plan.padding)):
        sizes = [n + before + after for n, (before, after) in zip(x.shape[2:], plan.padding, strict=True)]
        padded = np.empty_like(x, shape=(*x.shape[:2], *sizes))
        padded.fill(padding)
        calls.append(partial(np.copyto, padded[interior(x.shape[2:], plan.padding)], x))
        x = padded
    for elements in plan.passes:
        first, *rest = [x[element] for element in elements]
        to = y if elements is plan.passes[-1] else np.empty_like(first)
        calls.append(partial(ufunc, first, rest[0], out=to) if rest else partial(np.copyto, to, first))
        calls += [partial(ufunc, to, part, out=to) for part in rest[1:]]
        x = to
    return calls


def prepare_which(out: Array | None, x: Array, top: Array, *, windows: Windows) -> Any:
    """The index of each window's largest element: how many elements from the first on differ from it."""
    plan = _plan(x.shape[2:], windows)
    y = np.empty_like(top, plan.numbers.dtype) if out is None else out
    return _task(_which, (plan,), y, x, top)


def _which(plan: _Plan, y: Array, x: Array, top: Array) -> list[Call]:
    so_far, room = np.empty_like(top, bool), np.empty_like(top, bool)
    counted = so_far.view(np.uint8)
    calls: list[Call] = []
    elements = plan.elements
    if elements[-1][0] is ...:  # it is the match if no earlier element was
        elements = elements[:-1]
    if not elements:
        calls.append(partial(y.fill, 0))
    for inside, places in elements[:1]:
        if inside is not ...:
            calls.append(partial(so_far.fill, True))
        calls.append(partial(np.not_equal, x[places], top[inside], so_far[inside]))
        calls.append(partial(np.copyto, y, counted))
    for inside, places in elements[1:]:
        both, differs, to = so_far, room, room
        if inside is not ... and top.flags.c_contiguous:
            # Loops over what is inside are short, and more than those over the whole.
            calls.append(partial(room.fill, True))
            to = room[inside]
        elif inside is not ...:
            both = so_far[inside]
            differs = to = np.empty_like(both)
        calls.append(partial(np.not_equal, x[places], top[inside], to))
        calls.append(partial(np.logical_and, both, differs, both))
        calls.append(partial(np.add, y, counted, y))
    if x.dtype.kind == "f":
        calls.append(partial(_last_nan, plan, y, x, top, room))
    return calls


def _last_nan(plan: _Plan, y: Array, x: Array, top: Array, room: Array) -> None:
    if np.count_nonzero(np.isnan(top, room)):
        for i, (inside, places) in enumerate(plan.elements):
            np.copyto(y[inside], i, where=np.isnan(x[places]))


def prepare_put(out: Array | None, u: Array, which: Array, *, sizes: Sizes, windows: Windows) -> Any:
    """Add each u to the element of its window given by `which`. The result has the memory order of `which`."""
    y = _empty_images(which, u.dtype, sizes) if out is None else out
    return _task(_put, (_plan(sizes, windows), windows), y, u, which)


def _put(plan: _Plan, windows: Windows, y: Array, u: Array, which: Array) -> list[Call]:
    calls: list[Call] = []
    if any(u.strides) and _channels_last(u) != _channels_last(which):  # convert once, not for every element
        given, u = u, np.empty_like(which, u.dtype)
        to_last = _channels_last(u)
        by_turns = partial(with_workspace, copy_channels_last, last_view(u), given)
        calls.append(by_turns if to_last else partial(np.copyto, u, given))
    step = min(len(plan.elements), max(1, TOGETHER // max(1, u.size)))
    mask = _empty(step, which, BOOL)
    if plan.tiled and step == len(plan.elements):
        calls.append(partial(np.equal, which, plan.numbers, mask))
        tiles = y.reshape(y.shape[:2] + plan.tiles).transpose(plan.positions)
        return calls + _cut(u, mask.reshape(windows.size + u.shape), tiles)
    if not plan.tiled:
        calls.append(partial(y.fill, 0))
    parts = mask if plan.alone else _empty(step, which, u.dtype)
    for start in range(0, len(plan.elements), step):
        elements = plan.elements[start : start + step]
        found = mask[: len(elements)]
        calls.append(partial(np.equal, which, plan.numbers[start : start + step], found))
        if not plan.alone:
            calls += _cut(u, found, parts[: len(elements)])
        for is_it, part, (inside, places) in zip(found, parts, elements, strict=False):
            if plan.alone:
                calls += _cut(u[inside], is_it[inside], y[places])
            else:
                to = y[places]
                calls.append(partial(np.add, to, part[inside], to))
    return calls


def prepare_spread(out: Array | None, u: Array, *, sizes: Sizes, windows: Windows) -> Any:
    """Add each u to all elements of its window."""
    y = _empty_images(u, u.dtype, sizes) if out is None else out
    return _task(_spread, (_plan(sizes, windows), windows), y, u)


def _spread(plan: _Plan, windows: Windows, y: Array, u: Array) -> list[Call]:
    if plan.large:
        return [partial(np.copyto, y.reshape(y.shape[:2] + plan.tiles), np.expand_dims(u, _within(windows)))]
    calls: list[Call] = [] if plan.tiled else [partial(y.fill, 0)]
    for inside, places in plan.elements:
        to, part = y[places], u if inside is ... else u[inside]
        calls.append(partial(np.copyto, to, part) if plan.alone else partial(np.add, to, part, to))
    return calls


def _cut(a: Array, mask: Array, to: Array) -> list[Call]:
    """Calls that write a where the mask is set, and 0 elsewhere: see `where`."""
    bits = BITS.get(a.dtype)
    if bits is None:
        return [partial(to.fill, 0), partial(np.copyto, to, a, where=mask)]
    return [partial(np.multiply, a.view(bits), mask, to.view(bits))]


def _within(windows: Windows) -> Sizes:
    """The axes of positions within a tile."""
    return tuple(range(3, 3 + 2 * len(windows.size), 2))


def _empty(n: int, like: Array, dtype: np.dtype[Any]) -> Array:
    """n arrays in the memory order of `like`."""
    if like.flags.c_contiguous:
        return np.empty((n, *like.shape), dtype)
    order, back = _orders(like.strides)
    return np.empty((n, *[like.shape[i] for i in order]), dtype).transpose(back)


@lru_cache(maxsize=1024)
def _orders(strides: Sizes) -> tuple[Sizes, Sizes]:
    """The order of axes in memory, and how axes in that order, behind a first one, are transposed to be as they were."""
    order = sorted(range(len(strides)), key=lambda i: -abs(strides[i]))
    return tuple(order), (0, *(order.index(i) + 1 for i in range(len(strides))))


def _empty_images(like: Array, dtype: np.dtype[Any], sizes: Sizes) -> Array:
    """An array (N, C, *sizes) in the memory order of `like` (N, C, *grid)."""
    if _channels_last(like):  # empty_like cannot infer the order of axes of size 1
        return np.moveaxis(np.empty((len(like), *sizes, like.shape[1]), dtype), -1, 1)
    return np.empty_like(like, dtype, shape=(*like.shape[:2], *sizes))


def _channels_last(a: Array) -> bool:
    return bool(not a.flags.c_contiguous and last_view(a).flags.c_contiguous)
