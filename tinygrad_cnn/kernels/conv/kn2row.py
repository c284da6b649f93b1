"""kn2row: accumulating GEMMs on the channels-last image, without im2col.

The k pixels of a window along the last axis are k c contiguous numbers, and the windows at every k-th pixel are the rows of a
matrix. k such matrices, each shifted by one pixel, hold all windows of a row. Along the other axes a convolution is a sum of
products, one for each element of the kernel. With A the windows, W the filters of one element and U the grid of all output
positions, each product is

    U += A W^T  for the convolution,    A += U W  for its adjoint in x,    W += U^T A  for its adjoint in w,

and BLAS accumulates it in place. A row of W has the window's numbers for one filter, so filters (O, c, *k) are copied to
(O, *k, c): exchanging filters and channels would take longer. Images are copied once: see kn2row_layout.py.

OpenBLAS first copies ("packs") the matrices of a product, unless they are small and its kernels are those for AVX-512. There,
the convolution is many products of a few rows, with filters copied to (*k, c, O). They cannot accumulate: each product of many
rows is added to the others by NumPy, which takes less time than packing. The adjoint in x is then the convolution of u with
flipped filters, if there is no stride.

Reference: Vasudevan, Anderson and Gregg, "Parallel multi channel convolution using general matrix multiplication",
arXiv:1704.04428.
"""

from __future__ import annotations

from functools import lru_cache, partial
from typing import Any

import numpy as np

from ...ops.windows import Sizes, last_view, volume
from .. import blocking
from ..blas import FEWEST, GEMM, READS_SMALL, Matrix, Products, Term, in_columns, in_rows, in_sums, pieces
from ..blocking import (
    Block,
    Geometry,
    by_block,
    copy_channels_first,
    copy_channels_last,
    flipped,
    is_last,
    rows_of,
    summed,
)
from ..parallel.task import Call, Work, halved
from ..parallel.workspace import arranged, blank, buffer, scratch
from . import nonfinite
from .kn2row_layout import Layout, layout, pitch

BLOCK_BYTES = 5 << 18
"""Size of the larger of a block's image and grid: calls are few, and both stay in the L3 cache. It is larger for
large filters, which BLAS reads for each block."""

UNROLLED, LONG_RUN = 20, 16
"""Copying a number takes as long as UNROLLED multiplications, in runs of at least LONG_RUN numbers."""

NARROWEST, LEAST, MANY = 32, 256, 1 << 18
"""The fewest filters, and the fewest positions, for products that BLAS does not pack. Filters of more than MANY numbers take
longer to transpose: they need four times as many positions."""

TILE = 32
"""Filters that are transposed at a time: a line of the cache has several."""

DType = np.dtype[Any]


def convolve(g: Geometry, x: np.ndarray, w: np.ndarray, b: np.ndarray | None, y: np.ndarray) -> Work:
    """y (N, O, *out) of x (N, c, *sizes) with filters w (O, c, *k) and biases b (O,)."""
    in_place = _reads_small(g, x.shape, w.shape, y.dtype)
    unrolled = _is_unrolled(g, w.shape)
    filters, laid_out = (_transposed_filters if in_place else _filters)(w, y.dtype)
    before = [laid_out]
    bias = np.empty((y.shape[-1], len(w)), y.dtype)  # repeated, so that runs are long
    if b is not None:
        before.append(partial(np.copyto, bias, b))

    def arrange(block: Block) -> list[Call]:
        how, image, calls = _image(g, x, block, unrolled, y.dtype)
        if in_place:
            grid, products = _small_products(how, image, filters)
            calls += products
        else:
            grid = scratch("grid", (*how.grid, len(w)), y.dtype)
            calls.append(_products("y", how, x.shape[1], len(w), y.dtype).on(image, filters, grid))
        part, wanted = y[block.images, :, block.rows], how.wanted(grid)
        if b is None:
            calls.append(partial(copy_channels_first, part, wanted))
        else:
            calls.append(partial(np.add, wanted, bias[: part.shape[-1]], last_view(part)))
        return calls

    return by_block(*_blocks(g, x.shape, w.shape, y.itemsize, unrolled), arrange, *before)


def input_gradient(g: Geometry, u: np.ndarray, w: np.ndarray, x: np.ndarray) -> Work:
    """The adjoint in x: x (N, c, *sizes) of u (N, O, *out)."""
    if max(g.stride) == 1 and (around := g.flipped(x.shape[2:])) is not None:
        filters = flipped(w).swapaxes(0, 1)
        if _reads_small(around, u.shape, filters.shape, x.dtype):
            return nonfinite.mended(convolve(around, u, filters, None, x), g, u, w, x)
    filters, laid_out = _filters(w, x.dtype)
    unrolled = _is_unrolled(g, w.shape)

    def arrange(block: Block) -> list[Call]:
        part = x[block.images]
        how = layout(len(part), x.shape[2:], g, unrolled)
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
        calls.append(partial(_mend, image.reshape(-1, x.shape[1]), how.first, g, u[block.images], w, part))
        return calls

    return by_block(*_blocks(g, x.shape, w.shape, x.itemsize, unrolled, whole=True), arrange, laid_out)


def _mend(pixels: np.ndarray, first: np.ndarray, g: Geometry, u: np.ndarray, w: np.ndarray, x: np.ndarray) -> None:
    """Compute x without the zeros between rows if filters are not finite: the pixels under the first position show it."""
    nonfinite.mend_images(pixels.take(first, 0), g, u, w, x)


def weight_gradient(g: Geometry, x: np.ndarray, u: np.ndarray, w: np.ndarray) -> Work:
    """The adjoint in w: w (O, c, *k) of x (N, c, *sizes) and u (N, O, *out)."""
    unrolled = _is_unrolled(g, w.shape)
    blocks, little = _blocks(g, x.shape, w.shape, w.itemsize, unrolled)
    if len(blocks) == 2 and not little and w[0].size >= len(x) * volume(g.out):
        return _by_channels(g, x, u, w)

    def term(block: Block, out: np.ndarray) -> list[Call]:
        how, image, calls = _image(g, x, block, unrolled, w.dtype)
        grid, spread = _grid(how, u[block.images, :, block.rows], w.dtype)
        products = _products("w", how, x.shape[1], len(w), w.dtype).on(grid, image, out)
        return [*calls, *spread, products, partial(_mend_term, g, x, u, block, out)]

    return summed(blocks, little, last_view(w).shape, w.dtype, term, w, lambda total: np.moveaxis(total, -1, 1))


def _by_channels(g: Geometry, x: np.ndarray, u: np.ndarray, w: np.ndarray) -> Work:
    """The adjoint in w, in two parts that have half of the channels: where the filters are larger than the images, adding the
    terms of two halves of the batch takes longer than copying u twice."""

    def arrange(own: slice) -> list[Call]:
        part, whole = w[:, own], Block(slice(0, len(x)), slice(0, g.out[0]))
        how, image, calls = _image(g, x[:, own], whole, _is_unrolled(g, part.shape), w.dtype)
        grid, spread = _grid(how, u, w.dtype)
        out = scratch("term", last_view(part).shape, w.dtype)
        products = _products("w", how, part.shape[1], len(w), w.dtype).on(grid, image, out)
        mend = partial(_mend_term, g, x[:, own], u, whole, out)
        return [*calls, *spread, products, mend, partial(np.copyto, last_view(part), out)]

    return Work(halved(w.shape[1], w.shape[1]), arrange)


def _mend_term(g: Geometry, x: np.ndarray, u: np.ndarray, block: Block, out: np.ndarray) -> None:
    """Compute a block's term (O, *k, c) without the zeros between rows if pixels are not finite: each is in a sum for the
    first filter."""
    if not nonfinite.is_finite(out[0]):
        images, padding = rows_of(x, block, g)
        part, term = u[block.images, :, block.rows], np.moveaxis(out, -1, 1)
        nonfinite.mend_filters(out[0], g._replace(padding=padding), images, part, term)


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
                term = Term(u.transposed, a, w, adds=first > 0)
                terms += in_sums(term) if dtype in GEMM else [term]
    return Products(terms, dtype)


def _small_products(how: Layout, image: np.ndarray, filters: np.ndarray) -> tuple[np.ndarray, list[Call]]:
    """A buffer for the grid, and the calls that compute it by products that BLAS does not pack. They cannot accumulate."""
    k, o = how.run * image.shape[-1], filters.shape[-1]
    key = "small", how, k, o, image.dtype
    grid, term, pairs = arranged(key, partial(_small_matrices, how, image, o))
    calls: list[Call] = []
    for by, these in zip(in_columns(filters.reshape(-1, k, o)), pairs, strict=True):
        calls += [partial(np.matmul, left, by, out) for left, out in these]
        if len(calls) > len(these):
            calls.append(term)
    return grid, calls


def _small_matrices(how: Layout, image: np.ndarray, o: int) -> tuple[np.ndarray, Call, list[Any]]:
    """The grid, the call that adds a term to it, and for each element of the kernel the matrices of its products: the windows,
    and their positions in the grid or, but for the first element, in the term."""
    c, shifts = image.shape[-1], -(-how.run // how.step)
    grid = scratch("grid", (*how.grid, o), image.dtype)
    total = grid.reshape(-1, o)[: how.positions]
    term = scratch("term", total.shape, image.dtype)
    pairs = []
    for e, (phase, offset) in enumerate(how.elements):
        these: list[Any] = []
        for first in range(min(shifts, how.positions)):
            m = -(-(how.positions - first) // shifts)
            pixel = phase * how.length + first * how.step + offset
            windows = Matrix(m, how.run * c, pixel * c, shifts * how.step * c).of(image)
            these += in_rows(windows, (term if e else total)[first::shifts])
        pairs.append(these)
    return grid, partial(np.add, total, term, total), pairs


def _reads_small(g: Geometry, x: Sizes, w: Sizes, dtype: DType) -> bool:
    """Whether BLAS multiplies faster if it need not pack, and by so much that filters may be transposed for it."""
    k = w[1] * (g.kernel[-1] if g.dilation[-1] == 1 else 1)
    least = LEAST if volume(w) <= MANY else 4 * LEAST
    if not READS_SMALL or dtype not in GEMM or w[0] < NARROWEST or x[0] * volume(g.out) < least:
        return False
    return pieces(k, w[0])[0] >= FEWEST


def _transposed_filters(w: np.ndarray, dtype: DType) -> tuple[np.ndarray, Call]:
    """A buffer for w (O, c, *k) in the order (*k, c, O), and the call that fills it."""
    source = w.transpose(*range(2, w.ndim), 1, 0)
    filters = buffer(source.shape, dtype)

    def fill() -> None:
        for i in range(0, len(w), TILE):
            np.copyto(filters[..., i : i + TILE], source[..., i : i + TILE])

    return filters, fill


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


def _blocks(
    g: Geometry, x: Sizes, w: Sizes, itemsize: int, unrolled: bool, *, whole: bool = False
) -> tuple[list[Block], bool]:
    pixels = g.kernel[-1] * volume(g.stride[:-1]) if unrolled else volume(g.stride)
    size = max(BLOCK_BYTES, volume(w) * itemsize)
    return blocking.blocks(x[0], g.out, volume(w), max(w[1] * pixels, w[0]) * itemsize, size, whole=whole)


def _image(
    g: Geometry, x: np.ndarray, block: Block, unrolled: bool, dtype: DType
) -> tuple[Layout, np.ndarray, list[Call]]:
    """The layout of a block, a buffer for its pixels, and the calls that copy them."""
    images, padding = rows_of(x, block, g)
    out = (block.rows.stop - block.rows.start, *g.out[1:])
    how = layout(len(images), images.shape[2:], g._replace(out=out, padding=padding), unrolled)
    image = blank((how, x.shape[1], dtype), (how.phases, how.length, x.shape[1]), dtype)  # zero around the copies
    calls: list[Call] = []
    if len(how.copies) > how.phases and not is_last(
        images
    ):  # so that pixels are transposed once, though copied several times
        copied = scratch("transposed", last_view(images).shape, x.dtype)
        calls.append(partial(copy_channels_last, copied, images))
        images = np.moveaxis(copied, -1, 1)
    calls += [partial(copy_channels_last, how.pixels(image[c.phase])[c.target], images[c.source]) for c in how.copies]
    return how, image, calls


def _grid(how: Layout, u: np.ndarray, dtype: DType) -> tuple[np.ndarray, list[Call]]:
    """A buffer for u (n, O, *out) in the grid, with zeros between the rows, and the call that copies it."""
    shape = (*how.grid, u.shape[1])
    grid = blank((how, "grid", shape, dtype), shape, dtype)
    return grid, [partial(copy_channels_last, how.wanted(grid), u)]
