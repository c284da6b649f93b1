"""The structure of a recorded graph: what a backward walk goes through, and whether another graph is the same.

Two graphs have one structure if their nodes record the same ops with the same parameters, in one order, with the same edges,
and if these nodes and the values that they save have the same forms: shapes, memory orders, dtypes. Each structure has a
function that compares graphs with it, written out node by node (``graph.source``): a loop would take three times as long.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Sequence
from typing import Any, TypeAlias

from numpy import ndarray

from ..core.backward import reached
from ..generated import made
from .params import is_ours, is_view, plain, same, snapshot

Root: TypeAlias = tuple[Any, Any]
"""A place where a walk begins, and the gradient that arrives there."""

MOST_NODES = 10_000
"""The walk through a larger graph, such as that of a whole training, is plain: its comparison would take seconds to make."""


Match: TypeAlias = tuple[list[Any], list[Any], list[int]]
"""Another graph, in terms of the numbers of a structure: its places, the arrays that nodes save, and the nodes of which
parameters or saved numbers differ."""


class Graph:
    """The structure of a graph behind some roots.

    Numbers stand for places: the nodes that a walk goes through, newest first, and then the places where it ends. The arrays
    that nodes save have numbers, too, each of them one.
    """

    def __init__(
        self, roots: Sequence[Root], wanted: Collection[Any] | None, nodes: Sequence[Any], ends: Sequence[Any],
        varying: Collection[int],
    ) -> None:  # fmt: skip
        """See :func:`seen`."""
        numbers: dict[Any, int] = {place: i for i, place in enumerate((*nodes, *ends))}
        self.varying = varying
        self.inner = len(nodes)
        self.wanted = None if wanted is None else [numbers[place] for place in wanted if place in numbers]
        self.older = [numbers[end] for end in ends if end.op is not None]  # the nodes where the walk stops
        self.compares = [i not in varying and is_ours(node.op) and plain(node.params) for i, node in enumerate(nodes)]
        parts = [node for node, compares in zip(nodes, self.compares, strict=True) if _is_added_whole(node, compares)]
        self.most_parts = max(Counter([node.parents[0] for node in parts]).values(), default=0)  # of one array
        comparison = _Comparison(roots, nodes, ends, self.compares)
        self.source, self._scope = comparison.source, comparison.scope
        self._compare: Callable[[Sequence[Root]], Match | None] | None = None

    def match(self, roots: Sequence[Root], wanted: Collection[Any] | None) -> Match | None:
        """The graph behind other roots, if it has this structure; but parameters and saved numbers may differ."""
        if (wanted is None) is not (self.wanted is None):
            return None
        if self._compare is None:
            self._compare = made("<structure: compare>", self.source, self._scope)
        try:
            found = self._compare(roots)
        except (AttributeError, TypeError, ValueError):  # other numbers of parents or saved values, or freed
            return None
        return found if found is None or wanted is None or self._wants(found[0], wanted) else None

    def _wants(self, places: Sequence[Any], wanted: Collection[Any]) -> bool:
        """Whether the same places are wanted, and none of them lies behind a node where the walk stops."""
        assert self.wanted is not None
        found = sum([place in wanted for place in places])
        if found != len(self.wanted) or (found < len(wanted) and self.older):
            return False
        if self.older and max([places[i].number for i in self.older]) >= min([place.number for place in wanted]):
            return False
        return all(places[i] in wanted for i in self.wanted)


def seen(roots: Sequence[Root], wanted: Collection[Any] | None, varying: Collection[int] = ()) -> Graph | None:
    """The structure of the graph behind some roots; None if it is too large.

    Parameters and saved numbers of the `varying` nodes differ from walk to walk.
    """
    oldest = min([place.number for place in wanted]) if wanted else 0
    nodes, ends = reached(dict(roots), oldest)
    return Graph(roots, wanted, nodes, ends, varying) if len(nodes) <= MOST_NODES else None


def _is_added_whole(node: Any, compares: bool) -> bool:
    """Whether a node is a part of an array that a program adds as a whole array: see `parts`."""
    return node.op.adds is not None and not (compares and all(map(is_view, node.params)))


class _Comparison:
    """The source of ``compare(roots)``, and its globals.

    It returns the :data:`Match` of the graph behind other roots, or None. It raises where a node has another number of parents
    or saved values.
    """

    def __init__(
        self, roots: Sequence[Root], nodes: Sequence[Any], ends: Sequence[Any], compares: Sequence[bool]
    ) -> None:
        self.scope: dict[str, Any] = {"ndarray": ndarray, "same": same}
        self._lines = ["def compare(roots):", "differ = []"]
        self._names = {place: f"p{i}" for i, place in enumerate((*nodes, *ends))}
        self._bound: set[Any] = set()  # the places that have been found
        self._arrays: dict[int, str] = {}  # the names of saved arrays, by id
        self._count = 0
        targets, again = self._targets([place for place, _ in roots])
        pairs = [f"[{target}, g{i}]" for i, target in enumerate(targets)]
        self._unpack(pairs, [*again, *[self._form(f"g{i}", g) for i, (_, g) in enumerate(roots)]], "roots")
        for i, node in enumerate(nodes):
            name = self._names[node]
            self._place(name, node)
            self._unpack(*self._targets(node.parents), source=f"{name}.parents")
            if node.saved:
                self._see_saved(i, f"{name}.saved", node.saved, compares[i])
            if node.params and compares[i]:
                targets = [self._new() for _ in node.params]
                self._unpack(targets, [], f"{name}.params")
                self._note_others(i, targets, snapshot(node.params))
        for end in ends:
            self._place(self._names[end], end)
        if len(nodes) > 1:  # else gradients would be added in another order
            self._ensure([" > ".join([f"{self._names[node]}.number" for node in nodes])])
        leaves = all(end.op is None for end in ends)  # else one of them may be a node
        distinct = [self._names[place] for place in (ends if leaves else self._names)]
        self._ensure([f"len({{{', '.join(distinct)}}}) == {len(distinct)}"])
        self._lines.append(f"return [{', '.join(self._names.values())}], [{', '.join(self._arrays.values())}], differ")
        self.source = "\n    ".join(self._lines) + "\n"

    def _ensure(self, conditions: Sequence[str]) -> None:
        """Go on if all conditions hold."""
        if conditions:
            self._lines.append(f"if not ({' and '.join(conditions)}): return None")

    def _unpack(self, targets: Sequence[str], conditions: Sequence[str], source: str) -> None:
        self._lines.append(f"[{', '.join(targets)}] = {source}")
        self._ensure(conditions)

    def _new(self) -> str:
        self._count += 1
        return f"x{self._count}"

    def _constant(self, value: Any) -> str:
        name = f"k{len(self.scope)}"
        self.scope[name] = value
        return name

    def _targets(self, places: Sequence[Any]) -> tuple[list[str], list[str]]:
        """The names of places where they are unpacked, and that those which were found before, or are None, are the same."""
        targets, again = [], []
        for place in places:
            if place is None or place in self._bound:
                targets.append(self._new())
                again.append(f"{targets[-1]} is {place and self._names[place]}")
            else:
                self._bound.add(place)
                targets.append(self._names[place])
        return targets, again

    def _form(self, name: str, array: Any) -> str:
        form = self._constant((array.shape, array.strides, array.dtype))
        return f"({name}.shape, {name}.strides, {name}.dtype) == {form}"

    def _place(self, name: str, place: Any) -> None:
        form = self._constant((place.op, place.shape, place.strides, place.dtype))
        alike = f"({name}.op, {name}.shape, {name}.strides, {name}.dtype) == {form}"
        # The leaf of a parameter is mostly the same one, whose form never changes.
        self._ensure([alike if place.op is not None else f"({name} is {self._constant(place)} or {alike})"])

    def _see_saved(self, i: int, source: str, saved: Sequence[Any], compares: bool) -> None:
        """Compare the values that node i saves, or those in a tuple among them."""
        targets, conditions, others = [self._new() for _ in saved], [], []
        for name, value in zip(targets, saved, strict=True):
            if value.__class__ is ndarray and id(value) in self._arrays:
                conditions.append(f"{name} is {self._arrays[id(value)]}")
            elif value.__class__ is ndarray:
                self._arrays[id(value)] = name
                conditions += [f"{name}.__class__ is ndarray", self._form(name, value)]
            elif value.__class__ is tuple:
                conditions.append(f"{name}.__class__ is tuple")
                others.append((name, value))
            elif compares:
                others.append((name, value))
        self._unpack(targets, conditions, source)
        for name, value in others:
            if value.__class__ is tuple:
                self._see_saved(i, name, value, compares)
            else:
                self._note_others(i, [name], (snapshot(value),))

    def _note_others(self, i: int, names: Sequence[str], known: tuple[Any, ...]) -> None:
        """Note node i if its parameters or saved numbers are not the known ones. Mostly they are the same objects."""
        alike = " and ".join([f"{name} is {self._constant(value)}" for name, value in zip(names, known, strict=True)])
        given = f"({', '.join(names)},)"
        self._lines.append(f"if not ({alike} or same({given}, {self._constant(known)})): differ.append({i})")
