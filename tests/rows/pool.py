"""Rows for ops/pool.py and ops/adaptive_pool.py, against loops over the elements of every window."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from itertools import product
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tinygrad_cnn.ops import adaptive_pool, pool
from tinygrad_cnn.testing.cases import Arg, Case

Span = tuple[list[int], int]


def _each(value: Any, ndim: int) -> tuple[Any, ...]:
    return tuple(value) if isinstance(value, tuple) else (value,) * ndim


def spans(n: int, kernel: int, stride: int, padding: int, dilation: int, ceil_mode: bool) -> Iterator[Span]:
    """For each window along an axis of n elements: the elements in it, and how many it has with the padding."""
    start = -padding
    while True:
        places = [start + i * dilation for i in range(kernel)]
        beyond = places[-1] >= n + padding
        if beyond and not (ceil_mode and start < n and start - stride + dilation * (kernel - 1) < n + padding - 1):
            return
        yield [i for i in places if 0 <= i < n], sum(i < n + padding for i in places)
        start += stride


def windows(
    shape: tuple[int, ...], kernel_size: Any, stride: Any = None, padding: Any = 0, dilation: Any = 1,
    ceil_mode: bool = False,
) -> list[list[Span]]:  # fmt: skip
    """:func:`spans` for every axis of a spatial shape."""
    ndim = len(shape)
    given = (kernel_size, kernel_size if stride is None else stride, padding, dilation)
    axes = zip(shape, *(_each(v, ndim) for v in given), strict=True)
    return [list(spans(n, k, s, p, d, ceil_mode)) for n, k, s, p, d in axes]


def regions(shape: tuple[int, ...], output_size: Any) -> list[list[Span]]:
    """The elements of each adaptive region along every axis."""
    axes = zip(shape, _each(output_size, len(shape)), strict=True)
    pairs = [(n, n if m is None else m) for n, m in axes]
    return [[(list(range(i * n // m, math.ceil((i + 1) * n / m))), 0) for i in range(m)] for n, m in pairs]


def pooled(x: NDArray[Any], axes: list[list[Span]], f: Callable[[NDArray[Any], int], Any]) -> NDArray[Any]:
    """f(elements (N, C, -1), count with padding) for every window."""
    out = []
    for chosen in product(*axes):
        places: Any = (..., *np.ix_(*(elements for elements, _ in chosen)))
        out.append(f(x[places].reshape(*x.shape[:2], -1), math.prod(count for _, count in chosen)))
    return np.stack(out, -1).reshape(*x.shape[:2], *map(len, axes))


def naive_max_pool(x: NDArray[Any], **kwargs: Any) -> NDArray[Any]:
    """The largest element of every window."""
    return pooled(x, windows(x.shape[2:], **kwargs), lambda e, _: e.max(-1))


def naive_avg_pool(
    x: NDArray[Any], count_include_pad: bool = True, divisor_override: int | None = None, **kwargs: Any
) -> NDArray[Any]:
    """The mean of every window."""

    def mean(e: NDArray[Any], count: int) -> Any:
        return e.sum(-1) / (divisor_override or (count if count_include_pad else e.shape[-1]))

    return pooled(x, windows(x.shape[2:], **kwargs), mean)


def naive_lp_pool(x: NDArray[Any], norm_type: float, kernel_size: Any, **kwargs: Any) -> NDArray[Any]:
    """The p-norm of every window, a window that is cut off counting as if it were whole."""
    whole = math.prod(_each(kernel_size, x.ndim - 2))
    axes = windows(x.shape[2:], kernel_size, **kwargs)
    return pooled(x, axes, lambda e, _: ((e**norm_type).sum(-1) * whole / e.shape[-1]) ** (1 / norm_type))


def _planes(x: NDArray[Any]) -> NDArray[Any]:
    return x.reshape(*x.shape[:2], -1)


def _unpool(x: NDArray[Any], indices: NDArray[Any], kernel_size: Any, output_size: Any) -> NDArray[Any]:
    y = np.zeros((*x.shape[:2], *output_size))
    for at in np.ndindex(*x.shape):
        y[at[:2]].reshape(-1)[indices[at]] = x[at]
    return y


def _last_written(indices: NDArray[Any], size: int) -> NDArray[Any]:
    flat = _planes(indices)
    later = [[[i not in row[k + 1 :] for k, i in enumerate(row)] for row in plane] for plane in flat.tolist()]
    return np.array(later).reshape(indices.shape)


def _spread(u: NDArray[Any], sizes: tuple[int, ...], windows: Any) -> NDArray[Any]:
    y = np.zeros((*u.shape[:2], *sizes))
    for i in range(math.prod(windows.size)):
        y += _put(u, np.full_like(u, i, int), sizes, windows)
    return y


LINE, IMAGE, VOLUME = (2, 2, 6), (1, 2, 5, 4), (1, 1, 3, 4, 3)
SLIDE = {"windows": pool.Windows((3, 2), (2, 4), (2, 1), (1, 0), (1, 1))}
SQUARE = {"windows": pool.Windows((2, 2), (3, 3), (1, 1), (0, 0), (1, 1))}
TILES = {"windows": pool.Windows((2, 2), (2, 4), (2, 2), (0, 0), (1, 1))}
APART = {"windows": pool.Windows((2, 2), (2, 2), (3, 1), (0, 0), (2, 1))}
REGIONS = {"grid": (2, 3)}
FOUND = np.array([0, 5, 3, 3, 2, 4]).reshape(1, 2, 1, 3)


def _slide(x: NDArray[Any], windows: Any) -> Any:
    return [
        [([q for q in (i * s + j * d - p for j in range(k)) if 0 <= q < n], 0) for i in range(o)]
        for n, k, o, s, p, d in zip(x.shape[2:], *windows, strict=True)
    ]


def _at(x: NDArray[Any], axes: list[list[Span]]) -> NDArray[Any]:
    """Where in its plane the largest element of every region is, the first one if several are."""
    flat, out = np.arange(math.prod(x.shape[2:])).reshape(x.shape[2:]), []
    for chosen in product(*axes):
        places: Any = np.ix_(*(elements for elements, _ in chosen))
        out.append(flat[places].ravel()[x[(..., *places)].reshape(*x.shape[:2], -1).argmax(-1)])
    return np.stack(out, -1).reshape(*x.shape[:2], *map(len, axes))


def _places(which: NDArray[Any], sizes: Any, windows: Any) -> Iterator[Any]:
    """For each window whose chosen element lies inside `sizes`: the index of the window, and that of the element."""
    for at in np.ndindex(*which.shape):
        element = np.unravel_index(which[at], windows.size)
        axes = zip(at[2:], windows.stride, element, windows.dilation, windows.before, strict=True)
        place = [o * s + int(k) * d - p for o, s, k, d, p in axes]
        if all(0 <= i < n for i, n in zip(place, sizes, strict=True)):
            yield at, (*at[:2], *place)


def _which(x: NDArray[Any], y: NDArray[Any], windows: Any) -> NDArray[Any]:
    """Which element of its window is the largest, the first one if several are."""
    out = np.zeros(y.shape, int)
    for i in reversed(range(math.prod(windows.size))):
        for at, place in _places(np.full_like(y, i, int), x.shape[2:], windows):
            if x[place] == y[at]:
                out[at] = i
    return out


def _flat(which: NDArray[Any], sizes: Any, windows: Any) -> NDArray[Any]:
    out = np.zeros(which.shape, int)
    for at, place in _places(which, sizes, windows):
        out[at] = np.ravel_multi_index(place[2:], sizes)
    return out


def _put(u: NDArray[Any], which: NDArray[Any], sizes: Any, windows: Any) -> NDArray[Any]:
    y = np.zeros((*u.shape[:2], *sizes))
    for at, place in _places(which, sizes, windows):
        y[place] += u[at]
    return y


def _take(a: NDArray[Any], which: NDArray[Any], windows: Any) -> NDArray[Any]:
    y = np.zeros(which.shape)
    for at, place in _places(which, a.shape[2:], windows):
        y[at] = a[place]
    return y


def _max(*shape: int) -> tuple[Arg, ...]:
    return (Arg(shape, distinct=True),)


CASES = [
    Case(pool.max_pool1d, _max(*LINE), naive_max_pool, {"kernel_size": 2}),
    Case(pool.max_pool2d, _max(*IMAGE), naive_max_pool, {"kernel_size": (3, 2), "stride": (2, 1), "padding": (1, 0)}),
    Case(pool.max_pool2d, _max(*IMAGE), naive_max_pool, {"kernel_size": 2, "dilation": (2, 1), "ceil_mode": True}),
    Case(pool.max_pool3d, _max(*VOLUME), naive_max_pool, {"kernel_size": 2, "stride": 1}),
    Case(pool.avg_pool1d, (Arg(LINE),), naive_avg_pool, {"kernel_size": 3, "stride": 2}),
    Case(pool.avg_pool2d, (Arg(IMAGE),), naive_avg_pool,
         {"kernel_size": (3, 2), "stride": (2, 1), "padding": 1, "ceil_mode": True}),
    Case(pool.avg_pool2d, (Arg(IMAGE),), naive_avg_pool, {"kernel_size": 2, "padding": 1, "count_include_pad": False}),
    Case(pool.avg_pool3d, (Arg(VOLUME),), naive_avg_pool, {"kernel_size": (1, 2, 2), "divisor_override": 3}),
    Case(pool.lp_pool1d, (Arg(LINE, low=0.5),), naive_lp_pool, {"norm_type": 3, "kernel_size": 2}),
    Case(pool.lp_pool2d, (Arg(IMAGE, away=(0.0,)),), naive_lp_pool,
         {"norm_type": 2, "kernel_size": (2, 3), "stride": 2, "ceil_mode": True}),
    Case(pool.lp_pool3d, (Arg(VOLUME, low=0.5),), naive_lp_pool, {"norm_type": 2, "kernel_size": 2, "stride": 1}),
    Case(pool.max_unpool2d, (Arg((1, 2, 1, 3)),), lambda x, indices, **kw: _unpool(x, indices, **kw),
         {"indices": FOUND, "kernel_size": (2, 1), "output_size": (2, 3)}),
    Case(pool.max_unpool2d, (Arg((1, 2, 2, 2)),), lambda x, indices, **kw: _unpool(x, indices, **kw),
         {"indices": np.array([0, 3, 9, 15, 4, 6, 12, 11]).reshape(1, 2, 2, 2), "kernel_size": 2, "output_size": (4, 4)}),
    *(Case(getattr(adaptive_pool, f"adaptive_max_pool{len(shape) - 2}d"), _max(*shape),
           lambda x, output_size: pooled(x, regions(x.shape[2:], output_size), lambda e, _: e.max(-1)),
           {"output_size": size}) for shape, size in ((LINE, 4), (IMAGE, (3, None)), (VOLUME, 2))),
    *(Case(getattr(adaptive_pool, f"adaptive_avg_pool{len(shape) - 2}d"), (Arg(shape),),
           lambda x, output_size: pooled(x, regions(x.shape[2:], output_size), lambda e, _: e.mean(-1)),
           {"output_size": size}) for shape, size in ((LINE, 4), (IMAGE, (3, None)), (VOLUME, 2))),
    Case(pool.max_pool, _max(*IMAGE), lambda x, windows: pooled(x, _slide(x, windows), lambda e, _: e.max(-1)), SLIDE),
    Case(pool.max_pool_which, _max(1, 2, 5, 5), _which, SLIDE, order=0, fixed=True,
         via=lambda f: lambda x, windows: f(x, pool.max_pool(x, windows=windows), windows=windows)),
    Case(pool.flat_indices, (Arg((2, 1, 2, 2), 0, 3, kind="int"),), _flat, {"sizes": (6, 5), **APART}, order=0, fixed=True),
    *(Case(pool.put_elements, (Arg(shape), Arg(shape, 0, most, kind="int")), _put, {"sizes": sizes, **windows}, fixed=True)
      for shape, most, sizes, windows in (
          ((1, 2, 2, 4), 5, (5, 5), SLIDE), ((1, 2, 2, 4), 3, (4, 8), TILES), ((1, 3, 3, 3), 3, (4, 4), SQUARE))),
    *(Case(pool.take_elements, (Arg(shape), Arg(found, 0, most, kind="int")), _take, windows, fixed=True)
      for shape, found, most, windows in (
          ((1, 2, 5, 5), (1, 2, 2, 4), 5, SLIDE), ((1, 4, 4, 4), (1, 4, 3, 3), 3, SQUARE))),
    Case(pool.sum_windows, (Arg(IMAGE),), lambda x, windows: pooled(x, _slide(x, windows), lambda e, _: e.sum(-1)), SLIDE),
    *(Case(pool.spread_windows, (Arg(shape),), _spread, {"sizes": sizes, **windows}, fixed=True)
      for shape, sizes, windows in (((1, 2, 2, 4), (5, 5), SLIDE), ((1, 3, 3, 3), (4, 4), SQUARE))),
    Case(pool.last_written, (Arg((1, 2, 4), 0, 2, kind="int"),), _last_written, {"size": 3}, order=0),
    Case(adaptive_pool.max_region_indices, _max(*IMAGE), lambda x, grid: _at(x, regions(x.shape[2:], grid)), REGIONS,
         order=0),
]  # fmt: skip
