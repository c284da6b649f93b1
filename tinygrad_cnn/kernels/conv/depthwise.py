"""Depthwise convolution: each channel has filters of its own, so there is no product of matrices, only sums of products.

With G channels and o filters for each, and x repeated to G o channels, windows are a view of the padded image:

    y[n, p, c] = sum over k of x[n, p stride + k dilation, c] w[k, c],    w'[k, c] = sum over n, p of x[...] u[n, p, c].

np.einsum adds up such sums without temporaries, in runs as long as what is adjacent on all sides: filters that are repeated
along an image's row make that a whole row, which stays in the first-level cache while the elements k go over it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from .. import blocking
from ..blocking import Block, Geometry
from ..parallel.task import Call, Work
from ..parallel.threads import in_lanes
from ..parallel.workspace import scratch
from ..sums import summing
from ..window import last_view, overlaps, volume, windows

BLOCK_BYTES = 1 << 20
"""Size of the output that is worked on at a time: it and what it is made of stay in a third-level cache."""

DEAR = 24
"""As many multiplications of a product of matrices take the time of one here."""

DType = np.dtype[Any]


@dataclass(frozen=True)
class Depthwise:
    """Windows g, for one input channel each."""

    g: Geometry

    def convolution(self, x: np.ndarray, w: np.ndarray, b: np.ndarray | None, y: np.ndarray) -> Work:
        """y (N, G o, *out) of x (N, G, *sizes) with filters w (G o, 1, *k)."""
        filters, laid_out = _repeated(w, self.g.out[-1], y.dtype)

        def arrange(block: Block) -> list[Call]:
            return [partial(self._convolve, x, filters, b, y, block)]

        blocks, little = self._blocks(len(x), len(w), y.itemsize)
        return blocking.by_block(blocks, arrange, [laid_out], little)

    def input_gradient(self, u: np.ndarray, w: np.ndarray, x: np.ndarray) -> Work:
        """The adjoint in x: x (N, G, *sizes) of u (N, G o, *out)."""
        filters, laid_out = _repeated(w, self.g.out[-1], x.dtype)

        def arrange(block: Block) -> list[Call]:
            return [partial(self._scatter, u, filters, x, block)]

        blocks, little = self._blocks(len(u), len(w), x.itemsize, blocking.image_blocks)
        return blocking.by_block(blocks, arrange, [laid_out], little)

    def weight_gradient(self, x: np.ndarray, u: np.ndarray, w: np.ndarray, b: np.ndarray | None = None) -> Work:
        """The adjoints in w and b: w (G o, 1, *k) and b (G o,) of x (N, G, *sizes) and u (N, G o, *out)."""
        blocks, little = self._blocks(len(x), len(w), w.itemsize)
        lanes = in_lanes(list(enumerate(blocks)))
        last = np.moveaxis(w[:, 0], 0, -1)  # (*k, G o)
        terms = np.empty((len(blocks), *last.shape), w.dtype)
        sums = np.empty((len(blocks) if b is not None else 0, len(w)), w.dtype)

        def arrange(lane: int) -> list[Call]:
            calls: list[Call] = []
            for i, block in lanes[lane]:
                calls.append(partial(self._correlate, x, u, block, terms[i]))
                if b is not None:
                    calls.append(summing(u[block.images, :, block.rows], sums[i]))  # while it is in the cache
            return calls

        after: list[Call] = [partial(np.add.reduce, terms, 0, None, last)]
        if b is not None:
            after.append(summing(sums, b))
        return Work(range(len(lanes)), arrange, (), after, blocking.images_of(in_lanes(blocks)), little)

    def _convolve(self, x: np.ndarray, filters: np.ndarray, b: np.ndarray | None, y: np.ndarray, block: Block) -> None:
        part = y[block.images, :, block.rows]
        last = last_view(part)  # (n, *out, G o)
        total = last if blocking.is_last(part) else scratch("total", last.shape, y.dtype)
        width = last.shape[-2]  # of a signal, which has one axis, a block is a part
        n, place, k, c = self._labels
        np.einsum(
            self._windows(x, block, filters.shape[-1]), [n, *place, *k, c], filters[..., :width, :], [*k, place[-1], c],
            [n, *place, c], out=total,
        )  # fmt: skip
        if b is not None:
            np.add(total, b, out=total)
        if total is not last:
            blocking.copy_channels_first(part, total)

    def _correlate(self, x: np.ndarray, u: np.ndarray, block: Block, term: np.ndarray) -> None:
        ub = blocking.channels_last(u, block, blocking.pointwise(self.g.out), "gradients")  # (n, *out, G o)
        n, place, k, c = self._labels
        wide = scratch("term", (*self.g.kernel, *ub.shape[-2:]), term.dtype)  # (*k, width, G o)
        np.einsum(
            self._windows(x, block, ub.shape[-1]), [n, *place, *k, c], ub, [n, *place, c], [*k, place[-1], c], out=wide
        )
        np.add.reduce(wide, axis=-2, out=term)

    def _scatter(self, u: np.ndarray, filters: np.ndarray, x: np.ndarray, block: Block) -> None:
        """Where windows lie apart, or each channel has several filters: what each element gives is added where it falls."""
        sizes, before = x.shape[2:], tuple(pair[0] for pair in self.g.padding)
        ub = blocking.channels_last(u, block, blocking.pointwise(self.g.out), "gradients")
        total, term = scratch("total", (len(ub), *sizes, ub.shape[-1]), x.dtype), scratch("term", ub.shape, x.dtype)
        total.fill(0)
        for k, spans, places in overlaps(sizes, self.g.kernel, self.g.out, self.g.stride, before, self.g.dilation):
            np.multiply(ub, filters[k], out=term)
            into = total[(slice(None), *places[1:])]
            np.add(into, term[(slice(None), *spans[1:])], out=into)
        if ub.shape[-1] > x.shape[1]:
            each = ub.shape[-1] // x.shape[1]
            total = total.reshape(*total.shape[:-1], x.shape[1], each).sum(-1)
        blocking.copy_channels_first(x[block.images], total)

    @property
    def _labels(self) -> tuple[int, list[int], list[int], int]:
        """Of the axes, for np.einsum: images, places, elements of the kernel, channels."""
        d = len(self.g.out)
        return 0, list(range(1, d + 1)), list(range(d + 1, 2 * d + 1)), 2 * d + 1

    def _windows(self, x: np.ndarray, block: Block, channels: int) -> np.ndarray:
        """Those of a block, (n, *out, *k, G o)."""
        images = blocking.channels_last(x, block, self.g)
        if images.shape[-1] < channels:
            images = np.repeat(images, channels // images.shape[-1], axis=-1)
        out = (block.rows.stop - block.rows.start, *self.g.out[1:])
        return last_view(windows(np.moveaxis(images, -1, 1), self.g.kernel, out, self.g.stride, self.g.dilation))

    def _blocks(
        self, n: int, filters: int, itemsize: int, cut: Callable[..., list[Block]] = blocking.blocks
    ) -> tuple[list[Block], bool]:
        each = DEAR * volume(self.g.kernel) * filters
        return blocking.shared(n, self.g.out, each, filters * itemsize, BLOCK_BYTES, cut)


def _repeated(w: np.ndarray, width: int, dtype: DType) -> tuple[np.ndarray, Call]:
    """Room for w (G o, 1, *k) as (*k, width, G o), repeated along an image's row, and the call that fills it."""
    last = np.moveaxis(w[:, 0], 0, -1)[..., None, :]
    filters = np.empty((*last.shape[:-2], width, len(w)), dtype)
    return filters, partial(np.copyto, filters, last)
