"""1 x 1 convolution: one GEMM with a row for each pixel.

Its gain over `kn2row`, by `python -m tests.benchmarks.ablation --lines pointwise`: none on its own row, 64 filters for
32 x 64 x 32 x 32 (0.87 to 1.28, median 0.96), and 1.14 on a step of MobileNet with one image (1.04 to 1.61), for which
it is here.
"""

from __future__ import annotations

from functools import partial

import numpy as np

from ...ops.windows import last_view
from .. import blocking
from ..blocking import Block, Geometry, channels_last, is_last
from ..parallel.task import Call, Work


def convolve(g: Geometry, x: np.ndarray, w: np.ndarray, b: np.ndarray | None, y: np.ndarray) -> Work:
    """y (N, O, *sizes) of x (N, c, *sizes) with filters w (O, c, *ones) and biases b (O,)."""
    filters = np.empty(w.shape[:2], y.dtype)

    def arrange(block: Block) -> list[Call]:
        return [partial(_product, x[block.images, :, block.rows], filters, b, y[block.images, :, block.rows])]

    before = partial(np.copyto, filters, w.reshape(filters.shape))
    blocks, little = blocking.blocks(len(x), g.out, w.size, w.shape[1] * y.itemsize, blocking.BLOCK_BYTES)
    return blocking.by_block(blocks, little, arrange, before)


def input_gradient(g: Geometry, u: np.ndarray, w: np.ndarray, x: np.ndarray) -> Work:
    """The adjoint in x: x (N, c, *sizes) of u (N, O, *sizes)."""
    return convolve(g, u, w.swapaxes(0, 1), None, x)


def weight_gradient(g: Geometry, x: np.ndarray, u: np.ndarray, w: np.ndarray) -> Work:
    """The adjoint in w: w (O, c, *ones) of x (N, c, *sizes) and u (N, O, *sizes)."""

    def term(block: Block, out: np.ndarray) -> list[Call]:
        return [partial(_correlate, x[block.images, :, block.rows], u[block.images, :, block.rows], out)]

    blocks, little = blocking.blocks(len(x), g.out, w.size, w.shape[1] * w.itemsize, blocking.BLOCK_BYTES)
    return blocking.summed(blocks, little, w.shape[:2], w.dtype, term, w, lambda total: total.reshape(w.shape))


def _product(x: np.ndarray, filters: np.ndarray, b: np.ndarray | None, y: np.ndarray) -> None:
    if not is_last(y):
        np.matmul(filters, x.reshape(*x.shape[:2], -1), out=y.reshape(*y.shape[:2], -1))
        if b is not None:
            np.add(y, b.reshape(-1, *(1,) * (y.ndim - 2)), out=y)
        return
    target = last_view(y)
    np.matmul(channels_last(x, "images").reshape(-1, x.shape[1]), filters.T, out=target.reshape(-1, y.shape[1]))
    if b is not None:
        np.add(target, b, out=target)


def _correlate(x: np.ndarray, u: np.ndarray, out: np.ndarray) -> None:
    rows = channels_last(x, "images").reshape(-1, x.shape[1])
    np.matmul(channels_last(u, "gradients").reshape(-1, u.shape[1]).T, rows, out=out)
