"""Pooling."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from ....core.graph import Array
from ....ops import adaptive_pool as a
from ....ops import elementwise as e
from ....ops import pool as p
from ....ops import reduce as r
from ....ops import resize as z
from ....ops import shape as s
from .base import Structural, bounded, discrete, dtype_of, integers, reads, refuse, writes
from .conv import Ints, window

Sizes = tuple[int, ...]


def _windows(
    x: Array, kernel: Sequence[int], strides: Ints, dilations: Ints, pads: Ints, auto_pad: str, ceil_mode: int
) -> tuple[p.Windows, tuple[tuple[int, int], ...]]:
    """The windows, and the pairs of padding."""
    inputs = np.shape(x)[2:]
    steps, pairs, spread = window(inputs, kernel, strides, dilations, pads, auto_pad)
    same = auto_pad.startswith("SAME")
    refuse(same and max(spread) > 1, f"`auto_pad` is {auto_pad!r} with the dilations {spread}; give `pads`")
    grid = []
    for n, k, step, (before, after), d in zip(inputs, kernel, steps, pairs, spread, strict=True):
        gap = n - (-(-n // step) - 1) * step - k
        refuse(
            same and gap > 1, f"`auto_pad` is {auto_pad!r}, but windows of {k} elements leave out {gap}; give `pads`"
        )
        space = n + before + after - d * (k - 1) - 1
        refuse(space < 0 or before < 0 or after < 0, f"a window {tuple(kernel)} is larger than {inputs} padded {pairs}")
        count = (-(-space // step) if ceil_mode else space // step) + 1
        if ceil_mode and (count - 1) * step >= n + before:
            count -= 1
        grid.append(count)
    bounded([n + sum(pair) for n, pair in zip(inputs, pairs, strict=True)], "padding")
    return p.Windows(tuple(kernel), tuple(grid), steps, tuple(b for b, _ in pairs), spread), pairs


@reads("MaxPool")
def _max_pool(
    x: Array, *, auto_pad: str = "NOTSET", ceil_mode: int = 0, dilations: Ints = None, kernel_shape: Sequence[int],
    pads: Ints = None, storage_order: int = 0, strides: Ints = None, outputs: int,
) -> Any:  # fmt: skip
    windows, _ = _windows(x, kernel_shape, strides, dilations, pads, auto_pad, ceil_mode)
    y = p.max_pool(x, windows=windows)
    if outputs == 1:
        return y
    sizes = np.shape(x)[2:]
    where = p.flat_indices(p.max_pool_which(x, y, windows=windows), sizes=sizes, windows=windows)
    return y, discrete([where], function=_Numbered(sizes, bool(storage_order)))


class _Numbered:
    """Indices into each image as indices into all images; counted column by column if `columns`."""

    def __init__(self, sizes: Sizes, columns: bool) -> None:
        self.sizes, self.columns = sizes, columns

    def __call__(self, where: np.ndarray) -> np.ndarray:
        if self.columns:
            places = np.unravel_index(where, self.sizes)
            where = np.ravel_multi_index(places[::-1], self.sizes[::-1])
        n, c = where.shape[:2]
        image = np.arange(n * c).reshape(n, c, *(1,) * len(self.sizes))
        return np.asarray(where + image * math.prod(self.sizes), np.int64)


@writes(p.max_pool, varies=True)
def _write_max_pool(w: Any, x: Any, *, windows: Any) -> Any:
    if _is_global(w, x):
        return w.node("GlobalMaxPool", x)
    y, _, attributes = _filled(w, x, windows)
    return w.node("MaxPool", y, **attributes)


def _filled(w: Any, x: Any, windows: Any) -> tuple[Any, Sizes, dict[str, Any]]:
    """x for a max-pool, its spatial sizes, and the attributes. Runtimes reject windows of padding alone: they become a Pad."""
    attributes = _attributes(w, x) | {"dilations": list(windows.dilation)}
    n = len(windows.size)
    ends = attributes["pads"][n:]
    if all(end < k for end, k in zip(ends, windows.size, strict=True)):
        return x, x.shape[2:], attributes
    attributes["pads"] = [*windows.before, *(0,) * n]
    y = w.node("Pad", x, w.ints([0] * (4 + n) + ends), w.number(p.lowest(x.dtype), x.dtype))
    return y, tuple(size + end for size, end in zip(x.shape[2:], ends, strict=True)), attributes


def _is_global(w: Any, x: Any) -> bool:
    """Whether there is one window, the whole image, in all traces."""
    return all(
        windows.size == shape[2:] and not any(windows.before) and windows.grid == (1,) * len(shape[2:])
        for windows, shape in zip(w.param("windows"), x.shapes, strict=True)
    )


def _attributes(w: Any, x: Any) -> dict[str, Any]:
    """The attributes of a pool. The padding at the end is as large as the windows need."""
    found = [_of_size(shape, windows) for shape, windows in zip(x.shapes, w.param("windows"), strict=True)]
    w.refuse_size(any(one != found[0] for one in found), "has windows that change with the size of a dynamic axis")
    return found[0]


def _of_size(shape: Sizes, windows: Any) -> dict[str, Any]:
    ends = []
    for n, k, o, step, before, d in zip(shape[2:], *windows, strict=True):
        reach = d * (k - 1) + 1
        symmetric = (n + 2 * before - reach) // step + 1 == o
        ends.append(before if symmetric else max(0, (o - 1) * step + reach - before - n))
    return {"kernel_shape": list(windows.size), "strides": list(windows.stride), "pads": [*windows.before, *ends]}


@writes(p.max_pool_which, ignored=["top"], varies=True)
def _which(w: Any, x: Any, top: Any, *, windows: Any) -> Any:
    """The position in the image instead of the position in the window, as the op that takes it expects."""
    user = w.only_user()
    w.refuse(user is None or user.op is not p.flat_indices.op, "is used by something else than a max-pool")
    w.refuse_size(any(x.is_dynamic(i) for i in range(2, len(x.shape))), "has indices into images of a dynamic size")
    y, sizes, attributes = _filled(w, x, windows)
    _, places = w.node("MaxPool", y, **attributes, outputs=2)
    if sizes == x.shape[2:]:
        return w.node("Mod", places, w.ints([math.prod(sizes)]))  # ONNX's indices count through all images
    total = None
    for axis, n in enumerate(sizes):
        within = w.node("Mod", w.node("Div", places, w.ints([math.prod(sizes[axis + 1 :])])), w.ints([n]))
        part = w.node("Mul", within, w.ints([math.prod(x.shape[3 + axis :])]))
        total = part if total is None else w.node("Add", total, part)
    return total


@writes(p.flat_indices, varies=True)
def _flat_indices(w: Any, which: Any, *, sizes: Any, windows: Any) -> Any:
    w.refuse(w.made(which, p.max_pool_which) is None, "has indices of something else than a max-pool")
    return which


@reads("GlobalMaxPool")
def _global_max(x: Array) -> Array:
    return r.max(x, axis=tuple(range(2, np.ndim(x))), keepdims=True)


@reads("GlobalAveragePool")
def _global_average(x: Array) -> Array:
    return r.mean(x, axis=tuple(range(2, np.ndim(x))), keepdims=True)


@reads("AveragePool")
def _average_pool(
    x: Array, *, auto_pad: str = "NOTSET", ceil_mode: int = 0, count_include_pad: int = 0, dilations: Ints = None,
    kernel_shape: Sequence[int], pads: Ints = None, strides: Ints = None,
) -> Array:  # fmt: skip
    windows, pairs = _windows(x, kernel_shape, strides, dilations, pads, auto_pad, ceil_mode)
    counts = []
    for n, k, o, step, d, (before, after) in zip(np.shape(x)[2:], *windows[:3], windows.dilation, pairs, strict=True):
        places = np.arange(o)[:, None] * step + np.arange(k) * d
        start, stop = (0, n + before + after) if count_include_pad else (before, n + before)
        counts.append(((places >= start) & (places < stop)).sum(1))
    divisor = np.array(1)
    for count in counts:
        divisor = divisor[..., None] * count
    total = p.sum_windows(x, windows=windows)
    if (divisor == divisor.flat[0]).all():
        return e.div(total, int(divisor.flat[0]))
    return e.div(total, divisor.astype(dtype_of(x)))


@writes(p.sum_windows, varies=True)
def _sum_windows(w: Any, x: Any, *, windows: Any, out: Any) -> Any:
    """The mean with padding counted, times the number of elements of a window."""
    if set(windows.dilation) != {1}:
        w.refuse(w.opset < 19, "has a dilation, which AveragePool has from opset 19 on; raise `opset`")
        more = {"dilations": list(windows.dilation)}
    else:
        more = {}
    user = w.only_user()
    divisors = w.given_in(1, user) if user is not None and user.op is e.div.op else []
    counts = [math.prod(each.size) for each in w.param("windows")]
    is_mean = bool(divisors) and all(d.__class__ in (int, float) for d in divisors) and divisors == counts
    if is_mean and _is_global(w, x):
        mean = w.node("GlobalAveragePool", x)
    else:
        mean = w.node("AveragePool", x, count_include_pad=1, **_attributes(w, x), **more)
    if is_mean:
        w.absorb(user, mean)
        return mean
    return w.node("Mul", mean, w.number(counts[0], out.dtype))


@reads("LpPool")
def _lp_pool(
    x: Array, *, auto_pad: str = "NOTSET", ceil_mode: int = 0, dilations: Ints = None, kernel_shape: Sequence[int],
    p: int = 2, pads: Ints = None, strides: Ints = None,
) -> Array:  # fmt: skip
    windows, _ = _windows(x, kernel_shape, strides, dilations, pads, auto_pad, ceil_mode)
    return _norm(_summed(e.pow(e.abs(x), p), windows), p)


def _summed(x: Array, windows: Any) -> Array:
    return p.sum_windows(x, windows=windows)


def _norm(total: Array, p: int) -> Array:
    """total^(1/p), and 0 with a gradient of 0 if total is 0."""
    zero = total == 0
    return e.where(zero, 0, e.pow(e.where(zero, 1, total), 1 / p))


@reads("GlobalLpPool")
def _global_lp(x: Array, *, p: int = 2) -> Array:
    return r.power_norm(x, p=float(p), axis=tuple(range(2, np.ndim(x))), keepdims=True)


@reads("MaxUnpool")
def _max_unpool(
    x: Array, indices: Array, output_shape: Structural = None, *, kernel_shape: Sequence[int], pads: Ints = None,
    strides: Ints = None,
) -> Array:  # fmt: skip
    shape, n = np.shape(x), len(kernel_shape)
    steps, cut = tuple(strides or (1,) * n), tuple(pads or (0,) * 2 * n)
    usual = tuple(
        (m - 1) * step - cut[i] - cut[n + i] + k
        for i, (m, step, k) in enumerate(zip(shape[2:], steps, kernel_shape, strict=True))
    )
    whole = bounded([*shape[:2], *usual], "MaxUnpool")
    wanted = whole if output_shape is None else bounded(integers(output_shape), "MaxUnpool")
    from ....ops.gather import add_taken

    flat = s.reshape(x, shape=(-1,))
    where = s.reshape(indices, shape=(-1,))
    if wanted == whole:
        return s.reshape(add_taken(flat, where, axis=0, shape=(math.prod(whole),)), shape=whole)
    # The indices are positions in the usual shape. The output is padded at the end to the given shape.
    y = s.reshape(add_taken(flat, where, axis=0, shape=(math.prod(whole),)), shape=whole)
    return s.pad_constant(y, pad_width=tuple((0, m - k) for m, k in zip(wanted, whole, strict=True)))


@writes(p.last_written)
def _last_written(w: Any, indices: Any, *, size: Any, out: Any) -> Any:
    """Scatter each index's own number with the maximum, and compare: the last one written stays."""
    w.refuse(w.opset < 18, "needs ScatterElements with the reduction max, of opset 18; raise `opset`")
    w.refuse_size(any(indices.is_dynamic(i) for i in range(1, len(indices.shape))), "has a dynamic size")
    count = math.prod(indices.shape[2:])
    flat = w.node("Reshape", indices, w.ints([0, 0, -1]))
    turns = w.node("Expand", w.ints(range(count)), w.node("Shape", flat))
    first_two = w.node("Slice", w.node("Shape", flat), w.ints([0]), w.ints([2]))
    zeros = w.node("Expand", w.ints([0]), w.node("Concat", first_two, w.ints([size]), axis=0))
    written = w.node("ScatterElements", zeros, flat, turns, axis=2, reduction="max")
    return w.reshape(w.node("Equal", w.node("GatherElements", written, flat, axis=2), turns), out)


@writes(a.max_region_indices)
def _region_indices(w: Any, x: Any, *, grid: Any, out: Any) -> Any:
    """All regions are padded to the length of the longest by repeating their last elements."""
    w.refuse_size(any(x.is_dynamic(i) for i in range(2, len(x.shape))), "has regions of a dynamic size")
    y, longest, firsts, lasts = x, [], [], []
    for axis, (n, m) in enumerate(zip(x.shape[2:], grid, strict=True)):
        starts, stops = z.regions(n, m)
        most = int((stops - starts).max())
        places = np.minimum(starts[:, None] + np.arange(most), stops[:, None] - 1)
        y = w.node("Gather", y, w.constant(places.astype(np.int64)), axis=2 + 2 * axis)
        longest.append(most)
        firsts.append(starts)
        lasts.append(stops - 1)
    d = len(grid)
    y = w.node("Transpose", y, perm=[0, 1, *(2 + 2 * i for i in range(d)), *(3 + 2 * i for i in range(d))])
    y = w.node("Reshape", y, w.ints([0] * (2 + d) + [-1]))
    top = w.node("ArgMax", y, axis=-1, keepdims=0)
    total = None
    for axis in range(d):
        below, step = math.prod(longest[axis + 1 :]), math.prod(x.shape[3 + axis :])
        within = w.node("Mod", w.node("Div", top, w.ints([below])), w.ints([longest[axis]]))
        form = (-1, *(1,) * (d - 1 - axis))
        place = w.node(
            "Min",
            w.node("Add", within, w.constant(firsts[axis].reshape(form).astype(np.int64))),
            w.constant(lasts[axis].reshape(form).astype(np.int64)),
        )
        part = w.node("Mul", place, w.ints([step]))
        total = part if total is None else w.node("Add", total, part)
    return total
