"""Pooling in any number of spatial dimensions, one kernel element at a time: each is a strided view of the input.

Sizes, kernels, strides and dilations have one entry per spatial axis; `before` is the padding before the first element,
and the number of windows `out` says where they end. Results keep the channels-last memory order of their input.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache, reduce
from itertools import product
from typing import Any

import numpy as np

from ..ops.windows import Sizes, last_view, overlaps, volume
from .blocking import copy_channels_last
from .parallel.chunks import by_images
from .parallel.task import Work
from .sums import SHORT, total
from .where import select


def sum_windows(x: np.ndarray, kernel: Sizes, out: Sizes, stride: Sizes, before: Sizes) -> np.ndarray:
    """The sum of each window of x: (N, C, *sizes) to (N, C, *out). Padding counts as zero."""
    if (
        max(kernel) > SHORT
        and not any(before)
        and all(k == s and k * o == n for n, k, s, o in zip(x.shape[2:], kernel, stride, out, strict=True))
    ):  # many terms: as any other sum
        tiles = x.reshape(*x.shape[:2], *(n for pair in zip(out, kernel, strict=True) for n in pair))
        return np.asarray(total(tiles, tuple(range(3, tiles.ndim, 2))))
    return _reduced(np.add, 0, x, kernel, out, stride, before, (1,) * len(out))


def spread_windows(u: np.ndarray, sizes: Sizes, kernel: Sizes, stride: Sizes, before: Sizes) -> np.ndarray:
    """Adjoint of :func:`sum_windows`: each u (N, C, *out) added to every element of its window in (N, C, *sizes)."""
    dilation = (1,) * len(sizes)
    alone, tiled = _overlap(sizes, kernel, u.shape[2:], stride, before, dilation)
    x = _room(u, u.dtype, sizes)
    if not tiled:
        x.fill(0)
    for windows, places in _elements(sizes, kernel, u.shape[2:], stride, before, dilation):
        if alone:
            x[places] = u[windows]
        else:
            x[places] += u[windows]
    return x


def max_windows(
    x: np.ndarray,
    kernel: Sizes,
    out: Sizes,
    stride: Sizes,
    before: Sizes,
    dilation: Sizes,
    into: np.ndarray | None = None,
) -> np.ndarray:
    """The largest element of each window of x: (N, C, *sizes) to (N, C, *out). Padding never wins, NaN always does."""
    y = np.empty_like(x, shape=(*x.shape[:2], *out)) if into is None else into
    pooling(x, y, kernel, stride, before, dilation).do()
    return y


def pooling(x: np.ndarray, y: np.ndarray, kernel: Sizes, stride: Sizes, before: Sizes, dilation: Sizes) -> Work:
    """:func:`max_windows` as work with images."""
    _check_lead(y, x.shape[:2])
    _check_into(y, y.shape, x.dtype)
    lowest, out = _lowest(x.dtype), y.shape[2:]
    return by_images(lambda x, y: _reduced(np.maximum, lowest, x, kernel, out, stride, before, dilation, y), x, y)


def _lowest(dtype: np.dtype[Any]) -> Any:
    return -np.inf if dtype.kind == "f" else False if dtype.kind == "b" else np.iinfo(dtype).min


def _reduced(
    ufunc: np.ufunc, empty: Any, x: np.ndarray, kernel: Sizes, out: Sizes, stride: Sizes, before: Sizes, dilation: Sizes,
    into: np.ndarray | None = None,
) -> np.ndarray:  # fmt: skip
    """Each window reduced by `ufunc`, one axis after the other: (kH + kW) steps for kH kW elements; `into` an array."""
    for axis, window in enumerate(zip(x.shape[2:], kernel, out, stride, before, dilation, strict=True), 2):
        everywhere, rest = _steps(axis, *window)
        shape = (*x.shape[:axis], window[2], *x.shape[axis + 1 :])
        y = into if into is not None and axis == x.ndim - 1 else np.empty_like(x, shape=shape)
        if len(everywhere) > 1:
            ufunc(x[everywhere[0]], x[everywhere[1]], out=y)
        else:
            y[...] = x[everywhere[0]] if everywhere else empty
        for places in everywhere[2:]:
            ufunc(y, x[places], out=y)
        for windows, places in rest:
            ufunc(y[windows], x[places], out=y[windows])
        x = y
    return x


@lru_cache
def _steps(axis: int, n: int, k: int, o: int, s: int, p: int, d: int) -> tuple[list[Any], list[tuple[Any, Any]]]:
    """Where along `axis` the window elements lie that all windows have in the input, and those that some have, with whose."""
    lead = (slice(None),) * axis
    everywhere, rest = [], []
    for _, windows, places in overlaps((n,), (k,), (o,), (s,), (p,), (d,)):
        at = (*lead, places[1])
        if windows[1] == slice(0, o):
            everywhere.append(at)
        else:
            rest.append(((*lead, windows[1]), at))
    return everywhere, rest


@lru_cache
def _elements(
    sizes: Sizes, kernel: Sizes, out: Sizes, stride: Sizes, before: Sizes, dilation: Sizes
) -> list[tuple[Any, Any]]:
    """The windows and places of :func:`overlaps`, which are the same at every call."""
    return [(windows, places) for _, windows, places in overlaps(sizes, kernel, out, stride, before, dilation)]


def which_elements(
    x: np.ndarray, y: np.ndarray, kernel: Sizes, stride: Sizes, before: Sizes, dilation: Sizes,
    into: np.ndarray | None = None,
) -> np.ndarray:  # fmt: skip
    """Which element of its window each y of :func:`max_windows` is, as a small integer, counted in C order.

    The first of equal elements, the last of NaNs. A window without an element has the number of elements, as if it were the
    one after the last.
    """
    which = np.empty_like(y, np.min_scalar_type(volume(kernel))) if into is None else into
    finding(x, y, which, kernel, stride, before, dilation).do()
    return which


def finding(
    x: np.ndarray, y: np.ndarray, which: np.ndarray, kernel: Sizes, stride: Sizes, before: Sizes, dilation: Sizes
) -> Work:
    """:func:`which_elements` as work with images."""
    _check_lead(y, x.shape[:2])
    elements = _elements(x.shape[2:], kernel, y.shape[2:], stride, before, dilation)
    _check_into(which, y.shape, np.min_scalar_type(len(elements)))
    return by_images(lambda x, y, which: _which(elements, x, y, which), x, y, which)


def _which(elements: list[tuple[Any, Any]], x: np.ndarray, y: np.ndarray, which: np.ndarray) -> None:
    everywhere = (..., *(slice(0, o) for o in y.shape[2:]))
    last_is_whole = elements[-1][0] == everywhere  # then it is the one, if none before it was
    which[...] = len(elements) - last_is_whole
    found = np.zeros_like(y, bool)
    for windows, places in elements[: len(elements) - last_is_whole]:
        found[windows] |= x[places] == y[windows]
        which -= found.view(np.uint8)
    if np.isnan(y).any():
        for i, (windows, places) in enumerate(elements):
            np.copyto(which[windows], i, where=np.isnan(x[places]))


def put_elements(
    u: np.ndarray, which: np.ndarray, sizes: Sizes, kernel: Sizes, stride: Sizes, before: Sizes, dilation: Sizes,
    into: np.ndarray | None = None,
) -> np.ndarray:  # fmt: skip
    """Each u (N, C, *out) added to the element of its window that `which` says, in zeros (N, C, *sizes).

    The result lies in memory as `which` does, and so as the image that was pooled.
    """
    _check_same(u, which)
    x = _room(which, u.dtype, sizes) if into is None else into
    putting(u, which, x, kernel, stride, before, dilation).do()
    return x


def putting(
    u: np.ndarray, which: np.ndarray, x: np.ndarray, kernel: Sizes, stride: Sizes, before: Sizes, dilation: Sizes
) -> Work:
    """:func:`put_elements` as work with images."""
    _check_same(u, which)
    sizes = x.shape[2:]
    _check_into(x, (*u.shape[:2], *sizes), u.dtype)
    alone, tiled = _overlap(sizes, kernel, u.shape[2:], stride, before, dilation)
    turned = _channels_last(u) != _channels_last(which)
    elements = _elements(sizes, kernel, u.shape[2:], stride, before, dilation)

    def put(x: np.ndarray, u: np.ndarray, which: np.ndarray) -> None:
        if not tiled:
            x.fill(0)
        if turned:  # once, and not for every element
            given, u = u, np.empty_like(which, u.dtype)
            copy_channels_last(last_view(u), given) if _channels_last(u) else np.copyto(u, given)
        for i, (windows, places) in enumerate(elements):
            chosen = which[windows] == i
            if alone:
                select(chosen, u[windows], 0, x[places])
            else:
                x[places] += select(chosen, u[windows], 0)

    return by_images(put, x, u, which)


def take_elements(
    a: np.ndarray, which: np.ndarray, kernel: Sizes, stride: Sizes, before: Sizes, dilation: Sizes
) -> np.ndarray:
    """Adjoint of :func:`put_elements`: the element of each window of a (N, C, *sizes) that `which` (N, C, *out) says."""
    _check_lead(which, a.shape[:2])
    y = np.zeros_like(which, a.dtype)
    for i, (windows, places) in enumerate(_elements(a.shape[2:], kernel, which.shape[2:], stride, before, dilation)):
        y[windows] += select(which[windows] == i, a[places], 0)
    return y


def flat_indices(
    which: np.ndarray, sizes: Sizes, kernel: Sizes, stride: Sizes, before: Sizes, dilation: Sizes
) -> np.ndarray:
    """Where the elements that `which` says lie in the flattened sizes; -1 for a window without one."""
    first = [np.arange(o) * s - p for o, s, p in zip(which.shape[2:], stride, before, strict=True)]
    inside = [np.arange(k) * d for k, d in zip(kernel, dilation, strict=True)]
    indices: np.ndarray = _flat(first, sizes) + np.append(_flat(inside, sizes), 0)[which]
    indices[which == volume(kernel)] = -1
    return indices


def _overlap(
    sizes: Sizes, kernel: Sizes, out: Sizes, stride: Sizes, before: Sizes, dilation: Sizes
) -> tuple[bool, bool]:
    """Whether no two windows share an element, and whether each element is in just one."""
    alone = all(s > d * (k - 1) for k, s, d in zip(kernel, stride, dilation, strict=True))
    whole = all(o * s == n for o, s, n in zip(out, stride, sizes, strict=True))
    return alone, alone and kernel == stride and whole and not any(before)


def _room(like: np.ndarray, dtype: np.dtype[Any], sizes: Sizes) -> np.ndarray:
    """An array (N, C, *sizes) that lies in memory as `like` (N, C, *out) does."""
    if _channels_last(like):  # empty_like would not know where axes of one element belong
        return np.moveaxis(np.empty((len(like), *sizes, like.shape[1]), dtype), -1, 1)
    return np.empty_like(like, dtype, shape=(*like.shape[:2], *sizes))


def _check_into(into: np.ndarray | None, shape: Sizes, dtype: np.dtype[Any]) -> None:
    if into is not None and (into.shape != shape or into.dtype != dtype):
        raise ValueError(
            f"pooling: the result is {dtype} {shape}; `out` is {into.dtype} {into.shape}, and must be the same"
        )


def max_regions(x: np.ndarray, out: Sizes) -> np.ndarray:
    """Where the largest elements of the `out` regions of :func:`regions` along each axis lie in the flattened sizes."""
    sizes = x.shape[2:]
    tables = []
    for n, o in zip(sizes, out, strict=True):
        starts, stops = regions(n, o)
        reach = int((stops - starts).max())
        tables.append([np.minimum(starts + i, stops - 1) for i in range(reach)])
    elements = [(x[(..., *np.ix_(*at))], _flat(at, sizes)) for at in product(*tables)]
    y = np.full_like(x, _lowest(x.dtype), shape=(*x.shape[:2], *out))
    indices = np.full_like(y, -1, np.int64)
    for values, flat in reversed(elements):  # backward, so that of equals the first is written last
        np.copyto(indices, flat, where=values >= y)
        np.maximum(values, y, out=y)
    if np.isnan(y).any():  # comparisons with NaN are false: point at the last one of its region
        for values, flat in elements:
            np.copyto(indices, flat, where=np.isnan(values))
    return indices


def regions(n: int, out: int) -> tuple[np.ndarray, np.ndarray]:
    """Where n elements are cut into `out` regions that may share elements: from floor(i n / out) to ceil((i + 1) n / out)."""
    i = np.arange(out)
    return i * n // out, -(-(i + 1) * n // out)


def _flat(positions: Iterable[np.ndarray], sizes: Sizes) -> np.ndarray:
    """Indices into the flattened sizes for the grid of positions along each axis."""
    steps = [volume(sizes[axis + 1 :]) for axis in range(len(sizes))]
    return reduce(np.add, np.ix_(*(p * step for p, step in zip(positions, steps, strict=True))))


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


def _check_lead(a: np.ndarray, lead: Sizes) -> None:
    if a.shape[:2] != lead:
        raise ValueError(f"windows of shape {a.shape} must begin with {lead}, as what they are taken from does")


def _check_same(u: np.ndarray, which: np.ndarray) -> None:
    if u.shape != which.shape:
        raise ValueError(f"`which` has shape {which.shape}; it must be {u.shape}, as the values' is")


def _check_indices(indices: np.ndarray, lead: Sizes, sizes: Sizes) -> None:
    if indices.shape[:2] != lead:
        raise ValueError(f"`indices` has shape {indices.shape}; it must begin with {lead}, as the values do")
    if indices.size and (indices.min() < 0 or indices.max() >= volume(sizes)):
        raise IndexError(
            f"`indices` has values from {indices.min()} to {indices.max()}; they must lie in the {volume(sizes)} elements "
            f"of {sizes}"
        )


def _channels_last(a: np.ndarray) -> bool:
    return bool(last_view(a).flags.c_contiguous and not a.flags.c_contiguous)


def _planes(a: np.ndarray, last: bool) -> np.ndarray:
    """a (N, C, *sizes) with flattened sizes: (N, size, C) if `last`, else (N, C, size)."""
    n, c, total = *a.shape[:2], volume(a.shape[2:])
    return last_view(a).reshape(n, total, c) if last else a.reshape(n, c, total)


def _unplanes(a: np.ndarray, sizes: Sizes, last: bool) -> np.ndarray:
    """The inverse of :func:`_planes`, as a view (N, C, *sizes)."""
    if last:
        return np.moveaxis(a.reshape(a.shape[0], *sizes, a.shape[2]), -1, 1)
    return a.reshape(*a.shape[:2], *sizes)
