"""Convolution in any number of spatial dimensions, by columns and matrix products.

Columns lay out the window of every output place, so that with P places, K = c k window elements and O filters

    y = columns w^T,    dw = u^T columns,    dx = the convolution of u with turned filters, or scatter(u w).

They are built for a few images at a time, so that they are still in the cache when the product reads them. Where
channels are adjacent in memory they are rows (P, k c): a window is then a few long runs. Where they are not, or are few,
they are (c k, P): the runs go along the image. Either way y comes back as an (N, O, *out) view of memory in (N, *out, O)
order, which elementwise ops keep: behind a convolution a network runs channels-last without being told.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, TypeAlias

import numpy as np

from . import depthwise
from .window import Pairs, Sizes, output_sizes, overlaps, pad_last, volume, windows

BLOCK_BYTES = 1 << 19
"""Size of the columns that are built at a time: half of a common second-level cache."""

FEW_CHANNELS = 8
"""Below this, runs along the image are longer than runs along the channels."""

Fill: TypeAlias = Callable[[slice], np.ndarray]


def forward(
    x: np.ndarray, w: np.ndarray, b: np.ndarray | None, stride: Sizes, padding: Pairs, dilation: Sizes, groups: int
) -> np.ndarray:
    """y[n, o, p] = b[o] + sum over c, k of x[n, c, p stride + k dilation - padding] w[o, c, k]."""
    kernel = w.shape[2:]
    out = output_sizes(x.shape[2:], kernel, stride, padding, dilation)
    if groups > 1 and w.shape[1] == 1:
        return depthwise.forward(x, w, b, out, stride, padding, dilation)
    y = np.empty((x.shape[0], *out, w.shape[0]), np.result_type(x, w))
    for xg, wg, yg, bg in _grouped(groups, (x, 1), (w, 0), (y, -1), (b, 0)):
        rows, fill = _columns(xg, kernel, out, stride, padding, dilation, y.dtype)
        filters = _filters(wg, rows, y.dtype).T  # (K, O)
        for block in _blocks(x.shape[0], filters.shape[0] * volume(out) * y.itemsize):
            target = yg[block].reshape(-1, filters.shape[1])  # (P, O); a copy where groups are interleaved
            np.matmul(fill(block), filters, out=target)
            if bg is not None:
                target += bg
            if groups > 1:
                yg[block] = target.reshape(yg[block].shape)
    return np.moveaxis(y, -1, 1)


def input_gradient(
    u: np.ndarray, w: np.ndarray, sizes: Sizes, stride: Sizes, padding: Pairs, dilation: Sizes, groups: int
) -> np.ndarray:
    """The adjoint of the convolution in x: u (N, O, *out) to an array (N, C, *sizes)."""
    if groups > 1 and w.shape[1] == 1:
        return depthwise.input_gradient(u, w, sizes, stride, padding, dilation, groups)
    reach = [d * (k - 1) for k, d in zip(w.shape[2:], dilation, strict=True)]
    few = w.shape[1] < FEW_CHANNELS  # then columns of u would be far larger than columns of x
    if (
        not few
        and all(s == 1 for s in stride)
        and all(r >= p for r, pair in zip(reach, padding, strict=True) for p in pair)
    ):
        turned = np.flip(w, axis=tuple(range(2, w.ndim)))
        turned = turned.reshape(groups, -1, *w.shape[1:]).swapaxes(1, 2).reshape(groups * w.shape[1], -1, *w.shape[2:])
        around = tuple((r - before, r - after) for r, (before, after) in zip(reach, padding, strict=True))
        return forward(u, turned, None, stride, around, dilation, groups)
    return _scattered(u, w, sizes, stride, padding, dilation, groups)


def _scattered(
    u: np.ndarray, w: np.ndarray, sizes: Sizes, stride: Sizes, padding: Pairs, dilation: Sizes, groups: int
) -> np.ndarray:
    """:func:`input_gradient` for any geometry: the columns' gradients, added where the columns were taken from."""
    n, c, out, kernel = u.shape[0], w.shape[1], u.shape[2:], w.shape[2:]
    rows = c >= FEW_CHANNELS
    dtype = np.result_type(u, w)
    x = np.zeros((n, *sizes, groups * c) if rows else (groups * c, n, *sizes), dtype)
    before = tuple(pair[0] for pair in padding)
    elements = list(overlaps(sizes, kernel, out, stride, before, dilation))
    for ug, wg, xg in _grouped(groups, (np.moveaxis(u, 1, -1), -1), (w, 0), (x, -1 if rows else 0)):
        filters = _filters(wg, rows, dtype)  # (O, k c) or (O, c k)
        for block in _blocks(n, filters.shape[1] * volume(out) * dtype.itemsize):
            ub = ug[block].reshape(-1, ug.shape[-1])  # (P, O)
            if rows:
                values, xb = (ub @ filters).reshape(-1, *out, *kernel, c), xg[block]  # (N, *out, *k, c), (N, *sizes, c)
            else:
                values, xb = (filters.T @ ub.T).reshape(c, *kernel, -1, *out), xg[:, block]  # (c, *k, N, *out)
            for k, spans, places in elements:
                if rows:
                    xb[(slice(None), *places[1:])] += values[(slice(None), *spans[1:], *k)]
                else:
                    xb[(slice(None), slice(None), *places[1:])] += values[(slice(None), *k, slice(None), *spans[1:])]
    return np.moveaxis(x, -1, 1) if rows else x.swapaxes(0, 1)


def weight_gradient(
    x: np.ndarray, u: np.ndarray, kernel: Sizes, stride: Sizes, padding: Pairs, dilation: Sizes, groups: int
) -> np.ndarray:
    """The adjoint of the convolution in w: x (N, C, *sizes) and u (N, O, *out) to an array (O, C / groups, *kernel)."""
    out, c = u.shape[2:], x.shape[1] // groups
    if groups > 1 and c == 1:
        return depthwise.weight_gradient(x, u, kernel, stride, padding, dilation)
    dtype = np.result_type(x, u)
    w = np.zeros((u.shape[1], c, *kernel), dtype)
    for xg, ug, wg in _grouped(groups, (x, 1), (np.moveaxis(u, 1, -1), -1), (w, 0)):
        rows, fill = _columns(xg, kernel, out, stride, padding, dilation, dtype)
        total = np.zeros((len(wg), c * volume(kernel)), dtype)  # (O, K)
        for block in _blocks(x.shape[0], total.shape[1] * volume(out) * dtype.itemsize):
            total += ug[block].reshape(-1, len(wg)).T @ fill(block)
        wg[...] = np.moveaxis(total.reshape(-1, *kernel, c), -1, 1) if rows else total.reshape(wg.shape)
    return w


def _grouped(groups: int, *parts: tuple[Any, int]) -> Iterator[tuple[Any, ...]]:
    """Each group's share of arrays that are split along the given axes; None stays None."""
    for g in range(groups):
        shares = []
        for array, axis in parts:
            if array is None or groups == 1:
                shares.append(array)
                continue
            size = array.shape[axis] // groups
            index: Any = [slice(None)] * array.ndim
            index[axis] = slice(g * size, (g + 1) * size)
            shares.append(array[tuple(index)])
        yield tuple(shares)


def _blocks(n: int, image_bytes: int) -> Iterator[slice]:
    """The images in blocks whose columns are of BLOCK_BYTES or less, at least one image each."""
    size = max(1, BLOCK_BYTES // max(1, image_bytes))
    return (slice(start, min(n, start + size)) for start in range(0, n, size))


def _filters(w: np.ndarray, rows: bool, dtype: np.dtype[Any]) -> np.ndarray:
    """w (O, c, *kernel) as a matrix (O, k c) for rows, (O, c k) for columns along the image."""
    ordered = np.moveaxis(w, 1, -1) if rows else w
    return ordered.reshape(len(w), volume(w.shape[1:])).astype(dtype, copy=False)


def _columns(
    x: np.ndarray, kernel: Sizes, out: Sizes, stride: Sizes, padding: Pairs, dilation: Sizes, dtype: np.dtype[Any]
) -> tuple[bool, Fill]:
    """Whether columns are rows (P, k c) or (c k, P), and the function that builds them, as (P, K), for a block of images.

    What it returns is overwritten by its next call.
    """
    rows = x.shape[1] >= FEW_CHANNELS and x.strides[1] <= min(x.strides[2:], default=0)
    if volume(kernel) == 1 and all(s == 1 for s in stride) and not any(map(any, padding)):
        return rows, lambda block: np.moveaxis(x[block], 1, -1).reshape(-1, x.shape[1])
    return rows, (_rows if rows else _along_image)(x, kernel, out, stride, padding, dilation, dtype)


def _rows(
    x: np.ndarray, kernel: Sizes, out: Sizes, stride: Sizes, padding: Pairs, dilation: Sizes, dtype: np.dtype[Any]
) -> Fill:
    """Columns (P, k c) of x whose channels are adjacent: with the last dilation 1, a window's last axis is one run."""
    last, c = np.moveaxis(x, 1, -1), x.shape[1]  # (N, *sizes, c)
    buffer = np.empty(0, dtype)

    def fill(block: slice) -> np.ndarray:
        nonlocal buffer
        images = pad_last(last[block], (*padding, (0, 0)))
        view = windows(np.moveaxis(images, -1, 1), kernel, out, stride, dilation)  # (N, c, *out, *k)
        view = np.moveaxis(view, 1, -1)  # (N, *out, *k, c)
        if buffer.size < view.size:
            buffer = np.empty(view.size, dtype)
        columns = buffer[: view.size].reshape(view.shape)
        if dilation[-1] == 1 and view.strides[-2] == c * view.strides[-1]:
            run = (*view.shape[:-2], kernel[-1] * c)
            np.copyto(
                columns.reshape(run), np.lib.stride_tricks.as_strided(view, run, (*view.strides[:-2], view.strides[-1]))
            )
        else:
            np.copyto(columns, view)
        return columns.reshape(-1, volume(kernel) * c)

    return fill


def _along_image(
    x: np.ndarray, kernel: Sizes, out: Sizes, stride: Sizes, padding: Pairs, dilation: Sizes, dtype: np.dtype[Any]
) -> Fill:
    """Columns (c k, P), one kernel element at a time, with runs along the image."""
    first, c = x.swapaxes(0, 1), x.shape[1]  # (c, N, *sizes)
    before = tuple(pair[0] for pair in padding)
    elements = list(overlaps(x.shape[2:], kernel, out, stride, before, dilation))
    buffer = np.empty(0, dtype)

    def fill(block: slice) -> np.ndarray:
        nonlocal buffer
        images = first[:, block]
        shape = (c, *kernel, images.shape[1], *out)
        if buffer.shape != shape:
            buffer = np.zeros(shape, dtype)  # what lies in the padding is never written
        for k, spans, places in elements:
            buffer[(slice(None), *k, slice(None), *spans[1:])] = images[(slice(None), slice(None), *places[1:])]
        return buffer.reshape(c * volume(kernel), -1).T

    return fill
