"""Where the pixels of images lie for windows to slide over them, and where the places of windows lie: see sliding.py.

A window at the next place lies a stride further on in memory, whatever the place: so it slides across the seams of rows
too, and what is computed there is dropped. Rows of all images lie side by side, (*outer sizes, n, row), so that there are no
seams between images; or as the images are, (n, *outer sizes, row), if there are no zeros to be put around them.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property, lru_cache
from itertools import product
from typing import NamedTuple

import numpy as np

from ...ops.windows import Sizes, volume
from ..blocking import Geometry


class Part(NamedTuple):
    """Rows of one remainder along each axis but the last: where they are in (n, c, *sizes), and in an image (n, *sizes, c)."""

    source: tuple[slice, ...]
    target: tuple[slice, ...]


class Axis(NamedTuple):
    """How an axis of n pixels is laid out for windows that reach over `reach` pixels of it and its padding."""

    n: int
    before: int
    reach: int
    out: int
    kernel: int
    stride: int
    dilation: int
    in_place: bool

    @property
    def used(self) -> int:
        """The pixels that some window reaches."""
        return max(0, min(self.n, self.reach - self.before))

    @property
    def pitch(self) -> int:
        """How many pixels of each remainder lie along it. Zeros behind one row serve before the next."""
        if self.in_place:
            return self.n
        if self.stride > 1:
            return -(-self.reach // self.stride)
        return max(self.used + max(self.before, self.reach - self.before - self.used), self.out)

    def spans(self, remainder: int) -> tuple[slice, slice]:
        """The pixels of this remainder, and where they go."""
        first = max(0, -((remainder - self.before) // self.stride))
        start = remainder + first * self.stride - self.before
        count = max(0, -(-(self.used - start) // self.stride))
        return slice(start, start + count * self.stride, self.stride), slice(first, first + count)


@dataclass(frozen=True, eq=False)
class Lattice:
    """Where n images (n, *sizes) lie in memory, in pixels, and the grid of places, for windows g; as they are if `in_place`.

    Otherwise their rows lie side by side, (*outer sizes, n, row): places between two images, which no one wants, are only
    those between two rows then.
    """

    n: int
    sizes: Sizes
    g: Geometry
    in_place: bool

    @cached_property
    def axes(self) -> list[Axis]:
        """The spatial axes."""
        return [
            Axis(n, before, (out - 1) * stride + (k - 1) * dilation + 1, out, k, stride, dilation, self.in_place)
            for n, k, out, stride, (before, _), dilation in zip(self.sizes, *self.g, strict=True)
        ]

    @cached_property
    def remainders(self) -> list[Sizes]:
        """Of the axes but the last, as far as windows meet them."""
        return list(product(*(sorted({i * a.dilation % a.stride for i in range(a.kernel)}) for a in self.axes[:-1])))

    @cached_property
    def parts(self) -> list[Part]:
        """One for each of `remainders`: the last axis is left as it is."""
        last = self.axes[-1]
        across = slice(0, last.used), slice(last.before, last.before + last.used)
        parts = []
        for chosen in self.remainders:
            spans = [axis.spans(r) for axis, r in zip(self.axes[:-1], chosen, strict=True)]
            sources, targets = zip(*spans, across, strict=True)
            parts.append(Part((slice(None), slice(None), *sources), (slice(None), *targets)))
        return parts

    @cached_property
    def covers(self) -> bool:
        """Whether every pixel is in one of the parts."""
        met = [[len(range(n)[s]) for s, n in zip(part.source[2:], self.sizes, strict=True)] for part in self.parts]
        return sum(map(math.prod, met)) == volume(self.sizes)

    @cached_property
    def row(self) -> int:
        """Pixels from one row to the next: whole strides."""
        last = self.axes[-1]
        return last.pitch * (1 if self.in_place else last.stride)

    @cached_property
    def image(self) -> Sizes:
        """The shape of the pixels of one part."""
        outer = [axis.pitch for axis in self.axes[:-1]]
        return (self.n, *outer, self.row) if self.in_place else (*outer, self.n, self.row)

    @cached_property
    def grid(self) -> Sizes:
        """The shape of the places, of which, seen image by image, those with indices in `wanted` are windows."""
        first = self.image[0] if self.in_place or len(self.axes) == 1 else self.axes[0].out
        return (first, *self.image[1:-1], self.row // self.axes[-1].stride)

    def by_image(self, memory: np.ndarray) -> np.ndarray:
        """Pixels or places (*their shape, c) as (n, *sizes, c)."""
        return memory if self.in_place else memory.transpose(self._order)

    @cached_property
    def _order(self) -> Sizes:
        outer = len(self.axes) - 1
        return (outer, *range(outer), outer + 1, outer + 2)

    @property
    def wanted(self) -> tuple[slice, ...]:
        """See `grid`."""
        return (slice(None), *(slice(0, axis.out) for axis in self.axes))

    @property
    def run(self) -> int:
        """Pixels of a window that are one run."""
        last = self.axes[-1]
        return last.kernel if last.dilation == 1 else 1

    @cached_property
    def places(self) -> int:
        """From the first to the last that is wanted."""
        *outer, row = (axis.out for axis in self.axes)
        last = [self.n, *outer, row] if self.in_place else [*outer, self.n, row]
        return int(np.ravel_multi_index([i - 1 for i in last], self.grid)) + 1

    @cached_property
    def elements(self) -> list[tuple[int, int]]:
        """For each element of the filters, but for what is one run: its part, and how many pixels further on it lies there."""
        *outer, last = self.axes
        found = []
        for k in product(*(range(axis.kernel) for axis in outer), range(last.kernel // self.run)):
            chosen, offset = [], 0
            for axis, i in zip(outer, k, strict=False):
                chosen.append(i * axis.dilation % axis.stride)
                offset = offset * axis.pitch + i * axis.dilation // axis.stride
            rows = offset if self.in_place else offset * self.n
            found.append((self.remainders.index(tuple(chosen)), rows * self.row + k[-1] * last.dilation))
        return found

    @cached_property
    def pixels(self) -> int:
        """Of one part, with those that the last window reaches."""
        if self.in_place:
            return volume(self.image)
        furthest = max(offset for _, offset in self.elements) + self.run
        return max(volume(self.image), (self.places - 1) * self.axes[-1].stride + furthest)

    @property
    def waste(self) -> float:
        """Places for each that is wanted."""
        return volume(self.grid) / (self.n * volume(self.g.out))


@lru_cache(maxsize=256)
def lattice(n: int, sizes: Sizes, g: Geometry, in_place: bool) -> Lattice:
    """The same for the same: it serves as a key, by its identity."""
    return Lattice(n, sizes, g, in_place)
