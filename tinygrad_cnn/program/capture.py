"""Capture: follow one run of a function and note every op, draw and effect in it as steps on values.

The run computes with real arrays, but nothing outside changes: effects are noted and not called, gradients of leaves and
the state of random generators are put back. What the run has for a value is known by the identity of its array.
"""

from __future__ import annotations

import gc
import weakref
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np

from ..clock import owner
from ..graph import Leaf, Node, Op, pull_with
from ..operands import adapt
from ..recording import is_grad_enabled
from ..tensor import Tensor
from ..watch import trace_with


class CaptureError(RuntimeError):
    """A function does what cannot be captured: the message says what, why, and the way out."""


@dataclass(eq=False, slots=True)
class Value:
    """An array that a step makes, that an argument brings, or that lies outside: by reference."""

    array: np.ndarray  # as it is in the capture, with the shape, dtype and memory order that it will have
    origin: str  # "step", "argument" or "outside"
    base: Value | None = None  # the value whose memory it looks at

    @property
    def root(self) -> Value:
        """The value that has the memory."""
        return self if self.base is None else self.base


@dataclass(eq=False, slots=True)
class Step:
    """One call. Inputs and parameters are nested tuples, lists, dicts and slices of values and constants."""

    name: str
    call: Callable[..., Any]
    inputs: tuple[Any, ...]
    params: dict[str, Any] = field(default_factory=dict)
    outputs: tuple[Value | None, ...] = ()
    op: Op | None = None
    kept: bool = False  # even if nothing uses its outputs
    several: bool = False  # whether `call` returns a tuple

    @property
    def reads(self) -> list[Value]:
        """The values that it reads."""
        return [v for v in flat((self.inputs, self.params)) if isinstance(v, Value)]


class Guard(NamedTuple):
    """Something in Python that the course of the run depended on: `expression`, of `holder` in braces, was `value`."""

    holder: Any
    expression: str
    value: Any


class Form(NamedTuple):
    """What a rule asks of a parent node."""

    shape: tuple[int, ...]
    dtype: np.dtype[Any]


class Place:
    """Where a leaf is found when the program runs: the leaf itself, or whatever Tensor an argument brings."""

    __slots__ = ("tensor",)

    def __init__(self, tensor: Tensor) -> None:
        self.tensor = tensor


def flat(tree: Any) -> Iterator[Any]:
    """The leaves of nested tuples, lists, dicts and slices."""
    if isinstance(tree, tuple | list):
        for branch in tree:
            yield from flat(branch)
    elif isinstance(tree, dict):
        yield from flat(list(tree.values()))
    elif isinstance(tree, slice):
        yield from (tree.start, tree.stop, tree.step)
    else:
        yield tree


class Capture:
    """The tracer: what one run did, so far."""

    def __init__(self, arguments: Sequence[Tensor]) -> None:
        self.steps: list[Step] = []
        self.guards: list[Guard] = []
        self._values: dict[int, Value] = {}  # by identity of the array
        self._owners: dict[int, Value] = {}  # by identity of the owner of the memory
        self.arguments = [self._known(Value(t._array, "argument")) for t in arguments]
        self.places = {id(t): Place(t) for t in arguments}
        self.leaves: dict[int, tuple[Tensor, Tensor | None]] = {}  # each leaf with the gradient it came with
        self._made: list[weakref.ref[Tensor]] = []
        self._states: dict[int, tuple[np.random.Generator, Any]] = {}
        self._drew = False
        self._suspects: list[Any] = []  # arrays that nothing is known of, met since the list was last emptied

    @contextmanager
    def running(self) -> Iterator[None]:
        """The context of the run. After it, leaves and generators are as they were."""
        try:
            with trace_with(self), pull_with(self.pull):
                yield
        finally:
            for leaf, gradient in self.leaves.values():
                leaf._grad = gradient
            for generator, state in self._states.values():
                generator.bit_generator.state = state

    def gradients(self) -> list[tuple[Place, Value | None]]:
        """The leaves whose gradient the run replaced, with the new one. To be asked while it is running."""
        return [
            (self._place(leaf), None if leaf._grad is None else self._value(leaf._grad._array))
            for leaf, before in self.leaves.values()
            if leaf._grad is not before
        ]

    def escaped(self) -> bool:
        """Whether a Tensor that the run made is still held by someone, now that its results are dropped."""
        if any(made() is not None for made in self._made):
            gc.collect()
        return any(made() is not None for made in self._made)

    # What a tracer is told

    def call(
        self, op: Op, inputs: tuple[Any, ...], params: tuple[Any, ...], output: Tensor, residuals: tuple[Any, ...]
    ) -> None:
        """See :class:`~tinygrad_cnn.watch.Tracer`."""
        drew, self._drew = self._drew, False
        self._made.append(weakref.ref(output))
        if output._node is not None:
            for t in inputs:
                if isinstance(t, Tensor) and isinstance(t._node, Node) and id(t._array) not in self._values:
                    raise CaptureError(
                        f"compile: `{op.name}` is given a Tensor that was computed outside the function and requires a "
                        "gradient; gradients cannot flow out of a compiled call: detach() it, or compute it inside"
                    )
        if id(output._array) in self._values:
            return  # the op returned its input
        step = Step(
            op.name,
            op.raw,
            tuple(self.of(adapt(x)) for x in inputs),
            {name: self.of(p) for name, p in zip(op.signature.params, params, strict=True)},
            op=op,
            kept=drew,
            several=bool(residuals),
        )
        step.outputs = (self._new(output._array), *(self._new(r) for r in residuals))
        self.steps.append(step)

    def outcome(self, function: Callable[..., Any], arrays: tuple[np.ndarray, ...]) -> Any:
        """See :class:`~tinygrad_cnn.watch.Tracer`."""
        inputs = tuple(self.of(a) for a in arrays)
        made = function(*arrays)
        drew, self._drew = self._drew, False
        several = isinstance(made, tuple)
        outputs = tuple(self._new(a) for a in (made if several else (made,)))
        self.steps.append(Step(_name(function), function, inputs, outputs=outputs, kept=drew, several=several))
        return made

    def effect(self, function: Callable[..., None], arrays: tuple[np.ndarray | None, ...]) -> None:
        """See :class:`~tinygrad_cnn.watch.Tracer`."""
        self.steps.append(Step(_name(function), function, tuple(self.of(a) for a in arrays), kept=True))

    def read(self, tensor: Tensor) -> None:
        """See :class:`~tinygrad_cnn.watch.Tracer`."""
        if id(tensor._array) in self._values or isinstance(tensor._node, Leaf):
            raise CaptureError(
                "compile: the function reads the value of a Tensor in Python (`if`, `float`, `item`, `numpy`, ...). It "
                "runs once, for the capture, and later calls would go on with the value it saw then. Choose with "
                "tinygrad_cnn.where, return the Tensor and read it outside, or take this part out of the compiled function"
            )

    def state(self, holder: Any, attribute: str, value: Any) -> None:
        """See :class:`~tinygrad_cnn.watch.Tracer`."""
        self._guard(holder, f"{{}}.{attribute}", value)

    def drawing(self, generator: np.random.Generator) -> None:
        """See :class:`~tinygrad_cnn.watch.Tracer`."""
        self._states.setdefault(id(generator), (generator, generator.bit_generator.state))
        self._drew = True

    def touch(self, leaf: Tensor, write: bool) -> None:
        """See :class:`~tinygrad_cnn.watch.Tracer`."""
        if id(leaf) in self.leaves:
            return
        known = self._values.get(id(leaf._array))
        if known is not None and known.origin == "step":
            return  # a leaf that the run made itself
        before = getattr(leaf, "_grad", None)
        self.leaves[id(leaf)] = (leaf, before)
        leaf._grad = before  # so that it is set from now on
        if write:
            return  # what it was does not matter
        place = self._place(leaf)
        self._guard(place, "{}.tensor.grad is None", before is None)
        if before is not None:
            leaf._grad = Tensor._of(self.outcome(lambda: np.array(place.tensor._grad._array, order="C"), ()))  # type: ignore[union-attr]
            self.steps.insert(
                0, self.steps.pop()
            )  # before the program writes over the gradients that it left last time

    def pull(self, node: Node, g: Tensor, saved: tuple[Any, ...], parents: tuple[Any, ...]) -> tuple[Any, ...]:
        """One node's turn in a backward walk: its rules as they call ops, or where that is not enough as one step.

        Rules meet indices, labels and residuals as plain arrays. What they compute from those without an op would be
        taken for a constant. So they are given Tensors for them; and when an array that nothing is known of still turns
        up beside one that is, the rule is a step.
        """
        op, mark = node.op, len(self.steps)
        known = [a for a in flat((saved, node.params)) if isinstance(a, np.ndarray) and id(a) in self._values]
        self._suspects.clear()
        try:
            pulled: tuple[Any, ...] = op.pull(g, self._tensors(saved) if known else saved, node.params, parents)
            if not known or not (self._suspects or any(isinstance(r, np.ndarray | np.generic) for r in pulled)):
                return tuple(
                    [Tensor._of(np.asarray(r)) if isinstance(r, np.ndarray | np.generic) else r for r in pulled]
                )
        except CaptureError:  # the rule looks at values; as one step it may
            pass
        except TypeError:
            if not known:
                raise
        if is_grad_enabled():
            raise CaptureError(
                f"compile: the gradient of `{op.name}` computes with an index, label or residual outside of ops, and cannot "
                "be captured where its own gradient is recorded (create_graph=True); leave this part uncompiled"
            )
        return self._whole(node, g, parents, mark)

    def _tensors(self, tree: tuple[Any, ...]) -> tuple[Any, ...]:
        """`tree` with Tensors for the arrays that are known."""
        return tuple(
            self._tensors(part)
            if isinstance(part, tuple)
            else Tensor._of(part)
            if isinstance(part, np.ndarray) and id(part) in self._values
            else part
            for part in tree
        )

    def _whole(self, node: Node, g: Tensor, parents: tuple[Any, ...], mark: int) -> tuple[Any, ...]:
        """A node's turn as one step, in the place of the steps noted since `mark`."""
        op = node.op
        for step in self.steps[mark:]:
            for value in step.outputs:
                if value is not None:
                    self._forget(value)
        del self.steps[mark:]
        assert node.saved is not None
        forms = tuple([p and Form(p.shape, p.dtype) for p in parents])
        results = op.pull(g._array, node.saved, node.params, forms)
        inputs = tuple(self.of(x) for x in (g, node.saved, node.params))
        step = Step(f"{op.name}'", op.pull, (*inputs, forms), several=True)
        step.outputs = tuple(None if r is None else self._new(np.asarray(r)) for r in results)
        self.steps.append(step)
        return tuple([value and Tensor._of(value.array) for value in step.outputs])

    # Values

    def of(self, x: Any) -> Any:
        """What a step refers to for `x`: values for Tensors and for arrays that are known, in nested containers too."""
        if isinstance(x, Tensor):
            if id(x._array) not in self._values:
                self._guard(x, "{}._node is not None", x._node is not None)
            return self._value(x._array)
        if isinstance(x, np.ndarray):
            if id(x) not in self._values:
                self._suspects.append(x)
            return self._value(x)
        if isinstance(x, np.generic):
            self._suspects.append(x)
        if isinstance(x, slice):
            parts = tuple(self.of(p) for p in (x.start, x.stop, x.step))
            return slice(*parts)
        if type(x) in (tuple, list):
            return type(x)(self.of(part) for part in x)
        if type(x) is dict:
            return {key: self.of(part) for key, part in x.items()}
        return x

    def _value(self, array: np.ndarray) -> Value:
        value = self._values.get(id(array))
        if value is not None:
            return value
        root = self._owners.get(id(owner(array)))
        if root is not None and root.origin != "outside":
            raise CaptureError(
                "compile: an op is given an array that looks at the memory of a value without an op having made it; use "
                "the Tensor's own methods, such as reshape and indexing, inside a compiled function"
            )
        return self._known(Value(array, "outside"))

    def _known(self, value: Value) -> Value:
        root = self._owners.setdefault(id(owner(value.array)), value)
        value.base = None if root is value else root
        self._values[id(value.array)] = value
        return value

    def _new(self, array: Any) -> Value | None:
        if not isinstance(array, np.ndarray):
            return None
        return self._values.get(id(array)) or self._known(Value(array, "step"))

    def _forget(self, value: Value) -> None:
        self._values.pop(id(value.array), None)
        if self._owners.get(id(owner(value.array))) is value:
            del self._owners[id(owner(value.array))]

    def _place(self, leaf: Tensor) -> Place:
        return self.places.setdefault(id(leaf), Place(leaf))

    def _guard(self, holder: Any, expression: str, value: Any) -> None:
        guard = Guard(holder, expression, value)
        if not any(g.holder is holder and g.expression == expression for g in self.guards):
            self.guards.append(guard)


def _name(function: Any) -> str:
    return str(getattr(getattr(function, "func", function), "__name__", "function")).strip("_<>")
