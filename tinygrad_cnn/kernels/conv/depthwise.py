"""Depthwise convolution: each channel has its own filters, so there is no matrix product, only sums of products.

With G channels and o filters for each, and x repeated to G o channels, windows are a view of the padded image:

    y[n, p, c] = sum over k of x[n, p stride + k dilation, c] w[k, c],    w'[k, c] = sum over n, p of x[...] u[n, p, c].

np.einsum computes such sums without temporaries, in runs that are contiguous in all operands. Filters repeated along a row of
the image make that run a whole row, which stays in the L1 cache for all elements k.
"""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np

from ...ops.windows import Sizes, last_view, overlaps, volume, windows
from .. import blocking
from ..blocking import Block, Geometry, channels_last, turned
from ..parallel.task import Call, Work
from ..parallel.workspace import scratch

BLOCK_BYTES = 1 << 20
"""Size of the output of a block: it and its operands stay in the L3 cache."""

DEAR = 24
"""One multiplication here takes as long as this many in a GEMM."""

DType = np.dtype[Any]


def convolve(g: Geometry, x: np.ndarray, w: np.ndarray, b: np.ndarray | None, y: np.ndarray) -> Work:
    """y (N, G o, *out) of x (N, G, *sizes) with filters w (G o, 1, *k) and biases b (G o,)."""
    filters, laid_out = _repeated(w, g.out[-1], y.dtype)

    def arrange(block: Block) -> list[Call]:
        return [partial(_convolve, g, x, filters, b, y, block)]

    return blocking.by_block(*_blocks(g, x.shape, w.shape, y.itemsize), arrange, laid_out)


def input_gradient(g: Geometry, u: np.ndarray, w: np.ndarray, x: np.ndarray) -> Work:
    """The adjoint in x: x (N, G, *sizes) of u (N, G o, *out)."""
    around = g.turned(x.shape[2:])
    alike = w.shape[0] == x.shape[1] and u.dtype == x.dtype
    if alike and around is not None and all(s == 1 for s in g.stride):
        return convolve(around, u, turned(w), None, x)
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
    images, padding = blocking.rows_of(x, block, g)
    last = channels_last(images, "images", padding)
    if x.shape[1] < channels:
        last = np.repeat(last, channels // x.shape[1], axis=-1)
    out = (block.rows.stop - block.rows.start, *g.out[1:])
    return last_view(windows(np.moveaxis(last, -1, 1), g.kernel, out, g.stride, g.dilation))


def _blocks(g: Geometry, x: Sizes, w: Sizes, itemsize: int, *, whole: bool = False) -> tuple[list[Block], bool]:
    return blocking.blocks(x[0], g.out, DEAR * volume(w), w[0] * itemsize, BLOCK_BYTES, whole=whole)


def _repeated(w: np.ndarray, width: int, dtype: DType) -> tuple[np.ndarray, Call]:
    """A buffer for w (G o, 1, *k) as (*k, width, G o), repeated along a row of the image, and the call that fills it."""
    last = np.moveaxis(w[:, 0], 0, -1)[..., None, :]
    filters = np.empty((*last.shape[:-2], width, len(w)), dtype)
    return filters, partial(np.copyto, filters, last)
