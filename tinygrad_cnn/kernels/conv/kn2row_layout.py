"""kn2row's layout: the order of pixels and output positions in memory that lets one GEMM serve every position.

The rows of all images are side by side, (*outer sizes, n, row), with zeros as padding. The pixel under an element of the kernel
is then at the same distance from every position: a stride along the last axis is a step in memory, and along the other axes
rows are sorted by their remainder modulo the stride, with one phase for each remainder. The products also cover the positions
between two rows; those results are dropped.

In narrow images these positions are many. The last axis is then unrolled: windows are copied along it, side by side as in
im2col, and there are no positions between rows.
"""

from __future__ import annotations

from functools import lru_cache
from itertools import product
from typing import NamedTuple

import numpy as np

from ...ops.windows import Sizes, overlap, volume
from ..blocking import Geometry


class Copy(NamedTuple):
    """Pixels (n, c, *sizes) of the images, and their place in a phase, seen as (n, *sizes, c)."""

    phase: int
    source: tuple[slice, ...]
    target: tuple[slice, ...]


def pitch(g: Geometry, axis: int) -> int:
    """Pixels of each remainder along an axis. The zeros after one row also serve as padding before the next row."""
    stride, reached = g.stride[axis], g.out[axis] + (g.kernel[axis] - 1) * g.dilation[axis] // g.stride[axis]
    return max(g.out[axis], reached - min(g.padding[axis]) if stride == 1 else reached)


class Layout:
    """The layout of n images for windows g. Sizes count pixels and positions, each of which holds all its channels.

    Attributes:
        phases: the number of phases.
        image: the shape (*outer, n, row) of a phase.
        length: the pixels of a phase, up to the end of the last window.
        copies: the copies from the images.
        covers: whether the copies include every pixel exactly once.
        run: the number of contiguous pixels of a window.
        step: pixels from one position to the next.
        elements: for each element of the kernel (of its outer axes alone if the last axis is the run), its phase, and its
            offset in pixels from the position.
        grid: the shape (*outer, n, row) of the positions.
        positions: the number of positions up to the last one that is used.
        first: the pixels under the first position, counted through all phases.
    """

    def __init__(self, n: int, sizes: Sizes, g: Geometry, unrolled: bool) -> None:
        self._out = g.out
        *outer, (size, k, out, stride, (before, _), dilation) = zip(sizes, *g, strict=True)
        if unrolled:
            self.run = self.step = k
            row, columns, across = out * k, [0], []
            for j in range(k):
                windows, pixels = overlap(size, out, stride, j * dilation - before)
                across.append((pixels, slice(windows.start * k + j, windows.stop * k, k)))
        else:
            self.run, self.step, columns = k, stride, [0]
            if dilation > 1:
                self.run, columns = 1, [j * dilation for j in range(k)]
            row = pitch(g, -1) * stride
            used = max(0, min(size, row - before))
            across = [(slice(0, used), slice(before, before + used))]

        pitches = [pitch(g, axis) for axis in range(len(outer))]
        self.image = (*pitches, n, row)
        self.grid = (*g.out[: len(outer)][:1], *pitches[1:], n, row // self.step)
        ends = (*(m - 1 for m in g.out[:-1]), n - 1, out - 1)
        self.positions = int(np.ravel_multi_index(ends, self.grid)) + 1

        remainders = list(product(*(sorted({i * d % s for i in range(k)}) for _, k, _, s, _, d in outer)))
        self.phases = len(remainders)
        self.elements: list[tuple[int, int]] = []
        for element in product(*(range(k) for _, k, *_ in outer)):
            found = [divmod(i * d, s) for i, (_, _, _, s, _, d) in zip(element, outer, strict=True)]
            phase = remainders.index(tuple(rest for _, rest in found))
            offset = sum(m * volume(self.image[i + 1 :]) for i, (m, _) in enumerate(found))
            self.elements += [(phase, offset + j) for j in columns]
        furthest = max(offset for _, offset in self.elements)
        self.length = max(volume(self.image), (self.positions - 1) * self.step + furthest + self.run)

        under = [phase * self.length + offset + i for phase, offset in self.elements for i in range(self.run)]
        self.first = np.array(under, np.intp)

        self.copies: list[Copy] = []
        for phase, rest in enumerate(remainders):
            axes = zip(outer, pitches, rest, strict=True)
            spans = [overlap(m, p, s, r - pair[0])[::-1] for (m, _, _, s, pair, _), p, r in axes]
            for span in across:
                source, target = zip(*spans, span, strict=True)
                self.copies.append(Copy(phase, (slice(None), slice(None), *source), (slice(None), *target)))
        copied = (
            volume(tuple(len(range(m)[s]) for m, s in zip(sizes, c.source[2:], strict=True))) for c in self.copies
        )
        self.covers = not unrolled and sum(copied) == volume(sizes)

    def pixels(self, phase: np.ndarray) -> np.ndarray:
        """A phase (length, c) as (n, *outer, row, c)."""
        return _by_image(phase[: volume(self.image)].reshape(*self.image, -1))

    def wanted(self, grid: np.ndarray) -> np.ndarray:
        """The output (n, *out, O) in the grid (*outer, n, row, O)."""
        return _by_image(grid)[(slice(None), *map(slice, self._out))]


def _by_image(memory: np.ndarray) -> np.ndarray:
    at = memory.ndim - 3
    return memory.transpose(at, *range(at), at + 1, at + 2)


layout = lru_cache(maxsize=256)(Layout)
"""The cached layout: the same object for the same arguments, so that it serves as a cache key by identity."""
