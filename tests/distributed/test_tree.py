"""The sum over shards has the same bits for any number of ranks, whatever the sizes. Ranks are threads here."""

from __future__ import annotations

import queue
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tinygrad_cnn.extra.distributed import contribution
from tinygrad_cnn.extra.distributed.contribution import AllReduce, Layout, folded
from tinygrad_cnn.extra.distributed.tree import computed, halves, shards_of_rank, subtrees

from ..tuning import tuned


class Thread:
    """A communicator of a rank that is a thread. Messages are copies in queues; what is posted first receives the first."""

    def __init__(self, rank, size, queues):
        self.rank, self.size, self.queues = rank, size, queues
        self.bytes = 0
        self.posted = []

    def post(self, sends, receives):
        for rank, buffer in sends:
            self.bytes += buffer.nbytes
            self.queues[self.rank, rank].put(buffer.copy())
        self.posted += receives
        return receives

    def wait(self, posted):
        while any(message is mine for message in self.posted for mine in posted):
            rank, buffer = self.posted.pop(0)
            buffer[...] = self.queues[rank, self.rank].get(timeout=60)


def summed(arrays, size):
    """The sum of the shards' arrays by each of `size` ranks, and how many bytes each sent."""
    shards = len(arrays)
    queues = {(a, b): queue.Queue() for a in range(size) for b in range(size)}
    layout = Layout(arrays[0])

    def rank(number):
        comm = Thread(number, size, queues)
        whole = AllReduce(comm, shards)

        def shard(s, onto):
            assert s in shards_of_rank(number, size, shards)
            flat = layout.empty()
            for view, array in zip(layout.views(flat), arrays[s], strict=True):
                view[...] = array
            return folded(onto, flat)

        own = {node: computed(node, shard) for node in whole.own}
        return [view.copy() for view in layout.views(whole.over_ranks(own, layout.empty()))], comm.bytes

    with ThreadPoolExecutor(size) as threads:
        return list(threads.map(rank, range(size)))


def by_definition(arrays):
    """The sum by the recursion of the tree, without ranks or flat memory."""
    if len(arrays) == 1:
        return arrays[0]
    middle = len(arrays) // 2
    return [a + b for a, b in zip(by_definition(arrays[:middle]), by_definition(arrays[middle:]), strict=True)]


@given(st.integers(1, 12), st.data(), st.integers(0, 2**32), st.sampled_from([0, 100, 1 << 18]))
def test_every_rank_has_the_sum_by_definition(shards, data, seed, small):
    size = data.draw(st.integers(1, shards))
    rng = np.random.default_rng(seed)
    forms = [((3, 4), np.float32), ((), np.float64), ((0,), np.float32), ((37,), np.float32), ((5,), np.float64)]
    arrays = [[(rng.normal(size=s) * 10.0 ** rng.integers(-6, 6)).astype(d) for s, d in forms] for _ in range(shards)]
    with tuned() as tune:
        tune(contribution, BUCKET=72, SMALL=small)  # several buckets, the last one smaller than the number of ranks
        results = summed(arrays, size)
    expected = by_definition(arrays)
    for result, _ in results:
        assert [r.tobytes() for r in result] == [e.tobytes() for e in expected]
        assert [(r.shape, r.dtype) for r in result] == [(e.shape, e.dtype) for e in expected]


@pytest.mark.parametrize("size", [2, 4, 8])
def test_a_rank_sends_twice_the_contribution_at_most(size):
    array = np.ones(1 << 20, np.float32)
    for _, sent in summed([[array]] * 8, size):
        assert sent <= 2 * array.nbytes


@given(st.integers(1, 300), st.data())
def test_ranks_share_the_shards(shards, data):
    size = data.draw(st.integers(1, shards))
    parts = [shards_of_rank(rank, size, shards) for rank in range(size)]
    assert [s for part in parts for s in part] == list(range(shards))
    counts = [len(part) for part in parts]
    assert max(counts) - min(counts) <= 1
    nodes = [node for part in parts for node in subtrees(part, (0, shards))]
    assert all(a[1] == b[0] for a, b in pairwise(nodes))
    assert (nodes[0][0], nodes[-1][1]) == (0, shards)


@given(st.integers(2, 300))
def test_the_tree_is_balanced(shards):
    depth, node = 0, (0, shards)
    while node[1] - node[0] > 1:
        node = max(halves(node), key=lambda half: half[1] - half[0])
        depth += 1
    assert depth == (shards - 1).bit_length()
