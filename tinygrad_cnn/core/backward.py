"""The backward walk: reverse-mode differentiation in one pass over the nodes, newest first.

Node numbers grow with time, so sorting the reachable nodes by number gives a topological order: when the walk comes to a
node, every use of its output has already sent its gradient. The node's op turns that gradient into one for each parent.
The sums at the leaves are the result. With ``create`` the rules are given Tensors and their computation is recorded.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Sequence
from contextlib import nullcontext
from operator import attrgetter
from typing import Any, TypeAlias

import numpy as np

from . import hooks, tracing
from .grad_mode import enable_grad, no_grad
from .graph import Array, Op, above
from .node import Leaf, Node
from .versions import last_write, owner, written_since

Place: TypeAlias = Node | Leaf
Finished: TypeAlias = Callable[[Place, Array], None]

LARGE = 1 << 15
"""Gradients of at least this many elements are put into the memory order of the forward output."""

ARRAYS = nullcontext()
"""The context for rules that are given arrays: nothing is recorded."""


def pull_back(
    roots: Sequence[tuple[Place, Array]],
    wanted: Collection[Place] | None,
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
    if tracing.watchers and not create and not floor:
        known = tracing.tracer().walk(roots, wanted, retain, finished)
        if known is not None:
            return known
    oldest = floor if not wanted else max(floor, min([place.number for place in wanted]))  # nothing older is needed
    grads: dict[Place, Array] = reached([place for place, _ in roots], oldest)
    order: list[Any] = sorted(grads, key=attrgetter("number"), reverse=True)
    check_unwritten(order, oldest)
    if finished is not None:  # leaves come right after their last use
        last = {p: node.number - 0.5 for node in order for p in node.parents or () if p is not None and p.op is None}
        order.sort(key=lambda place: last.get(place, place.number), reverse=True)
    useful = None if wanted is None else _leading_to(wanted, order, oldest)
    ends: Collection[Place] = () if wanted is None else wanted
    summed: set[Place] = set()  # places whose gradient this walk allocated: it may add in place
    borrowed: set[Place] = set()  # places whose gradient may share memory with another array
    results: dict[Place, Array] = {}
    vjp = tracing.tracer().vjp if tracing.watchers else None
    hooked = bool(hooks.changes and hooks.hooked)
    tensors = in_tensors(create)

    for place, g in roots:
        if useful is None or place in useful:
            old = grads[place]
            grads[place] = g if old is None else _sum(old, g, place, summed)
            borrowed.add(place)

    with enable_grad() if create else no_grad() if tensors else ARRAYS:
        for node in order:
            g = grads[node]
            if g is None:  # leads to no wanted place
                continue
            grads[node] = None
            if hooked and node.number >= floor and hasattr(node, "hooks"):  # else an outer walk runs them
                g = hooks.run(node, g, tensors)
                borrowed.add(node)  # a hook may have kept its argument
                summed.discard(node)
            op = node.op
            if op is None or node in ends:
                shared = node in borrowed and node not in summed
                fine = not shared and g.__class__ is np.ndarray and g.flags.carray
                results[node] = g if fine else _own(g, shared)
                if finished is not None:
                    finished(node, results[node])
                if op is None or node.number < floor:
                    continue
            if g.size >= LARGE:
                above.keep_freed_memory()
                if op.in_place or not op.along:  # other kernels take any order
                    g = _laid_out(g, node.strides)
            parents = node.parents
            if useful is not None:
                parents = tuple([p if p in useful else None for p in parents])
            saved = op.saved_tensors(node) if tensors else node.saved
            if vjp is None:
                pulled = op.pull(g, saved, node.params, parents)
            else:
                pulled = vjp(node, g, saved, parents)
            if create:
                check_recorded(op, pulled, parents)
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
                if (parent.op is None or parent in ends) and _shares(r, g, saved):
                    borrowed.add(parent)
                old = grads[parent]
                grads[parent] = r if old is None else _sum(old, r, parent, summed)
            if not retain:
                node.saved = node.parents = None
    return results


def _laid_out(g: Array, strides: tuple[int, ...]) -> Array:
    """g in the memory order of the forward output (given by its strides), if both arrays have one.

    When operands differ in order, NumPy picks C order for the result. But NumPy also reuses large temporaries in an
    expression and then keeps their order, so a rule could give arrays one order and Tensors another, and sums other bits.
    """
    data = g if g.__class__ is np.ndarray else g._array
    if data.strides == strides or 0 in data.strides or 0 in strides:
        return g
    long = [i for i, n in enumerate(data.shape) if n > 1]
    axes = sorted(long, key=lambda i: -strides[i])
    if axes == sorted(long, key=lambda i: -data.strides[i]):
        return g
    return above.laid_out(g, axes=(*axes, *(i for i, n in enumerate(data.shape) if n == 1)))


def in_tensors(create: bool) -> bool:
    """Whether the rules are given Tensors: to record what they compute, or for a tracer that follows it."""
    return create or tracing.tracer().follows_rules


def outside(roots: Iterable[Place], since: int) -> set[Place]:
    """The places numbered below `since` that the roots were computed from; the search stops at these places."""
    found = list(dict.fromkeys(roots))
    seen = set(found)
    for node in found:
        if node.number >= since and node.parents:
            new = [p for p in dict.fromkeys(node.parents) if p is not None and p not in seen]
            seen.update(new)
            found.extend(new)
    return {node for node in found if node.number < since}


def reached(roots: Iterable[Place], oldest: int) -> dict[Place, Any]:
    """Every place reachable from the roots, mapped to None; the search does not go beyond places older than `oldest`.

    RuntimeError if one of them was freed.
    """
    places: dict[Place, Any] = dict.fromkeys(roots)
    found = list(places)
    for node in found:
        if node.number < oldest:
            continue
        if node.parents is None:
            raise RuntimeError(
                f"backward: the graph behind `{node.op}` was freed by an earlier backward; "
                "pass retain_graph=True to that one if you need a second"
            )
        for parent in node.parents:
            if parent is not None and parent not in places:
                places[parent] = None
                found.append(parent)
    return places


def check_unwritten(order: Sequence[Place], oldest: int) -> None:
    """RuntimeError if a value saved by one of the places has been overwritten since."""
    latest = last_write()
    for node in reversed(order):
        if node.number > latest:
            break
        if node.number >= oldest and node.saved and written_since(node.number, node.saved):
            raise RuntimeError(
                f"backward: a value that {node.op} saved was overwritten in place after it was recorded (by an "
                "optimizer's step or copy_); run backward before the update, or run the forward pass again after it"
            )


def _leading_to(wanted: Collection[Place], order: Sequence[Place], oldest: int) -> set[Place]:
    """The places from which some wanted place can be reached."""
    useful = set(wanted)
    for node in reversed(order):
        if node.number >= oldest and node.parents and not useful.isdisjoint(node.parents):
            useful.add(node)
    return useful


def _sum(old: Array, r: Array, place: Place, summed: set[Place]) -> Array:
    """Accumulate r; in place if the buffer is ours and the layouts match. Else NumPy chooses the order, as for Tensors."""
    if place in summed and isinstance(old, np.ndarray) and old.strides == r.strides:
        return np.add(old, r, out=old)
    summed.add(place)
    return old + r


def fit(r: Array, parent: Place, op: Op, position: int) -> Array:
    """A gradient in its input's shape and dtype: summed over broadcast axes, for elementwise ops only."""
    if r.shape != parent.shape:
        try:
            if not op.elementwise:
                raise ValueError
            r = above.sum_to(r, shape=parent.shape)
        except ValueError:
            raise ValueError(
                f"{op.name}: the rule for {input_name(op, position)} returned shape {r.shape} for an input of shape "
                f"{parent.shape}"
            ) from None
    if r.dtype == parent.dtype:
        return r
    if r.dtype.kind not in "biuf":
        raise TypeError(
            f"{op.name}: the rule for {input_name(op, position)} returned {r.dtype} for an input of {parent.dtype}"
        )
    return r.astype(parent.dtype)


def check_recorded(op: Op, pulled: Sequence[Any], parents: Sequence[Place | None]) -> None:
    """TypeError unless the rules, given Tensors, returned Tensors: an array has lost how it depends on them."""
    for i, (r, parent) in enumerate(zip(pulled, parents, strict=True)):
        if parent is not None and not isinstance(r, op.globals["Tensor"]):
            raise unusable(op, f"the rule for {input_name(op, i)}", r)


def unusable(op: Op, rule: str, result: Any) -> TypeError:
    """The error of a rule that returned no array, or an array where it was given Tensors."""
    if not isinstance(result, np.ndarray | np.generic):
        return TypeError(f"{op.name}: {rule} returned {result!r:.60}, not an array")
    return TypeError(
        f"{op.name}: {rule} returned an array where it was given Tensors, so higher derivatives would be lost; write it with "
        "operators and ops, such as tinygrad_cnn.where, which compute with arrays and Tensors alike"
    )


def input_name(op: Op, position: int) -> str:
    """The name, in error messages, of the input at position `position` among the parents."""
    sig = op.signature
    served = sig.served
    return f"`{sig.inputs[0]}[{position}]`" if sig.variadic else f"`{served[position]}`"


def _memory(value: Any) -> Any:
    """The array that owns the memory of a value; None if the value is not an array."""
    data = value if value.__class__ is np.ndarray else getattr(value, "_array", value)
    return owner(data) if isinstance(data, np.ndarray) else None


def _shares(r: Array, g: Array, saved: Sequence[Any]) -> bool:
    """Whether a gradient may share memory with the incoming gradient or with a saved value."""
    if r.__class__ is np.ndarray and r.base is None:  # new, unless the rule returned one of its arguments
        if r is g:
            return True
        for value in saved:  # noqa: SIM110 - a generator would double the cost
            if value is r or (value.__class__ is tuple and any(each is r for each in value)):
                return True
        return False
    memory = _memory(r)
    if memory is None:
        return False
    for value in (g, *saved):
        if value.__class__ is tuple:
            if any(_memory(each) is memory for each in value):
                return True
        elif _memory(value) is memory:
            return True
    return False


def _own(g: Array, borrowed: bool) -> Array:
    """g in separate memory: C-ordered and writable."""
    if isinstance(g, np.ndarray):
        return np.array(g, order="C") if borrowed or not g.flags.carray else g
    if isinstance(g, np.generic):
        return np.asarray(g)
    return above.copy(g, order="C") if borrowed or not g._array.flags.carray else g
