"""Batch norm of float32 images with channels last in memory, without or with a clip behind it, such as ReLU.

Each of its ops is one pass over the images. ``channels.py`` says how these are read, and computes the moments.

A clip's gradient passes where the normalized number is inside of the limits. That number is computed again, by the operations
that gave the output: so no pass reads the output, and both directions agree in every element. Results may take the place of an
input.

Rows are matrices (n, width), with the channels of one pixel or of several in a row. `numbers` (3, width) has the centre, the
factor and the shift of each of them, and `numbers` (5, width) also the slope and the shift of the gradient.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

from ...ops.standardize import Limits, Over, correlations, unlimited
from ...ops.windows import last_view
from .channels import FLOAT32, Array, Rows, add_up, rows_of
from .compiled import Number, helper, loop
from .images import at_line, each_part
from .vectors import LANES, above, fetch, larger, load, nothing, splat, store

RUN = 16
"""The sums of so many rows are added in float64."""


def prepare_normalized(
    out: Array | None, x: Any, w: Any = None, b: Any = None, stats: Any = None, *, over: Over
) -> Any:
    """A task for ``normalized``, with a scale and a shift for each channel, or without."""
    return prepare_clipped(out, x, w, b, stats, over=over, limits=unlimited)


def prepare_clipped(
    out: Array | None, x: Any, w: Any = None, b: Any = None, stats: Any = None, *, over: Over, limits: Limits
) -> Any:
    """A task for ``clipped``."""
    rows = rows_of(over, x)
    if rows is None or not (_known(stats, rows) and _of_channels(rows, w, b)):
        return None
    scale, shift = _numbers(rows, w, b)
    mean, variance = stats[0].reshape(-1), stats[1].reshape(-1)
    return _scaled(out, x, rows, lambda numbers: _fill(mean, variance, over.eps, scale, shift, numbers), limits)


def prepare_clipped_by(
    out: Array | None, x: Any, mean: Any, variance: Any, w: Any = None, b: Any = None, *, eps: float, limits: Limits
) -> Any:
    """A task for ``clipped_by``."""
    rows = rows_of(None, x)
    if rows is None or mean is None or variance is None or not _of_channels(rows, w, b, mean, variance):
        return None
    scale, shift = _numbers(rows, w, b)
    return _scaled(out, x, rows, lambda numbers: _fill(mean, variance, eps, scale, shift, numbers), limits)


def prepare_normalized_by(
    out: Array | None, x: Any, mean: Any, variance: Any, w: Any = None, b: Any = None, *, eps: float
) -> Any:
    """A task for ``normalized_by``."""
    return prepare_clipped_by(out, x, mean, variance, w, b, eps=eps, limits=unlimited)


def _scaled(out: Array | None, x: Array, rows: Rows, fill: Callable[[Array], object], limits: Limits) -> Any:
    """A task for (x - centre) w + b between the limits, where `fill` gives these numbers."""
    y = _like(x) if out is None else out
    if not last_view(y).flags.c_contiguous:
        return None
    parts, numbers = rows.cut(rows.of(x), rows.of(y)), np.empty((3, rows.width), np.float32)
    low, high, _ = _bounds(limits)
    function: Callable[..., object] = _scale

    def task() -> Array:
        fill(numbers)
        each_part(lambda part: function(*part, numbers, low, high), parts)
        return y

    return task


def prepare_correlations(out: Array | None, u: Any, x: Any, stats: Any = None, *, over: Over, shape: Any = None) -> Any:
    """A task for ``correlations``."""
    return None if shape is not None else _correlations(out, u, x, stats, over)


def prepare_clipped_correlations(
    out: Array | None, u: Any, x: Any, w: Any = None, b: Any = None, stats: Any = None, *, over: Over, limits: Limits
) -> Any:
    """A task for ``clipped_correlations``."""
    return _correlations(out, u, x, stats, over, w, b, limits)


def _correlations(
    out: Array | None,
    u: Any,
    x: Any,
    stats: Any,
    over: Over,
    w: Any = None,
    b: Any = None,
    limits: Limits | None = None,
) -> Any:
    rows = rows_of(over, x, u)
    if rows is None or not (_known(stats, rows) and _of_channels(rows, w, b)):
        return None
    y = np.empty(stats.shape, np.float32) if out is None else out
    u, lay_out = _laid_out(u)
    parts, numbers = rows.cut(rows.of(u), rows.of(x)), np.empty((3, rows.width), np.float32)
    totals, (scale, shift) = np.empty((len(parts), 2 * rows.width)), _numbers(rows, w, b)
    mean, variance = stats[0].reshape(-1), stats[1].reshape(-1)
    low, _, below = _bounds(limits or unlimited)

    def task() -> Array:
        lay_out()
        _fill(mean, variance, over.eps, scale, shift, numbers)
        if limits is None:
            add_up(_products, parts, totals, numbers)
        else:
            add_up(_products_inside, parts, totals, numbers, low, below)
        if not _put_sums(totals, numbers[0], mean, variance, over.eps, y.reshape(2, -1)):  # too large for float32
            v = u if limits is None else _inside(u, x, rows, numbers, low, below)
            np.copyto(y, correlations.op.raw(v, x, stats, over=over), casting="same_kind")
        return y

    return task


def prepare_normalized_dx(
    out: Array | None, u: Any, x: Any, w: Any = None, sums: Any = None, stats: Any = None, *, over: Over
) -> Any:
    """A task for ``normalized_dx`` from known sums."""
    return _dx(out, u, x, w, sums, stats, over)


def prepare_clipped_dx(
    out: Array | None, u: Any, x: Any, w: Any = None, b: Any = None, sums: Any = None, stats: Any = None, *, over: Over,
    limits: Limits,
) -> Any:  # fmt: skip
    """A task for ``clipped_dx`` from known sums."""
    return _dx(out, u, x, w, sums, stats, over, b, limits)


def _dx(
    out: Array | None, u: Any, x: Any, w: Any, sums: Any, stats: Any, over: Over, b: Any = None,
    limits: Limits | None = None,
) -> Any:  # fmt: skip
    rows = rows_of(over, x, u)
    if rows is None or not (_known(stats, rows) and _of_channels(rows, w, b)):
        return None
    if sums.__class__ is not np.ndarray or sums.dtype != FLOAT32 or not sums.flags.c_contiguous:
        return None
    y = _like(x) if out is None else out
    if not last_view(y).flags.c_contiguous:
        return None
    u, lay_out = _laid_out(u)
    parts, numbers = rows.cut(rows.of(u), rows.of(x), rows.of(y)), np.empty((5, rows.width), np.float32)
    scale, shift = _numbers(rows, w, b)
    mean, variance = stats[0].reshape(-1), stats[1].reshape(-1)
    low, _, below = _bounds(limits or unlimited)
    n = rows.n * rows.pixels

    function: Callable[..., object] = _pull if limits is None else _pull_inside
    given = [numbers] if limits is None else [numbers, low, below]

    def task() -> Array:
        lay_out()
        _fill(mean, variance, over.eps, scale, shift, numbers)
        _slopes(sums.reshape(2, -1), mean, variance, over.eps, n, scale, numbers)
        each_part(lambda part: function(*part, *given), parts)
        return y

    return task


def _laid_out(u: Array) -> tuple[Array, Callable[[], object]]:
    """A gradient with channels last in memory, and what copies it there if it is in another order."""
    if last_view(u).flags.c_contiguous:
        return u, int
    copied = _like(u)
    return copied, partial(np.copyto, copied, u)


def _like(x: Array) -> Array:
    """A new array in the memory order of images with the channels last."""
    y = at_line(last_view(x).shape, FLOAT32)
    return y.transpose(0, x.ndim - 1, *range(1, x.ndim - 1))


def _known(stats: Any, rows: Rows) -> bool:
    return (
        stats.__class__ is np.ndarray
        and stats.dtype == np.float64
        and stats.size == 2 * rows.channels
        and stats.flags.c_contiguous
    )


def _of_channels(rows: Rows, *small: Any) -> bool:
    """Whether each has a number for each channel, or is None."""
    return all(
        a is None
        or (a.__class__ is np.ndarray and a.dtype == FLOAT32 and a.size == rows.channels and a.flags.c_contiguous)
        for a in small
    )


def _numbers(rows: Rows, w: Any, b: Any) -> tuple[Array, Array]:
    """Scale and shift."""
    return (
        np.ones(rows.channels, np.float32) if w is None else w.reshape(-1),
        np.zeros(rows.channels, np.float32) if b is None else b.reshape(-1),
    )


def _bounds(limits: Limits) -> tuple[np.float32, np.float32, np.float32]:
    """The limits, and the largest number below the upper one, or infinity if there is none."""
    low, high = (np.float32(limit) for limit in limits)
    return low, high, high if high == np.inf else np.nextafter(high, np.float32(-np.inf))


@loop
def _fill(mean: Array, variance: Array, eps: Number, w: Array, b: Array, numbers: Array) -> None:
    """Centre c, factor f and shift s of the channels: (x - c) f + s = (x - mean) r w + b."""
    channels = mean.size
    for c in range(channels):
        centre, factor = np.float32(mean[c]), np.float64(w[c]) / math.sqrt(variance[c] + eps)
        numbers[0, c] = centre
        numbers[1, c] = np.float32(factor)
        numbers[2, c] = np.float32(np.float64(b[c]) - (mean[c] - np.float64(centre)) * factor)
    for i in range(3):
        for j in range(channels, numbers.shape[1]):
            numbers[i, j] = numbers[i, j - channels]


@helper
def _normal(x: Number, numbers: Array, j: int, width: int) -> Number:
    """The normalized numbers of a vector, and these less their centres."""
    d = x - load(numbers, j)
    return d * load(numbers, width + j) + load(numbers, 2 * width + j), d


@loop
def _scale(x: Array, y: Array, numbers: Array, low: Number, high: Number) -> None:
    """y = (x - c) f + s between the limits."""
    width, flat = x.shape[1], numbers.reshape(-1)
    lows, highs = splat(low), splat(high)
    for i in range(x.shape[0]):
        source, row = x[i], y[i]
        for j in range(0, width, LANES):
            z, _ = _normal(load(source, j), flat, j, width)
            z = larger(z, lows, z, lows)
            store(row, j, above(z, highs, highs, z))


@loop
def _products(u: Array, x: Array, numbers: Array, y: Array) -> None:
    """The sums of u, and then of u (x - c), over the rows."""
    width, us, xs = x.shape[1], u.reshape(-1), x.reshape(-1)
    first, second = np.empty(width, np.float32), np.empty(width, np.float32)
    y[:] = 0.0
    for start in range(0, x.shape[0], RUN):
        stop = min(start + RUN, x.shape[0])
        for j in range(0, width, LANES):
            a, b, c = nothing(), nothing(), load(numbers, j)
            for i in range(start, stop):
                fetch(us, (i + RUN) * width + j)
                fetch(xs, (i + RUN) * width + j)
                g = load(us, i * width + j)
                a, b = a + g, b + g * (load(xs, i * width + j) - c)
            store(first, j, a)
            store(second, j, b)
        for j in range(width):
            y[j] += first[j]
            y[width + j] += second[j]


@helper
def _passed(u: Number, z: Number, lows: Number, belows: Number) -> Number:
    """u where the normalized z is inside of the limits, else 0."""
    return above(z, lows, above(z, belows, nothing(), u), nothing())


@loop
def _products_inside(u: Array, x: Array, numbers: Array, low: Number, below: Number, y: Array) -> None:
    """The sums of :func:`_products` of u inside of the limits."""
    width, us, xs, flat = x.shape[1], u.reshape(-1), x.reshape(-1), numbers.reshape(-1)
    first, second = np.empty(width, np.float32), np.empty(width, np.float32)
    lows, belows = splat(low), splat(below)
    y[:] = 0.0
    for start in range(0, x.shape[0], RUN):
        stop = min(start + RUN, x.shape[0])
        for j in range(0, width, LANES):
            a, b = nothing(), nothing()
            c, f, s = load(flat, j), load(flat, width + j), load(flat, 2 * width + j)
            for i in range(start, stop):
                fetch(us, (i + RUN) * width + j)
                fetch(xs, (i + RUN) * width + j)
                d = load(xs, i * width + j) - c
                g = _passed(load(us, i * width + j), d * f + s, lows, belows)
                a, b = a + g, b + g * d
            store(first, j, a)
            store(second, j, b)
        for j in range(width):
            y[j] += first[j]
            y[width + j] += second[j]


@loop
def _put_sums(totals: Array, centre: Array, mean: Array, variance: Array, eps: Number, y: Array) -> bool:
    """The sums of u and of u (x - mean) r for the channels; False if one is not finite."""
    channels, width = mean.size, centre.size
    finite = True
    for c in range(channels):
        total, product = 0.0, 0.0
        for i in range(totals.shape[0]):
            for j in range(c, width, channels):
                total += totals[i, j]
                product += totals[i, width + j]
        product -= (mean[c] - np.float64(centre[c])) * total
        y[0, c] = total
        y[1, c] = product / math.sqrt(variance[c] + eps)
        finite = finite and math.isfinite(product)
    return finite


@loop
def _slopes(sums: Array, mean: Array, variance: Array, eps: Number, n: Number, w: Array, numbers: Array) -> None:
    """Slope and shift: r w (u - mean of u - s mean of (u s)) = u f + (x - c) slope + shift."""
    channels = mean.size
    for c in range(channels):
        r = 1.0 / math.sqrt(variance[c] + eps)
        factor = r * np.float64(w[c])
        slope = -factor * r * np.float64(sums[1, c]) / n
        low = mean[c] - np.float64(numbers[0, c])
        numbers[3, c] = np.float32(slope)
        numbers[4, c] = np.float32(-factor * np.float64(sums[0, c]) / n - slope * low)
    for i in range(3, 5):
        for j in range(channels, numbers.shape[1]):
            numbers[i, j] = numbers[i, j - channels]


@loop
def _pull(u: Array, x: Array, y: Array, numbers: Array) -> None:
    """y = u f + (x - c) slope + shift."""
    width, flat = x.shape[1], numbers.reshape(-1)
    for i in range(x.shape[0]):
        a, b, row = u[i], x[i], y[i]
        for j in range(0, width, LANES):
            d = load(b, j) - load(flat, j)
            rest = d * load(flat, 3 * width + j) + load(flat, 4 * width + j)
            store(row, j, load(a, j) * load(flat, width + j) + rest)


@loop
def _pull_inside(u: Array, x: Array, y: Array, numbers: Array, low: Number, below: Number) -> None:
    """:func:`_pull` of u inside of the limits."""
    width, flat = x.shape[1], numbers.reshape(-1)
    lows, belows = splat(low), splat(below)
    for i in range(x.shape[0]):
        a, b, row = u[i], x[i], y[i]
        for j in range(0, width, LANES):
            z, d = _normal(load(b, j), flat, j, width)
            g = _passed(load(a, j), z, lows, belows)
            rest = d * load(flat, 3 * width + j) + load(flat, 4 * width + j)
            store(row, j, g * load(flat, width + j) + rest)


def _inside(u: Array, x: Array, rows: Rows, numbers: Array, low: Number, below: Number) -> Array:
    """u inside of the limits."""
    y = _like(x)
    _cut(rows.of(u), rows.of(x), rows.of(y), numbers, low, below)
    return y


@loop
def _cut(u: Array, x: Array, y: Array, numbers: Array, low: Number, below: Number) -> None:
    """y = u inside of the limits."""
    width, flat = x.shape[1], numbers.reshape(-1)
    lows, belows = splat(low), splat(below)
    for i in range(x.shape[0]):
        a, b, row = u[i], x[i], y[i]
        for j in range(0, width, LANES):
            z, _ = _normal(load(b, j), flat, j, width)
            store(row, j, _passed(load(a, j), z, lows, belows))
