"""Convolution of few channels: windows are columns, which are laid out in runs along the image.

With P places, K = c k window elements, a row of ones below the columns that meets the biases, and O filters

    (y) = (w b) (columns; 1),    (w' b') = u (columns; 1)^T,    x' = w^T u, each element added to the pixel on which it falls.

A block is some images, or some rows of one. What is arranged for a block is mostly scratch, and kept for all of its size.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple, TypeAlias

import numpy as np

from .. import blocking
from ..blocking import Block, Geometry, is_last, pieces, rows_of
from ..parallel.task import Call, Work
from ..parallel.threads import in_lanes
from ..parallel.workspace import arranged, blank, scratch
from ..window import Pairs, Sizes, interior, last_view, overlaps, volume, windows
from .col2im import Fall, Phase, fall

APART = 64
"""Bytes between the rows of a matrix: rows a large power of two apart would fall on the same few lines of the cache."""

MOST_WASTE = 2.5
"""Places for each at which a window begins: with more, most of what is computed for them is zero."""

DType: TypeAlias = "np.dtype[Any]"


class Laid(NamedTuple):
    """Room for the images of a block (c, n, *sizes), the calls that lay out their windows, and where: (K, n P)."""

    images: np.ndarray
    calls: list[Call]
    matrix: np.ndarray


class Fallen(NamedTuple):
    """Room for what falls on the images of a block: u as matrices (n, O, P) and as it is, what the filters make of it
    (n, K, P), the zeros before that, the sums (c, n, *places), and for each phase what is summed."""

    gradients: np.ndarray
    inside: np.ndarray
    products: np.ndarray
    zero: Call
    pixels: np.ndarray
    sums: list[tuple[Phase, Call]]


@dataclass(frozen=True)
class Along:
    """Windows g of so many channels."""

    g: Geometry
    channels: int

    @property
    def elements(self) -> int:
        """Numbers in a window."""
        return volume(self.g.kernel) * self.channels

    def convolution(self, x: np.ndarray, w: np.ndarray, b: np.ndarray | None, y: np.ndarray) -> Work:
        """y (N, O, *out) of x (N, c, *sizes) with filters w (O, c, *k)."""
        k, o, last = self.elements, len(w), is_last(y)
        filters = np.empty((o, k + (b is not None)), y.dtype)
        before: list[Call] = [partial(np.copyto, filters[:, :k].reshape(w.shape), w)]
        if b is not None:
            before.append(partial(np.copyto, filters[:, k], b))

        def arrange(block: Block) -> list[Call]:
            laid, fill = self._columns(x, block, y.dtype, b is not None)
            part = y[block.images, :, block.rows]
            if last:
                cut = pieces(len(part), volume(part.shape[2:]), filters.size)
                images = laid.matrix.reshape(len(laid.matrix), *cut, -1).transpose(1, 2, 3, 0)  # (n, m, P, K)
                product = partial(np.matmul, images, filters.T, last_view(part).reshape(*cut, -1, o))
            else:
                whole = laid.matrix.reshape(len(laid.matrix), len(part), -1).swapaxes(0, 1)  # (n, K, P)
                product = partial(np.matmul, filters, whole, part.reshape(len(part), o, -1))
            return [fill, *laid.calls, product]

        blocks, little = self._blocks(len(x), o, k * y.itemsize)
        return blocking.by_block(blocks, arrange, before, little)

    def weight_gradient(self, x: np.ndarray, u: np.ndarray, w: np.ndarray, b: np.ndarray | None = None) -> Work:
        """The adjoints in w and b: w (O, c, *k) and b (O,) of x (N, c, *sizes) and u (N, O, *out)."""
        k, o, last, ones = self.elements, len(w), is_last(u), b is not None
        blocks, little = self._blocks(len(x), o, k * w.itemsize)
        lanes = in_lanes(blocks)
        totals = np.empty((max(1, len(lanes)), k + ones, o), w.dtype)

        def arrange(lane: int) -> list[Call]:
            calls: list[Call] = []
            for block in lanes[lane]:
                laid, fill = self._columns(x, block, w.dtype, ones)
                part = u[block.images, :, block.rows]
                n, m = pieces(len(part), volume(part.shape[2:]), totals[0].size)
                cut = (n if last else len(part), m)
                places, ready = _places(part, w.dtype, cut, last)  # (n, m, P, O)
                images = laid.matrix.reshape(len(laid.matrix), *cut, -1).transpose(1, 2, 0, 3)  # (n, m, K, P)
                terms = scratch("terms", (*cut, *totals.shape[1:]), w.dtype)
                calls += [fill, *laid.calls, *ready, partial(np.matmul, images, places, terms)]
                if block is lanes[lane][0]:
                    calls.append(partial(np.add.reduce, terms, (0, 1), None, totals[lane]))
                else:
                    term = scratch("term", totals.shape[1:], w.dtype)
                    calls.append(partial(np.add.reduce, terms, (0, 1), None, term))
                    calls.append(partial(np.add, totals[lane], term, totals[lane]))
            return calls

        after: list[Call] = [partial(np.add, totals[0], total, totals[0]) for total in totals[1:]]
        if not lanes:
            after.append(partial(totals.fill, 0))
        whole = totals[0].T  # (O, K)
        after.append(partial(np.copyto, w, whole[:, :k].reshape(w.shape)))
        if b is not None:
            after.append(partial(np.copyto, b, whole[:, k]))
        return Work(range(len(lanes)), arrange, (), after, blocking.images_of(lanes), little)

    def input_gradient(self, u: np.ndarray, w: np.ndarray, x: np.ndarray) -> Work:
        """The adjoint in x: x (N, c, *sizes) of u (N, O, *out)."""
        k, last = self.elements, is_last(u)
        filters = np.empty((self.channels, *self.g.kernel, len(w)), x.dtype)
        before = [partial(np.copyto, filters, np.moveaxis(w, 0, -1))]
        place = (k + len(w)) * x.itemsize
        _, cuts = blocking.cut(self.g.out, place)
        falls = [fall(self.g, x.shape[2:], cut.start, cut.stop) for cut in cuts]
        if any(how.waste > MOST_WASTE for how in falls):
            return self._by_place(u, w, x)
        whole = len(falls) == 1 and falls[0].covers

        def arrange(block: Block) -> list[Call]:
            part = x[block.images].swapaxes(0, 1)  # (c, n, *sizes)
            calls: list[Call] = [] if whole else [partial(part.fill, 0)]
            for cut, how in zip(cuts, falls, strict=True):
                piece = u[block.images, :, cut]
                key = "fall", self, how.pitch, piece.shape, x.shape[2:], cut.start, x.dtype, last
                room = arranged(key, partial(self._fallen, how, piece.shape, x.dtype, last))
                calls.append(partial(np.copyto, room.inside, last_view(piece) if last else piece))
                calls.append(room.zero)
                calls.append(partial(np.matmul, filters.reshape(k, -1), room.gradients, room.products))
                for phase, add_up in room.sums:
                    to, source = part[phase.pixels], room.pixels[phase.places]
                    calls.append(add_up)
                    calls.append(partial(np.copyto, to, source) if whole else partial(np.add, to, source, to))
            return calls

        blocks, little = self._blocks(len(u), len(w), place, blocking.image_blocks)
        return blocking.by_block(blocks, arrange, before, little)

    def _by_place(self, u: np.ndarray, w: np.ndarray, x: np.ndarray) -> Work:
        """:meth:`input_gradient` where windows are larger than the grid of their places: they are added one by one."""
        g, k, last = self.g, self.elements, is_last(u)
        filters = np.empty((len(w), self.channels, *g.kernel), x.dtype)
        place = (k + len(w)) * x.itemsize
        before = tuple(pair[0] for pair in g.padding)
        # Element i of the window at place p is at p stride + i dilation: both are steps along the image.
        found = list(overlaps(x.shape[2:], g.out, g.kernel, g.dilation, before, g.stride))

        def arrange(block: Block) -> list[Call]:
            part, piece = x[block.images], u[block.images]
            rows, ready = _places(piece, x.dtype, (len(piece), 1), last)  # (n, 1, P, O)
            windows = scratch("columns", (len(piece), 1, volume(g.out), k), x.dtype)
            by_place = np.moveaxis(windows.reshape(len(piece), *g.out, self.channels, *g.kernel), 0, len(g.out))
            product = partial(np.matmul, rows, filters.reshape(len(w), k), windows)
            calls: list[Call] = [*ready, partial(part.fill, 0), product]
            for p, elements, pixels in found:
                calls.append(partial(np.add, part[pixels], by_place[p][elements], part[pixels]))
            return calls

        blocks, little = self._blocks(len(u), len(w), place, blocking.image_blocks)
        return blocking.by_block(blocks, arrange, [partial(np.copyto, filters, w)], little)

    def _blocks(
        self, n: int, filters: int, place: int, cut: Callable[..., list[Block]] = blocking.blocks
    ) -> tuple[list[Block], bool]:
        """Blocks of places of so many bytes, and whether they are little work."""
        return blocking.shared(n, self.g.out, self.elements * filters, place, cut=cut)

    def _columns(self, x: np.ndarray, block: Block, dtype: DType, ones: bool) -> tuple[Laid, Call]:
        """Room for a block of x, with a row of ones below the columns if asked for, and the call that fills it."""
        images, padding = rows_of(x, block, self.g)
        first = images.swapaxes(0, 1)  # (c, n, *sizes)
        out = (block.rows.stop - block.rows.start, *self.g.out[1:])
        key = "along", self, first.shape, padding, out, dtype, ones
        laid = arranged(key, partial(self._laid, first.shape, padding, out, dtype, ones))
        return laid, partial(np.copyto, laid.images, first)

    def _laid(self, shape: Sizes, padding: Pairs, out: Sizes, dtype: DType, ones: bool) -> Laid:
        sizes = (n + before + after for n, (before, after) in zip(shape[2:], padding, strict=True))
        padded = blank(("along", shape, padding, dtype), (*shape[:2], *sizes), dtype)
        view, d = windows(padded, self.g.kernel, out, self.g.stride, self.g.dilation), len(out)
        view = view.transpose(0, *range(2 + d, view.ndim), 1, *range(2, 2 + d))  # (c, *k, n, *out)
        k, places = self.elements, shape[1] * volume(out)
        matrix = scratch("columns", (k + ones, places + APART // dtype.itemsize), dtype)[:, :places]
        calls: list[Call] = [partial(np.copyto, matrix[:k].reshape(view.shape), view)]
        if ones:
            calls.append(partial(matrix[k].fill, 1))
        return Laid(padded[interior(shape[2:], padding)], calls, matrix)

    def _fallen(self, how: Fall, shape: Sizes, dtype: DType, last: bool) -> Fallen:
        """Room for u of a shape (n, O, *out)."""
        n, o, *out = shape
        k, p = self.elements, volume(how.pitch)
        size = (n, *how.pitch, o) if last else (n, o, *how.pitch)
        spread = blank(("fall", size, tuple(out), dtype, last), size, dtype)  # (n, P, O) or (n, O, P), zeros between
        inside = spread[(slice(None),) * (1 if last else 2) + tuple(slice(0, m) for m in out)]
        gradients = spread.reshape(n, -1, o).swapaxes(1, 2) if last else spread.reshape(n, o, -1)
        lead = how.lead + -how.lead % 16
        values = scratch("columns", (k, lead + n * p), dtype)
        products = values[:, lead:].reshape(k, n, p).swapaxes(0, 1)
        total = scratch("total", (self.channels, n * p), dtype)
        sums: list[tuple[Phase, Call]] = []
        for phase in how.phases:
            terms = phase.terms(values, self.g.kernel, lead)  # (*k, c, n P)
            sums.append((phase, partial(np.add.reduce, terms, phase.axes, None, total)))
        zero = partial(values[:, :lead].fill, 0)
        return Fallen(gradients, inside, products, zero, total.reshape(self.channels, n, *how.pitch), sums)


def _places(u: np.ndarray, dtype: DType, cut: tuple[int, int], last: bool) -> tuple[np.ndarray, list[Call]]:
    """u (images, O, *out) as matrices (*cut, P, O), whether channels are `last` in memory or not, and the calls that lay it out
    if it does not lie so."""
    order = (0, 1, 2, 3) if last else (0, 2, 3, 1)
    u = last_view(u) if last else u
    shape = (*cut, -1, u.shape[-1]) if last else (cut[0], u.shape[1], cut[1], -1)
    flat = u.reshape(shape)
    if u.dtype == dtype and np.may_share_memory(flat, u):
        return flat.transpose(order), []
    room = scratch("gradients", u.shape, dtype)
    return room.reshape(shape).transpose(order), [partial(np.copyto, room, u)]
