"""kn2row: accumulating GEMMs on the channels-last image, without im2col.

The k pixels of a window along the last axis are k c contiguous numbers, and the windows at every k-th pixel are the rows of a
matrix. k such matrices, each shifted by one pixel, hold all windows of a row. Along the other axes a convolution is a sum of
products, one for each element of the kernel. With A the windows, W the filters of one element and U the grid of all output
positions, each product is

    U += A W^T  for the convolution,    A += U W  for its adjoint in x,    W += U^T A  for its adjoint in w,

and BLAS accumulates it in place. A row of W has the window's numbers for one filter, so filters (O, c, *k) are copied to
(O, *k, c): exchanging filters and channels would take ten times as long. Images are copied once: see kn2row_layout.py.

Reference: Vasudevan, Anderson and Gregg, "Parallel multi channel convolution using general matrix multiplication",
arXiv:1704.04428.
"""

from __future__ import annotations

from functools import lru_cache, partial
from typing import Any

import numpy as np

from ...ops.windows import Sizes, last_view, volume
from .. import blocking
from ..blas import Matrix, Products, Term
from ..blocking import Block, Geometry, by_block, copy_channels_first, copy_channels_last, is_last, rows_of, summed
from ..parallel.task import Call, Work
from ..parallel.workspace import blank, buffer, scratch
from .kn2row_layout import Layout, layout, pitch

BLOCK_BYTES = 5 << 18
"""Size of the larger of a block's image and grid: calls are few, and both stay in the L3 cache. It is larger for
large filters, which BLAS reads for each block."""

UNROLLED, LONG_RUN = 20, 16
"""Copying a number takes as long as UNROLLED multiplications, in runs of at least LONG_RUN numbers."""

DType = np.dtype[Any]


def convolve(g: Geometry, x: np.ndarray, w: np.ndarray, b: np.ndarray | None, y: np.ndarray) -> Work:
    """y (N, O, *out) of x (N, c, *sizes) with filters w (O, c, *k) and biases b (O,)."""
    filters, laid_out = _filters(w, y.dtype)
    before = [laid_out]
    bias = np.empty((y.shape[-1], len(w)), y.dtype)  # repeated, so that runs are long
    if b is not None:
        before.append(partial(np.copyto, bias, b))

    def arrange(block: Block) -> list[Call]:
        how, image, calls = _image(g, x, block, w.shape, y.dtype)
        grid = scratch("grid", (*how.grid, len(w)), y.dtype)
        part, wanted = y[block.images, :, block.rows], how.wanted(grid)
        calls.append(_products("y", how, x.shape[1], len(w), y.dtype).on(image, filters, grid))
        if b is None:
            calls.append(partial(copy_channels_first, part, wanted))
        else:
            calls.append(partial(np.add, wanted, bias[: part.shape[-1]], last_view(part)))
        return calls

    return by_block(*_blocks(g, x.shape, w.shape, y.itemsize), arrange, *before)


def input_gradient(g: Geometry, u: np.ndarray, w: np.ndarray, x: np.ndarray) -> Work:
    """The adjoint in x: x (N, c, *sizes) of u (N, O, *out)."""
    filters, laid_out = _filters(w, x.dtype)

    def arrange(block: Block) -> list[Call]:
        part = x[block.images]
        how = layout(len(part), x.shape[2:], g, _is_unrolled(g, w.shape))
        grid, calls = _grid(how, u[block.images], x.dtype)
        image = scratch("image", (how.phases, how.length, x.shape[1]), x.dtype)
        calls += [partial(image.fill, 0), _products("x", how, x.shape[1], len(w), x.dtype).on(grid, filters, image)]
        total = part if how.covers or is_last(part) else _channels_last(part.shape, x.dtype)
        if not how.covers:
            calls.append(partial(total.fill, 0))
        for copy in how.copies:
            source, target = how.pixels(image[copy.phase])[copy.target], total[copy.source]
            if how.covers:
                calls.append(partial(copy_channels_first, target, source))
            else:
                calls.append(partial(np.add, last_view(target), source, last_view(target)))
        if total is not part:
            calls.append(partial(copy_channels_first, part, last_view(total)))
        return calls

    return by_block(*_blocks(g, x.shape, w.shape, x.itemsize, whole=True), arrange, laid_out)


def weight_gradient(g: Geometry, x: np.ndarray, u: np.ndarray, w: np.ndarray) -> Work:
    """The adjoint in w: w (O, c, *k) of x (N, c, *sizes) and u (N, O, *out)."""

    def term(block: Block, out: np.ndarray) -> list[Call]:
        how, image, calls = _image(g, x, block, w.shape, w.dtype)
        grid, spread = _grid(how, u[block.images, :, block.rows], w.dtype)
        products = _products("w", how, x.shape[1], len(w), w.dtype).on(grid, image, out)
        return [*calls, *spread, products]

    blocks, little = _blocks(g, x.shape, w.shape, w.itemsize)
    return summed(blocks, little, last_view(w).shape, w.dtype, term, w, lambda total: np.moveaxis(total, -1, 1))


@lru_cache(maxsize=256)
def _products(kind: str, how: Layout, channels: int, filters: int, dtype: DType) -> Products:
    """The GEMMs of the convolution ("y"), of its adjoint in x ("x"), or of its adjoint in w ("w")."""
    k = how.run * channels
    shifts = -(-how.run // how.step)  # so that the rows of a matrix do not overlap
    terms = []
    for e, (phase, offset) in enumerate(how.elements):
        for first in range(min(shifts, how.positions)):
            m = -(-(how.positions - first) // shifts)
            pixel = phase * how.length + first * how.step + offset
            a = Matrix(m, k, pixel * channels, shifts * how.step * channels)
            u = Matrix(m, filters, first * filters, shifts * filters)
            w = Matrix(filters, k, e * k, len(how.elements) * k)
            if kind == "y":
                terms.append(Term(a, w.transposed, u, adds=e > 0))
            elif kind == "x":
                terms.append(Term(u, w, a, adds=True))
            else:
                terms.append(Term(u.transposed, a, w, adds=first > 0))
    return Products(terms, dtype)


def _is_unrolled(g: Geometry, w: Sizes) -> bool:
    """Whether copying the pixels of each window along the last axis costs less than the products for positions between rows."""
    out, between = g.out[-1], pitch(g, -1) - g.out[-1]
    return between * volume(w[:-1]) > UNROLLED * out * g.stride[-1] * max(w[1], LONG_RUN)


def _channels_last(shape: Sizes, dtype: DType) -> np.ndarray:
    """Scratch (n, c, *sizes) with contiguous channels: adding to channels that are far apart takes five times as long."""
    n, c, *sizes = shape
    return np.moveaxis(scratch("total", (n, *sizes, c), dtype), -1, 1)


def _filters(w: np.ndarray, dtype: DType) -> tuple[np.ndarray, Call]:
    """A buffer for w (O, c, *k) in the order (O, *k, c), and the call that fills it."""
    last = last_view(w)
    filters = buffer(last.shape, dtype)
    return filters, partial(np.copyto, filters, last)


def _blocks(g: Geometry, x: Sizes, w: Sizes, itemsize: int, *, whole: bool = False) -> tuple[list[Block], bool]:
    pixels = g.kernel[-1] * volume(g.stride[:-1]) if _is_unrolled(g, w) else volume(g.stride)
    size = max(BLOCK_BYTES, volume(w) * itemsize)
    return blocking.blocks(x[0], g.out, volume(w), max(w[1] * pixels, w[0]) * itemsize, size, whole=whole)


def _image(g: Geometry, x: np.ndarray, block: Block, w: Sizes, dtype: DType) -> tuple[Layout, np.ndarray, list[Call]]:
    """The layout of a block, a buffer for its pixels, and the calls that copy them."""
    images, padding = rows_of(x, block, g)
    out = (block.rows.stop - block.rows.start, *g.out[1:])
    how = layout(len(images), images.shape[2:], g._replace(out=out, padding=padding), _is_unrolled(g, w))
    image = blank((how, x.shape[1], dtype), (how.phases, how.length, x.shape[1]), dtype)  # zero around the copies
    calls: list[Call] = []
    if len(how.copies) > how.phases and not is_last(
        images
    ):  # so that pixels are turned once, though copied several times
        turned = scratch("turned", last_view(images).shape, x.dtype)
        calls.append(partial(copy_channels_last, turned, images))
        images = np.moveaxis(turned, -1, 1)
    calls += [partial(copy_channels_last, how.pixels(image[c.phase])[c.target], images[c.source]) for c in how.copies]
    return how, image, calls


def _grid(how: Layout, u: np.ndarray, dtype: DType) -> tuple[np.ndarray, list[Call]]:
    """A buffer for u (n, O, *out) in the grid, with zeros between the rows, and the call that copies it."""
    shape = (*how.grid, u.shape[1])
    grid = blank((how, "grid", shape, dtype), shape, dtype)
    return grid, [partial(copy_channels_last, how.wanted(grid), u)]
