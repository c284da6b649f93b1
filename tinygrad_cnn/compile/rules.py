"""A backward walk as a list of ops: the rules are given Tensors, and the ops that they call are recorded.

A rule that computes with arrays outside of ops, reads values, or is not one of this library's is one call of all rules of
its node.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from weakref import ref

import numpy as np

from ..core import tracing
from ..core.gradients import fit, input_name, unusable
from ..core.graph import Op
from ..core.node import Node
from ..core.tracing import NO_TRACER, Args, performed
from ..core.versions import owner
from ..kernels.parallel.workspace import aligned
from ..tensor import Tensor
from ..transforms.forward import forward_rule, pushed
from .slots import Slot, is_ours

if TYPE_CHECKING:
    from .program import Program


LARGE = 1 << 16
"""The record of a walk does not keep arrays of this many bytes alive."""


def like(shape: tuple[int, ...], dtype: np.dtype[Any], strides: tuple[int, ...]) -> np.ndarray:
    """Memory for an array without gaps, in the order of these strides."""
    return np.ndarray(shape, dtype, aligned(math.prod(shape) * dtype.itemsize), 0, strides)


class _Opaque(Exception):
    """Raised in a rule that cannot be recorded op by op."""


class Value:
    """An array in a backward walk: its form, and in a run the array, unless that is the same in every run."""

    __slots__ = ("array", "base", "dtype", "nbytes", "origin", "shape", "size", "source", "start", "strides")

    def __init__(self, array: Any, origin: str, source: Any = None) -> None:
        self.array = array if origin == "constant" else None
        self.origin = origin  # "call", "slot", "saved", "root" or "constant"
        self.source = (
            source  # of a slot: it; of a saved value: the slot of its node, and its positions among the saved values
        )
        self.base: Value | None = None  # the value of whose memory this one is a view
        self.start = 0  # where it begins in that memory
        if isinstance(array, np.ndarray):
            self.shape, self.dtype, self.strides = array.shape, array.dtype, array.strides
            self.size, self.nbytes = array.size, array.nbytes

    @property
    def root(self) -> Value:
        """The value that owns the memory."""
        return self if self.base is None else self.base


class Call:
    """A call of an op, or of all rules of the node of `slot`. Inputs and parameters are nested tuples and lists of values and
    constants."""

    __slots__ = ("along", "forward", "inputs", "made", "name", "op", "outputs", "params", "parents", "reads", "slot")

    def __init__(
        self,
        name: str,
        inputs: tuple[Any, ...],
        params: dict[str, Any],
        reads: list[Value],
        outputs: tuple[Value | None, ...],
        op: Op | None,
        slot: Slot | None = None,
        parents: tuple[Slot | None, ...] = (),
        forward: tuple[int | None] | None = None,
    ) -> None:
        self.name, self.inputs, self.params, self.outputs, self.op = name, inputs, params, outputs, op
        self.made = [value for value in outputs if value is not None]
        self.slot = slot
        self.parents = parents  # of the node, those that are wanted
        self.forward = forward  # of forward rules: the number of tangents
        self.along: set[Value] | None = None  # see `memory.by_image`
        self.reads = reads  # the values among inputs and parameters


@dataclass(eq=False, repr=False)
class Walk:
    """What a backward walk from some slots did: the calls, the nodes that it visited, and the gradients that it gave."""

    calls: list[Call]
    roots: list[Value]
    visited: list[Slot]
    results: list[tuple[Slot, Value]]
    wanted: frozenset[Slot] | None
    leaves: list[Slot]  # all that the call had from outside with a node, each another one
    starts: list[Slot]  # of a forward walk: where its roots are
    fails: bool  # whether it cannot be repeated from the record
    copies: bool = False  # whether the gradients of a walk were still held in a later one
    uses: int = 0
    program: Program | None = None

    def serves(self, roots: Sequence[tuple[Any, Any]], wanted: Collection[Any] | None) -> bool:
        """Whether gradients come in with the memory orders of the recorded call, and are wanted as they were there."""
        for (_, g), root in zip(roots, self.roots, strict=True):
            if g.strides != root.strides:
                return False
        if wanted is None or self.wanted is None:
            return wanted is None and self.wanted is None
        return wanted == {slot.node for slot in self.wanted}


class Rules(tracing.Tracer):
    """Records one walk. `places` are the slots of the nodes of the call."""

    follows_rules = True

    def __init__(self, places: dict[Any, Slot]) -> None:
        self._places = places
        self._sources: dict[Any, Value] = {}  # by slot, or by the place of a saved value
        self._values: dict[int, Value] = {}  # by the id of its array, while that is alive
        self._owners: dict[int, tuple[Value, int]] = {}  # of memory: the value that was first there, and its start
        self._alive: list[np.ndarray] = []
        self._watched: dict[tuple[int, int], ref[np.ndarray]] = {}
        self._suspects = False  # whether an unknown array was met
        self._reads: list[Value] = []  # the values that a call takes
        self.calls: list[Call] = []
        self.roots: list[Value] = []
        self.visited: list[Slot] = []
        self.fails = False

    def root(self, g: Any) -> Tensor:
        """An incoming gradient as a Tensor."""
        array = like(g.shape, g.dtype, g.strides)
        np.copyto(array, g)
        self.roots.append(self._known(array, "root"))
        return Tensor._of(array)

    def recorded(
        self, results: dict[Any, Tensor], wanted: Collection[Any] | None, leaves: list[Slot], starts: list[Slot]
    ) -> Walk:
        """The record of the walk, which has ended with these gradients."""
        found, places = [], self._places
        for place, g in results.items():
            value = self._values.get(id(g._array))
            if place not in places or value is None or value.root.origin != "call":
                self.fails = True
            else:
                found.append((places[place], value))
        slots = None
        if wanted is not None:
            slots = frozenset([places[place] for place in wanted if place in places])
            # In another call, what an outside op computed may depend on what is wanted.
            self.fails |= any(isinstance(slot.node, Node) for slot in leaves)
        self._watched.clear()
        self._alive.clear()
        return Walk(self.calls, self.roots, self.visited, found, slots, leaves, starts, self.fails)

    # Events

    def call(self, op: Op, inputs: Args, params: Args) -> Tensor:
        named = dict(zip(op.signature.params, params, strict=True))
        try:
            y = op.run(*[x._array if isinstance(x, Tensor) else x for x in inputs], **named)
        except Exception:
            return performed(op, inputs, params, self)  # which explains the error
        output = Tensor._of(np.asarray(y[0] if op.signature.residuals else y))
        self._reads = []
        given = self._of(inputs), self._of(named)
        if id(output._array) not in self._values:  # else the op returned its input
            self.calls.append(Call(op.name, *given, self._reads, (self._made(output._array),), op))
        return output

    def compute(self, function: Callable[..., Any], *arrays: np.ndarray) -> Any:
        raise _Opaque

    def read(self, tensor: Tensor) -> None:
        raise _Opaque

    def draw(self, generator: np.random.Generator) -> None:
        raise _Opaque

    def vjp(self, node: Node, g: Tensor, saved: Args, parents: Args) -> Args:
        slot = self._places.get(node)
        if slot is None or slot.step is None:
            self.fails = True  # a node that no step of the course made
            return tuple([r if r is None else _tensor(r) for r in node.op.pull(g, saved, node.params, parents)])
        self.visited.append(slot)
        mark = len(self.calls)
        if is_ours(node.op) and not slot.step.varies:
            given = self._saved(slot, node)
            self._suspects = False
            try:
                found = node.op.pull(g, given, node.params, parents)
                if not self._suspects and not any(isinstance(r, np.ndarray | np.generic) for r in found):
                    return found
            except (_Opaque, TypeError):
                pass
            del self.calls[mark:]
            found = given = ()
        token = tracing._tracer.set(NO_TRACER)
        try:
            pulled = node.op.pull(g._array, node.saved, node.params, parents)
        finally:
            tracing._tracer.reset(token)
        results = fitted(node.op, pulled, parents, g._array, node.saved or ())
        outputs = tuple([r if r is None else self._made(r) for r in results])
        wanted = tuple([p and self._places.get(p) for p in parents])
        if any(p is not None and place is None for p, place in zip(parents, wanted, strict=True)):
            self.fails = True
        self._reads = []
        self.calls.append(Call(f"{node.op.name}'", self._of((g,)), {}, self._reads, outputs, None, slot, wanted))
        return tuple([r if r is None else Tensor._of(r) for r in results])

    def forward(
        self, node: Node, given: Sequence[Tensor | None], tensors: bool, create: bool, n: int | None
    ) -> Tensor | None:
        """The tangent of a node's output, as :func:`pushed` gives it, recorded op by op or as one call of all its rules."""
        slot = self._places.get(node)
        if slot is None or slot.step is None:
            self.fails = True
            return pushed(node, given, tensors, create, n)
        self.visited.append(slot)
        mark, sig = len(self.calls), node.op.signature
        served = sig.inputs if sig.variadic else [n for n, g in zip(sig.served, given, strict=True) if g is not None]
        has_rules = all(forward_rule(node.op, name) for name in served)  # else a walk within this one is not recorded
        if is_ours(node.op) and not slot.step.varies and has_rules:
            self._suspects = False
            try:
                t = pushed(node, given, tensors, create, n, self._saved(slot, node))
                if not self._suspects and (t is None or isinstance(t, Tensor)):
                    return t
            except (_Opaque, TypeError):
                pass
            del self.calls[mark:]
        own = tangent(node, [None if g is None else g._array for g in given], n)
        if own is None:
            return None
        self._reads = []
        inputs, made = self._of(tuple(given)), self._made(own)
        self.calls.append(Call(f"{node.op.name} forward", inputs, {}, self._reads, (made,), None, slot, (), (n,)))
        return Tensor._of(own)

    # Values

    def _saved(self, slot: Slot, node: Node) -> tuple[Any, ...]:
        """What a node saved, with Tensors in place of arrays, each known by the slot that it is from."""
        step, found = slot.step, []
        assert step is not None
        for i, (value, what) in enumerate(zip(node.saved or (), step.saved, strict=True)):
            if isinstance(what, int):
                found.append(self._wrapped(value, step.uses[what].slot))
            elif what == "all":
                found.append(tuple([self._wrapped(a, use.slot) for a, use in zip(value, step.uses, strict=True)]))
            elif what == "y":
                found.append(self._wrapped(value, slot))
            elif isinstance(value, tuple):
                found.append(tuple([self._wrapped(a, (slot, i, j)) for j, a in enumerate(value)]))
            else:
                found.append(self._wrapped(value, (slot, i, -1)))
        return tuple(found)

    def _wrapped(self, array: Any, source: Any) -> Any:
        """A saved array as a Tensor. One array may be in several slots, which other calls give different arrays."""
        if not isinstance(array, np.ndarray):
            return array
        found, known = self._values.get(id(array)), self._sources.get(source)
        if found is None or found is not known:
            array = array if found is None else array.view()
            if known is None:
                self._sources[source] = self._known(array, "slot" if isinstance(source, Slot) else "saved", source)
            else:
                self._watch(self._values, array, known)
        return Tensor._of(array)

    def _of(self, tree: Any) -> Any:
        return mapped(self._refer, tree)

    def _refer(self, x: Any) -> Any:
        if isinstance(x, Tensor):
            x = x._array
        elif isinstance(x, np.generic) or (isinstance(x, np.ndarray) and id(x) not in self._values):
            self._suspects = True
        if not isinstance(x, np.ndarray):
            return x
        found = self._values.get(id(x))
        if found is None:
            found = self._known(x, "constant")
            self._suspects |= found.base is not None
        self._reads.append(found)
        return found

    def _made(self, array: np.ndarray) -> Value:
        return self._values.get(id(array)) or self._known(array, "call")

    def _known(self, array: np.ndarray, origin: str, source: Any = None) -> Value:
        value = Value(array, origin, source)
        self._watch(self._values, array, value)
        memory = owner(array)
        start = 0 if array is memory else array.ctypes.data - memory.ctypes.data
        if id(memory) not in self._owners:
            self._watch(self._owners, memory, (value, start))
        else:
            value.base, first = self._owners[id(memory)]
            value.start = start - first
        return value

    def _watch(self, known: dict[int, Any], array: np.ndarray, what: Any) -> None:
        """Note what is known of an array, while it is alive. Small ones stay alive, large ones only if others hold them."""
        key = id(array)
        if array.nbytes < LARGE:
            known[key] = what
            self._alive.append(array)
            return

        def forget(_: object) -> None:
            known.pop(key, None)
            self._watched.pop((id(known), key), None)

        known[key] = what
        self._watched[id(known), key] = ref(array, forget)


def fitted(op: Op, gradients: Sequence[Any], parents: Sequence[Any], g: Any, saved: Sequence[Any]) -> list[Any]:
    """Gradients that rules returned, as arrays in the shapes and dtypes of the parents; None where there is no parent.

    They share no memory with the incoming gradient g or with saved values.
    """
    found: list[Any] = []
    for i, (r, parent) in enumerate(zip(gradients, parents, strict=True)):
        if parent is None:
            found.append(None)
            continue
        if not isinstance(r, np.ndarray | np.generic):
            raise unusable(op, f"the rule for {input_name(op, i)}", r)
        if r.shape != parent.shape or r.dtype != parent.dtype:
            r = fit(r, parent, op, i)
        r = np.asarray(r)
        found.append(r.copy("K") if r.base is not None or r is g or any(r is value for value in saved) else r)
    return found


def tangent(node: Node, given: Sequence[Any], n: int | None) -> np.ndarray | None:
    """The tangent of a node's output, in memory of its own."""
    token = tracing._tracer.set(NO_TRACER)
    try:
        t = pushed(node, given, False, False, n)
    finally:
        tracing._tracer.reset(token)
    if t is None:
        return None
    t = np.asarray(t)
    return t.copy("K") if t.base is not None or any(t is a for a in (*given, *(node.saved or ()))) else t


def _tensor(r: Any) -> Any:
    return Tensor._of(np.asarray(r)) if isinstance(r, np.ndarray | np.generic) else r


NESTED = frozenset({tuple, list, dict, slice})


def mapped(function: Callable[[Any], Any], tree: Any) -> Any:
    """Nested tuples, lists, dicts and slices with ``function(leaf)`` in place of each leaf; ``slice(0, 2)`` is a leaf."""
    kind = tree.__class__
    if kind is tuple:
        return tuple([mapped(function, x) if x.__class__ in NESTED else function(x) for x in tree])
    if kind is list:
        return [mapped(function, branch) for branch in tree]
    if kind is dict:
        return {key: mapped(function, x) if x.__class__ in NESTED else function(x) for key, x in tree.items()}
    if kind is slice:
        bounds = (tree.start, tree.stop, tree.step)
        if not all(bound is None or bound.__class__ is int for bound in bounds):
            return slice(*(mapped(function, bound) for bound in bounds))
    return function(tree)
