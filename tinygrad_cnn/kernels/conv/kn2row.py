"""Convolution with nothing laid out: windows are rows of matrices in the image itself, and products are added up by BLAS.

With channels last in memory, the k pixels that a window covers along the last axis are one run of k c numbers, and the windows
that begin at every k-th pixel are the rows of a matrix. So k such matrices, shifted by a pixel each, are all windows of a row,
across the seams of rows too: what is computed there is dropped. Along the other axes windows are a sum, one product for each
element, which lies a fixed number of pixels further on. With A the windows, W one element's filters and U the grid of all
places, each product is

    U += A W  for a convolution,    A += U W^T  for its adjoint in x,    W += A^T U  for that in w.

A stride s along the last axis lets windows begin at every s-th pixel; along another axis the rows are sorted by their
remainder. Images are copied once, between zeros and row beside row, if there is padding: see lattice.py. Adding up what
single pixels give is kn2row: Vasudevan, Anderson and Gregg, "Parallel multi channel convolution using general matrix
multiplication", arXiv:1704.04428.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache, partial
from typing import Any

import numpy as np

from .. import blocking
from ..blas import Matrix, Products, Term
from ..blocking import Block, Geometry
from ..parallel.task import Call, Work
from ..parallel.threads import in_lanes
from ..parallel.workspace import blank, scratch
from ..sums import summing
from ..window import Pairs, Sizes, last_view, volume
from .kn2row_layout import Lattice, lattice

BLOCK_BYTES = 5 << 18
"""Size of the larger of image and grid, for the places that are computed at a time: few calls, and both stay in a third-level
cache."""

FEW_MULTIPLICATIONS = 6144
"""For each place and element of the filters: with more it is the products that take the time, and those of strips are wider."""

LEAST_RUN, LONG_RUN = 9, 512
"""Numbers in a row of a matrix: shorter ones are no work for BLAS; longer ones it cuts, and adds the pieces up."""

MOST_WASTE, LITTLE_WASTE = 1.5, 1.1
"""Places for each that is wanted: on small images, or without padding, there are many seams between them. Little of it costs
less than what strips copy, however many multiplications there are."""

DType = np.dtype[Any]


@lru_cache(maxsize=256)
def _products(kind: str, how: Lattice, channels: int, filters: int, dtype: DType) -> Products:
    """The products of a convolution ("y"), of its adjoint in x ("x"), or of that in w ("w")."""
    stride, k = how.axes[-1].stride, how.run * channels
    shifts = -(-how.run // stride)  # so that the rows of a matrix do not overlap

    terms, places = [], how.places
    for e, (part, offset) in enumerate(how.elements):
        for first in range(min(shifts, places)):
            m = -(-(places - first) // shifts)
            pixel = part * how.pixels + first * stride + offset
            a = Matrix(m, k, pixel * channels, shifts * stride * channels)
            u = Matrix(m, filters, first * filters, shifts * filters)
            w = Matrix(k, filters, e * k * filters, filters)
            if kind == "y":
                terms.append(Term(a, w, u, adds=e > 0))
            elif kind == "x":
                terms.append(Term(u, w.transposed, a, adds=True))
            else:
                terms.append(Term(a.transposed, u, w, adds=first > 0))
    return Products(terms, dtype)


@dataclass(frozen=True)
class Sliding:
    """Windows g of so many channels."""

    g: Geometry
    channels: int

    @staticmethod
    def pays(g: Geometry, channels: int) -> bool:
        """Whether this is faster than windows that are laid out."""
        run = g.kernel[-1] * channels
        if run < LEAST_RUN or (g.dilation[-1] > 1 and g.kernel[-1] > 1):
            return False
        axes = zip(*g, strict=True)
        sizes = tuple((out - 1) * s + (k - 1) * d + 1 - before - after for k, out, s, (before, after), d in axes)
        return Lattice(1, sizes, g, False).waste <= MOST_WASTE

    def convolution(self, x: np.ndarray, w: np.ndarray, b: np.ndarray | None, y: np.ndarray) -> Work:
        """y (N, O, *out) of x (N, c, *sizes) with filters w (O, c, *k)."""
        filters, laid_out = self._filters(w, y.dtype)
        before, bias = [laid_out], None
        if b is not None:
            bias = np.empty((y.shape[-1], len(w)), y.dtype)  # repeated, so that runs are long
            before.append(partial(np.copyto, bias, b))

        def arrange(block: Block) -> list[Call]:
            how, image, filled = self._image(x, block, y.dtype)
            grid, wanted = _grid(how, len(w), y.dtype)
            part = y[block.images, :, block.rows]
            products = _products("y", how, self.channels, len(w), y.dtype).on(image, filters, grid)
            if bias is None:
                return [*filled, products, partial(blocking.copy_channels_first, part, wanted)]
            repeated = bias[: part.shape[-1]]  # of a signal, which has one axis, a block is a part
            return [*filled, products, partial(np.add, wanted, repeated, last_view(part))]

        blocks, little = self._blocks(len(x), len(w), y.itemsize)
        return blocking.by_block(blocks, arrange, before, little)

    def input_gradient(self, u: np.ndarray, w: np.ndarray, x: np.ndarray) -> Work:
        """The adjoint in x: x (N, c, *sizes) of u (N, O, *out)."""
        filters, laid_out = self._filters(w, x.dtype)

        def arrange(block: Block) -> list[Call]:
            part = x[block.images]
            how = lattice(len(part), x.shape[2:], self.g, False)
            image = scratch("image", self._length(how), x.dtype)
            grid, spread = _spread(how, u[block.images], x.dtype)
            calls: list[Call] = [*spread, partial(image.fill, 0)]
            calls.append(_products("x", how, self.channels, len(w), x.dtype).on(grid, filters, image))
            if not how.covers:
                calls.append(partial(part.fill, 0))
            for each, pixels in zip(how.parts, self._parts(how, image), strict=True):
                calls.append(partial(blocking.copy_channels_first, part[each.source], pixels[each.target]))
            return calls

        blocks, little = self._blocks(len(x), len(w), x.itemsize, blocking.image_blocks)
        return blocking.by_block(blocks, arrange, [laid_out], little)

    def weight_gradient(self, x: np.ndarray, u: np.ndarray, w: np.ndarray, b: np.ndarray | None = None) -> Work:
        """The adjoints in w and b: w (O, c, *k) and b (O,) of x (N, c, *sizes) and u (N, O, *out)."""
        blocks, little = self._blocks(len(x), len(w), w.itemsize)
        lanes = in_lanes(list(enumerate(blocks)))
        totals = np.empty((max(1, len(lanes)), w.size), w.dtype)
        sums = np.empty((len(blocks) if b is not None else 0, len(w)), w.dtype)

        def arrange(lane: int) -> list[Call]:
            calls: list[Call] = []
            for i, block in lanes[lane]:
                part = u[block.images, :, block.rows]
                how, image, filled = self._image(x, block, w.dtype)
                grid, spread = _spread(how, part, w.dtype)
                first = i == lanes[lane][0][0]
                term = totals[lane] if first else scratch("term", (w.size,), w.dtype)
                products = _products("w", how, self.channels, len(w), w.dtype).on(image, grid, term)
                calls += [*filled, *spread, products]
                if not first:
                    calls.append(partial(np.add, totals[lane], term, totals[lane]))
                if b is not None:
                    calls.append(summing(part, sums[i]))
            return calls

        after: list[Call] = [partial(np.add, totals[0], total, totals[0]) for total in totals[1:]]
        if not lanes:
            after.append(partial(totals.fill, 0))
        ordered = w.transpose(self._axes)
        after.append(partial(np.copyto, ordered, totals[0].reshape(ordered.shape)))
        if b is not None:
            after.append(summing(sums, b))
        return Work(range(len(lanes)), arrange, (), after, blocking.images_of(in_lanes(blocks)), little)

    @property
    def _axes(self) -> Sizes:
        """The order of w's axes (O, c, *k) in which its elements are met: (*k, c, O)."""
        return (*range(2, 2 + len(self.g.kernel)), 1, 0)

    def _filters(self, w: np.ndarray, dtype: DType) -> tuple[np.ndarray, Call]:
        """Room for w (O, c, *k) as (*k, c, O), and the call that lays it out."""
        ordered = w.transpose(self._axes)
        filters = np.empty(ordered.shape, dtype)
        return filters, partial(np.copyto, filters, ordered)

    def _blocks(
        self, n: int, filters: int, itemsize: int, cut: Callable[..., list[Block]] = blocking.blocks
    ) -> tuple[list[Block], bool]:
        each = volume(self.g.kernel) * self.channels * filters
        return blocking.shared(n, self.g.out, each, self._place(filters) * itemsize, BLOCK_BYTES, cut)

    def _place(self, filters: int) -> int:
        """Numbers in the larger of image and grid for each place."""
        return max(self.channels * volume(self.g.stride), filters)

    def _image(self, x: np.ndarray, block: Block, dtype: DType) -> tuple[Lattice, np.ndarray, list[Call]]:
        """The pixels that the windows of a block meet, x's own or scratch, and the calls that fill it."""
        images, padding = blocking.rows_of(x, block, self.g)
        rows = block.rows.stop - block.rows.start
        g = self.g._replace(out=(rows, *self.g.out[1:]), padding=padding)
        last = last_view(images)
        if self._serves(last, padding, dtype):
            return lattice(len(last), images.shape[2:], g, True), last, []
        how = lattice(len(last), images.shape[2:], g, False)
        image = blank((how, self.channels, dtype), self._length(how), dtype)  # zero but for what is copied here
        calls: list[Call] = []
        for part, pixels in zip(how.parts, self._parts(how, image), strict=True):
            calls.append(partial(blocking.copy_channels_last, pixels[part.target], images[part.source]))
        return how, image, calls

    def _serves(self, last: np.ndarray, padding: Pairs, dtype: DType) -> bool:
        """Whether images (n, *sizes, c) can be used as they lie."""
        return (
            last.dtype == dtype
            and last.flags.c_contiguous
            and not any(map(any, padding))
            and all(s == 1 for s in self.g.stride[:-1])
            and last.shape[-2] % self.g.stride[-1] == 0
        )

    def _length(self, how: Lattice) -> tuple[int]:
        """Numbers in the pixels of all parts."""
        return (len(how.parts) * how.pixels * self.channels,)

    def _parts(self, how: Lattice, image: np.ndarray) -> list[np.ndarray]:
        """The parts of an image as (n, *pitches, c)."""
        size, step = volume(how.image) * self.channels, how.pixels * self.channels
        return [how.by_image(image[i * step : i * step + size].reshape(*how.image, -1)) for i in range(len(how.parts))]


def _grid(how: Lattice, filters: int, dtype: DType) -> tuple[np.ndarray, np.ndarray]:
    """Scratch for all places, and a view of those that are wanted, (n, *out, O)."""
    memory = scratch("grid", (*how.grid, filters), dtype)
    return memory, how.by_image(memory)[how.wanted]


def _spread(how: Lattice, u: np.ndarray, dtype: DType) -> tuple[np.ndarray, list[Call]]:
    """Room for all places, and the call that puts u (n, O, *out) on those that are wanted; there are zeros between them."""
    filters = u.shape[1]
    memory = blank((how, "grid", filters, dtype), (*how.grid, filters), dtype)
    return memory, [partial(blocking.copy_channels_last, how.by_image(memory)[how.wanted], u)]
