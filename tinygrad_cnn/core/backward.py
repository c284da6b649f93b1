"""The backward walk: reverse-mode differentiation over recorded nodes.

Nodes are visited newest first, so when a node is visited its gradient is complete: all users of its output are newer. The
rules of its op turn that gradient into one for each parent. The sums at the leaves are the result. With ``create`` the rules
are given Tensors and their computation is recorded.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Sequence
from contextlib import nullcontext
from operator import attrgetter
from typing import Any, Protocol, TypeAlias

from numpy import ndarray

from . import tracing, versions
from .grad_mode import enable_grad, no_grad
from .gradients import (
    LARGE,
    apart,
    check_recorded,
    fit,
    in_order,
    input_name,
    owned,
    shares,
    started,
    total,
    unusable,
)
from .graph import Array
from .node import Place, hooked
from .registry import above
from .scope import Scoped

Finished: TypeAlias = Callable[[Place, Array], None]


class Repeats(Protocol):
    """Who may know the gradients of a walk from earlier ones: see ``compile/``."""

    def walk(
        self, roots: Sequence[tuple[Place, Array]], wanted: Collection[Place] | None, retain: bool,
        finished: Finished | None,
    ) -> dict[Place, Array] | None:  # fmt: skip
        """The gradients of a walk that records nothing; None, and it goes on by itself."""


repeating: Scoped[Repeats | None] = Scoped("repeating", None)
"""Who is asked in this context before a walk that records nothing."""

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
        known = repeats.walk(roots, wanted, retain, finished)
        if known is not None:
            return known
    oldest = floor if not wanted else max(floor, min([place.number for place in wanted]))  # nothing older is needed
    nodes, last = reached([place for place, _ in roots], oldest)
    order = nodes + last if finished is None else _with_each_leaf_early(nodes, last)
    useful = None if wanted is None or wanted.issuperset(last) else _leading_to(wanted, nodes)
    grads, borrowed = started(roots, useful)
    tensors = in_tensors(create)
    if not tensors and not tracing.watchers:
        results = _walk(order, grads, borrowed, useful, wanted or (), retain, floor, finished)
    else:
        with enable_grad() if create else no_grad() if tensors else nullcontext():
            followed = _follower(create, tensors)
            results = _walk(order, grads, borrowed, useful, wanted or (), retain, floor, finished, tensors, followed)
    return results if len(set(map(id, results.values()))) == len(results) else apart(results)


def _walk(
    order: Sequence[Any], grads: dict[Any, Array], borrowed: set[Place], useful: Collection[Place] | None,
    ends: Collection[Place], retain: bool, floor: int, finished: Finished | None, tensors: bool = False,
    followed: Callable[[Any, Array, Any], Sequence[Any]] | None = None,
) -> dict[Place, Array]:  # fmt: skip
    """The walk itself: each gradient is complete when its node comes, goes through the rules, and is added to the parents'.

    `grads` are the gradients known so far. `borrowed` are those leaves and `ends` whose gradient may share memory with another
    array, `sums` the places whose gradient is a sum that this walk made.
    """
    results: dict[Place, Array] = {}
    sums: set[Place] = set()
    for node in order:
        if (g := grads.pop(node, None)) is None:  # leads to no wanted place
            continue
        if hooked and node.number >= floor and hasattr(node, "hooks"):  # else an outer walk runs them
            g = node.hooks(g, tensors)
            borrowed.add(node)  # a hook may have kept its argument
        op = node.op
        if op is None or node in ends:
            if node in borrowed or g.__class__ is not ndarray or not g.flags.carray:
                g = owned(g, node in borrowed, node)
            results[node] = g
            if finished is not None:
                finished(node, g)
            if op is None or node.number < floor:
                continue
        if g.size >= LARGE:
            above.keep_freed_memory()
            g = in_order(g, node)
        parents = node.parents if useful is None else tuple([p if p in useful else None for p in node.parents])
        pulled = op.pull(g, node.saved, node.params, parents) if followed is None else followed(node, g, parents)
        i = -1
        for r in pulled:  # no zip or enumerate: they would double the cost of this loop
            i += 1
            parent = parents[i]
            if parent is None:
                continue
            try:
                fits = r.shape == parent.shape and r.dtype is parent.dtype
            except AttributeError:
                raise unusable(op, f"the rule for {input_name(op, i)}", r) from None
            if not fits:
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
    return results


def in_tensors(create: bool) -> bool:
    """Whether the rules are given Tensors: to record what they compute, or for a tracer that follows it."""
    return create or (bool(tracing.watchers) and tracing.tracer().follows_rules)


def _follower(create: bool, tensors: bool) -> Callable[[Any, Array, Any], Sequence[Any]]:
    """How the rules of a node are applied to its gradient, if they are given Tensors or a tracer is told of them."""
    vjp = tracing.tracer().vjp

    def apply(node: Any, g: Array, parents: Any) -> Sequence[Any]:
        pulled = vjp(node, g, node.op.saved_tensors(node) if tensors else node.saved, parents)
        if create:
            check_recorded(node.op, pulled, parents)
        return pulled

    return apply


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


def _leading_to(wanted: Collection[Place], nodes: Sequence[Any]) -> set[Place]:
    """The places from which some wanted place can be reached."""
    useful = set(wanted)
    for node in reversed(nodes):
        if not useful.isdisjoint(node.parents):
            useful.add(node)
    return useful
