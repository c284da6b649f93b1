"""Normalization of groups of channels: a mean for each group of an example, a scale and a shift for each channel.

What an element is multiplied with, and what is added to it, are numbers of its channel in its example. So they are computed
first, in float64, from the sums over each channel. The elements are passed over two or three times.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np

from ..ops.normalization import Over, correlations, moments, normalized_dx
from .channelwise import LARGE, LONGEST, like
from .layer_norm import QUIET, dots, every, near
from .parallel.task import Call, Work, halved
from .sums import ones

Array = np.ndarray

FEW = 10_000
"""Fewer elements are computed sooner by the definitions."""

BLOCK = 1 << 18
"""Elements in a block, which is read several times."""

LEAST = 8
"""The fewest rows that BLAS sums at a time."""


class Groups:
    """Arrays of M examples of G groups of K channels, each of L elements that lie together, or far apart if channels are last.

    A block of examples is a view (M, C, L), or (M, L, C), and a number for each channel is an element of (M, G, K).
    """

    def __init__(self, over: Over, x: Array, channels: int, last: bool) -> None:
        self.over, self.last, self.shape, self.channels = over, last, x.shape, channels
        first = over.axis[0]
        self.groups, self.each = math.prod(x.shape[1:first]), math.prod(x.shape[first:channels])
        self.length, self.count = math.prod(x.shape[channels:]), over.count(x.shape)
        alone = x.size <= BLOCK
        self.images = [slice(0, len(x))] if alone else halved(len(x), max(1, BLOCK * len(x) // x.size))
        self.little = x.size < LARGE
        most = min(self.length, LONGEST)  # as BLAS adds one after the other
        self.piece = next(n for n in range(most, 0, -1) if self.length % n == 0)

    def of(self, a: Array) -> list[Array]:
        """The blocks of an array."""
        if self.last:
            whole = a.transpose(_last(a.ndim, self.channels)).reshape(len(a), self.length, -1)
        else:
            whole = a.reshape(len(a), -1, self.length)
        return [whole[cut] for cut in self.images]

    def of_stats(self, stats: Array) -> list[Array]:
        """The blocks (2, M, G, 1) of means and variances."""
        whole = stats.reshape(2, -1, self.groups, 1)
        return [whole[:, cut] for cut in self.images]

    def small(self, a: Array) -> Array:
        """A small array as a number for each channel, (G, K)."""
        if a.size != self.groups * self.each:
            own = a.reshape(_full(a.shape, len(self.shape))[1 : self.channels])
            a = np.broadcast_to(own, self.shape[1 : self.channels])
        return a.reshape(self.groups, self.each)

    def sums(self, a: Array) -> Array:
        """The sums over each channel of a block, in float64."""
        if self.last:
            return self._in_groups(self._by_ones(a))
        return self._in_groups(dots(a.reshape(-1, self.length), ones(self.length, a.dtype)))

    def products(self, a: Array, b: Array) -> Array:
        """The sums of a b over each channel."""
        if self.last:
            return self.sums(np.multiply(a, b, like("product", a)))
        return self._in_groups(dots(a.reshape(-1, self.length), b.reshape(-1, self.length)))

    def _by_ones(self, a: Array) -> Array:
        n = self.piece
        if n < LEAST:
            return np.add.reduce(a, 1, np.float64)  # type: ignore[no-any-return]
        parts = np.matmul(ones(n, a.dtype), a.reshape(len(a), -1, n, a.shape[-1]))
        return np.add.reduce(parts, 1, np.float64)  # type: ignore[no-any-return]

    def _in_groups(self, y: Array) -> Array:
        return y.reshape(-1, self.groups, self.each)

    def over_groups(self, a: Array) -> Array:
        """The sums over the channels of each group, divided by the number of elements."""
        return np.add.reduce(a, 2, keepdims=True) / self.count

    def spread(self, small: Array, x: Array) -> Array:
        """A number for each channel, or each group, as an array that broadcasts to the block x."""
        whole = np.empty((len(x), self.groups, self.each), x.dtype)
        whole[...] = small
        return whole.reshape((len(x), 1, -1) if self.last else (len(x), -1, 1))

    def centred(self, x: Array, stats: Array) -> tuple[Array, Array]:
        """A block of x, less the means if some are far from 0, and the means that it has then."""
        mean, variance = stats
        if every(near(mean, variance)):
            return x, mean
        centre = mean.astype(x.dtype)
        return np.subtract(x, self.spread(centre, x), like("deviation", x)), mean - centre

    def work(self, part: Callable[..., object], out: Array, parts: Sequence[Any], after: Sequence[Call] = ()) -> Work:
        """Work that calls ``part(*parts[i])`` for each block."""
        return Work(
            range(len(parts)), lambda i: [partial(part, *parts[i])], [QUIET], after, self.images, self.little, out
        )


def groups(over: Over, x: Array, shapes: Sequence[tuple[int, ...] | None], *alike: Array) -> Groups | None:
    """How to compute with x, arrays of its form, and small arrays of these shapes; None if they are not such arrays."""
    first = over.axis[0] if over.axis else 0
    if x.size < FEW or x.dtype.char not in "fd" or not over.centred or first < 2:
        return None
    if over.axis != tuple(range(first, x.ndim)) or any(a.shape != x.shape or a.dtype is not x.dtype for a in alike):
        return None
    full = [_full(shape, x.ndim) for shape in shapes if shape is not None]
    channels = next((i + 1 for i in reversed(range(x.ndim)) if any(shape[i] > 1 for shape in full)), 0)
    if not first < channels < x.ndim or any(shape[0] > 1 for shape in full):
        return None
    if all(a.flags.c_contiguous for a in (x, *alike)):
        return Groups(over, x, channels, last=False)
    if all(_is_last(a, channels) for a in (x, *alike)):
        return Groups(over, x, channels, last=True)
    return None


def groups_of(over: Over, x: Array) -> Groups | None:
    """How to compute with x alone, whose channels are last."""
    first = over.axis[0] if over.axis else 0
    channels = next((i for i in range(first + 1, x.ndim) if _is_last(x, i)), 0) if first > 1 else 0
    return groups(over, x, [x.shape[1:channels] + (1,) * (x.ndim - channels)]) if channels else None


def _full(shape: tuple[int, ...], ndim: int) -> tuple[int, ...]:
    return (1,) * (ndim - len(shape)) + shape


def _last(ndim: int, channels: int) -> tuple[int, ...]:
    """The order of axes in memory where channels are last."""
    return (0, *range(channels, ndim), *range(1, channels))


def _is_last(a: Array, channels: int) -> bool:
    return not a.flags.c_contiguous and a.transpose(_last(a.ndim, channels)).flags.c_contiguous


def prepare_moments(y: Array, x: Array, over: Over, how: Groups) -> Work:
    """(mean, variance), in y."""

    def part(x: Array, y: Array) -> None:
        y[0] = how.over_groups(how.sums(x))
        y[1] = how.over_groups(how.products(x, x)) - np.square(y[0])
        deviations, _ = how.centred(x, y)
        if deviations is not x:
            rest = how.over_groups(how.sums(deviations))
            y[1] = how.over_groups(how.products(deviations, deviations)) - np.square(rest)
            y[0] = y[0].astype(x.dtype) + rest

    def again() -> None:
        if not every(np.isfinite(y[1])):
            np.copyto(y, moments.op.raw(x, over=over))

    return how.work(part, y, list(zip(how.of(x), how.of_stats(y), strict=True)), [again])


def prepare_normalized(y: Array, x: Array, w: Any, b: Any, stats: Array, over: Over, how: Groups) -> Work:
    """(x - mean) r w + b, in y, which may be x."""

    def part(x: Array, y: Array, stats: Array) -> None:
        x, off = how.centred(x, stats)
        r = 1 / np.sqrt(stats[1] + over.eps)
        factor = r if w is None else r * how.small(w)
        shift = -off * factor if b is None else how.small(b) - off * factor
        np.multiply(x, how.spread(factor, x), y)
        np.add(y, how.spread(shift, x), y)

    return how.work(part, y, list(zip(how.of(x), how.of(y), how.of_stats(stats), strict=True)))


def prepare_sums(y: Array, u: Array, x: Array, stats: Array, over: Over, how: Groups, shape: tuple[int, ...]) -> Work:
    """The sums of u and of u (x - mean) r to small arrays, in y."""
    exact = np.empty((2, len(x), how.groups, how.each))

    def part(u: Array, x: Array, stats: Array, exact: Array) -> None:
        x, off = how.centred(x, stats)
        exact[0] = how.sums(u)
        exact[1] = (how.products(x, u) - off * exact[0]) / np.sqrt(stats[1] + over.eps)

    def put_together() -> None:
        whole = np.add.reduce(exact, 1).reshape(2, *how.shape[1 : how.channels])
        own = _full(shape, x.ndim)[1 : how.channels]
        repeated = tuple(i + 1 for i, n in enumerate(own) if n == 1)
        y[...] = np.add.reduce(whole, repeated, keepdims=True).reshape(y.shape)
        if not every(np.isfinite(y[1])):
            np.copyto(y, correlations.op.raw(u, x, stats, over=over, shape=shape))

    blocks = [exact[:, cut] for cut in how.images]
    return how.work(part, y, list(zip(how.of(u), how.of(x), how.of_stats(stats), blocks, strict=True)), [put_together])


def prepare_normalized_dx(y: Array, u: Array, x: Array, w: Array, stats: Array, over: Over, how: Groups) -> Work:
    """r (v - mean of v - s mean of (v s)), v = u w, as u factor + x slope + shift, in y, which may be x or u."""
    whole, us, xs, all_stats = y, u, x, stats

    def part(u: Array, x: Array, y: Array, stats: Array, at: slice) -> None:
        deviations, off = how.centred(x, stats)
        r, scale = 1 / np.sqrt(stats[1] + over.eps), how.small(w)
        first = how.sums(u)
        second = (how.products(deviations, u) - off * first) * r
        slope = how.over_groups(second * scale) * -np.square(r)
        shift = how.over_groups(first * scale) * -r - off * slope
        if not every(np.isfinite(slope)):
            whole[at] = normalized_dx.op.raw(us[at], xs[at], w, None, all_stats[:, at], over=over)
            return
        t = np.multiply(deviations, how.spread(slope, x), like("aside", x))
        np.multiply(u, how.spread(r * scale, u), y)
        np.add(y, t, y)
        np.add(y, how.spread(shift, x), y)

    return how.work(part, y, list(zip(how.of(u), how.of(x), how.of(y), how.of_stats(stats), how.images, strict=True)))
