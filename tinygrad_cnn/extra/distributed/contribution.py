"""The contributions of shards to a step, in flat memory, and their all-reduce over all ranks."""

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
"""Bytes of a contribution that are sent at a time. While a bucket is added up, the next buckets are sent."""
SMALL = 1 << 18
"""If a rank would receive no more bytes of a bucket than this, all ranks get the whole bucket: one exchange instead of two."""


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


class AllReduce:
    """The sum over all shards, from the subtrees of every rank: a reduce-scatter, then an all-gather.

    In each bucket every rank adds up one slice. The other ranks send it their subtrees of the slice, and receive the
    sum. So a rank sends and receives at most twice the bytes of a contribution, for any number of ranks.
    """

    def __init__(self, comm: Communicator, shards: int) -> None:
        self.comm = comm
        self.root = (0, shards)
        self._nodes = [subtrees(shards_of_rank(r, comm.size, shards), self.root) for r in range(comm.size)]
        self._workspace: dict[Any, np.ndarray] = {}

    @property
    def own(self) -> list[Node]:
        """The subtrees that this rank adds up by itself."""
        return self._nodes[self.comm.rank]

    def over_ranks(self, own: Mapping[Node, Flat], out: Flat) -> Flat:
        """The sum of all shards. It writes to the memory of `own`, and to `out` unless this is the only rank."""
        return Exchange(self, own, out).finish()

    def _slices(self, out: Flat, bucket: Bucket) -> list[tuple[int, int]]:
        """The part of a bucket that each rank adds up."""
        index, start, stop = bucket
        size = self.comm.size
        if (stop - start) * out[index].itemsize * (size - 1) <= SMALL:
            return [(start, stop)] * size
        cuts = [start + r * (stop - start) // size for r in range(size + 1)]
        return list(pairwise(cuts))

    def reduce_scatter(self, own: Mapping[Node, Flat], out: Flat, bucket: Bucket, number: int) -> Any:
        """Start to send the subtrees of this rank, and to receive those of the other ranks for its slice."""
        index, slices, me = bucket[0], self._slices(out, bucket), self.comm.rank
        low, high = slices[me]
        others = [r for r in range(self.comm.size) if r != me]
        rows = [(r, node) for r in others for node in self._nodes[r]]
        memory = self._memory(number, out[index].dtype, len(rows), high - low)
        received = {node: memory[row] for row, (_, node) in enumerate(rows)}
        sends = [(r, own[node][index][slice(*slices[r])]) for r in others for node in self.own]
        posted = self.comm.post(sends, [(r, received[node]) for r, node in rows])
        return posted, received

    def all_gather(self, own: Mapping[Node, Flat], out: Flat, bucket: Bucket, arriving: Any) -> Any:
        """Wait for the subtrees, add up the slice of this rank, and start to send the sum and to receive the other sums."""
        index, slices, me = bucket[0], self._slices(out, bucket), self.comm.rank
        posted, received = arriving
        self.comm.wait(posted)
        low, high = slices[me]
        mine = {node: own[node][index][low:high] for node in self.own}
        out[index][low:high] = total(self.root, {**received, **mine})
        if slices[0] == slices[-1]:
            return self.comm.post([], [])
        others = [r for r in range(self.comm.size) if r != me]
        return self.comm.post(
            [(r, out[index][low:high]) for r in others], [(r, out[index][slice(*slices[r])]) for r in others]
        )

    def _memory(self, number: int, dtype: np.dtype[Any], rows: int, size: int) -> np.ndarray:
        key = number, dtype, rows, size
        if key not in self._workspace:
            self._workspace[key] = np.empty((rows, size), dtype)
        return self._workspace[key]


class Exchange:
    """An all-reduce in progress. Buckets are sent in their order, so that all ranks send in the same order.

    Args:
        total: the sum.
        own: the subtrees of this rank. Some may not be complete yet.
        out: memory for the result.
        spans: the spans of the arrays for which :meth:`complete` will be called. Their buckets are not sent before.
    """

    def __init__(self, total: AllReduce, own: Mapping[Node, Flat], out: Flat, spans: Sequence[Bucket] = ()) -> None:
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
        """Array number `place` is complete: send the buckets of which all arrays are."""
        for awaited in self._awaits:
            awaited.discard(place)
        while len(self._arriving) < len(self._buckets) and not self._awaits[len(self._arriving)]:
            self._send()

    def _send(self) -> None:
        number = len(self._arriving)
        self._arriving.append(self._total.reduce_scatter(self._own, self.out, self._buckets[number], number))

    def finish(self) -> Flat:
        """Send the rest, and wait for the sum."""
        if self._total.root in self._own:
            return self._own[self._total.root]
        while len(self._arriving) < len(self._buckets):
            self._send()
        spreading = [
            self._total.all_gather(self._own, self.out, bucket, arriving)
            for bucket, arriving in zip(self._buckets, self._arriving, strict=True)
        ]
        for posted in spreading:
            self._total.comm.wait(posted)
        return self.out
