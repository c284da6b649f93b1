"""The backward walk: reverse-mode differentiation over recorded nodes.

Nodes are visited newest first, so when a node is visited its gradient is complete: all users of its output are newer. The
rules of its op turn that gradient into one for each parent. The sums at the leaves are the result. With ``create`` the rules
are given Tensors and their computation is recorded.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Sequence
from contextlib import nullcontext
from operator import attrgetter
from typing import Any, TypeAlias

from numpy import ndarray

from ..scope import Scoped
from . import tracing, versions
from .grad_mode import enable_grad, no_grad
from .gradients import LARGE, apart, check_recorded, fit, in_order, owned, shares, total
from .graph import Array
from .node import Place, hooked
from .registry import above

Finished: TypeAlias = Callable[[Place, Array], None]

repeating: Scoped[Callable[..., dict[Place, Array] | None] | None] = Scoped("repeating", None)
"""Asked in this context before a walk that records nothing: ``f(roots, wanted, retain, finished)`` returns the gradients, or
None for the walk to run. ``compile/`` sets it."""

_number = attrgetter("number")


def pull_back(
    roots: Sequence[tuple[Place, Array]],
    wanted: set[Place] | None,
    *,
    retain: bool,
    create: bool,
    floor: int = 0,
    finished: Finished | None = None,
) -> dict[Place, Array]:
    """Gradients of sum <root, g> for the `wanted` places, or for every leaf if None; a place that gets none is left out.

    `roots` are pairs of a place and its incoming gradient: arrays, or Tensors if :func:`in_tensors`. The returned arrays
    share no memory with other arrays. Without `retain`, the saved values of every visited node are freed. Places numbered
    below `floor` are treated as leaves: the walk ends there. ``finished(place, g)`` is called with each gradient as soon as it
    is complete, while the walk goes on.

    Raises:
        RuntimeError: before anything changes, if a visited node was freed or a value it saved has been overwritten.
    """
    if not create and not floor and (repeats := repeating.get()) is not None:
        known = repeats(roots, wanted, retain, finished)
        if known is not None:
            return known
    walk = _Walk(roots, wanted, retain, floor, finished)
    if create or tracing.watchers:
        walk.follow(create)
    else:
        walk.run()
    results = walk.results
    return results if len(set(map(id, results.values()))) == len(results) else apart(results)


class _Walk:
    """A walk from the newest node to the oldest: the gradients that it knows, and where it goes.

    Args:
        roots, wanted, retain, floor, finished: as for :func:`pull_back`.
    """

    tensors = False
    pull: Callable[[Any, Array, Any], Sequence[Any]] | None = None
    """What applies the rules of a node, where they are given Tensors or a tracer is told of them."""

    def __init__(
        self, roots: Sequence[tuple[Place, Array]], wanted: set[Place] | None, retain: bool, floor: int,
        finished: Finished | None,
    ) -> None:  # fmt: skip
        oldest = floor if not wanted else max(floor, min(map(_number, wanted)))  # nothing older is needed
        nodes, last = reached(dict(roots), oldest)
        self.order = nodes + last if finished is None else _with_each_leaf_early(nodes, last)
        self.useful = None if wanted is None or wanted.issuperset(last) else leading_to(wanted, nodes)
        self.ends: Collection[Place] = wanted or ()
        self.retain, self.floor, self.finished = retain, floor, finished
        self.grads: dict[Any, Array] = {}
        for place, g in roots:
            if self.useful is None or place in self.useful:
                self.grads[place] = self.grads[place] + g if place in self.grads else g
        self.borrowed = {*self.grads}  # leaves and ends whose gradient may share memory, as those of the roots do
        self.sums: set[Place] = set()  # places whose gradient is a sum that this walk made, and may add to in place
        self.from_zero: set[Place] = set()  # places whose sum began with 0, so that no element of it is -0
        self.results: dict[Place, Array] = {}

    def follow(self, create: bool) -> None:
        """:meth:`run`, where rules are given Tensors, or a tracer is told of them."""
        vjp, tensors = tracing.tracer().vjp, in_tensors(create)

        def pull(node: Any, g: Array, parents: Any) -> Sequence[Any]:
            pulled = vjp(node, g, node.op.saved_tensors(node) if tensors else node.saved, parents)
            if create:
                check_recorded(node.op, pulled, parents)
            return pulled

        self.pull, self.tensors = pull, tensors
        records = tensors and not tracing.tracer().answers
        with enable_grad() if create else no_grad() if records else nullcontext():
            self.run()

    def run(self) -> None:
        """Each gradient is complete when its node comes. It goes through the rules, and what they return to the parents."""
        grads, useful, ends, borrowed, sums = self.grads, self.useful, self.ends, self.borrowed, self.sums
        results, finished, pull, retain = self.results, self.finished, self.pull, self.retain
        for node in self.order:
            if (g := grads.pop(node, None)) is None:  # leads to no wanted place
                continue
            if hooked and node.number >= self.floor and hasattr(node, "hooks"):  # else an outer walk runs them
                g = node.hooks(g, self.tensors)
                borrowed.add(node)  # a hook may have kept its argument
            op = node.op
            if op is None or node in ends:
                if node in borrowed or g.__class__ is not ndarray or not g.flags.carray:
                    g = owned(g, node in borrowed, node)
                results[node] = g
                if finished is not None:
                    finished(node, g)
                if op is None or node.number < self.floor:
                    continue
            if g.size >= LARGE:
                above.keep_freed_memory()
                g = in_order(g, node)
            parents = node.parents if useful is None else tuple([p if p in useful else None for p in node.parents])
            if op.adds is not None and parents[0] in grads and self.adds(node, g, parents[0]):
                pulled: Sequence[Any] = ()
            elif pull is not None:
                pulled = pull(node, g, parents)
            else:
                pulled = op.pull(g, node.saved, node.params, parents)
            i = -1
            for r in pulled:  # no zip or enumerate: they would double the cost of this loop
                i += 1
                parent = parents[i]
                if parent is None:
                    continue
                if r.__class__ is not ndarray or r.shape != parent.shape or r.dtype is not parent.dtype:
                    r = fit(r, parent, op, i)
                if parent in grads:
                    grads[parent] = total(grads[parent], r, parent in sums)
                    sums.add(parent)
                    borrowed.discard(parent)
                else:
                    grads[parent] = r
                    if (parent.op is None or parent in ends) and shares(r, g, node.saved, pulled):
                        borrowed.add(parent)
            if not retain:
                node.saved = node.parents = None

    def adds(self, node: Any, g: Array, parent: Any) -> bool:
        """Add the gradient of a part to that of the whole array, in place if no one is told of the rules.

        The gradient of n parts then takes n additions of a part each. A sum of whole arrays has the same bits, because the
        sum begins with 0: adding 0 changes no element but -0.
        """
        if parent not in self.from_zero:
            self.grads[parent] = self.grads[parent] + 0.0
            self.from_zero.add(parent)
            self.sums.add(parent)
            self.borrowed.discard(parent)
        whole = self.grads[parent]
        fits = whole.__class__ is ndarray and whole.flags.carray and g.dtype is whole.dtype
        return self.pull is None and fits and node.op.adds(whole, g, *node.params)


def in_tensors(create: bool) -> bool:
    """Whether the rules are given Tensors: to record what they compute, or for a tracer that follows it."""
    return create or (bool(tracing.watchers) and tracing.tracer().follows_rules)


def outside(roots: Iterable[Place], since: int) -> set[Place]:
    """The places numbered below `since` that the roots were computed from; the search stops at these places."""
    found: list[Any] = [*dict.fromkeys(roots)]
    seen = {None, *found}
    for node in found:
        if node.number >= since:
            for parent in node.parents or ():
                if parent not in seen:
                    seen.add(parent)
                    found.append(parent)
    return {node for node in found if node.number < since}


def reached(roots: Iterable[Place], oldest: int) -> tuple[list[Any], list[Any]]:
    """The nodes that the roots were computed from, and the places where the search ends, leaves and older ones: newest first.

    RuntimeError if a node was freed, or a value that it saved has been overwritten.
    """
    nodes: list[Any] = []
    last: list[Any] = []
    found: list[Any] = [*dict.fromkeys(roots)]
    seen = {None, *found}
    try:
        for node in found:
            if node.op is None or node.number < oldest:
                last.append(node)
            else:
                nodes.append(node)
                for parent in node.parents:
                    if parent not in seen:
                        seen.add(parent)
                        found.append(parent)
    except TypeError:  # the parents are None
        raise RuntimeError(
            f"backward: the graph behind `{node.op}` was freed by an earlier backward; "
            "pass retain_graph=True to that one if you need a second"
        ) from None
    nodes.sort(key=_number, reverse=True)
    last.sort(key=_number, reverse=True)
    check_unwritten(nodes)
    return nodes, last


def check_unwritten(nodes: Sequence[Any]) -> None:
    """RuntimeError if a value saved by one of the nodes, newest first, has been overwritten since."""
    for node in reversed(nodes):
        if node.number > versions.latest:
            break
        if node.saved and versions.written_since(node.number, node.saved):
            raise RuntimeError(
                f"backward: a value that {node.op} saved was overwritten in place after it was recorded (by an "
                "optimizer's step or copy_); run backward before the update, or run the forward pass again after it"
            )


def _with_each_leaf_early(nodes: list[Any], leaves: list[Any]) -> list[Any]:
    """The order in which each leaf comes right behind the last node that adds to its gradient."""
    last = {p: node.number - 0.5 for node in nodes for p in node.parents if p is not None}
    return sorted(nodes + leaves, key=lambda p: last.get(p, p.number) if p.op is None else p.number, reverse=True)


def leading_to(wanted: Collection[Place], nodes: Sequence[Any]) -> set[Place]:
    """The places from which some wanted place can be reached."""
    useful = set(wanted)
    for node in reversed(nodes):
        if not useful.isdisjoint(node.parents):
            useful.add(node)
    return useful
