"""Images of float32 with channels last in memory, read as rows; and the sums, means and variances of their channels.

A row has the channels of one pixel or of several, and is read by vectors. The sums of a run of rows are taken in float32, and
those of the runs in float64. For the moments, the mean of a few rows is subtracted first. If it is far from the mean of all
rows, which would cost digits, the sums are taken again.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from ...kernels.normalization import LEAST
from ...kernels.parallel import chunks
from ...ops.reduce import reduced_axes
from ...ops.shape import Axis
from ...ops.standardize import NEAR, Over, moments
from ...ops.windows import last_view
from .compiled import Number, exact, loop
from .images import each_part
from .vectors import LANES, fetch, load, nothing, store, sum_of

SMALL = 1 << 9
"""Smaller arrays are not worth the preparation."""

RUN = 16
"""The sums of so many rows are added in float64."""

FEW = 16
"""Moments are those of deviations from the mean of so many pixels."""

LONG = 256
"""So many numbers of a channel are added in float32, in several sums, and these in float64."""

WIDE = 64
"""Pixels of few channels are joined until a row has so many numbers."""

FLOAT32 = np.dtype(np.float32)

Array = np.ndarray


class Rows(NamedTuple):
    """Images as `n` rows of `pixels` pixels of `channels` channels each."""

    n: int
    pixels: int
    channels: int

    @property
    def width(self) -> int:
        """The numbers in a row."""
        return self.pixels * self.channels

    def of(self, a: Array) -> Array:
        """Images as rows."""
        return last_view(a).reshape(self.n, -1)

    def cut(self, *arrays: Array) -> list[Any]:
        """Rows in few parts for several threads, or in one."""
        step = self.n if arrays[0].size < chunks.LARGE else -(-self.n // chunks.PARTS)
        return [[a[i : i + step] for a in arrays] for i in range(0, self.n, step)]


def rows_of(over: Over | None, x: Any, *others: Any) -> Rows | None:
    """How to read images that are normalized over all axes but the second; None for arrays that the loops do not take."""
    if x.__class__ is not np.ndarray or x.dtype != FLOAT32 or x.size < SMALL or x.ndim < 2:
        return None
    if over is not None and (not over.centred or over.axis != (0, *range(2, x.ndim)) or over.eps < LEAST["f"]):
        return None
    if not last_view(x).flags.c_contiguous:
        return None
    if any(a.__class__ is not np.ndarray or a.dtype != FLOAT32 or a.shape != x.shape for a in others):
        return None
    channels = x.shape[1]
    count, pixels = x.size // channels, LANES // math.gcd(channels, LANES)
    while pixels * channels < WIDE and count % (2 * pixels) == 0:
        pixels *= 2
    return None if count % pixels else Rows(count // pixels, pixels, channels)


def prepare_sum(out: Array | None, a: Any, *, axis: Axis, keepdims: bool) -> Any:
    """A task for ``sum`` over all axes but the channels: the gradient of a convolution's bias."""
    if keepdims or a.__class__ is not np.ndarray or a.ndim < 3 or reduced_axes(axis, a.ndim) != (0, *range(2, a.ndim)):
        return None
    rows = rows_of(None, a)
    if rows is None:
        return _sum_first(out, a)
    y = np.empty(rows.channels, np.float32) if out is None else out
    parts = rows.cut(rows.of(a))
    totals = np.empty((len(parts), rows.width))

    def task() -> Array:
        add_up(_sums, parts, totals)
        _fold(totals.reshape(-1, rows.channels), y)
        return y

    return task


def _sum_first(out: Array | None, a: Array) -> Any:
    """The same for channels first in memory."""
    if a.dtype != FLOAT32 or a.size < SMALL or not a.flags.c_contiguous:
        return None
    y = np.empty(a.shape[1], np.float32) if out is None else out
    images = a.reshape(*a.shape[:2], -1)
    step = len(a) if a.size < chunks.LARGE else -(-len(a) // chunks.PARTS)
    parts = [[images[i : i + step]] for i in range(0, len(a), step)]
    totals = np.empty((len(parts), len(y)))

    def task() -> Array:
        add_up(_sums_first, parts, totals)
        _fold(totals, y)
        return y

    return task


def prepare_moments(out: Array | None, x: Any, *, over: Over) -> Any:
    """A task for ``moments``."""
    rows = rows_of(over, x)
    if rows is None:
        return None
    y = np.empty((2, 1, rows.channels, *(1 for _ in x.shape[2:]))) if out is None else out
    parts, centre = rows.cut(rows.of(x)), np.empty(rows.width, np.float32)
    totals = np.empty((len(parts), 2 * rows.width))
    mean, variance = y[0].reshape(-1), y[1].reshape(-1)

    def task() -> Array:
        _few(last_view(x).reshape(-1, rows.channels), centre)
        for _ in range(2):
            add_up(_deviations, parts, totals, centre)
            if _moments(totals, centre, rows.n * rows.pixels, mean, variance):
                break
        if not math.isfinite(variance.sum()):  # squares may have overflowed
            np.copyto(y, moments.op.raw(x, over=over))
        return y

    return task


def add_up(function: Callable[..., object], parts: list[Any], totals: Array, *numbers: Any) -> None:
    """Call `function` with each part, the numbers and a row of totals, which it fills."""
    if len(parts) == 1:
        function(*parts[0], *numbers, totals[0])
    else:
        each_part(lambda part: function(*part[0], *numbers, part[1]), list(zip(parts, totals, strict=True)))


@exact
def _fold(x: Array, y: Array) -> None:
    """The sums of the rows, in their order."""
    for j in range(x.shape[1]):
        total = x[0, j]
        for i in range(1, x.shape[0]):
            total += x[i, j]
        y[j] = total


@loop
def _sums(x: Array, y: Array) -> None:
    """The sums of the rows."""
    width, flat = x.shape[1], x.reshape(-1)
    run = np.empty(width, np.float32)
    y[:] = 0.0
    for start in range(0, x.shape[0], RUN):
        stop = min(start + RUN, x.shape[0])
        for j in range(0, width, LANES):
            a = nothing()
            for i in range(start, stop):
                fetch(flat, (i + RUN) * width + j)
                a = a + load(flat, i * width + j)
            store(run, j, a)
        for j in range(width):
            y[j] += run[j]


@loop
def _sums_first(x: Array, y: Array) -> None:
    """The sums of the channels of x (n, c, pixels)."""
    n, channels, pixels = x.shape
    flat, whole = x.reshape(-1), pixels - pixels % LANES
    few = max(1, LONG // pixels)  # images whose numbers are added before they are added in float64
    y[:] = 0.0
    for i in range(0, n, few):
        for c in range(channels):
            firsts = range((i * channels + c) * pixels, (min(i + few, n) * channels + c) * pixels, channels * pixels)
            for start in range(0, whole, LONG):
                a = nothing()
                for first in firsts:
                    for j in range(first + start, first + min(start + LONG, whole), LANES):
                        a = a + load(flat, j)
                y[c] += np.float64(sum_of(a))
            for first in firsts:
                for j in range(first + whole, first + pixels):
                    y[c] += np.float64(flat[j])


@loop
def _few(x: Array, centre: Array) -> None:
    """centre (width,) = the mean of a few pixels of x (n, c), evenly spread, repeated for each pixel of a row."""
    n, channels = x.shape
    few = min(n, FEW)
    total = np.zeros(channels, np.float64)
    for i in range(few):
        row = x[i * n // few]
        for j in range(channels):
            total[j] += np.float64(row[j])
    for j in range(centre.size):
        centre[j] = np.float32(total[j % channels] / few)


@loop
def _deviations(x: Array, centre: Array, y: Array) -> None:
    """The sums of d = x - centre, and then of d^2, over the rows."""
    width, flat = x.shape[1], x.reshape(-1)
    first, second = np.empty(width, np.float32), np.empty(width, np.float32)
    y[:] = 0.0
    for start in range(0, x.shape[0], RUN):
        stop = min(start + RUN, x.shape[0])
        for j in range(0, width, LANES):
            a, b, c = nothing(), nothing(), load(centre, j)
            for i in range(start, stop):
                fetch(flat, (i + RUN) * width + j)
                d = load(flat, i * width + j) - c
                a, b = a + d, b + d * d
            store(first, j, a)
            store(second, j, b)
        for j in range(width):
            y[j] += first[j]
            y[width + j] += second[j]


@loop
def _moments(totals: Array, centre: Array, n: Number, mean: Array, variance: Array) -> bool:
    """Mean and variance of the channels from the sums of the parts; False, and a better centre, if that was far off."""
    channels, width, near = mean.size, centre.size, True
    for c in range(channels):
        total, squares = 0.0, 0.0
        for i in range(totals.shape[0]):
            for j in range(c, width, channels):
                total += totals[i, j]
                squares += totals[i, width + j]
        shift = total / n
        mean[c] = np.float64(centre[c]) + shift
        variance[c] = max(squares / n - shift * shift, 0.0)
        near = near and not shift * shift > NEAR * variance[c]
    for j in range(width):
        centre[j] = np.float32(mean[j % channels])
    return near
