"""Convolution by strips: windows laid out along all axes but the last, one pixel wide there. Each meets all elements that
the filters have along the last axis, k of them, and the product of a whole window is a sum of k such, each from the next strip.

This is half way between laying out whole windows (im2row) and adding up what single pixels give (kn2row: Vasudevan, Anderson
and Gregg, "Parallel multi channel convolution using general matrix multiplication", arXiv:1704.04428). With windows of k k it
copies k times and adds k times where these do k k times one or the other, and the matrices are k times as wide as theirs.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Any, NamedTuple

import numpy as np

from ...ops.windows import Pairs, Sizes, last_view, overlaps, volume
from .. import blocking
from ..blocking import Block, Geometry, is_last
from ..parallel.workspace import scratch

LEAST_BYTES, MOST_BYTES = 1 << 20, 1 << 21
"""Size of the strips, or of their products, that are computed at a time: an eighth of all, within these limits."""

LEAST_CHANNELS, LEAST_WIDTH = 16, 6
"""With fewer channels a strip is too few multiplications for what it copies and adds, and narrow images are mostly edge."""


@dataclass(frozen=True)
class Strips:
    """Strips of windows g, themselves windows `inner` of as many channels."""

    g: Geometry
    inner: Geometry
    channels: int

    @classmethod
    def on(cls, g: Geometry, channels: int) -> Strips | None:
        """The strips of windows g, or None where they do not pay."""
        k, d, (before, after) = g.kernel[-1], g.dilation[-1], g.padding[-1]
        width = g.out[-1] + d * (k - 1) - before - after  # of the image
        if len(g.out) == 1 or k == 1 or g.stride[-1] != 1 or not 1 <= width <= g.out[-1]:
            return None
        if channels < LEAST_CHANNELS or g.out[-1] < LEAST_WIDTH:
            return None
        kernel, out, stride, padding, dilation = (side[:-1] for side in g)
        inner = Geometry((*kernel, 1), (*out, width), (*stride, 1), (*padding, (0, 0)), (*dilation, 1))
        return cls(g, inner, channels)

    @property
    def axes(self) -> Sizes:
        """The order of w's axes (O, c, *k', k) in which its elements meet the strips."""
        last = 1 + len(self.g.kernel)
        return (*range(2, last), 1, last, 0)

    def filters(self, ordered: np.ndarray) -> np.ndarray:
        """(k' c, k O)."""
        return ordered.reshape(-1, ordered.shape[-2] * ordered.shape[-1])

    def blocks(self, n: int, filters: int, itemsize: int) -> list[Block]:
        widest = max(volume(self.inner.kernel) * self.channels, self.g.kernel[-1] * filters)
        whole = n * volume(self.inner.out) * widest * itemsize
        return blocking.blocks(n, self.inner.out, widest * itemsize, min(max(whole // 8, LEAST_BYTES), MOST_BYTES))

    def convolve(self, x: np.ndarray, block: Block, filters: np.ndarray, b: np.ndarray | None, y: np.ndarray) -> None:
        """y (n, O, *out), a block of the output, from filters (k' c, k O)."""
        matrix = _laid_out(x, block, self.inner, y.dtype)  # (M, k' c)
        terms = self._terms(y, y.dtype)  # (n, *out', width, k, O)
        np.matmul(matrix, filters, out=terms.reshape(len(matrix), -1))
        last = last_view(y)
        total = last if is_last(y) else scratch("total", last.shape, y.dtype)
        first, *others = self._shifts
        if b is None:
            total[first.wanted] = terms[first.places]
        else:
            np.add(terms[first.places], b, out=total[first.wanted])
        for alone in first.unwanted:
            total[alone] = 0 if b is None else b
        for shift in others:
            np.add(total[shift.wanted], terms[shift.places], out=total[shift.wanted])
        if total is not last:
            blocking.copy_channels_first(y, total)

    def correlate(self, x: np.ndarray, block: Block, u: np.ndarray, dtype: np.dtype[Any]) -> np.ndarray:
        """The strips with u (n, O, *out), a block of the gradient: (k' c, k O)."""
        matrix = _laid_out(x, block, self.inner, dtype)  # (M, k' c)
        terms = self._terms(u, dtype)  # (n, *out', width, k, O)
        last = last_view(u)
        if not is_last(u):
            last = scratch("gradients", last.shape, dtype)
            blocking.copy_channels_last(last, u)
        for shift in self._shifts:
            terms[shift.places] = last[shift.wanted]
            for nowhere in shift.unplaced:
                terms[nowhere] = 0
        return matrix.T @ terms.reshape(len(matrix), -1)  # type: ignore[no-any-return]

    def _terms(self, y: np.ndarray, dtype: np.dtype[Any]) -> np.ndarray:
        """Room for the products of strips and filters, (n, *out', width, k, O)."""
        return scratch("terms", (len(y), *y.shape[2:-1], self.inner.out[-1], self.g.kernel[-1], y.shape[1]), dtype)

    @cached_property
    def _shifts(self) -> list[Shift]:
        g, width, out = self.g, self.inner.out[-1], self.g.out[-1]
        shifts = []
        for (i,), (_, wanted), (_, places) in overlaps(
            (width,), g.kernel[-1:], (out,), (1,), (g.padding[-1][0],), g.dilation[-1:]
        ):
            unwanted = [(..., *span, slice(None)) for span in _outside((wanted,), (out,))]
            unplaced = [(..., *span, i, slice(None)) for span in _outside((places,), (width,))]
            shifts.append(Shift((..., wanted, slice(None)), (..., places, i, slice(None)), unwanted, unplaced))
        return sorted(shifts, key=lambda shift: len(shift.unwanted))


class Shift(NamedTuple):
    """One of the k elements: the windows (..., *out, O) in which it lies inside the image, where a product
    (..., *out', width, k, O) has their terms, and what is left of both."""

    wanted: Any
    places: Any
    unwanted: list[Any]
    unplaced: list[Any]


def _laid_out(x: np.ndarray, block: Block, g: Geometry, dtype: np.dtype[Any]) -> np.ndarray:
    """Columns (P, k c) of a block of x (N, c, *sizes), as of :func:`columns.in_rows`, but copied for one element of the windows
    after the other, so that nothing need be padded first."""
    images, padding = blocking.rows_of(x, block, g)
    last = last_view(images)
    if last.strides[-1] != last.itemsize:
        images, last = last, scratch("images", last.shape, x.dtype)
        blocking.copy_channels_last(last, np.moveaxis(images, -1, 1))
    out = (block.rows.stop - block.rows.start, *g.out[1:])
    size = volume(g.kernel) * last.shape[-1]
    memory = scratch("columns", (len(last), *out, *g.kernel, last.shape[-1]), dtype)
    for to, source, outside in _elements(last.shape[1:-1], g.kernel, out, g.stride, padding, g.dilation):
        memory[to] = last[source]
        for nowhere in outside:
            memory[nowhere] = 0
    return memory.reshape(-1, size)


@lru_cache(maxsize=1024)
def _elements(
    sizes: Sizes, kernel: Sizes, out: Sizes, stride: Sizes, padding: Pairs, dilation: Sizes
) -> list[tuple[Any, Any, list[Any]]]:
    """For each element of the windows: where it goes in (n, *out, *k, c), where it comes from in (n, *sizes, c), and where
    there is none."""
    result = []
    for k, (_, *windows), (_, *places) in overlaps(sizes, kernel, out, stride, tuple(p for p, _ in padding), dilation):
        nowhere = [(slice(None), *span, *k) for span in _outside(tuple(windows), out)]
        result.append(((slice(None), *windows, *k), (slice(None), *places), nowhere))
    return result


def _outside(box: tuple[slice, ...], sizes: Sizes) -> list[tuple[slice, ...]]:
    """Boxes that cover all that lies outside of a box."""
    result = []
    for axis, (span, size) in enumerate(zip(box, sizes, strict=True)):
        lead = (slice(None),) * axis
        rest = (slice(None),) * (len(sizes) - axis - 1)
        result += [(*lead, s, *rest) for s in (slice(0, span.start), slice(span.stop, size)) if s.start < s.stop]
    return result
