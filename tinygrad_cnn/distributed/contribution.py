"""What a shard contributes to a step, in flat memory, and the sum of all contributions over all ranks."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from itertools import accumulate, pairwise
from typing import Any, TypeAlias

import numpy as np

from .communicator import Communicator
from .tree import Node, shards_of_rank, subtrees, total

Flat: TypeAlias = tuple[np.ndarray, ...]
"""One array for each dtype of a layout."""

BUCKET = 1 << 22
"""Bytes of a contribution that are exchanged at a time: while a bucket is added up, the next one travels."""
SMALL = 1 << 18
"""A bucket of which a rank would receive no more bytes goes to every rank as a whole: one exchange instead of two."""


class Layout:
    """Where arrays of given shapes and dtypes lie in flat memory: those of one dtype in one array."""

    def __init__(self, arrays: Sequence[np.ndarray]) -> None:
        self._forms = [(a.shape, a.dtype) for a in arrays]
        self._dtypes = list(dict.fromkeys(a.dtype for a in arrays))
        sizes = {d: [math.prod(shape) for shape, dtype in self._forms if dtype == d] for d in self._dtypes}
        self._cuts = {d: [0, *accumulate(sizes[d])] for d in self._dtypes}

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


def add(a: Flat, b: Flat) -> Flat:
    """a + b, written to a."""
    for x, y in zip(a, b, strict=True):
        np.add(x, y, out=x)
    return a


class Sum:
    """The sum over all shards, from the subtrees of every rank.

    In each bucket every rank adds up a slice of its own: the others send it their subtrees of the slice, and are sent
    the sum. So a rank sends and receives twice the bytes of a contribution at most, however many ranks there are.
    """

    def __init__(self, link: Communicator, shards: int) -> None:
        self._link = link
        self._root = (0, shards)
        self._nodes = [subtrees(shards_of_rank(r, link.size, shards), self._root) for r in range(link.size)]
        self._scratch: dict[Any, np.ndarray] = {}

    @property
    def own(self) -> list[Node]:
        """The subtrees that this rank adds up by itself."""
        return self._nodes[self._link.rank]

    def over_ranks(self, own: Mapping[Node, Flat], out: Flat) -> Flat:
        """The sum of all shards. It writes to the memory of `own`, and to `out` unless this is the only rank."""
        if self._root in own:
            return own[self._root]
        buckets = [
            (index, start, min(start + BUCKET // result.itemsize, result.size))
            for index, result in enumerate(out)
            for start in range(0, result.size, BUCKET // result.itemsize)
        ]
        arriving = self._collect(own, out, buckets[0], 0)
        spreading = []
        for number, bucket in enumerate(buckets):
            now = arriving
            if number + 1 < len(buckets):
                arriving = self._collect(own, out, buckets[number + 1], (number + 1) % 2)
            spreading.append(self._spread(own, out, bucket, now))
        for posted in spreading:
            self._link.wait(posted)
        return out

    def _slices(self, out: Flat, bucket: tuple[int, int, int]) -> list[tuple[int, int]]:
        """The part of a bucket that each rank adds up."""
        index, start, stop = bucket
        size = self._link.size
        if (stop - start) * out[index].itemsize * (size - 1) <= SMALL:
            return [(start, stop)] * size
        cuts = [start + r * (stop - start) // size for r in range(size + 1)]
        return list(pairwise(cuts))

    def _collect(self, own: Mapping[Node, Flat], out: Flat, bucket: tuple[int, int, int], turn: int) -> Any:
        """Begin to send the subtrees of this rank, and to receive those of the others for its slice."""
        index, slices, me = bucket[0], self._slices(out, bucket), self._link.rank
        low, high = slices[me]
        others = [r for r in range(self._link.size) if r != me]
        rows = [(r, node) for r in others for node in self._nodes[r]]
        memory = self._memory(turn, out[index].dtype, len(rows), high - low)
        received = {node: memory[row] for row, (_, node) in enumerate(rows)}
        sends = [(r, own[node][index][slice(*slices[r])]) for r in others for node in self.own]
        posted = self._link.post(sends, [(r, received[node]) for r, node in rows])
        return posted, received

    def _spread(self, own: Mapping[Node, Flat], out: Flat, bucket: tuple[int, int, int], arriving: Any) -> Any:
        """Add up the slice of this rank, and begin to send the sum and to receive those of the others."""
        index, slices, me = bucket[0], self._slices(out, bucket), self._link.rank
        posted, received = arriving
        self._link.wait(posted)
        low, high = slices[me]
        mine = {node: own[node][index][low:high] for node in self.own}
        out[index][low:high] = total(self._root, {**received, **mine})
        if slices[0] == slices[-1]:
            return self._link.post([], [])
        others = [r for r in range(self._link.size) if r != me]
        return self._link.post(
            [(r, out[index][low:high]) for r in others], [(r, out[index][slice(*slices[r])]) for r in others]
        )

    def _memory(self, turn: int, dtype: np.dtype[Any], rows: int, size: int) -> np.ndarray:
        key = turn, dtype, rows, size
        if key not in self._scratch:
            self._scratch[key] = np.empty((rows, size), dtype)
        return self._scratch[key]
