"""The structure of a recorded graph: what a backward walk goes through, and whether another graph is the same.

Two graphs have one structure if their nodes record the same ops with the same parameters, in one order, with the same edges,
and if these nodes and the values that they save have the same forms: shapes, memory orders, dtypes.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Sequence
from itertools import chain, repeat
from operator import attrgetter, gt, is_, is_not
from typing import Any, NamedTuple, TypeAlias

from numpy import ndarray

from ..core.backward import reached
from .params import is_ours, plain, same, snapshot

Root: TypeAlias = tuple[Any, Any]
"""A place where a walk begins, and the gradient that arrives there."""

_form = attrgetter("shape", "strides", "dtype")
_described = attrgetter("op", "shape", "strides", "dtype")
_number, _parents, _saved = map(attrgetter, ("number", "parents", "saved"))


class Match(NamedTuple):
    """Another graph, in terms of the numbers of a structure."""

    places: list[Any]
    saved: list[Any]
    differ: Collection[int]
    """The nodes of which parameters or saved numbers differ."""


class Graph:
    """The structure of a graph behind some roots.

    Numbers stand for places: the nodes that a walk goes through, newest first, and then the places where it ends. The saved
    values have numbers, too: one node's after the other's, and then those in tuples, one tuple's after the other's.
    """

    def __init__(self, roots: Sequence[Root], wanted: Collection[Any] | None, varying: Collection[int] = ()) -> None:
        """See the graph behind `roots`. Parameters and saved numbers of the `varying` nodes differ from walk to walk."""
        oldest = min([place.number for place in wanted]) if wanted else 0
        nodes, ends = reached([place for place, _ in roots], oldest)
        places = [*nodes, *ends]
        numbers: dict[Any, int] = {place: i for i, place in enumerate(places)}
        self.varying = varying
        self.size, self.inner = len(places), len(nodes)
        self.described = [*map(_described, places)]
        self.roots, self.root_forms = [numbers[place] for place, _ in roots], [_form(g) for _, g in roots]
        self.repeats_roots = len({*self.roots}) < len(self.roots)
        self.wanted = None if wanted is None else [numbers[place] for place in wanted if place in numbers]
        self.is_whole = all(end.op is None for end in ends)  # so what is wanted and not found is not reached at all
        self.edges = [-1 if p is None else numbers[p] for node in nodes for p in node.parents]
        self.parents = [len(node.parents) for node in nodes]
        self.paths = self._paths(nodes, numbers)
        whole = [node.parents[0] for node in nodes if node.op.adds is not None]
        self.most_parts = max(Counter(whole).values(), default=0)  # of one place
        self.compares = [i not in varying and is_ours(node.op) and plain(node.params) for i, node in enumerate(nodes)]
        self.params = [(i, snapshot(n.params)) for i, n in enumerate(nodes) if n.params and self.compares[i]]
        self._see_saved(nodes)

    def _paths(self, nodes: Sequence[Any], numbers: dict[Any, int]) -> list[tuple[int, int, int]]:
        """How each place is found: its number, that of a node of which it is a parent, and its position there."""
        found, known = [], {*self.roots}
        for i, node in enumerate(nodes):
            for k, parent in enumerate(node.parents):
                if parent is not None and numbers[parent] not in known:
                    known.add(numbers[parent])
                    found.append((numbers[parent], i, k))
        return found

    def _see_saved(self, nodes: Sequence[Any]) -> None:
        saved = [*chain.from_iterable(map(_saved, nodes))]
        owners = [i for i, node in enumerate(nodes) for _ in node.saved]
        self.tuples = [(i, len(value)) for i, value in enumerate(saved) if value.__class__ is tuple]
        for i, n in self.tuples:
            owners += [owners[i]] * n
            saved += saved[i]
        first: dict[int, int] = {}  # by the id of an array
        self.arrays: list[int] = []  # the numbers of the saved arrays, of each array the first one
        self.twins: list[tuple[int, int]] = []  # the first number of an array, and another one
        self.others: list[tuple[int, int, Any]] = []  # the number of another value, that of its node, and the value
        for i, value in enumerate(saved):
            if value.__class__ is ndarray:
                if first.setdefault(id(value), i) == i:
                    self.arrays.append(i)
                else:
                    self.twins.append((first[id(value)], i))
            elif value.__class__ is not tuple and self.compares[owners[i]]:
                self.others.append((i, owners[i], snapshot(value)))
        self.forms = [_form(saved[i]) for i in self.arrays]

    def match(self, roots: Sequence[Root], wanted: Collection[Any] | None) -> Match | None:
        """The graph behind other roots, if it has this structure; but parameters and saved numbers may differ."""
        if [_form(g) for _, g in roots] != self.root_forms or (wanted is None) is not (self.wanted is None):
            return None
        places: list[Any] = [None] * (self.size + 1)  # the last one is the parent of constants
        for i, (place, _) in zip(self.roots, roots, strict=True):
            places[i] = place
        try:
            for at, i, k in self.paths:
                places[at] = places[i].parents[k]
            nodes = places[: self.inner]
            parents = [*map(_parents, nodes)]
            numbers = [*map(_number, nodes)]
            saved = [*chain.from_iterable(map(_saved, nodes))]
            if (
                [*chain.from_iterable(parents)] != [places[i] for i in self.edges]
                or [*map(len, parents)] != self.parents
                or [*map(_described, places[:-1])] != self.described
                or not all(map(gt, numbers, numbers[1:]))  # else gradients would be added in another order
            ):
                return None
            for i, n in self.tuples:
                if saved[i].__class__ is not tuple or len(saved[i]) != n:
                    return None
                saved += saved[i]
            arrays = [saved[i] for i in self.arrays]
            if [*map(_form, arrays)] != self.forms or any(map(is_not, map(type, arrays), repeat(ndarray))):
                return None
        except (AttributeError, IndexError, TypeError):  # another structure, or freed
            return None
        places.pop()
        if len({*places}) < self.size:
            return None
        if self.repeats_roots and any(places[i] is not place for i, (place, _) in zip(self.roots, roots, strict=True)):
            return None
        if any(saved[i] is not saved[j] for i, j in self.twins) or (
            wanted is not None and not self._wants(places, wanted)
        ):
            return None
        return Match(places, saved, self._differing(nodes, saved))

    def _wants(self, places: Sequence[Any], wanted: Collection[Any]) -> bool:
        """Whether the same places are wanted."""
        assert self.wanted is not None
        found = sum([place in wanted for place in places])
        if found != len(self.wanted) or (found < len(wanted) and not self.is_whole):
            return False
        return all(places[i] in wanted for i in self.wanted)

    def _differing(self, nodes: Sequence[Any], saved: Sequence[Any]) -> Collection[int]:
        """The nodes of which parameters or saved numbers differ."""
        found = set()
        for i, params in self.params:
            given = nodes[i].params
            if not all(map(is_, given, params)) and not same(given, params):
                found.add(i)
        for i, node, value in self.others:
            if saved[i] is not value and not same((saved[i],), (value,)):
                found.add(node)
        return found
