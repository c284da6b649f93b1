"""Capture: follow one run of a function and note every op, draw and effect in it as steps on values.

The run computes with real arrays, but nothing outside changes: effects are noted and not called, gradients of leaves and
the state of random generators are put back. What the run has for a value is known by the identity of its array. What its
Python reads, and must find unchanged when the steps are repeated, is kept in a :class:`~tinygrad_cnn.program.state.State`.
"""

from __future__ import annotations

import gc
import weakref
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import Any, NamedTuple

import numpy as np

from ..anomaly import caller
from ..clock import owner
from ..graph import Leaf, Node, Op, _adapt, pull_with
from ..recording import is_grad_enabled
from ..tensor import Tensor
from ..watch import trace_with
from .state import Place as Read
from .state import State


class CaptureError(RuntimeError):
    """A function does what cannot be captured: the message says what, why, and the way out."""


class AliasError(CaptureError):
    """An argument shares memory with what the function refers to in another way."""


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
    line: tuple[str, int] = ("", 0)  # of the user's code

    @property
    def reads(self) -> list[Value]:
        """The values that it reads."""
        return [v for v in flat((self.inputs, self.params)) if isinstance(v, Value)]


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
        self.state = State()
        self.written: tuple[list[np.ndarray], list[int]] = (
            [],
            [],
        )  # by effects: arrays from outside, and which arguments
        self.gradients: list[
            tuple[Place, Value | None]
        ] = []  # leaves whose gradient the run replaced, with the new one
        self._forms: dict[
            int, tuple[Tensor, bool]
        ] = {}  # by identity, Tensors from outside: do they require a gradient?
        self._graded: list[tuple[Place, bool]] = []  # leaves whose gradient the run read: was there one?
        self._optimizers: dict[int, Any] = {}
        self._values: dict[int, Value] = {}  # by identity of the array
        self._owners: dict[int, Value] = {}  # by identity of the owner of the memory
        self.arguments = [self._known(Value(t._data, "argument")) for t in arguments]
        self.argument_places = [Place(t) for t in arguments]
        self.places = dict(zip(map(id, arguments), self.argument_places, strict=True))
        self.leaves: dict[int, tuple[Tensor, Tensor | None]] = {}  # each leaf with the gradient it came with
        self._made: list[weakref.ref[Tensor]] = []
        self._states: dict[int, tuple[np.random.Generator, Any]] = {}
        self._drew = False
        self._suspects: list[Any] = []  # arrays that nothing is known of, met since the list was last emptied

    @contextmanager
    def running(self, function: Callable[..., Any], arguments: Sequence[Any]) -> Iterator[None]:
        """The context of the run. After it, leaves and generators are as they were; if it fails, Python state is, too."""
        try:
            with self.state.watching(function, arguments), self._following():
                yield
                self.gradients = [
                    (self._place(leaf), None if leaf._grad is None else self._value(leaf._grad._data))
                    for leaf, before in self.leaves.values()
                    if leaf._grad is not before
                ]
                self._note_forms()
        except BaseException:
            self.state.restore()
            raise

    @contextmanager
    def _following(self) -> Iterator[None]:
        try:
            with trace_with(self), pull_with(self.pull):
                yield
        finally:
            for leaf, gradient in self.leaves.values():
                leaf._grad = gradient
            for generator, state in self._states.values():
                generator.bit_generator.state = state

    def _note_forms(self) -> None:
        """What the run depends on of the Tensors from outside, other than their values."""
        made = {id(tensor) for reference in self._made if (tensor := reference()) is not None}
        self._forms = {key: form for key, form in self._forms.items() if key not in made}
        places, tensors = [place for place, _ in self._graded], [tensor for tensor, _ in self._forms.values()]
        had, formed = tuple(had for _, had in self._graded), tuple(needs for _, needs in self._forms.values())
        self.state.places += [
            Read(
                "whether a leaf has a gradient",
                lambda: tuple([getattr(p.tensor, "_grad", None) is not None for p in places]),
                found=had,
                terms=lambda bind, found: [
                    f"{bind(place)}.tensor._grad is {'not ' * has}None" for place, has in zip(places, found, strict=True)
                ],
            ),
            Read(
                "whether a Tensor requires a gradient",
                lambda: tuple([t._node is not None for t in tensors]),
                found=formed,
                terms=lambda bind, found: [
                    f"{bind(t)}._node is {'not ' * needs}None" for t, needs in zip(tensors, found, strict=True)
                ],
            ),
        ]
        self.state.hooks([leaf for leaf, _ in self.leaves.values()])

    def referred(self) -> dict[int, Tensor]:
        """By identity, the Tensors that the run met otherwise than as arguments."""
        stand_ins = {id(place.tensor) for place in self.argument_places}
        met = [tensor for tensor, _ in (*self._forms.values(), *self.leaves.values())]
        return {id(tensor): tensor for tensor in met if id(tensor) not in stand_ins}

    def guard(self) -> Callable[[], bool]:
        """A function that says whether all that the run read is as it was."""
        return self.state.guard(lambda array: id(owner(array)) in self._owners)

    def escaped(self) -> str | None:
        """Where a Tensor that the run made is still held, in words, now that its results are dropped."""
        if any(made() is not None for made in self._made):
            gc.collect()
        held = [tensor for made in self._made if (tensor := made()) is not None]
        return next(filter(None, map(_holder, held)), "a list, an attribute, a global variable") if held else None

    # What a tracer is told

    def call(
        self, op: Op, inputs: tuple[Any, ...], params: tuple[Any, ...], output: Tensor, residuals: tuple[Any, ...]
    ) -> None:
        """See :class:`~tinygrad_cnn.watch.Tracer`."""
        drew, self._drew = self._drew, False
        self._made.append(weakref.ref(output))
        if output._node is not None:
            for t in inputs:
                if isinstance(t, Tensor) and isinstance(t._node, Node) and id(t._data) not in self._values:
                    raise CaptureError(
                        f"compile: `{op.name}` is given a Tensor that was computed outside the function and requires a "
                        "gradient; gradients cannot flow out of a compiled call: detach() it, or compute it inside"
                    )
        if id(output._data) in self._values:
            return  # the op returned its input
        step = Step(
            op.name,
            op.raw,
            tuple(self.of(_adapt(x)) for x in inputs),
            {name: self.of(p) for name, p in zip(op.signature.params, params, strict=True)},
            op=op,
            kept=drew,
            several=bool(residuals),
            line=caller(),
        )
        step.outputs = (self._new(output._data), *(self._new(r) for r in residuals))
        self.steps.append(step)

    def outcome(self, function: Callable[..., Any], arrays: tuple[np.ndarray, ...]) -> Any:
        """See :class:`~tinygrad_cnn.watch.Tracer`."""
        inputs = tuple(self.of(a) for a in arrays)
        made = function(*arrays)
        drew, self._drew = self._drew, False
        several = isinstance(made, tuple)
        outputs = tuple(self._new(a) for a in (made if several else (made,)))
        step = Step(_name(function), function, inputs, outputs=outputs, kept=drew, several=several, line=caller())
        self.steps.append(step)
        return made

    def effect(
        self, function: Callable[..., None], arrays: tuple[np.ndarray | None, ...], writes: Sequence[np.ndarray]
    ) -> None:
        """See :class:`~tinygrad_cnn.watch.Tracer`."""
        inputs = tuple(self.of(a) for a in arrays)
        self.steps.append(Step(_name(function), function, inputs, kept=True, line=caller()))
        for array in writes:
            root = self._owners.get(id(owner(array)))
            if root is None or root.origin == "outside":
                self.written[0].append(array)
            elif root.origin == "argument":
                self.written[1].append(self.arguments.index(root))

    def read(self, tensor: Tensor) -> None:
        """See :class:`~tinygrad_cnn.watch.Tracer`."""
        root = self._owners.get(id(owner(tensor._data)))
        if isinstance(tensor._node, Leaf) or (root is not None and root.origin != "outside"):
            raise CaptureError(
                "compile: the function reads the value of a Tensor in Python (`if`, `float`, `item`, `numpy`, ...). It "
                "runs once, for the capture, and later calls would go on with the value it saw then. Choose with "
                "tinygrad_cnn.where, return the Tensor and read it outside, or take this part out of the compiled function"
            )
        if any(np.may_share_memory(tensor._data, array) for array in self.written[0]):
            raise CaptureError(
                "compile: the function writes a Tensor and then reads its value in Python (`if`, `float`, `item`, `numpy`, "
                "...), but nothing is written before the whole function is captured; read the value first, or outside"
            )
        self.state.value(tensor)

    def module(self, module: Any) -> None:
        """See :class:`~tinygrad_cnn.watch.Tracer`."""
        self.state.module(module)

    def form(self, tensor: Tensor) -> None:
        """See :class:`~tinygrad_cnn.watch.Tracer`."""
        root = self._values.get(id(tensor._data))
        if root is None or root.origin == "outside":
            self._forms.setdefault(id(tensor), (tensor, tensor._node is not None))

    def parameters(self, optimizer: Any) -> None:
        """See :class:`~tinygrad_cnn.watch.Tracer`."""
        if id(optimizer) not in self._optimizers:
            self._optimizers[id(optimizer)] = optimizer
            self.state.places.append(
                Read("the parameters of an optimizer", lambda: tuple(optimizer._params()), terms=optimizer._terms)
            )

    def drawing(self, generator: np.random.Generator) -> None:
        """See :class:`~tinygrad_cnn.watch.Tracer`."""
        self._states.setdefault(id(generator), (generator, generator.bit_generator.state))
        self._drew = True

    def touch(self, leaf: Tensor, write: bool) -> None:
        """See :class:`~tinygrad_cnn.watch.Tracer`."""
        if id(leaf) in self.leaves:
            return
        known = self._values.get(id(leaf._data))
        if known is not None and known.origin == "step":
            return  # a leaf that the run made itself
        before = getattr(leaf, "_grad", None)
        self.leaves[id(leaf)] = (leaf, before)
        leaf._grad = before  # so that it is set from now on
        if write:
            return  # what it was does not matter
        place = self._place(leaf)
        self._graded.append((place, before is not None))
        if before is not None:
            leaf._grad = Tensor._of(self.outcome(partial(_gradient, place), ()))
            self.steps.insert(0, self.steps.pop())  # before the program writes over the gradients it left last time

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
        results = op.pull(g._data, node.saved, node.params, forms)
        inputs = tuple(self.of(x) for x in (g, node.saved, node.params))
        step = Step(f"{op.name}'", op.pull, (*inputs, forms), several=True)
        step.outputs = tuple(None if r is None else self._new(np.asarray(r)) for r in results)
        self.steps.append(step)
        return tuple([value and Tensor._of(value.array) for value in step.outputs])

    # Values

    def of(self, x: Any) -> Any:
        """What a step refers to for `x`: values for Tensors and for arrays that are known, in nested containers too."""
        if isinstance(x, Tensor):
            self.form(x)
            return self._value(x._data)
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
        if root is not None and root.origin == "argument":
            raise AliasError(
                "compile: an argument shares memory with a Tensor or array that the function refers to in another way; pass a "
                "copy, and do not pass parameters, refer to them"
            )
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


def _gradient(place: Place) -> np.ndarray:
    gradient: Any = place.tensor._grad
    return np.array(gradient._data, order="C")


def _holder(tensor: Tensor) -> str | None:
    """The attribute in which an object holds `tensor`."""
    for referrer in gc.get_referrers(tensor):
        above = gc.get_referrers(referrer) if isinstance(referrer, dict) else []
        for holder in (referrer, *(o for o in above if getattr(o, "__dict__", None) is referrer)):
            for name, value in getattr(holder, "__dict__", {}).items():
                if value is tensor:
                    remedy = f"self.{name}.copy_(self.{name} + 1)"
                    return f"`{name}` of {type(holder).__name__}; to change a buffer, write into it: {remedy}"
    return None


def _name(function: Any) -> str:
    return str(getattr(getattr(function, "func", function), "__name__", "function")).strip("_<>")
