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
from ..window import Pairs, Sizes, interior, last_view, volume, windows

APART = 64
"""Bytes between the rows of a matrix: rows a large power of two apart would fall on the same few lines of the cache."""

DType: TypeAlias = "np.dtype[Any]"


class Laid(NamedTuple):
    """Room for the images of a block (c, n, *sizes), the calls that lay out their windows, and where: (K, n P)."""

    images: np.ndarray
    calls: list[Call]
    matrix: np.ndarray


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
        g, k, o = self.g, self.elements, len(w)
        filters = np.empty((self.channels, *g.kernel, o), x.dtype)
        place = (k + o) * x.itemsize
        _, cuts = blocking.cut(g.out, place)
        axes = list(zip(x.shape[2:], *g, strict=True))
        pitch = tuple(max(out + (k - 1) * d // s, -(-(n + p) // s)) for n, k, out, s, (p, _), d in axes)

        def arrange(block: Block) -> list[Call]:
            images = x[block.images].swapaxes(0, 1)  # (c, n, *sizes)
            n = images.shape[1]
            total = scratch("total", (*g.stride, self.channels, n, *pitch), x.dtype)
            flat = total.reshape(*g.stride, self.channels, -1)
            steps = [volume(pitch[i+1:]) for i in range(len(pitch))]
            calls: list[Call] = [partial(total.fill, 0)]
            for rows in cuts:
                part = u[block.images, :, rows]
                size = n, *((pitch[0],) if len(cuts) == 1 else part.shape[2:3]), *pitch[1:]
                many = volume(size)
                memory = blank(("fall", self, size, part.shape), (k, many + APART // x.itemsize), x.dtype)[:, :many]
                values = memory.reshape(k, *size)[(slice(None), slice(None), *(slice(0, m) for m in part.shape[2:]))]
                calls.append(partial(np.matmul, filters.reshape(k, o), np.moveaxis(part, 1, -2), np.moveaxis(values, 0, -2)))
                for element, e in zip(memory.reshape(self.channels, -1, many).swapaxes(0, 1) , np.ndindex(*g.kernel)):
                    shifts = [divmod(i * d, s) for i, d, s in zip(e, g.dilation, g.stride, strict=True)]
                    offset = rows.start * steps[0] + sum(q * step for (q, _), step in zip(shifts, steps, strict=True))
                    to = flat[(*(r for _, r in shifts), slice(None), slice(offset, offset + many))]
                    calls.append(partial(np.add, to, element[:, :to.shape[1]], to))
            for r in np.ndindex(*g.stride):
                where = []
                for (m, _, _, s, (p, _), _), t in zip(axes, r, strict=True):
                    f = max(0, -((t - p) // s))
                    start = t + f * s - p
                    count = max(0, -(-(m - start) // s))
                    where.append((slice(start, start + count * s, s), slice(f, f + count)))
                calls.append(partial(np.copyto, images[(..., *(a for a, _ in where))], total[(*r, ..., *(b for _, b in where))]))
            return calls

        blocks, little = self._blocks(len(u), len(w), place, blocking.image_blocks)
        return blocking.by_block(blocks, arrange, [partial(np.copyto, filters, np.moveaxis(w, 0, -1))], little)

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
