"""The backward walks of a compiled function: each is recorded when its graph comes again, and repeated as a program.

The function runs as written. When it walks backward, the structure of the graph behind the roots is compared with those of
earlier walks (`graphs`). At the second walk through one structure, the ops of the rules are recorded (`rules`); from the
third on they run as one flat list of prepared calls (`program`), in memory that only they use.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any
from weakref import ref

import numpy as np

from ..core import tracing, versions
from ..core.acceleration import accelerations
from ..core.backward import Finished, check_unwritten, pull_back
from ..core.node import hooked
from ..core.tracing import NO_TRACER
from ..kernels.parallel.workspace import LARGE, Pool
from ..ops import replaced
from .graphs import Graph, Root, seen
from .parts import added
from .program import Program, in_bytes
from .rules import Rules, Walk
from .tasks import is_dense

MOST_PARTS = 1000
"""The walk through a graph with more parts of one array that are no views is plain: a program adds them as whole arrays."""


class Known:
    """A structure, and what is known of walks through it."""

    def __init__(self, graph: Graph, roots: Sequence[Root]) -> None:
        self.graph = graph
        self.uses = 0
        self.walk: Walk | None = None
        self.staying: dict[int, ref[np.ndarray]] = {}  # saved values: the same arrays in all walks since the record
        self.program: Program | None = None
        # Whether it cannot be repeated. A program has copies of the roots, for which kernels may differ if the roots have gaps.
        self.fails = graph.most_parts > MOST_PARTS or not all(
            is_dense(g.shape, g.strides, g.itemsize) for _, g in roots
        )

    def see(self, saved: Sequence[np.ndarray]) -> None:
        """Drop the program if a saved value that stayed is another array now."""
        for i, array in self.staying.items():
            if array() is not saved[i]:
                self.program = None
                self.staying = {i: array for i, array in self.staying.items() if array() is saved[i]}
                return


class Walks:
    """The walks of a function. One runs at a time: one within another, or in another thread at the same time, is plain."""

    def __init__(self, most: int) -> None:
        self._most = most
        self.known: list[Known] = []
        self._pool = Pool()
        self._kernels = accelerations()
        self._turn: dict[str, object] = {}  # the walk that runs

    def walk(
        self, roots: Sequence[Root], wanted: Collection[Any] | None, retain: bool, finished: Finished | None
    ) -> dict[Any, np.ndarray] | None:
        """The gradients of a walk that records nothing; None if it should go on plainly."""
        if tracing.tracer() is not NO_TRACER or replaced.left:
            return None
        mine = object()
        try:
            if self._turn.setdefault("walk", mine) is not mine:
                return None
            return self._walk(roots, wanted, retain, finished)
        finally:
            if self._turn.get("walk") is mine:
                del self._turn["walk"]

    def _walk(
        self, roots: Sequence[Root], wanted: Collection[Any] | None, retain: bool, finished: Finished | None
    ) -> dict[Any, np.ndarray] | None:
        if self._kernels != accelerations():  # the prepared tasks are of other kernels
            self.known.clear()
            self._pool, self._kernels = Pool(), accelerations()
        found = self._find(roots, wanted)
        if found is None:
            return None
        known, places, saved = found
        known.uses += 1
        if known.fails or (hooked and any(hasattr(place, "hooks") for place in places)):
            return None
        nodes = places[: known.graph.inner]
        if nodes and nodes[-1].number <= versions.latest:
            check_unwritten(nodes)
        if known.walk is None:
            return self._recorded(known, places, saved, roots, wanted, retain, finished)
        known.see(saved)
        if known.program is None:
            known.program = Program(known.walk, self._pool, saved, known.staying)
            self._share(known)
        gradients = known.program.run(places, saved, roots, finished)
        if not retain:
            for node in nodes:
                node.saved = node.parents = None
        return gradients

    def _find(self, roots: Sequence[Root], wanted: Collection[Any] | None) -> tuple[Known, list[Any], list[Any]] | None:
        """What is known of the structure of a graph, its places and its saved values; None if that is nothing."""
        near: tuple[Known, Collection[int]] | None = None
        for known in self.known:
            match = known.graph.match(roots, wanted)
            if match is not None:
                places, saved, differ = match
                if not differ:
                    return known, places, saved
                near = near or (known, differ)
        if near is None and len(self.known) >= self._most and not self._drop():
            return None
        graph = seen(roots, wanted, () if near is None else {*near[0].graph.varying, *near[1]})
        if graph is None:
            return None
        known = Known(graph, roots)
        self.known.append(known)
        if near is None:
            return None
        self.known.remove(near[0])  # parameters differ from call to call: the rules of their nodes are called each time
        match = graph.match(roots, wanted)
        return match and (known, *match[:2])

    def _drop(self) -> bool:
        """Forget the oldest structure that did not come again. False if there is none."""
        for i, known in enumerate(self.known):
            if not known.uses:
                del self.known[i]
                return True
        return False

    def _recorded(
        self, known: Known, places: list[Any], saved: list[Any], roots: Sequence[Root],
        wanted: Collection[Any] | None, retain: bool, finished: Finished | None,
    ) -> dict[Any, np.ndarray]:  # fmt: skip
        """Walk plainly, and record the ops of the rules."""
        rules = Rules(known.graph, places, saved)
        given = [(place, rules.root(g)) for place, g in roots]
        told: Finished | None = None if finished is None else (lambda place, g: finished(place, g._array))
        with tracing.trace(rules):
            results = pull_back(given, wanted, retain=retain, create=False, finished=told)  # type: ignore[arg-type]
        known.walk = walk = rules.recorded(results)
        if walk is not None:
            walk.calls = added(walk.calls, [value for _, value in walk.results])
            known.staying = {i: ref(array) for i, array in enumerate(saved)}
        known.fails = known.walk is None
        return {place: g._array for place, g in results.items()}

    def _share(self, newest: Known) -> None:
        """If much memory of the pool was replaced, prepare the other programs anew: they keep what they had."""
        if self._pool.outgrown >= LARGE:
            self._pool.outgrown = 0
            for known in self.known:
                if known is not newest:
                    known.program = None

    @property
    def programs(self) -> list[Program]:
        """Those that are prepared."""
        return [known.program for known in self.known if known.program is not None]

    def describe(self) -> str:
        """See `Compiled.describe`."""
        lines = []
        for program in self.programs:
            lines += [f"backward: {len(program.lines)} calls", *program.lines]
        lines.append(f"{self.count} operations; memory kept: {in_bytes(self.nbytes)}")
        return "\n".join(lines)

    @property
    def count(self) -> int:
        """The number of operations that are prepared."""
        return sum([len(program.lines) for program in self.programs])

    @property
    def nbytes(self) -> int:
        """The size of the memory that is kept."""
        return self._pool.nbytes + sum([program.nbytes for program in self.programs])
