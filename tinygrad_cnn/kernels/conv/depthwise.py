"""Depthwise convolution: each channel has its own filters, so there is no matrix product, only sums of products.

With G channels and o filters for each, and x repeated to G o channels, windows are a view of the padded image:

    y[n, p, c] = sum over k of x[n, p stride + k dilation, c] w[k, c],    w'[k, c] = sum over n, p of x[...] u[n, p, c].

Filters are repeated along a row of the image, so that runs are long. With stride 1 and few elements k, the padded images are a
matrix with a row of the image in each row, and the pixels under element k are the same matrix from a later pixel on: NumPy
multiplies and adds whole matrices, which stay in the L2 cache. Some of its results lie between the rows, and are dropped.
Otherwise np.einsum computes the sums without temporaries, in a row of the image for all elements k.
"""

from __future__ import annotations

from functools import partial
from operator import mul
from typing import Any

import numpy as np

from ...ops.windows import Sizes, interior, last_view, overlaps, volume, windows
from ...scope import errors
from .. import blocking
from ..blocking import Block, Geometry, channels_last, flipped, rows_of
from ..parallel.task import Call, Work
from ..parallel.workspace import blank, scratch
from . import nonfinite

_overflow = errors(over="ignore", invalid="ignore")

BLOCK_BYTES = 1 << 20
"""Size of the output of a block for np.einsum: it and its operands stay in the L3 cache."""

FEW, FEW_BYTES = 16, 1 << 18
"""The most elements of a kernel that are multiplied one after another, and the size of the output of a block for that: three
matrices of this size stay in the L2 cache."""

MOST_WIDER, SHORT = 1.1, 1 << 10
"""How much wider the padded images may be for that, unless a row has at most SHORT numbers."""

DEAR = 24
"""One multiplication here takes as long as this many in a GEMM."""

DType = np.dtype[Any]


def convolve(g: Geometry, x: np.ndarray, w: np.ndarray, b: np.ndarray | None, y: np.ndarray) -> Work:
    """y (N, G o, *out) of x (N, G, *sizes) with filters w (G o, 1, *k) and biases b (G o,)."""
    by_matrix = _is_by_matrix(g, len(w))
    filters, laid_out = _repeated(w, _width(g) if by_matrix else g.out[-1], y.dtype)
    function = _convolve_matrix if by_matrix else _convolve

    def arrange(block: Block) -> list[Call]:
        return [partial(function, g, x, filters, b, y, block)]

    return blocking.by_block(*_blocks(g, x.shape, w.shape, y.itemsize, by_matrix=by_matrix), arrange, laid_out)


def input_gradient(g: Geometry, u: np.ndarray, w: np.ndarray, x: np.ndarray) -> Work:
    """The adjoint in x: x (N, G, *sizes) of u (N, G o, *out)."""
    around = g.flipped(x.shape[2:])
    alike = w.shape[0] == x.shape[1] and u.dtype == x.dtype
    if alike and around is not None and all(s == 1 for s in g.stride):
        return nonfinite.mended(convolve(around, u, flipped(w), None, x), g, u, w, x)
    filters, laid_out = _repeated(w, g.out[-1], x.dtype)

    def arrange(block: Block) -> list[Call]:
        return [partial(_add_windows, g, u[block.images], filters, x[block.images])]

    return blocking.by_block(*_blocks(g, x.shape, w.shape, x.itemsize, whole=True), arrange, laid_out)


def weight_gradient(g: Geometry, x: np.ndarray, u: np.ndarray, w: np.ndarray) -> Work:
    """The adjoint in w: w (G o, 1, *k) of x (N, G, *sizes) and u (N, G o, *out)."""
    last = np.moveaxis(w[:, 0], 0, -1)  # (*k, G o)

    def term(block: Block, out: np.ndarray) -> list[Call]:
        return [partial(_correlate, g, x, u, block, out)]

    blocks, little = _blocks(g, x.shape, w.shape, w.itemsize)
    return blocking.summed(
        blocks, little, last.shape, w.dtype, term, w, lambda total: np.moveaxis(total, -1, 0)[:, None]
    )


def _convolve(
    g: Geometry, x: np.ndarray, filters: np.ndarray, b: np.ndarray | None, y: np.ndarray, block: Block
) -> None:
    part = y[block.images, :, block.rows]
    last = last_view(part)  # (n, *out, G o)
    total = last if blocking.is_last(part) else scratch("total", last.shape, y.dtype)
    filters = filters[..., : last.shape[-2], :]  # with one spatial axis, a block may be part of a row
    n, position, k, c = _labels(g)
    wide = [*k, position[-1], c]
    np.einsum(_windows(g, x, block, y.shape[1]), [n, *position, *k, c], filters, wide, [n, *position, c], out=total)
    if b is not None:
        np.add(total, b, out=total)
    if total is not last:
        blocking.copy_channels_first(part, total)


def _correlate(g: Geometry, x: np.ndarray, u: np.ndarray, block: Block, out: np.ndarray) -> None:
    part = channels_last(u[block.images, :, block.rows], "gradients")  # (n, *out, G o)
    n, position, k, c = _labels(g)
    rows = scratch("rows", (*g.kernel, *part.shape[-2:]), out.dtype)  # (*k, width, G o)
    terms = _windows(g, x, block, u.shape[1]), [n, *position, *k, c], part, [n, *position, c], [*k, position[-1], c]
    np.einsum(*terms, out=rows)
    np.add.reduce(rows, axis=-2, out=out)


def _is_by_matrix(g: Geometry, channels: int) -> bool:
    """Whether elements of the kernel are multiplied one after another: not if too many of the results lie between the rows, but
    where np.einsum's runs are short."""
    few = volume(g.kernel) <= FEW and all(s == 1 for s in g.stride)
    return few and (_width(g) <= MOST_WIDER * g.out[-1] or _width(g) * channels <= SHORT)


def _width(g: Geometry) -> int:
    """The pixels in a row of the padded images."""
    return g.out[-1] + (g.kernel[-1] - 1) * g.dilation[-1]


def _convolve_matrix(
    g: Geometry, x: np.ndarray, filters: np.ndarray, b: np.ndarray | None, y: np.ndarray, block: Block
) -> None:
    shape, shifted = _matrices(g, x, block, y.shape[1], y.dtype)
    grid = scratch("grid", shape, y.dtype)
    total = grid.reshape(-1, shape[-2] * shape[-1])[: len(shifted[0])]
    term = scratch("term", total.shape, y.dtype)
    rows = [row[: shape[-2]].reshape(-1) for row in filters.reshape(-1, *filters.shape[-2:])]
    with _overflow:  # of results that are dropped
        np.multiply(shifted[0], rows[0], total)
        for pixels, row in zip(shifted[1:], rows[1:], strict=True):
            np.add(total, np.multiply(pixels, row, term), total)
        if b is not None:
            np.add(total, np.tile(b, shape[-2]), total)
    part = y[block.images, :, block.rows]
    blocking.copy_channels_first(part, grid[(slice(None), *map(slice, part.shape[2:]))])


def _matrices(g: Geometry, x: np.ndarray, block: Block, channels: int, dtype: DType) -> tuple[Sizes, list[np.ndarray]]:
    """The shape (n, *padded, G o) of the padded images of a block, and for each element of the kernel the pixels under it, a
    row of the image in each row."""
    images, padding = rows_of(x, block, g)
    if x.shape[1] < channels:
        images = np.repeat(images, channels // x.shape[1], axis=1)
    shape = (len(images), *(m + sum(pair) for m, pair in zip(images.shape[2:], padding, strict=True)), channels)
    reach = [(k - 1) * d for k, d in zip(g.kernel, g.dilation, strict=True)]
    steps = [volume(shape[i:]) for i in range(2, len(shape))]  # from one pixel to the next along each axis
    length = volume(shape) + reach[-1] * channels
    memory = blank(("depthwise", shape, padding, length, dtype), (length,), dtype)
    padded = memory[: volume(shape)].reshape(shape)
    blocking.copy_channels_last(padded[(*interior(images.shape[2:], padding), slice(None))], images)
    width = shape[-2] * channels
    size = volume(shape) - sum(map(mul, reach[:-1], steps))
    starts = [sum(map(mul, map(mul, k, g.dilation), steps)) for k in np.ndindex(*g.kernel)]
    return shape, [memory[start : start + size].reshape(-1, width) for start in starts]


def _add_windows(g: Geometry, u: np.ndarray, filters: np.ndarray, x: np.ndarray) -> None:
    """Add u times each element of the kernel to the pixels under it."""
    before, last = tuple(pair[0] for pair in g.padding), channels_last(u, "gradients")
    total, term = scratch("total", (len(u), *x.shape[2:], u.shape[1]), x.dtype), scratch("term", last.shape, x.dtype)
    total.fill(0)
    for k, spans, pixels in overlaps(x.shape[2:], g.kernel, g.out, g.stride, before, g.dilation):
        np.multiply(last, filters[k], out=term)
        to = total[(slice(None), *pixels[1:])]
        np.add(to, term[(slice(None), *spans[1:])], out=to)
    if (each := u.shape[1] // x.shape[1]) > 1:
        total = total.reshape(*total.shape[:-1], x.shape[1], each).sum(-1)
    blocking.copy_channels_first(x, total)


def _labels(g: Geometry) -> tuple[int, list[int], list[int], int]:
    """Axis labels for np.einsum: images, positions, elements of the kernel, channels."""
    d = len(g.out)
    return 0, list(range(1, d + 1)), list(range(d + 1, 2 * d + 1)), 2 * d + 1


def _windows(g: Geometry, x: np.ndarray, block: Block, channels: int) -> np.ndarray:
    """The windows of a block, (n, *out, *k, G o)."""
    images, padding = rows_of(x, block, g)
    last = channels_last(images, "images", padding)
    if x.shape[1] < channels:
        last = np.repeat(last, channels // x.shape[1], axis=-1)
    out = (block.rows.stop - block.rows.start, *g.out[1:])
    return last_view(windows(np.moveaxis(last, -1, 1), g.kernel, out, g.stride, g.dilation))


def _blocks(
    g: Geometry, x: Sizes, w: Sizes, itemsize: int, *, whole: bool = False, by_matrix: bool = False
) -> tuple[list[Block], bool]:
    size = FEW_BYTES if by_matrix else BLOCK_BYTES
    return blocking.blocks(x[0], g.out, DEAR * volume(w), w[0] * itemsize, size, whole=whole)


def _repeated(w: np.ndarray, width: int, dtype: DType) -> tuple[np.ndarray, Call]:
    """A buffer for w (G o, 1, *k) as (*k, width, G o), repeated along a row of the image, and the call that fills it."""
    last = np.moveaxis(w[:, 0], 0, -1)[..., None, :]
    filters = np.empty((*last.shape[:-2], width, len(w)), dtype)
    return filters, partial(np.copyto, filters, last)
