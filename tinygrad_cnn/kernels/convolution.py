"""Convolution in any number of spatial dimensions, by columns and matrix products.

Columns lay out the window of every output place, so that with P places, K = c k window elements and O filters

    y = columns w^T,    dw = u^T columns,    dx = the convolution of u with turned filters, or scatter(u w).

They are built for a block of places at a time, by as many threads as there are, and used while they are in the cache.
y is an (N, O, *out) view of memory in (N, *out, O) order, which elementwise ops keep: behind a convolution a network
runs channels-last without being told. dx lies in memory as u does. What is small is arranged in small.py.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import lru_cache
from typing import Any

import numpy as np

from . import columns, depthwise, small
from .columns import Block, Geometry, is_last
from .products import FEW_CHANNELS, Direct, layout, places
from .scratch import scratch
from .sliding import ALONE, Sliding
from .threads import each, summed, unbuffered
from .window import Pairs, Sizes, last_view, output_sizes, overlaps, volume


def forward(
    x: np.ndarray, w: np.ndarray, b: np.ndarray | None, stride: Sizes, padding: Pairs, dilation: Sizes, groups: int,
    out: np.ndarray | None = None,
) -> np.ndarray:  # fmt: skip
    """y[n, o, p] = b[o] + sum over c, k of x[n, c, p stride + k dilation - padding] w[o, c, k].

    `out` is (N, O, *out) and channels-last in memory, as what is returned.
    """
    g = _geometry(x.shape, w.shape, stride, padding, dilation, groups)
    if b is not None and b.shape != w.shape[:1]:
        raise ValueError(f"convolution: `b` has shape {b.shape}; it must be {w.shape[:1]}, one for each filter of `w`")
    dtype = _common(x, w)
    y = None if out is None else _result(out, (len(x), len(w), *g.out), dtype, last=True)
    plan = small.plan(x, g, dtype) if groups == 1 and _is_tangled(x, g) else None
    if plan is not None and (done := small.forward(x, w, b, plan, g.out, y)) is not None:
        return done
    if y is None:
        y = _result(None, (len(x), len(w), *g.out), dtype, last=True)
    if out is not None and not last_view(y).flags.c_contiguous:
        raise ValueError(f"convolution: `out` has strides {y.strides}; it must be channels-last in memory")
    if groups > 1 and w.shape[1] == 1:
        depthwise.forward(x, w, b, g, y)
    else:
        _forward(x, w, b, g, groups, y)
    return y


def input_gradient(
    u: np.ndarray, w: np.ndarray, sizes: Sizes, stride: Sizes, padding: Pairs, dilation: Sizes, groups: int,
    out: np.ndarray | None = None,
) -> np.ndarray:  # fmt: skip
    """The adjoint of the convolution in x: u (N, O, *out) to an array (N, C, *sizes)."""
    shape = (len(u), groups * w.shape[1], *sizes)
    g = _geometry(shape, w.shape, stride, padding, dilation, groups)
    _check_gradient(u, (len(u), len(w), *g.out))
    x = _result(out, shape, np.result_type(u, w), last=w.shape[1] * groups >= FEW_CHANNELS and is_last(u))
    if groups > 1 and w.shape[1] == 1:
        depthwise.input_gradient(u, w, g, x)
        return x
    turned = _turned(w, g, sizes, groups)
    if turned is not None:
        _forward(u, turned[0], None, turned[1], groups, x)
    elif w.shape[1] >= FEW_CHANNELS:
        for ug, wg, xg in _grouped(groups, (u, 1), (w, 0), (x, 1)):
            Sliding(g, w.shape[1]).input_gradient(ug, wg, xg).do()
    else:
        _scatter(u, w, g, groups, x)
    return x


def weight_gradient(
    x: np.ndarray, u: np.ndarray, kernel: Sizes, stride: Sizes, padding: Pairs, dilation: Sizes, groups: int,
    out: np.ndarray | None = None,
) -> np.ndarray:  # fmt: skip
    """The adjoint of the convolution in w: x (N, C, *sizes) and u (N, O, *out) to an array (O, C / groups, *kernel)."""
    c = x.shape[1] // groups
    shape = (u.shape[1], c, *kernel)
    g = _geometry(x.shape, shape, stride, padding, dilation, groups)
    _check_gradient(u, (len(x), u.shape[1], *g.out))
    w = _result(out, shape, _common(x, u), last=False)
    if groups > 1 and c == 1:
        depthwise.weight_gradient(x, u, g, w)
        return w
    plan = small.plan(x, g, w.dtype) if groups == 1 and w.flags.c_contiguous and _is_tangled(x, g) else None
    if plan is not None:
        small.weight_gradient(x, u, plan, w)
        return w
    how = layout(g, c, len(w) // groups, least=1 if is_last(u) else FEW_CHANNELS)
    for xg, ug, wg in _grouped(groups, (x, 1), (u, 1), (w, 0)):
        if isinstance(how, Sliding):
            how.weight_gradient(xg, ug, wg).do()
            continue

        def term(block: Block, x: Any = xg, u: Any = ug) -> np.ndarray:
            return how.correlate(x, block, u[block.images, :, block.rows], w.dtype)

        with unbuffered():
            total = summed(term, how.blocks(len(x), len(w), w.itemsize), wg.shape, w.dtype)
        ordered = wg.transpose(how.axes)
        ordered[...] = total.reshape(ordered.shape)
    return w


def forwarding(
    x: np.ndarray, w: np.ndarray, b: np.ndarray | None, stride: Sizes, padding: Pairs, dilation: Sizes, groups: int,
    out: np.ndarray, shared: dict[Any, Any],
) -> Callable[[], None] | None:  # fmt: skip
    """:func:`forward` in the same memory every time, where that is faster; `shared` is for all calls with the same x."""
    g = _geometry(x.shape, w.shape, stride, padding, dilation, groups)
    if groups > 1:
        return None
    arranged = small.forwarding(x, w, b, g, out, shared) if _is_tangled(x, g) else None
    if arranged is not None:
        return arranged
    how = layout(g, w.shape[1], len(w))
    return how.convolution(x, w, b, out).prepared() if isinstance(how, Sliding) else None


def weighing(
    x: np.ndarray, u: np.ndarray, kernel: Sizes, stride: Sizes, padding: Pairs, dilation: Sizes, groups: int,
    out: np.ndarray, shared: dict[Any, Any],
) -> Callable[[], None] | None:  # fmt: skip
    """:func:`weight_gradient` in the same memory every time, where that is faster; `shared` is for all with the same x."""
    g = _geometry(x.shape, (u.shape[1], x.shape[1] // groups, *kernel), stride, padding, dilation, groups)
    if groups > 1:
        return None
    arranged = small.weighing(x, u, g, out, shared) if _is_tangled(x, g) else None
    if arranged is not None:
        return arranged
    how = layout(g, x.shape[1], u.shape[1], least=1 if is_last(u) else FEW_CHANNELS)
    return how.weight_gradient(x, u, out).prepared() if isinstance(how, Sliding) else None


def pulling(
    u: np.ndarray, w: np.ndarray, sizes: Sizes, stride: Sizes, padding: Pairs, dilation: Sizes, groups: int,
    out: np.ndarray,
) -> Callable[[], None] | None:  # fmt: skip
    """:func:`input_gradient` in the same memory every time, where that is faster."""
    if groups > 1 or w.shape[1] < FEW_CHANNELS:
        return None
    g = _geometry(out.shape, w.shape, stride, padding, dilation, groups)
    turned = _turned(w, g, sizes, groups)
    if turned is None:
        return Sliding(g, w.shape[1]).input_gradient(u, w, out).prepared()
    filters, around = turned
    how = layout(around, len(w), w.shape[1])
    return how.convolution(u, filters, None, out).prepared() if isinstance(how, Sliding) else None


def _common(a: np.ndarray, b: np.ndarray) -> np.dtype[Any]:
    """np.result_type, mostly without a call."""
    return a.dtype if a.dtype is b.dtype else np.result_type(a, b)


def _is_tangled(x: np.ndarray, g: Geometry) -> bool:
    """Whether windows must be laid out: all but single pixels whose channels are adjacent."""
    return x.shape[1] < FEW_CHANNELS or volume(g.kernel) > 1 or not is_last(x)


def _turned(w: np.ndarray, g: Geometry, sizes: Sizes, groups: int) -> tuple[np.ndarray, Geometry] | None:
    """Filters and geometry of a convolution that is the adjoint in x of that with w, where there is one that pays."""
    reach = [d * (k - 1) for k, d in zip(g.kernel, g.dilation, strict=True)]
    turnable = all(s == 1 for s in g.stride) and all(
        r >= p for r, pair in zip(reach, g.padding, strict=True) for p in pair
    )
    if not turnable or w.shape[1] < FEW_CHANNELS or len(w) > 2 * groups * w.shape[1]:
        return None
    turned = np.flip(w, axis=tuple(range(2, w.ndim)))
    if groups == 1:
        turned = turned.swapaxes(0, 1)
    else:
        turned = turned.reshape(groups, -1, *w.shape[1:]).swapaxes(1, 2).reshape(groups * w.shape[1], -1, *w.shape[2:])
    around = tuple((r - before, r - after) for r, (before, after) in zip(reach, g.padding, strict=True))
    return turned, Geometry(g.kernel, sizes, g.stride, around, g.dilation)


def _forward(x: np.ndarray, w: np.ndarray, b: np.ndarray | None, g: Geometry, groups: int, y: np.ndarray) -> None:
    """Fill y, which is channels-last or in C order."""
    how = layout(g, w.shape[1], len(w) // groups)
    for xg, wg, bg, yg in _grouped(groups, (x, 1), (w, 0), (b, 0), (y, 1)):
        if isinstance(how, Sliding):
            how.convolution(xg, wg, bg, yg).do()
            continue
        filters = how.filters(wg, y.dtype)

        def work(block: Block, x: Any = xg, filters: Any = filters, b: Any = bg, y: Any = yg) -> None:
            how.convolve(x, block, filters, b, y[block.images, :, block.rows])

        with unbuffered():
            each(work, how.blocks(len(x), len(wg), y.itemsize))


def _scatter(u: np.ndarray, w: np.ndarray, g: Geometry, groups: int, x: np.ndarray) -> None:
    """The adjoint in x for few channels: the columns' gradients, added where the columns were taken from."""
    how, d = Direct(g, w.shape[1], rows=False), len(g.out)
    place = w[0].size * x.itemsize // 2  # as of Direct
    images = columns.image_blocks(len(u), g.out, place)
    if 0 < len(u) * volume(g.out) * w.size <= ALONE * groups:
        images = [Block(slice(0, len(u)), slice(0, g.out[0]))]
    _, cuts = columns.cut(g.out, place)
    for ug, wg, xg in _grouped(groups, (u, 1), (w, 0), (x, 1)):
        filters = how.filters(wg, x.dtype)  # (K, O)

        def work(block: Block, u: Any = ug, filters: Any = filters, x: Any = xg) -> None:
            part = x[block.images]
            # Along all axes but the last first, where rows are added in one run, for every element along the last at once.
            total = scratch("total", (g.kernel[-1], *part.shape[:-1], g.out[-1]), x.dtype)
            total.fill(0)
            for cut in cuts:
                values = _column_gradients(u[block.images, :, cut], filters, g.kernel, x.dtype)
                before = (g.padding[0][0] - cut.start * g.stride[0], *(pair[0] for pair in g.padding[1:]))
                n, kernel, out, stride = (side[:-1] for side in (x.shape[2:], g.kernel, values.shape[-d:], g.stride))
                width = slice(None) if d > 1 else cut
                for k, spans, pixels in overlaps(n, kernel, out, stride, before[:-1], g.dilation[:-1]):
                    total[(*pixels, width)] += values[k][(*spans, slice(None))]
            part[...] = 0
            n, kernel, out, stride = (side[-1:] for side in (x.shape, g.kernel, g.out, g.stride))
            for k, spans, pixels in overlaps(n, kernel, out, stride, (g.padding[-1][0],), g.dilation[-1:]):
                part[pixels] += total[k[0]][spans]

        with unbuffered():
            each(work, images)


def _column_gradients(u: np.ndarray, filters: np.ndarray, kernel: Sizes, dtype: np.dtype[Any]) -> np.ndarray:
    """filters (K, O) times u (n, O, *out), as (*kernel, n, c, *out)."""
    n, out, size, d = len(u), u.shape[2:], len(filters), len(kernel)
    memory = scratch("columns", (size * (u.size // u.shape[1]),), dtype)
    matrix = places(u)
    target = memory.reshape(size, -1) if matrix.ndim == 2 else memory.reshape(size, n, -1).swapaxes(0, 1)
    np.matmul(filters, matrix.swapaxes(-1, -2), out=target)
    values = memory.reshape(-1, *kernel, n, *out)
    return values.transpose(*range(1, 2 + d), 0, *range(2 + d, 2 + 2 * d))


def _result(out: np.ndarray | None, shape: Sizes, dtype: np.dtype[Any], *, last: bool) -> np.ndarray:
    """`out`, checked, or a new array: channels-last in memory, or in C order."""
    if out is None:
        order = (0, -1, *range(1, len(shape) - 1))
        return np.empty((shape[0], *shape[2:], shape[1]), dtype).transpose(order) if last else np.empty(shape, dtype)
    if out.shape != shape or out.dtype != dtype:
        raise ValueError(f"convolution: `out` is {out.dtype} of shape {out.shape}; it must be {dtype} of shape {shape}")
    if not (out.flags.c_contiguous or last_view(out).flags.c_contiguous or out.swapaxes(0, 1).flags.c_contiguous):
        raise ValueError(f"convolution: `out` has strides {out.strides}; it must be in C order or channels-last")
    return out


@lru_cache(maxsize=1024)
def _geometry(x: Sizes, w: Sizes, stride: Sizes, padding: Pairs, dilation: Sizes, groups: int) -> Geometry:
    """How the windows of w (O, C / groups, *kernel) lie on x (N, C, *sizes): checked, since views are made by it."""
    ndim = len(x) - 2
    if not (ndim >= 1 and len(w) == len(x) and len(stride) == len(padding) == len(dilation) == ndim):
        raise ValueError(
            f"convolution: `x` has shape {x}, `w` {w}, `stride` {stride}, `padding` {padding} and `dilation` {dilation}; "
            "they must agree in the number of spatial axes"
        )
    if min(*stride, *dilation, *w, groups) < 1 or any(p < 0 for pair in padding for p in pair):
        raise ValueError(
            f"convolution: `w` has shape {w}, `stride` is {stride}, `dilation` {dilation}, `groups` {groups} and `padding` "
            f"{padding}; sizes, steps and groups must be at least 1, and padding at least 0"
        )
    if x[1] != w[1] * groups or w[0] % groups:
        raise ValueError(f"convolution: `x` has shape {x}, `w` {w} and `groups` is {groups}; the channels must agree")
    out = output_sizes(x[2:], w[2:], stride, padding, dilation)
    if min(out) < 1:
        raise ValueError(f"convolution: `x` has shape {x} and `w` {w}; the kernel must fit the padded `x`")
    return Geometry(w[2:], out, stride, padding, dilation)


def _check_gradient(u: np.ndarray, shape: Sizes) -> None:
    if u.shape != shape:
        raise ValueError(f"convolution: `u` has shape {u.shape}; it must be {shape}, the output's")


def _grouped(groups: int, *parts: tuple[Any, int]) -> Iterator[tuple[Any, ...]]:
    """Each group's share of arrays that are split along the given axes; None stays None."""
    if groups == 1:
        yield tuple(array for array, _ in parts)
        return
    for g in range(groups):
        shares: list[Any] = []
        for array, axis in parts:
            if array is None:
                shares.append(array)
                continue
            size = array.shape[axis] // groups
            index: Any = [slice(None)] * array.ndim
            index[axis] = slice(g * size, (g + 1) * size)
            shares.append(array[tuple(index)])
        yield tuple(shares)
