"""A backward walk as a list of ops: the rules are given Tensors, and the ops that they call are recorded.

A rule that computes with arrays outside of ops, reads values, or is not one of this library's is one call of all rules of
its node.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any
from weakref import ref

import numpy as np
from numpy.lib.stride_tricks import as_strided

from ..core import tracing
from ..core.gradients import fit, input_name, unusable
from ..core.graph import Op
from ..core.node import Node
from ..core.operands import output as as_array
from ..core.tracing import NO_TRACER, Args, performed
from ..core.versions import owner
from ..kernels.parallel.workspace import aligned
from ..tensor import Tensor
from .graphs import Graph
from .params import is_ours

LARGE = 1 << 16
"""The record of a walk does not keep arrays of this many bytes alive."""


def like(shape: tuple[int, ...], dtype: np.dtype[Any], strides: tuple[int, ...]) -> np.ndarray:
    """Memory for an array without gaps, in the order of these strides."""
    return np.ndarray(shape, dtype, aligned(math.prod(shape) * dtype.itemsize), 0, strides)


_plainly = tracing._current(NO_TRACER)


class Value:
    """An array in a backward walk: its form, and in a run the array, unless that is the same in every run."""

    __slots__ = ("address", "array", "base", "dtype", "nbytes", "origin", "shape", "size", "source", "start", "strides")

    def __init__(self, array: Any, origin: str, source: int = -1) -> None:
        self.array = array if origin == "constant" else None
        self.origin = origin  # "call", "saved", "root" or "constant"
        self.source = source  # of a saved value: its number in the graph
        self.address = 0  # of a large saved value in this run
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
    """A call of an op, or of all rules of a node. Inputs and parameters are nested tuples and lists of values and
    constants."""

    __slots__ = ("along", "inputs", "made", "name", "node", "op", "outputs", "params", "parents", "reads")

    def __init__(
        self,
        name: str,
        inputs: tuple[Any, ...],
        params: dict[str, Any],
        reads: list[Value],
        outputs: tuple[Value | None, ...],
        op: Op | None,
        node: int = -1,
        parents: tuple[int | None, ...] = (),
    ) -> None:
        self.name, self.inputs, self.params, self.outputs, self.op = name, inputs, params, outputs, op
        self.made = [value for value in outputs if value is not None]
        self.node = node
        self.parents = parents  # of the node, those that are wanted
        self.along: set[Value] | None = None  # see `memory.by_image`
        self.reads = reads  # the values among inputs and parameters


@dataclass(eq=False, repr=False)
class Walk:
    """What a backward walk did: the calls, the gradients with which it began, and those that it gave, by the numbers of the
    places in its graph."""

    graph: Graph | None
    calls: list[Call]
    roots: list[Value]
    results: list[tuple[int, Value]]


class _Taken:
    """What a call takes: the values, whether one is a Tensor that the walk made, and whether one is suspect."""

    def __init__(self) -> None:
        self.values: list[Value] = []
        self.ours = self.suspect = False


class Rules(tracing.Tracer):
    """Records one walk, through a graph with these places and saved values; or, without a graph, what layers do with them.

    A signal handler or a finalizer may call ops in between, and walk through other graphs. What they do is not recorded: their
    Tensors are not those of the walk. Where that is not sure, as they read values, the rule becomes one call.
    """

    follows_rules = answers = True

    def __init__(self, graph: Graph | None, places: Sequence[Any], saved: Sequence[Any]) -> None:
        self._graph = graph
        self._numbers = {place: i for i, place in enumerate(places)}
        self._values: dict[int, Value] = {}  # by the id of its array, while that is alive
        self._owners: dict[int, tuple[Value, int]] = {}  # of memory: the value that was first there, and its start
        self._alive: list[np.ndarray] = []
        self._watched: dict[tuple[int, int], ref[np.ndarray]] = {}
        self._made_here: dict[int, ref[Tensor]] = {}  # the Tensors of the walk, by their ids
        self._suspects = False  # whether an unknown array was met, or values were read
        self.calls: list[Call] = []
        self.roots: list[Value] = []
        for i, array in enumerate(saved):
            self._known(array, "saved", i)

    def root(self, g: Any) -> Tensor:
        """An incoming gradient as a Tensor."""
        array = like(g.shape, g.dtype, g.strides)
        np.copyto(array, g)
        self.roots.append(self._known(array, "root"))
        return self._tensor(array)

    def argument(self, array: np.ndarray) -> Tensor:
        """A saved value as a Tensor, for layers."""
        return self._tensor(array)

    @property
    def suspects(self) -> bool:
        """Whether the record may lack what depends on values."""
        return self._suspects

    def recorded(self, results: dict[Any, Tensor]) -> Walk | None:
        """The record of the walk, which has ended with these gradients; None if it cannot be repeated from the record."""
        found = [(self._numbers[place], self._values.get(id(g._array))) for place, g in results.items()]
        self._watched.clear()
        self._alive.clear()
        if any(value is None or value.root.origin != "call" for _, value in found):
            return None
        return Walk(self._graph, self.calls, self.roots, [(i, value) for i, value in found if value is not None])

    # Events

    def call(self, op: Op, inputs: Args, params: Args) -> Tensor:
        named = dict(zip(op.signature.params, params, strict=True))
        taken = _Taken()
        given = self._of(inputs, taken), self._of(named, taken)
        if not taken.ours:  # called in between, or with constants
            self._suspects |= any(value.origin != "constant" for value in taken.values)
            return performed(op, inputs, params, NO_TRACER)
        self._suspects |= taken.suspect
        try:
            y = op.run(*[x._array if isinstance(x, Tensor) else x for x in inputs], **named)
        except Exception:
            return performed(op, inputs, params, self)  # which explains the error
        output = self._tensor(as_array(y[0] if op.signature.residuals else y, op, inputs))
        if id(output._array) not in self._values:  # else the op returned its input
            self.calls.append(Call(op.name, *given, taken.values, (self._made(output._array),), op))
        return output

    def compute(self, function: Callable[..., Any], *arrays: np.ndarray) -> Any:
        self._suspects = True
        return function(*arrays)

    def read(self, tensor: Tensor) -> None:
        self._suspects = True

    def draw(self, generator: np.random.Generator) -> None:
        self._suspects = True

    def vjp(self, node: Node, g: Tensor, saved: Args, parents: Args) -> Args:
        number = self._numbers.get(node)
        if number is None:  # of a walk in between
            with _plainly:
                return node.op.pull(g, saved, node.params, parents)
        mark = len(self.calls)
        if self._graph is not None and self._graph.compares[number]:
            self._suspects = False
            given = tuple(
                [tuple(map(self._wrapped, v)) if v.__class__ is tuple else self._wrapped(v) for v in node.saved or ()]
            )
            try:
                found = node.op.pull(g, given, node.params, parents)
                if not self._suspects and not any(isinstance(r, np.ndarray | np.generic) for r in found):
                    return found
            except TypeError:
                pass
            del self.calls[mark:]
            del given
        with _plainly:
            results = pulled(node, own(g._array, node.op), parents)
        outputs = tuple([r if r is None else self._made(r) for r in results])
        wanted = tuple([None if p is None else self._numbers[p] for p in parents])
        taken = _Taken()
        self.calls.append(
            Call(f"{node.op.name}'", self._of((g,), taken), {}, taken.values, outputs, None, number, wanted)
        )
        return tuple([r if r is None else self._tensor(r) for r in results])

    # Values

    def _tensor(self, array: np.ndarray) -> Tensor:
        tensor = Tensor._of(array)
        self._made_here[id(tensor)] = ref(tensor)
        return tensor

    def _wrapped(self, value: Any) -> Any:
        return self._tensor(value) if isinstance(value, np.ndarray) else value

    def _of(self, tree: Any, taken: _Taken) -> Any:
        return mapped(partial(self._refer, taken), tree)

    def _refer(self, taken: _Taken, x: Any) -> Any:
        if isinstance(x, Tensor):
            known = self._made_here.get(id(x))
            taken.ours |= known is not None and known() is x
            x = x._array
        elif isinstance(x, np.generic) or (isinstance(x, np.ndarray) and id(x) not in self._values):
            taken.suspect = True
        if not isinstance(x, np.ndarray):
            return x
        found = self._values.get(id(x))
        if found is None:
            found = self._known(x, "constant")
            taken.suspect |= found.base is not None
        taken.values.append(found)
        return found

    def _made(self, array: np.ndarray) -> Value:
        return self._values.get(id(array)) or self._known(array, "call")

    def _known(self, array: np.ndarray, origin: str, source: int = -1) -> Value:
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


def pulled(node: Any, g: np.ndarray, parents: Sequence[Any]) -> list[Any]:
    """The gradients that the rules of a node give on arrays: see :func:`fitted`."""
    return fitted(node.op, node.op.pull(g, node.saved, node.params, parents), parents, g, node.saved)


def own(g: np.ndarray, op: Op) -> np.ndarray:
    """A gradient for the rules of an op: a copy if they are not this library's, since they may keep it."""
    if is_ours(op):
        return g
    memory = g[tuple([slice(None) if stride else slice(0, 1) for stride in g.strides])].copy("K")
    strides = [memory.strides[i] if stride else 0 for i, stride in enumerate(g.strides)]
    return as_strided(memory, g.shape, strides)


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
