"""Products with columns, a block of places at a time: columns w^T for a convolution, u^T columns for its weight gradient."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache, partial
from typing import Any, TypeAlias

import numpy as np

from .. import blocking
from ..blocking import Block, Geometry, is_last, pieces
from ..parallel.task import Call, Work
from ..parallel.threads import in_lanes
from ..sums import summing
from ..window import Sizes, last_view, volume
from .im2col import Along
from .kn2row import Sliding

FEW_CHANNELS = 8
"""Below this, runs along the image are longer than runs along the channels."""

DType: TypeAlias = "np.dtype[Any]"


@dataclass(frozen=True)
class Direct:
    """Every window laid out in full, as a row (k, c)."""

    g: Geometry
    channels: int

    @property
    def axes(self) -> Sizes:
        """The order of w's axes (O, c, *k) in which its elements meet those of a window."""
        return (0, *range(2, 2 + len(self.g.kernel)), 1)

    def filters(self, ordered: np.ndarray) -> np.ndarray:
        """(K, O)."""
        return ordered.reshape(len(ordered), -1).T

    def blocks(self, n: int, filters: int, itemsize: int) -> list[Block]:
        return blocking.blocks(n, self.g.out, volume(self.g.kernel) * self.channels * itemsize)

    def convolve(self, x: np.ndarray, block: Block, filters: np.ndarray, b: np.ndarray | None, y: np.ndarray) -> None:
        """y (n, O, *out), a block of the output, from filters (K, O)."""
        matrix = blocking.in_rows(x, block, self.g, y.dtype)  # (P, K)
        if not is_last(y):
            images = matrix.reshape(len(y), -1, len(filters)).swapaxes(1, 2)  # (n, K, P)
            np.matmul(filters.T, images, out=y.reshape(*y.shape[:2], -1))
            return
        target = last_view(y).reshape(len(matrix), -1)
        n = math.prod(pieces(len(y), len(matrix) // len(y), filters.size))
        np.matmul(matrix.reshape(n, -1, len(filters)), filters, out=target.reshape(n, -1, target.shape[1]))
        if b is not None:
            np.add(target, b, out=target)

    def correlate(self, x: np.ndarray, block: Block, u: np.ndarray, dtype: DType) -> np.ndarray:
        """u (n, O, *out), a block of the gradient, with the columns: (O, K)."""
        matrix = blocking.in_rows(x, block, self.g, dtype)  # (P, K)
        u = places(u).swapaxes(-1, -2)
        if u.ndim == 2:
            return u @ matrix  # type: ignore[no-any-return]
        terms = u @ matrix.reshape(len(u), -1, matrix.shape[1])
        return terms.sum(0) if len(u) > 1 else terms[0]  # type: ignore[no-any-return]


@lru_cache(maxsize=1024)
def layout(g: Geometry, channels: int, filters: int) -> Direct | Along | Sliding:
    """How to lay out windows of so many channels for so many filters."""
    if channels < FEW_CHANNELS:
        return Along(g, channels)
    if g.is_pointwise:
        return Direct(g, channels)
    return Sliding(g, channels) if Sliding.pays(g, channels) else Along(g, channels)


def convolution(
    how: Direct | Along | Sliding, x: np.ndarray, w: np.ndarray, b: np.ndarray | None, y: np.ndarray
) -> Work:
    """y (N, O, *out) of x (N, c, *sizes) with filters w (O, c, *k)."""
    if isinstance(how, Along | Sliding):
        return how.convolution(x, w, b, y)
    ordered = w.transpose(how.axes)
    room = np.empty(ordered.shape, y.dtype)
    filters = how.filters(room)

    def arrange(block: Block) -> list[Call]:
        return [partial(how.convolve, x, block, filters, b, y[block.images, :, block.rows])]

    return blocking.by_block(how.blocks(len(x), len(w), y.itemsize), arrange, [partial(np.copyto, room, ordered)])


def correlation(
    how: Direct | Along | Sliding, x: np.ndarray, u: np.ndarray, w: np.ndarray, b: np.ndarray | None = None
) -> Work:
    """The adjoints in w and b: w (O, c, *k) and b (O,) of x (N, c, *sizes) and u (N, O, *out)."""
    if isinstance(how, Along | Sliding):
        return how.weight_gradient(x, u, w, b)
    blocks = how.blocks(len(x), len(w), w.itemsize)
    lanes = in_lanes(list(enumerate(blocks)))
    ordered = w.transpose(how.axes)
    sums = np.empty((len(blocks) if b is not None else 0, len(w)), w.dtype)
    totals: dict[int, np.ndarray] = {}

    def add(lane: int) -> None:
        total = None
        for i, block in lanes[lane]:
            part = u[block.images, :, block.rows]
            product = how.correlate(x, block, part, w.dtype)
            if total is None:
                total = product
            else:
                total += product
            if b is not None:
                summing(part, sums[i])()  # while it is in the cache
        assert total is not None
        totals[lane] = total

    def end() -> None:
        total = totals.pop(0) if lanes else np.zeros(ordered.shape, w.dtype)
        for lane in range(1, len(lanes)):
            total += totals.pop(lane)
        ordered[...] = total.reshape(ordered.shape)
        if b is not None:
            summing(sums, b)()

    images = blocking.images_of(in_lanes(blocks))
    return Work(range(len(lanes)), lambda lane: [partial(add, lane)], [totals.clear], [end], images)


def places(u: np.ndarray) -> np.ndarray:
    """u (n, O, *out) as a matrix (P, O) where channels are adjacent, as matrices (n, P, O) where they are not."""
    if is_last(u):
        return last_view(u).reshape(-1, u.shape[1])
    return u.reshape(*u.shape[:2], -1).swapaxes(1, 2)
