"""Where the elements of windows fall on an image: what a convolution's adjoint in x adds up.

Element k of the window at place i lies at pixel i stride + k dilation - padding. So pixels of one remainder modulo the stride
meet certain elements, each a fixed number of places further on. With rows of places longer than there are windows, by as many
as the elements lie apart, and zeros there, a shift by so many places is one shift in flat memory, for all rows and images at
once; and the sum over all elements that fall on a pixel is the sum of a strided view.
"""

from __future__ import annotations

import math
from functools import lru_cache
from itertools import product
from typing import NamedTuple

import numpy as np

from ...ops.windows import Sizes, volume
from ..blocking import Geometry

LINES = 128
"""Numbers: rows a multiple of so many apart fall on the same few lines of the cache."""


class Side(NamedTuple):
    """Pixels of one remainder along one axis: the elements of a window that fall on them, the first how many pixels of that
    remainder behind the place and each how many behind the one before, and which pixels and places they are."""

    elements: range
    behind: int
    apart: int
    pixels: slice
    places: slice


class Phase(NamedTuple):
    """Pixels of one remainder along each axis, and the distance of two places along it in flat memory."""

    sides: tuple[Side, ...]
    steps: Sizes

    @property
    def pixels(self) -> tuple[slice, ...]:
        """Their index in images (c, n, *sizes)."""
        return (slice(None), slice(None), *(side.pixels for side in self.sides))

    @property
    def places(self) -> tuple[slice, ...]:
        """The index of the sums for them in (c, n, *pitch)."""
        return (slice(None), slice(None), *(side.places for side in self.sides))

    @property
    def axes(self) -> Sizes:
        """Those of `terms` to be summed over."""
        return tuple(range(len(self.sides)))

    @property
    def reach(self) -> int:
        """How far behind its place the last element falls, in flat memory."""
        furthest = (side.behind + (len(side.elements) - 1) * side.apart for side in self.sides)
        return sum(n * step for n, step in zip(furthest, self.steps, strict=True))

    def terms(self, values: np.ndarray, kernel: Sizes, lead: int) -> np.ndarray:
        """A view of values (c *k, lead + P), in C order, with each element shifted to where it falls: (*k, c, P)."""
        count, size = len(values) // volume(kernel), values.itemsize
        channel, *elements = values.reshape(count, *kernel, values.shape[1]).strides[:-1]
        offset, strides = lead * size, []
        for side, element, step in zip(self.sides, elements, self.steps, strict=True):
            offset += side.elements.start * element - side.behind * step * size
            strides.append(side.elements.step * element - side.apart * step * size)
        shape = (*(len(side.elements) for side in self.sides), count, values.shape[1] - lead)
        return np.ndarray(shape, values.dtype, values, offset, (*strides, channel, size))


class Fall(NamedTuple):
    """Places (*pitch) of an image, of which the first along each axis are windows, the zeros needed before the first image,
    the phases, whether every pixel is in one, and places for each that is a window."""

    pitch: Sizes
    lead: int
    phases: list[Phase]
    covers: bool
    waste: float


@lru_cache(maxsize=1024)
def fall(g: Geometry, sizes: Sizes, start: int, stop: int) -> Fall:
    """How windows g in the rows from `start` to `stop` fall on an image of the given sizes."""
    out = (stop - start, *g.out[1:])
    before = (g.padding[0][0] - start * g.stride[0], *(pair[0] for pair in g.padding[1:]))
    pitch = tuple(o + (k - 1) * d // s for o, k, s, d in zip(out, g.kernel, g.stride, g.dilation, strict=True))
    if volume(pitch) % LINES == 0:
        pitch = tuple(p | 1 for p in pitch)
    steps = tuple(volume(pitch[i + 1 :]) for i in range(len(pitch)))
    axes = zip(sizes, pitch, g.kernel, g.stride, g.dilation, before, strict=True)
    phases = [Phase(sides, steps) for sides in product(*(_sides(*axis) for axis in axes))]
    met = sum(math.prod(len(range(*s.indices(n))) for s, n in zip(p.pixels[2:], sizes, strict=True)) for p in phases)
    waste = volume(pitch) / volume(out)
    return Fall(pitch, max(phase.reach for phase in phases), phases, met == volume(sizes), waste)


def _sides(n: int, pitch: int, kernel: int, stride: int, dilation: int, padding: int) -> list[Side]:
    """One for each remainder that elements have along an axis of n pixels."""
    common = math.gcd(stride, dilation)
    found = []
    for k in range(min(kernel, stride // common)):  # the first elements of their remainders
        remainder = k * dilation % stride
        first = max(0, -((remainder - padding) // stride))
        start = remainder + first * stride - padding
        count = max(0, min(pitch - first, -(-(n - start) // stride)))
        pixels, places = slice(start, start + count * stride, stride), slice(first, first + count)
        elements = range(k, kernel, stride // common)
        found.append(Side(elements, k * dilation // stride, dilation // common, pixels, places))
    return found
