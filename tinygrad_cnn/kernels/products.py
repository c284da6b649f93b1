"""Products with columns, a block of places at a time: columns w^T for a convolution, u^T columns for its weight gradient."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Any, TypeAlias

import numpy as np

from . import columns
from .columns import Block, Geometry, is_last
from .scratch import scratch
from .sliding import Sliding
from .strips import Strips
from .window import Sizes, last_view, volume

FEW_CHANNELS = 8
"""Below this, runs along the image are longer than runs along the channels."""

UNCOPIED = 1_000_000
"""Multiplications up to which OpenBLAS multiplies matrices where they lie, which is faster for narrow ones."""

NARROW = 16
"""With so many filters few channels, too, are so few multiplications that laying out windows takes longer."""

DType: TypeAlias = "np.dtype[Any]"


@dataclass(frozen=True)
class Direct:
    """Every window laid out in full: as rows (k, c) for many channels, along the image (c, k) for few."""

    g: Geometry
    channels: int
    rows: bool

    @property
    def axes(self) -> Sizes:
        """The order of w's axes (O, c, *k) in which its elements meet those of a window."""
        spatial = range(2, 2 + len(self.g.kernel))
        return (0, *spatial, 1) if self.rows else (0, 1, *spatial)

    def filters(self, w: np.ndarray, dtype: DType) -> np.ndarray:
        """(K, O)."""
        return w.transpose(self.axes).reshape(len(w), -1).astype(dtype, copy=False).T

    def blocks(self, n: int, filters: int, itemsize: int) -> list[Block]:
        whole = volume(self.g.kernel) * self.channels * itemsize
        return columns.blocks(
            n, self.g.out, whole if self.rows else whole // 2
        )  # what lies along the image is read in long runs

    def convolve(self, x: np.ndarray, block: Block, filters: np.ndarray, b: np.ndarray | None, y: np.ndarray) -> None:
        """y (n, O, *out), a block of the output, from filters (K, O)."""
        if b is not None and not self.rows and is_last(y):  # the bias is one more element of each filter
            matrix, filters, b = (
                self._columns(x, block, y.dtype, ones=True),
                np.concatenate((filters, b[None]), dtype=y.dtype),
                None,
            )
        else:
            matrix = self._columns(x, block, y.dtype)
        if is_last(y):
            target = last_view(y).reshape(len(matrix), -1)
            n = len(y) if filters.size * len(matrix) <= UNCOPIED * len(y) else 1  # an image at a time, or all at once
            np.matmul(matrix.reshape(n, -1, len(filters)), filters, out=target.reshape(n, -1, target.shape[1]))
            if b is not None:
                np.add(target, b, out=target)
        else:
            images = matrix.reshape(len(y), -1, len(filters)).swapaxes(1, 2)  # (n, K, P)
            np.matmul(filters.T, images, out=y.reshape(*y.shape[:2], -1))

    def correlate(self, x: np.ndarray, block: Block, u: np.ndarray, dtype: DType) -> np.ndarray:
        """u (n, O, *out), a block of the gradient, with the columns: (O, K)."""
        matrix = self._columns(x, block, dtype)
        u = places(u).swapaxes(-1, -2)
        if u.ndim == 2:
            return u @ matrix  # type: ignore[no-any-return]
        terms = u @ matrix.reshape(len(u), -1, matrix.shape[1])
        return terms.sum(0) if len(u) > 1 else terms[0]  # type: ignore[no-any-return]

    def _columns(self, x: np.ndarray, block: Block, dtype: DType, ones: bool = False) -> np.ndarray:
        """(P, K)."""
        if self.rows:
            return columns.in_rows(x, block, self.g, dtype)
        return columns.along_image(x, block, self.g, dtype, ones).T


@dataclass(frozen=True)
class Shifted:
    """Only what shifts along the last axis leave to copy: a grid of places, in k matrices shifted by one place each."""

    g: Geometry
    inner: Geometry
    channels: int

    @property
    def axes(self) -> Sizes:
        """The order of w's axes (O, c, *k) in which its elements meet those of a window."""
        last = 1 + len(self.g.kernel)
        return (0, last, *range(2, last), 1)

    def filters(self, w: np.ndarray, dtype: DType) -> np.ndarray:
        """(K, O)."""
        return w.transpose(self.axes).reshape(len(w), -1).astype(dtype, copy=False).T

    def blocks(self, n: int, filters: int, itemsize: int) -> list[Block]:
        return columns.blocks(n, self.inner.out, volume(self.inner.kernel) * self.channels * itemsize)

    def convolve(self, x: np.ndarray, block: Block, filters: np.ndarray, b: np.ndarray | None, y: np.ndarray) -> None:
        """y (n, O, *out), a block of the output, from filters (K, O)."""
        matrices = columns.shifted(x, block, self.g, self.inner, y.dtype)
        grid = self._grid(matrices, y)
        for r, matrix in enumerate(matrices):
            np.matmul(matrix, filters, out=grid[:, r])
        last, wanted = last_view(y), self._wanted(grid, y)
        if b is not None:
            np.add(wanted, np.broadcast_to(b, wanted.shape[-2:]).copy(), out=last)
        else:
            columns.copy_channels_first(y, wanted)

    def correlate(self, x: np.ndarray, block: Block, u: np.ndarray, dtype: DType) -> np.ndarray:
        """u (n, O, *out), a block of the gradient, with the columns: (O, K)."""
        matrices = columns.shifted(x, block, self.g, self.inner, dtype)
        grid = self._grid(matrices, u)
        grid[...] = 0
        columns.copy_channels_last(self._wanted(grid, u), u)
        total: np.ndarray = grid[:, 0].T @ matrices[0]
        for r in range(1, len(matrices)):
            total += grid[:, r].T @ matrices[r]
        return total

    def _grid(self, matrices: list[np.ndarray], y: np.ndarray) -> np.ndarray:
        """Room for y in the order of the matrices: (M, k, O)."""
        return scratch("grid", (len(matrices[0]), len(matrices), y.shape[1]), matrices[0].dtype)

    def _wanted(self, grid: np.ndarray, y: np.ndarray) -> np.ndarray:
        """The places of a grid that are windows, (n, *out, O) as of y."""
        shape = (len(y), *y.shape[2:-1], self.inner.out[-1])
        whole = grid.reshape(-1, y.shape[1])[: volume(shape)].reshape(*shape, y.shape[1])
        return whole[..., : y.shape[-1], :]


@lru_cache(maxsize=1024)
def layout(g: Geometry, channels: int, filters: int, least: int = FEW_CHANNELS) -> Direct | Shifted | Strips | Sliding:
    """How to lay out windows of so many channels for so many filters: along the image if there are less than `least`."""
    if (channels >= least or filters <= NARROW) and not g.is_pointwise and Sliding.pays(g, channels, filters):
        return Sliding(g, channels)
    if channels < FEW_CHANNELS:
        return Direct(g, channels, rows=False)
    strips = Strips.on(g, channels)
    if strips is not None:
        return strips
    inner = columns.shifting(g)
    return Direct(g, channels, rows=True) if inner is None else Shifted(g, inner, channels)


def places(u: np.ndarray) -> np.ndarray:
    """u (n, O, *out) as a matrix (P, O) where channels are adjacent, as matrices (n, P, O) where they are not."""
    if is_last(u):
        return last_view(u).reshape(-1, u.shape[1])
    return u.reshape(*u.shape[:2], -1).swapaxes(1, 2)
