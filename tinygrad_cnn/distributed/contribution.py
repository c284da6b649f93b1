"""What a shard contributes to a step, in flat memory, and the sum of all contributions over all ranks."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from itertools import accumulate, pairwise
from typing import Any, TypeAlias

import numpy as np

from .communicator import Communicator
from .tree import Node, shards_of_rank, subtrees, total

Flat: TypeAlias = tuple[np.ndarray, ...]
"""One array for each dtype of a layout."""
Bucket: TypeAlias = tuple[int, int, int]
"""A part of a flat array: the number of the array, and the part's start and end."""

BUCKET = 1 << 22
"""Bytes of a contribution that are exchanged at a time: while a bucket is added up, the next ones travel."""
SMALL = 1 << 18
"""A bucket of which a rank would receive no more bytes goes to every rank as a whole: one exchange instead of two."""


class Layout:
    """Where arrays of given shapes and dtypes lie in flat memory: those of one dtype in one array."""

    def __init__(self, arrays: Sequence[np.ndarray]) -> None:
        self._forms = [(a.shape, a.dtype) for a in arrays]
        self._dtypes = list(dict.fromkeys(a.dtype for a in arrays))
        sizes = {d: [math.prod(shape) for shape, dtype in self._forms if dtype == d] for d in self._dtypes}
        self._cuts = {d: [0, *accumulate(sizes[d])] for d in self._dtypes}
        cuts = {d: pairwise(self._cuts[d]) for d in self._dtypes}
        self.spans = [(self._dtypes.index(dtype), *next(cuts[dtype])) for _, dtype in self._forms]
        """For each array, in which flat array it lies, from where to where."""

    def empty(self) -> Flat:
        """Memory for one contribution."""
        return tuple(np.empty(self._cuts[d][-1], d) for d in self._dtypes)

    def views(self, flat: Flat) -> list[np.ndarray]:
        """The arrays that lie in `flat`, in their order."""
        parts = {
            d: iter([part[low:high] for low, high in pairwise(self._cuts[d])])
            for d, part in zip(self._dtypes, flat, strict=True)
        }
        return [next(parts[dtype]).reshape(shape) for shape, dtype in self._forms]


def several_buckets(arrays: Sequence[np.ndarray]) -> bool:
    """Whether a bucket is full before the last of the arrays is complete."""
    return sum(a.nbytes for a in arrays) > BUCKET


def folded(sums: Sequence[Flat], last: Flat) -> Flat:
    """a + (b + (c + last)) for the sums a, b, c, written to them."""
    for onto in reversed(sums):
        for x, y in zip(onto, last, strict=True):
            np.add(x, y, out=x)
        last = onto
    return last


class Contribution:
    """The contribution x of a shard, array by array: a + (b + (c + x)) for sums a, b, c, written to them.

    Args:
        layout: of x and the sums.
        onto: the sums.
        memory: makes memory for x, if there are no sums.
    """

    def __init__(self, layout: Layout, onto: Sequence[Flat], memory: Callable[[], Flat]) -> None:
        self._is_added = bool(onto)
        sums = onto or [memory()]
        self.flat = sums[0]
        self.exchange: Exchange | None = None
        self._views = [layout.views(total) for total in reversed(sums)]
        self._missing = set(range(len(layout.spans)))

    def put(self, place: int, x: Any) -> None:
        """Add array number `place` of x, unless it is there already."""
        if place not in self._missing:
            return
        self._missing.remove(place)
        for views in self._views:
            if self._is_added:
                np.add(views[place], x, out=views[place])
            else:
                np.copyto(views[place], x)
            x = views[place]
        if self.exchange is not None:
            self.exchange.complete(place)


class Sum:
    """The sum over all shards, from the subtrees of every rank.

    In each bucket every rank adds up a slice of its own: the others send it their subtrees of the slice, and are sent
    the sum. So a rank sends and receives twice the bytes of a contribution at most, however many ranks there are.
    """

    def __init__(self, link: Communicator, shards: int) -> None:
        self.link = link
        self.root = (0, shards)
        self._nodes = [subtrees(shards_of_rank(r, link.size, shards), self.root) for r in range(link.size)]
        self._scratch: dict[Any, np.ndarray] = {}

    @property
    def own(self) -> list[Node]:
        """The subtrees that this rank adds up by itself."""
        return self._nodes[self.link.rank]

    def over_ranks(self, own: Mapping[Node, Flat], out: Flat) -> Flat:
        """The sum of all shards. It writes to the memory of `own`, and to `out` unless this is the only rank."""
        return Exchange(self, own, out).finish()

    def _slices(self, out: Flat, bucket: Bucket) -> list[tuple[int, int]]:
        """The part of a bucket that each rank adds up."""
        index, start, stop = bucket
        size = self.link.size
        if (stop - start) * out[index].itemsize * (size - 1) <= SMALL:
            return [(start, stop)] * size
        cuts = [start + r * (stop - start) // size for r in range(size + 1)]
        return list(pairwise(cuts))

    def collect(self, own: Mapping[Node, Flat], out: Flat, bucket: Bucket, number: int) -> Any:
        """Begin to send the subtrees of this rank, and to receive those of the others for its slice."""
        index, slices, me = bucket[0], self._slices(out, bucket), self.link.rank
        low, high = slices[me]
        others = [r for r in range(self.link.size) if r != me]
        rows = [(r, node) for r in others for node in self._nodes[r]]
        memory = self._memory(number, out[index].dtype, len(rows), high - low)
        received = {node: memory[row] for row, (_, node) in enumerate(rows)}
        sends = [(r, own[node][index][slice(*slices[r])]) for r in others for node in self.own]
        posted = self.link.post(sends, [(r, received[node]) for r, node in rows])
        return posted, received

    def spread(self, own: Mapping[Node, Flat], out: Flat, bucket: Bucket, arriving: Any) -> Any:
        """Once they are there, add up the slice of this rank, and begin to send the sum and to receive those of the others."""
        index, slices, me = bucket[0], self._slices(out, bucket), self.link.rank
        posted, received = arriving
        self.link.wait(posted)
        low, high = slices[me]
        mine = {node: own[node][index][low:high] for node in self.own}
        out[index][low:high] = total(self.root, {**received, **mine})
        if slices[0] == slices[-1]:
            return self.link.post([], [])
        others = [r for r in range(self.link.size) if r != me]
        return self.link.post(
            [(r, out[index][low:high]) for r in others], [(r, out[index][slice(*slices[r])]) for r in others]
        )

    def _memory(self, number: int, dtype: np.dtype[Any], rows: int, size: int) -> np.ndarray:
        key = number, dtype, rows, size
        if key not in self._scratch:
            self._scratch[key] = np.empty((rows, size), dtype)
        return self._scratch[key]


class Exchange:
    """A sum over ranks that is under way. Buckets are sent in their order, so that all ranks send in the same order.

    Args:
        total: the sum.
        own: the subtrees of this rank, of which some may not be complete yet.
        out: memory for the result.
        spans: of the arrays for which :meth:`complete` will be called; until then their buckets are not sent.
    """

    def __init__(self, total: Sum, own: Mapping[Node, Flat], out: Flat, spans: Sequence[Bucket] = ()) -> None:
        self._total, self._own, self.out = total, own, out
        steps = [BUCKET // result.itemsize for result in out]
        self._buckets = [
            (index, start, min(start + step, result.size))
            for index, (result, step) in enumerate(zip(out, steps, strict=True))
            for start in range(0, result.size, step)
        ]
        self._awaits = [
            {i for i, span in enumerate(spans) if span[0] == index and span[1] < stop and start < span[2]}
            for index, start, stop in self._buckets
        ]
        self._arriving: list[Any] = []

    def complete(self, place: int) -> None:
        """Array number `place` is complete: send the buckets that wait for no other."""
        for awaited in self._awaits:
            awaited.discard(place)
        while len(self._arriving) < len(self._buckets) and not self._awaits[len(self._arriving)]:
            self._send()

    def _send(self) -> None:
        number = len(self._arriving)
        self._arriving.append(self._total.collect(self._own, self.out, self._buckets[number], number))

    def finish(self) -> Flat:
        """Send the rest, and wait for the sum."""
        if self._total.root in self._own:
            return self._own[self._total.root]
        while len(self._arriving) < len(self._buckets):
            self._send()
        spreading = [
            self._total.spread(self._own, self.out, bucket, arriving)
            for bucket, arriving in zip(self._buckets, self._arriving, strict=True)
        ]
        for posted in spreading:
            self._total.link.wait(posted)
        return self.out
