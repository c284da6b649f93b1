"""The order in which the shards of a batch are added: one binary tree over their numbers, for any number of ranks.

A node (first, last) stands for the shards from `first` to `last` - 1; its children are its two halves. A rank adds up
the largest subtrees that lie within its own shards. The additions above them follow the same tree on every rank, so the
sum has the same bits for any number of ranks.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TypeAlias, TypeVar

import numpy as np

Node: TypeAlias = tuple[int, int]
T = TypeVar("T")


def shards_of_rank(rank: int, size: int, shards: int) -> range:
    """The shards that a rank computes: consecutive ones. The ranks' numbers of shards differ by at most one."""
    return range(rank * shards // size, (rank + 1) * shards // size)


def halves(node: Node) -> tuple[Node, Node]:
    """The children of a node with more than one shard."""
    middle = (node[0] + node[1]) // 2
    return (node[0], middle), (middle, node[1])


def subtrees(part: range, node: Node) -> list[Node]:
    """The largest subtrees below `node` whose shards are all in `part`."""
    first, last = node
    if part.start <= first and last <= part.stop:
        return [node]
    if last <= part.start or part.stop <= first:
        return []
    return [tree for half in halves(node) for tree in subtrees(part, half)]


def computed(node: Node, shard: Callable[[int, Sequence[T]], T], onto: Sequence[T] = ()) -> T:
    """The sum of a node. Its shards are computed in order.

    Args:
        shard: ``shard(s, [a, b, c])`` gives a + (b + (c + the contribution of shard s)), in the memory of a.
        onto: the sums a, b, c that the node is added to.
    """
    if node[1] - node[0] == 1:
        return shard(node[0], onto)
    left, right = halves(node)
    return computed(right, shard, (*onto, computed(left, shard)))


def total(node: Node, known: Mapping[Node, np.ndarray]) -> np.ndarray:
    """The sum of a node from the known sums below it. It may write to their memory."""
    if node in known:
        return known[node]
    left, right = halves(node)
    first = total(left, known)
    np.add(first, total(right, known), out=first)
    return first
