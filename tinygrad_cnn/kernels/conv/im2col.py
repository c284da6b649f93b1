"""im2col and col2im for few channels: the columns of a matrix are the windows, copied in runs along the image.

With P output positions, K = c k elements in a window, O filters, and a row of ones below the columns for the biases,

    y = (w b) (columns; 1),    (w' b') = u (columns; 1)^T,    x' = col2im of w^T u.

A block is several images, or several rows of one. The views and calls for a block mostly use scratch, and are cached by size.
"""

from __future__ import annotations

from functools import lru_cache, partial
from itertools import product
from typing import Any

import numpy as np

from ...ops.windows import Sizes, interior, last_view, overlap, volume, windows
from .. import blocking
from ..blas import GEMM, READS_SMALL, Matrix, Products, Term, in_columns, in_rows, in_sums
from ..blocking import Block, Geometry, copying, is_last, rows_of
from ..parallel.task import Call, Work
from ..parallel.workspace import arranged, blank, scratch
from . import nonfinite

APART = 64
"""Bytes between the rows of a matrix: rows that are a large power of two apart map to the same cache sets."""

UNPACKED = 1_000_000
"""Multiplications up to which OpenBLAS skips packing, which is faster for narrow matrices."""

SHORTEST = 512
"""The fewest positions in a part of an image that are worth a separate product."""

FEWEST = 16
"""From this many filters on, products of a few rows are faster, where BLAS need not pack them."""

DType = np.dtype[Any]


def convolve(g: Geometry, x: np.ndarray, w: np.ndarray, b: np.ndarray | None, y: np.ndarray) -> Work:
    """y (N, O, *out) of x (N, c, *sizes) with filters w (O, c, *k) and biases b (O,)."""
    k, o, last = w[0].size, len(w), is_last(y)
    in_pieces = last and READS_SMALL and y.dtype in GEMM and o >= FEWEST
    rows = k + (b is not None)
    filters = np.empty((rows, o), y.dtype) if in_pieces else np.empty((o, rows), y.dtype).T
    before: list[Call] = [partial(np.copyto, filters[:k].T.reshape(w.shape), w)]
    if b is not None:
        before.append(partial(np.copyto, filters[k], b))
    right = in_columns(filters)

    def arrange(block: Block) -> list[Call]:
        buffer, calls = _columns(g, x, block, y.dtype, ones=b is not None)
        part = y[block.images, :, block.rows]
        matrix = buffer[:, : len(part) * volume(part.shape[2:])]
        if in_pieces:
            pairs = in_rows(matrix.T, last_view(part).reshape(-1, o))
            return [*calls, *(partial(np.matmul, left, right, out) for left, out in pairs)]
        if last:
            cut = _pieces(len(part), volume(part.shape[2:]), filters.size)
            rows = matrix.reshape(len(matrix), *cut, -1).transpose(1, 2, 3, 0)  # (n, m, P, K)
            return [*calls, partial(np.matmul, rows, filters, last_view(part).reshape(*cut, -1, o))]
        images = matrix.reshape(len(matrix), len(part), -1).swapaxes(0, 1)  # (n, K, P)
        return [*calls, partial(np.matmul, filters.T, images, part.reshape(len(part), o, -1))]

    return blocking.by_block(*_blocks(g, x.shape, w.shape, k * y.itemsize), arrange, *before)


def weight_gradient(g: Geometry, x: np.ndarray, u: np.ndarray, w: np.ndarray) -> Work:
    """The adjoint in w: w (O, c, *k) of x (N, c, *sizes) and u (N, O, *out)."""
    k, o, last = w[0].size, len(w), is_last(u)
    in_sum = READS_SMALL and w.dtype in GEMM and w.size > 0

    def term(block: Block, out: np.ndarray) -> list[Call]:
        buffer, calls = _columns(g, x, block, w.dtype, ones=False)
        part = u[block.images, :, block.rows]
        matrix = buffer[:, : len(part) * volume(part.shape[2:])]
        n, m = _pieces(len(part), volume(part.shape[2:]), out.size)
        part, ready = _dense(part, w.dtype, last)
        if last and in_sum and (n, m) == (1, 1) and (rows := last_view(part)).flags.c_contiguous:
            rows = rows.reshape(-1, o)
            products = _sum(k, *rows.shape, buffer.shape[1], w.dtype).on(buffer, rows, out)
            return [*calls, *ready, products]
        cut = (n if last else len(part), m)
        if last:
            positions = last_view(part).reshape(*cut, -1, o)  # (n, m, P, O)
        else:
            positions = part.reshape(len(part), o, m, -1).transpose(0, 2, 3, 1)
        columns = matrix.reshape(len(matrix), *cut, -1).transpose(1, 2, 0, 3)  # (n, m, K, P)
        terms = scratch("terms", (*cut, *out.shape), w.dtype)
        add_up = partial(np.add.reduce, terms, (0, 1), None, out)
        return [*calls, *ready, partial(np.matmul, columns, positions, terms), add_up]

    blocks, little = _blocks(g, x.shape, w.shape, k * w.itemsize)
    return blocking.summed(blocks, little, (k, o), w.dtype, term, w, lambda total: total.T.reshape(w.shape))


@lru_cache(maxsize=256)
def _sum(k: int, positions: int, o: int, pitch: int, dtype: DType) -> Products:
    """The product of columns (k, positions), whose rows are `pitch` apart, and rows (positions, o)."""
    columns, rows = Matrix(k, positions, 0, pitch), Matrix(positions, o, 0, o)
    return Products(in_sums(Term(columns, rows, Matrix(k, o, 0, o), adds=False)), dtype)


def input_gradient(g: Geometry, u: np.ndarray, w: np.ndarray, x: np.ndarray) -> Work:
    """The adjoint in x: x (N, c, *sizes) of u (N, O, *out)."""
    o, c, last = len(w), w.shape[1], is_last(u)
    filters = np.empty((w[0].size, o), x.dtype)
    position = (w[0].size + o) * x.itemsize
    _, cuts = blocking.cut(g.out, position, blocking.BLOCK_BYTES)
    axes = list(zip(x.shape[2:], *g, strict=True))
    pitches = tuple(max(out + (k - 1) * d // s, -(-(n + p) // s)) for n, k, out, s, (p, _), d in axes)

    def arrange(block: Block) -> list[Call]:
        images = x[block.images].swapaxes(0, 1)  # (c, n, *sizes)
        shape = (*g.stride, c, images.shape[1], *pitches)
        total, parts = arranged(("col2im", g, shape, o, x.dtype, last), partial(_col2im, g, shape, cuts, x.dtype, last))
        calls: list[Call] = [partial(total.fill, 0)]
        for rows, (values, add_up) in zip(cuts, parts, strict=True):
            part = u[block.images, :, rows]
            multiply = _multiply_rows if last else _multiply_images
            calls += [*multiply(filters, part, values), *add_up]
        for phase in product(*map(range, g.stride)):
            spans = [overlap(a[0], m, a[3], r - a[4][0]) for a, m, r in zip(axes, pitches, phase, strict=True)]
            source, target = zip(*spans, strict=True)
            calls.append(copying(images[(..., *target)], total[(*phase, ..., *source)]))
        if not last and len(x):  # the terms at the first position have all elements of the filters
            few = nonfinite.first_pixel(parts[-1][0].swapaxes(0, 1))
            calls.append(partial(nonfinite.mend_images, few, g, u[block.images], w, x[block.images]))
        return calls

    before = partial(np.copyto, filters.T.reshape(w.shape), w)
    return blocking.by_block(*_blocks(g, x.shape, w.shape, position, whole=True), arrange, before)


def _pieces(n: int, positions: int, multiplications: int) -> tuple[int, int]:
    """How many images, and parts of each, to cut a product for n images into, so that BLAS skips packing. There are
    `positions` in each image and `multiplications` for each position. (1, 1) if the pieces would be too short."""
    least = -(-positions * multiplications // UNPACKED)
    if least <= 1:
        return n, 1
    parts = next((m for m in range(least, 2 * least) if positions % m == 0), positions)
    return (n, parts) if positions // parts >= SHORTEST else (1, 1)


def _blocks(g: Geometry, x: Sizes, w: Sizes, position: int, *, whole: bool = False) -> tuple[list[Block], bool]:
    """Blocks of positions with `position` bytes each, and whether they are little work."""
    return blocking.blocks(x[0], g.out, volume(w), position, blocking.BLOCK_BYTES, whole=whole)


def _columns(g: Geometry, x: np.ndarray, block: Block, dtype: DType, ones: bool) -> tuple[np.ndarray, list[Call]]:
    """A buffer that begins with the columns of a block of x, with a row of ones below if asked for, and the calls that fill
    them."""
    images, padding = rows_of(x, block, g)
    first = images.swapaxes(0, 1)  # (c, n, *sizes)
    part = g._replace(out=(block.rows.stop - block.rows.start, *g.out[1:]), padding=padding)
    key = "im2col", first.shape, part, dtype, ones
    phases, calls, buffer = arranged(key, partial(_im2col, part, first.shape, dtype, ones))
    return buffer, [*(copying(phase, first[..., pixels]) for phase, pixels in phases), *calls]


def _im2col(
    g: Geometry, shape: Sizes, dtype: DType, ones: bool
) -> tuple[list[tuple[np.ndarray, slice]], list[Call], np.ndarray]:
    """Views to copy images of a shape (c, n, *sizes) to, with the pixels of each row that belong there; the calls that copy
    their windows to columns; and a buffer that begins with the columns (K, n P).

    The pixels of a row are sorted by their remainder modulo the stride, so that those under an element of the kernel are
    contiguous for all windows in a row.
    """
    *outer, (size, k, out, stride, (before, _), dilation) = zip(shape[2:], *g, strict=True)
    sizes = [n + sum(pair) for n, _, _, _, pair, _ in outer]
    length, positions = volume(g.kernel) * shape[0], shape[1] * volume(g.out)
    buffer = scratch("columns", (length + ones, positions + APART // dtype.itemsize), dtype)
    columns = buffer[:length, :positions].reshape(shape[0], *g.kernel, shape[1], *g.out)
    apart = stride if k > stride else 1  # else an element of the kernel has these pixels for itself
    phases, calls, d = [], list[Call](), len(g.out)
    for rest in sorted({j * dilation % apart for j in range(k)}):
        elements = [j for j in range(k) if j * dilation % apart == rest]
        starts = [j * dilation // apart for j in elements]
        step, distance = (elements[1] - elements[0], starts[1] - starts[0]) if len(elements) > 1 else (1, 1)
        row = (out - 1) * stride // apart + starts[-1] + 1
        key = "im2col", shape, g.padding, apart, rest, row, dtype
        padded = blank(key, (*shape[:2], *sizes, row), dtype)
        inside, pixels = overlap(size, row, apart, rest - before)
        phases.append((padded[(*interior(shape[2:-1], g.padding[:-1]), inside)], pixels))
        kernel = *g.kernel[:-1], len(elements)
        strides, dilations = (*g.stride[:-1], stride // apart), (*g.dilation[:-1], distance)
        view = windows(padded[..., starts[0] :], kernel, g.out, strides, dilations)
        view = view.transpose(0, *range(2 + d, 2 + 2 * d), 1, *range(2, 2 + d))  # (c, *k, n, *out)
        to = columns[(slice(None),) * d + (slice(elements[0], elements[-1] + 1, step),)]
        calls.append(copying(to, view))
    if ones:
        calls.append(partial(buffer[length, :positions].fill, 1))
    return phases, calls, buffer


def _multiply_rows(filters: np.ndarray, u: np.ndarray, values: np.ndarray) -> list[Call]:
    """The calls that fill values (K, n, *pitches) with the product of filters (K, O) and u (n, O, *out), a row at a time."""
    part, ready = _dense(u, values.dtype, True)
    inside = values[(slice(None), slice(None), *map(slice, u.shape[2:]))]
    return [*ready, partial(np.matmul, filters, np.moveaxis(part, 1, -2), np.moveaxis(inside, 0, -2))]


def _multiply_images(filters: np.ndarray, u: np.ndarray, values: np.ndarray) -> list[Call]:
    """The same, an image at a time: u is copied to rows padded with zeros to the row length of the values."""
    n, o, rows, *others = u.shape
    size = (n, o, rows, *values.shape[3:])
    buffer = blank(("gradients", size, tuple(others), values.dtype), size, values.dtype)
    inside = buffer[(slice(None), slice(None), *map(slice, u.shape[2:]))]
    positions = volume(size[2:])
    flat = values.reshape(len(values), n, -1)[..., :positions].swapaxes(0, 1)  # (n, K, P)
    return [copying(inside, u), partial(np.matmul, filters, buffer.reshape(n, o, positions), flat)]


def _col2im(
    g: Geometry, shape: Sizes, cuts: list[slice], dtype: DType, last: bool
) -> tuple[np.ndarray, list[tuple[np.ndarray, list[Call]]]]:
    """A buffer for the sums (*stride, c, n, *pitches) over the pixels of n images; and for each cut of the output rows a buffer
    (K, n, *pitches) for the terms of each element of a window, with the calls that add them to the sums.

    Pixels are sorted by their remainder modulo the stride, in rows with enough padding that an element of the kernel is a
    shift in memory. With zeros in the padding, all additions for an element are one contiguous run.
    """
    total, pitches = scratch("total", shape, dtype), shape[-len(g.out) :]
    flat, (c, n) = total.reshape(*g.stride, shape[len(g.out)], -1), shape[len(g.out) : len(g.out) + 2]
    elements = list(product(*map(range, g.kernel)))
    parts = []
    for rows in cuts:
        out = (rows.stop - rows.start, *g.out[1:])
        size = (n, out[0] if n == 1 else pitches[0], *pitches[1:])
        length = volume(size)
        buffer = (c, len(elements), length + APART // dtype.itemsize)
        memory = blank(("col2im", buffer, size, out, dtype, last), buffer, dtype)[..., :length]
        calls: list[Call] = []
        for i, element in enumerate(elements):
            axes = zip(element, g.dilation, g.stride, strict=True)
            (first, *shifts), phase = zip(*(divmod(j * d, s) for j, d, s in axes), strict=True)
            offset = int(np.ravel_multi_index((rows.start + first, *shifts), pitches))
            to = flat[(*phase, slice(None), slice(offset, offset + length))]
            calls.append(partial(np.add, to, memory[:, i, : to.shape[-1]], to))
        parts.append((memory.reshape(-1, *size), calls))
    return total, parts


def _dense(u: np.ndarray, dtype: DType, last: bool) -> tuple[np.ndarray, list[Call]]:
    """u (n, O, *out) with its positions contiguous as one axis, and the calls that copy it there if necessary."""
    view = last_view(u) if last else u
    flat = view.reshape(-1, u.shape[1]) if last else view.reshape(*u.shape[:2], -1)
    if u.dtype == dtype and np.may_share_memory(flat, u):
        return u, []
    buffer = scratch("gradients", view.shape, dtype)
    return np.moveaxis(buffer, -1, 1) if last else buffer, [partial(np.copyto, buffer, view)]
