"""Depthwise convolution: each channel has filters of its own, so there is no product of matrices, only sums of scaled
shifts. With G channels and o filters for each, a kernel element k contributes x[shifted by k] w[:, k] to every place.

Works on a block of places at a time, channels-last: (n, *out, G o). That is many short calls: one thread is best.
"""

from __future__ import annotations

from itertools import product
from typing import Any

import numpy as np

from . import columns
from .columns import Block, Geometry
from .scratch import scratch
from .threads import BLAS_ALONE, unbuffered
from .window import Sizes, last_view, overlaps

BLOCK_BYTES = 1 << 20
"""Size of the output that is worked on at a time: it and what it is made of stay in a third-level cache."""


def forward(x: np.ndarray, w: np.ndarray, b: np.ndarray | None, g: Geometry, y: np.ndarray) -> None:
    """y[n, g o, p] = b + sum over k of x[n, g, p stride + k dilation - padding] w[g o, k]."""
    filters, last = _filters(w, g.out[-1], y.dtype), last_view(y)
    with unbuffered(), BLAS_ALONE:
        for block in columns.blocks(len(x), g.out, len(w) * y.itemsize, BLOCK_BYTES):
            images = _repeated(columns.channels_last(x, block, g), len(w))
            total, term = last[block], scratch("term", last[block].shape, y.dtype)
            width = total.shape[-2]  # of a signal, which has one axis, a block is a part
            for k in product(*map(range, g.kernel)):
                first = not any(k)
                np.multiply(images[_shifted(k, block, g)], filters[k][:width], out=total if first else term)
                if not first:
                    np.add(total, term, out=total)
            if b is not None:
                np.add(total, b, out=total)


def input_gradient(u: np.ndarray, w: np.ndarray, g: Geometry, x: np.ndarray) -> None:
    """The adjoint of :func:`forward` in x: u (N, G o, *out) to x (N, G, *sizes)."""
    filters, sizes = _filters(w, g.out[-1], x.dtype), x.shape[2:]
    before = tuple(pair[0] for pair in g.padding)
    elements = list(overlaps(sizes, g.kernel, g.out, g.stride, before, g.dilation))
    with unbuffered(), BLAS_ALONE:
        for block in columns.image_blocks(len(u), g.out, len(w) * x.itemsize, BLOCK_BYTES):
            ub = columns.channels_last(u, block, columns.pointwise(g.out))
            total, term = scratch("total", (len(ub), *sizes, len(w)), x.dtype), scratch("term", ub.shape, x.dtype)
            total.fill(0)
            for k, spans, places in elements:
                np.multiply(ub, filters[k], out=term)
                into = total[(slice(None), *places[1:])]
                np.add(into, term[(slice(None), *spans[1:])], out=into)
            if len(w) > x.shape[1]:
                total = total.reshape(*total.shape[:-1], x.shape[1], -1).sum(-1)
            columns.copy_channels_first(x[block.images], total)


def weight_gradient(x: np.ndarray, u: np.ndarray, g: Geometry, w: np.ndarray, b: np.ndarray | None) -> None:
    """The adjoints of :func:`forward` in w and b: x (N, G, *sizes) and u (N, G o, *out) to w (G o, 1, *kernel) and b (G o)."""
    last = np.moveaxis(w[:, 0], 0, -1)  # (*k, G o)
    last[...] = 0
    if b is not None:
        b[...] = 0
    with unbuffered(), BLAS_ALONE:
        for block in columns.blocks(len(x), g.out, len(w) * w.itemsize, BLOCK_BYTES):
            ub = columns.channels_last(u, block, columns.pointwise(g.out), "gradients")
            images = _repeated(columns.channels_last(x, block, g), len(w))
            term = scratch("term", ub.shape, w.dtype)
            ones = np.ones(term.size // len(w), w.dtype)
            for k in product(*map(range, g.kernel)):
                np.multiply(images[_shifted(k, block, g)], ub, out=term)
                last[k] += ones @ term.reshape(len(ones), -1)  # a sum over all places
            if b is not None:
                b += ones @ ub.reshape(len(ones), -1)


def _filters(w: np.ndarray, width: int, dtype: np.dtype[Any]) -> np.ndarray:
    """w (G o, 1, *kernel) as (*kernel, width, G o): repeated along an image's row, they are scaled in long runs."""
    last = np.moveaxis(w[:, 0], 0, -1)[..., None, :].astype(dtype)
    return np.repeat(last, width, axis=-2)


def _repeated(images: np.ndarray, channels: int) -> np.ndarray:
    """Each channel of (n, *sizes, G) as often as it has filters."""
    return images if images.shape[-1] == channels else np.repeat(images, channels // images.shape[-1], axis=-1)


def _shifted(k: Sizes, block: Block, g: Geometry) -> Any:
    """Where element k of a block's windows lies in what they see."""
    out = (block.rows.stop - block.rows.start, *g.out[1:])
    return (
        slice(None),
        *(slice(i * d, i * d + (o - 1) * s + 1, s) for i, d, o, s in zip(k, g.dilation, out, g.stride, strict=True)),
    )
