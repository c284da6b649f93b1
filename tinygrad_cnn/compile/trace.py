"""Capture: follow one run of a function and note every op, draw and effect in it as steps on values.

The run is the plain call: it computes with real arrays, and its effects, gradients and draws are real. If it fails, they are
taken back. What the run has for a value is known by the identity of its array. What its Python reads, and must find unchanged
when the steps are repeated, is kept in a :class:`~tinygrad_cnn.compile.state.State`.
"""

from __future__ import annotations

import gc
import weakref
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any

import numpy as np

from ..core.frames import caller
from ..core.grad_mode import is_grad_enabled
from ..core.graph import Leaf, Node, Op
from ..core.operands import adapt
from ..core.tracing import Read as What
from ..core.tracing import Tracer, Write, trace
from ..core.versions import owner
from ..ops.random import generator
from ..tensor import Tensor
from .places import Place as Read
from .state import State
from .steps import CaptureError, Form, Place, Step, Value, flat
from .undo import Remembered


class Capture(Tracer):
    """The tracer: what one run did, so far."""

    captures = True

    def __init__(self, arguments: Sequence[Tensor]) -> None:
        self.steps: list[Step] = []
        self.state = State()
        self.is_aliased = False  # whether an argument shares memory with something that the run met in another way
        # What effects write: arrays from outside, and which arguments.
        self.written: tuple[list[np.ndarray], list[int]] = ([], [])
        # Leaves whose gradient the run replaced, with the new one.
        self.gradients: list[tuple[Place, Value | None]] = []
        # Tensors from outside, by identity, and where they stood in the graph.
        self._forms: dict[int, tuple[Tensor, Any]] = {}
        # Leaves whose gradient the run read, and whether there was one.
        self._graded: list[tuple[Place, bool]] = []
        self._optimizers: dict[int, Any] = {}
        self._values: dict[int, Value] = {}  # by identity of the array
        self._owners: dict[int, Value] = {}  # by identity of the owner of the memory
        self.arguments = [self._known(Value(t._array, "argument")) for t in arguments]
        self.argument_places = [Place(t) for t in arguments]
        self.places = dict(zip(map(id, arguments), self.argument_places, strict=True))
        self.leaves: dict[int, tuple[Tensor, Tensor | None]] = {}  # each leaf with the gradient it came with
        self._followed: dict[int, np.ndarray] = {}  # arrays that are taken by views of them
        self._cleared: set[int] = set()  # leaves whose gradient was set, be it to what it was
        self._made: list[weakref.ref[Tensor]] = []
        self._generators: dict[
            int, list[Any]
        ] = {}  # by identity: the generator, its state before the run, and after the last draw
        self._drew = False
        self._suspects: list[Any] = []  # arrays that nothing is known of, met since the list was last emptied
        self._undo: list[Callable[[], None]] = []
        self._errors = np.geterr()
        self._generator(generator())

    @contextmanager
    def running(self, function: Callable[..., Any], arguments: Sequence[Any], undo: bool) -> Iterator[None]:
        """The context of the run. If it fails, what it changed is put back; without `undo`, only for a CaptureError."""
        try:
            with self.state.watching(function, arguments), trace(self):
                yield
                self._finish()
            self._note_forms()
        except BaseException as error:
            if undo or isinstance(error, CaptureError):
                self.undo()
            raise

    def _finish(self) -> None:
        """Note what is known at the end of the run."""
        self._check_draws()
        self.state.follow(lambda array: id(array) in self._values or id(array) in self._followed)
        for leaf, before in self.leaves.values():
            gradient = getattr(leaf, "_grad", None)
            if gradient is not before or (id(leaf) in self._cleared and gradient is None):
                self.gradients.append((self._place(leaf), None if gradient is None else self._value(gradient._array)))
                if gradient is not None:  # without a graph, as in a replay, and not among what the run made
                    leaf._grad = Tensor._of(gradient._array)
        if any((tensor._node is None) != (node is None) for tensor, node in self._forms.values()):
            self.state.changed = "whether a Tensor requires a gradient"

    def undo(self) -> None:
        """Put back what the run changed: gradients, what effects wrote, generators, Python state."""
        for leaf, gradient in self.leaves.values():
            leaf._grad = gradient
        for put_back in reversed(self._undo):
            put_back()
        for source, state, _ in self._generators.values():
            source.bit_generator.state = state
        for tensor, node in self._forms.values():
            tensor._node = node
        self.state.restore()

    def _generator(self, source: np.random.Generator) -> list[Any]:
        state = source.bit_generator.state
        return self._generators.setdefault(id(source), [source, state, state])

    def _check_draws(self) -> None:
        """Whether Python drew from a generator of the library's between two draws that steps make."""
        for each in self._generators.values():
            if each[0].bit_generator.state != each[2]:
                self.state.impure = "draws in Python from a generator, and a replay would not draw anew"

    def _drawn(self) -> bool:
        """Whether the step that is noted draws: then the generators are where it left them."""
        drew, self._drew = self._drew, False
        for each in self._generators.values() if drew else ():
            each[2] = each[0].bit_generator.state
        return drew

    def _note_forms(self) -> None:
        """What the run depends on of the Tensors from outside, other than their values."""
        made = {id(tensor) for reference in self._made if (tensor := reference()) is not None}
        self._forms = {key: form for key, form in self._forms.items() if key not in made}
        places, tensors = [place for place, _ in self._graded], [tensor for tensor, _ in self._forms.values()]
        had, formed = tuple(had for _, had in self._graded), tuple(node is not None for _, node in self._forms.values())
        self.state.places += [
            Read(
                "whether a leaf has a gradient",
                lambda: tuple([getattr(p.tensor, "_grad", None) is not None for p in places]),
                found=had,
                terms=lambda bind, found: [
                    f"{bind(place)}.tensor._grad is {'not ' * has}None"
                    for place, has in zip(places, found, strict=True)
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
        self.state.hooks(tensors)

    def is_made(self, tensor: Tensor) -> bool:
        """Whether the run made a Tensor's values."""
        value = self._values.get(id(tensor._array))
        return value is not None and value.root.origin == "step"

    def referred(self) -> dict[int, Tensor]:
        """By identity, the Tensors that the run met otherwise than as arguments."""
        stand_ins = {id(place.tensor) for place in self.argument_places}
        met = [tensor for tensor, _ in (*self._forms.values(), *self.leaves.values())]
        return {id(tensor): tensor for tensor in met if id(tensor) not in stand_ins}

    def guard(self) -> Callable[[], bool]:
        """A function that says whether all that the run read is as it was."""
        return self.state.guard()

    def escaped(self) -> str | None:
        """Where a Tensor that the run made is still held, in words, now that its results are dropped.

        Not in an attribute that did not exist before: it was made once and for all.
        """
        if any(made() is not None for made in self._made):
            gc.collect()
        new = self.state.new()
        held = [tensor for made in self._made if (tensor := made()) is not None and id(tensor) not in new]
        return next(filter(None, map(_holder, held)), "a list, an attribute, a global variable") if held else None

    # What a tracer is told

    def call(
        self, op: Op, inputs: tuple[Any, ...], params: tuple[Any, ...], output: Tensor, residuals: tuple[Any, ...]
    ) -> None:
        drew = self._drawn()
        if np.geterr() != self._errors:
            self.state.impure = "calls an op under another `np.errstate`, and a replay would not"
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
            line=_line(),
        )
        step.outputs = (self._new(output._array), *(self._new(r) for r in residuals))
        self.steps.append(step)

    def compute(self, function: Callable[..., Any], *arrays: np.ndarray) -> Any:
        inputs = tuple(self.of(a) for a in arrays)
        made = function(*arrays)
        drew = self._drawn()
        several = isinstance(made, tuple)
        outputs = tuple(self._new(a) for a in (made if several else (made,)))
        step = Step(_name(function), function, inputs, outputs=outputs, kept=drew, several=several, line=_line())
        self.steps.append(step)
        return made

    def effect(
        self,
        function: Callable[..., None],
        *arrays: np.ndarray | None,
        writes: Callable[[], Sequence[np.ndarray]] = lambda: (),
    ) -> None:
        written = writes()
        inputs = tuple(self.of(a) for a in arrays)
        self.steps.append(Step(_name(function), function, inputs, kept=True, line=_line()))
        for array in written:
            root = self._owners.get(id(owner(array)))
            if root is None or root.origin == "outside":
                self.written[0].append(array)
            elif root.origin == "argument":
                self.written[1].append(self.arguments.index(root))
        self.state.check()  # a replay calls effects one after the other, with nothing done by Python in between
        subject = getattr(function, "__self__", None) or next(iter(getattr(function, "args", ())), None)
        self._undo.append(Remembered([*written, subject] if hasattr(subject, "__dict__") else written))
        self._check_draws()
        with trace(self.outer), self.state.effect():
            function(*arrays)
        for each in self._generators.values():
            each[2] = each[0].bit_generator.state

    def read(self, thing: Any, what: What) -> None:
        getattr(self, f"_read_{what}")(thing)

    def write(self, thing: Any, what: Write) -> None:
        getattr(self, f"_write_{what}")(thing)

    def impure(self, reason: str) -> None:
        self.state.impure = reason

    def _read_values(self, tensor: Tensor) -> None:
        root = self._owners.get(id(owner(tensor._array)))
        if isinstance(tensor._node, Leaf) or (root is not None and root.origin != "outside"):
            raise CaptureError(
                "compile: the function reads the value of a Tensor in Python (`if`, `float`, `item`, `numpy`, ...). It "
                "runs once, for the capture, and later calls would go on with the value it saw then. Choose with "
                "tinygrad_cnn.where, return the Tensor and read it outside, or take this part out of the compiled function"
            )
        if any(np.may_share_memory(tensor._array, array) for array in self.written[0]):
            self.state.impure = "writes a Tensor and then reads its value in Python"
        self.state.value(tensor)

    def _read_attributes(self, module: Any) -> None:
        self.state.module(module)

    def _read_requires_grad(self, tensor: Tensor) -> None:
        root = self._values.get(id(tensor._array))
        if root is None or root.origin == "outside":
            self._forms.setdefault(id(tensor), (tensor, tensor._node))

    def _read_params(self, optimizer: Any) -> None:
        if id(optimizer) not in self._optimizers:
            self._optimizers[id(optimizer)] = optimizer
            self.state.places.append(
                Read("the parameters of an optimizer", lambda: tuple(optimizer._params()), terms=optimizer._terms)
            )

    def _write_state(self, generator: np.random.Generator) -> None:
        self._check_draws()
        self._generator(generator)
        self.state.forget_generator(generator)
        self._drew = True

    def _read_memory(self, array: np.ndarray) -> None:
        self._followed[id(array)] = array

    def _read_code(self, function: Callable[..., Any]) -> None:
        self.state.note(function, frozenset())

    def _read_grad(self, leaf: Tensor) -> None:
        self._touch(leaf, write=False)

    def _write_grad(self, leaf: Tensor) -> None:
        self._touch(leaf, write=True)

    def _touch(self, leaf: Tensor, write: bool) -> None:
        if write:
            self._cleared.add(id(leaf))
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
        self._graded.append((place, before is not None))
        if before is not None:
            leaf._grad = Tensor._of(self.compute(partial(_gradient, place)))
            self.steps.insert(0, self.steps.pop())  # before the program writes over the gradients it left last time

    def vjp(self, node: Node, g: Tensor, saved: tuple[Any, ...], parents: tuple[Any, ...]) -> tuple[Any, ...]:
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
            self._read_requires_grad(x)
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
        if root is not None and root.origin == "argument":
            self.is_aliased = True  # then there will be no program
            return self._known(Value(array, "outside"))
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
    return np.array(gradient._array, order="C")


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


def _line() -> tuple[str, int]:
    frame = caller()
    return frame.f_code.co_filename, frame.f_lineno


def _name(function: Any) -> str:
    return str(getattr(getattr(function, "func", function), "__name__", "function")).strip("_<>")
