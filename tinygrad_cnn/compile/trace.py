"""Capture: a tracer that follows one run of a function and records every op, draw and effect as a step on values.

The run is an ordinary call: it computes real arrays, and its effects, gradients and draws are real. If it fails, they are
undone. A value is identified by its array object. The Python state that the run reads, and that must be unchanged for a replay,
is kept in a :class:`~tinygrad_cnn.compile.state.State`.
"""

from __future__ import annotations

import gc
import sys
import weakref
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from itertools import count
from typing import Any

import numpy as np

from ..core import hooks, tracing
from ..core.frames import caller
from ..core.grad_mode import is_grad_enabled
from ..core.graph import Op
from ..core.node import Argument, Leaf, Node
from ..core.tracing import Args, Writes
from ..core.versions import owner, tick
from ..tensor import Tensor
from . import steps
from .guard import Read, contents, items, values
from .standard import checksum
from .state import State
from .steps import CaptureError, Form, Step, Value, flat, mapped
from .undo import restorers


class Capture(tracing.Tracer):
    """The record of one run so far."""

    captures = True

    def __init__(self, arguments: Sequence[Tensor]) -> None:
        self.steps: list[Step] = []
        self.state = State()
        self.is_aliased = False  # whether an argument shares memory with an array that is no argument
        # The memory that effects write: outside arrays, and the numbers of arguments.
        self.written: tuple[list[np.ndarray], list[int]] = ([], [])
        # Leaves whose gradient the run replaced, with the new gradient.
        self.gradients: list[tuple[steps.Leaf, Value | None]] = []
        self.leaves: dict[int, tuple[Tensor, Tensor | None]] = {}  # with their gradients before the run
        self._cleared: set[int] = set()  # leaves whose gradient was set, even if unchanged
        self._graded: list[Read] = []  # reads of whether a leaf has a gradient
        self._forms: dict[int, tuple[Tensor, Read]] = {}  # outside Tensors: whether they require a gradient
        self._values: dict[int, Value] = {}  # by id of the array
        self._owners: dict[int, Value] = {}  # by id of the owner of the memory
        self._numbers = count()
        self.arguments = [self._known(t._array, "argument") for t in arguments]
        self.takes_leaves = any(t._node is not None for t in arguments)
        self.shared: list[np.ndarray] = []  # small outside arrays that ops use, and that Python can reach
        self._stand_ins = {id(t): i for i, t in enumerate(arguments)}
        self._followed: dict[int, np.ndarray] = {}  # arrays that ops use through views
        self._results: dict[int, weakref.ref[Tensor]] = {}  # Tensors that ops made
        self._suspects: list[Any] = []  # unknown arrays seen since the list was last cleared
        self._errors, self._since = np.geterr(), tick()

    @contextmanager
    def running(self, function: Callable[..., Any], arguments: Sequence[Any], undo: bool) -> Iterator[None]:
        """Capture the run, in a ``with`` block. On failure its changes are undone; without `undo`, only for a CaptureError."""
        try:
            with self.state.watching(function, arguments), tracing.trace(self):
                yield
                self._finish()
            self.state.reads += [*self._graded, *(read for _, read in self._forms.values())]
            tensors, test = [tensor for tensor, _ in self._forms.values()], f"{{2}}.changes == {hooks.changes}"
            read = Read("a hook on a Tensor", ["*{0}({1})"], _hooks_on, tensors, hooks, tests=[test])
            self.state.reads.append(read)
        except BaseException as error:
            if undo or isinstance(error, CaptureError):
                self.state.restore()
            raise

    def _finish(self) -> None:
        for array, read in self.state.arrays:  # an array that ops use is read by reference, with its current values
            read.guarded = id(array) not in self._values and id(array) not in self._followed
            if not read.guarded:
                self.shared.append(array)
        for array, sum_before in self.state.large:
            if checksum(array) != sum_before and not any(np.may_share_memory(array, mine) for mine in self.written[0]):
                self.state.changed = "an array that it writes outside of ops"
        for leaf, before in self.leaves.values():
            gradient = getattr(leaf, "_grad", None)
            if gradient is not before or (id(leaf) in self._cleared and gradient is None):
                self.gradients.append((self._leaf(leaf), None if gradient is None else self._value(gradient._array)))
                if gradient is not None:  # without a graph, as in a replay
                    leaf._grad = Tensor._of(gradient._array)
        for _, read in self._forms.values():
            self.state.changed = self.state.changed or read.change(read.found)

    def release(self) -> None:
        """Free the arrays that the run made, and the functions that undo it."""
        self.state.undo.clear()
        for value in self._values.values():
            if value.origin != "outside":
                value.release()

    def is_made(self, tensor: Tensor) -> bool:
        """Whether the run computed the values of a Tensor."""
        value = self._values.get(id(tensor._array))
        return value is not None and value.root.origin == "step"

    def referred(self) -> dict[int, Tensor]:
        """By id, the Tensors that the run reached other than as arguments."""
        met = [tensor for tensor, _ in (*self._forms.values(), *self.leaves.values())]
        return {id(tensor): tensor for tensor in met if id(tensor) not in self._stand_ins}

    def escaped(self) -> str | None:
        """The place, in words, that still holds a Tensor made by the run after its results are dropped; None if there is none.

        An attribute that did not exist before the run does not count: it was made once and for all.
        """
        if any(made() is not None for made in self._results.values()):
            gc.collect()
        new = self.state.new()
        held = [t for made in self._results.values() if (t := made()) is not None and id(t) not in new]
        return next(filter(None, map(_holder, held)), "a list, an attribute, a global variable") if held else None

    # Events of the tracer

    def call(self, op: Op, inputs: Args, params: Args, output: Tensor, residuals: Args) -> None:
        if np.geterr() != self._errors:
            self.state.impure = "calls an op under another `np.errstate`, and a replay would not"
        self._results[id(output)] = weakref.ref(output)
        for t in inputs if output._node is not None else ():
            if isinstance(t, Tensor) and isinstance(t._node, Node) and id(t._array) not in self._values:
                raise CaptureError(
                    f"compile: `{op.name}` is given a Tensor that was computed outside the function and requires a "
                    "gradient; gradients cannot flow out of a compiled call: detach() it, or compute it inside"
                )
            if isinstance(t, Tensor) and isinstance(t._node, Argument) and t._node.number < self._since:
                raise CaptureError(
                    f"compile: `{op.name}` is given a Tensor that a transform differentiates outside the function; pass it as "
                    "an argument, or compile the transform"
                )
        several, drew = bool(residuals), self.state.drew()
        arrays = self.of(inputs)
        if id(output._array) not in self._values:  # else the op returned its input
            named = self.of(dict(zip(op.signature.params, params, strict=True)))
            results = (output._array, *residuals)
            call = op.raw if op.prepare is None else op.run
            self._step(op.name, call, arrays, results, params=named, op=op, kept=drew, several=several)

    def is_known(self, array: Any) -> bool:
        return id(array) in self._values or super().is_known(array)

    def compute(self, function: Callable[..., Any], *arrays: np.ndarray) -> Any:
        inputs, made = self.of(arrays), function(*arrays)
        several, drew = isinstance(made, tuple), self.state.drew()
        self._step(_name(function), function, inputs, made if several else (made,), kept=drew, several=several)
        return made

    def effect(self, function: Callable[..., None], *arrays: Any, writes: Writes = tuple) -> None:
        self._step(_name(function), function, self.of(arrays), kept=True)
        written = writes()
        for array in written:
            root = self._owners.get(id(owner(array)))
            if root is None or root.origin == "outside":
                self.written[0].append(array)
            elif root.origin == "argument":
                self.written[1].append(root.number)
        self.state.check()  # a replay runs no Python code between effects
        subject = getattr(function, "__self__", None) or next(iter(getattr(function, "args", ())), None)
        self.state.undo += restorers([*written, subject] if hasattr(subject, "__dict__") else written)
        with tracing.trace(self.outer), self.state.effect():
            function(*arrays)

    def impure(self, reason: str) -> None:
        self.state.impure = reason

    def write(self, thing: Any, what: tracing.Write) -> None:
        if what == "grad":
            self._cleared.add(id(thing))
            self._touch(thing)
        else:
            self.state.drawing(thing)

    def read(self, thing: Any, what: tracing.Read) -> None:
        match what:
            case "values":
                self._read_values(thing)
            case "requires_grad":
                self._read_form(thing)
            case "grad":
                self._read_gradient(thing)
            case "attributes":
                self.state.module(thing)
            case "params":
                self._read_params(thing)
            case "code":
                self.state.note(thing)
            case "memory":
                self._followed[id(thing)] = thing

    def _read_values(self, tensor: Tensor) -> None:
        root = self._owners.get(id(owner(tensor._array)))
        if isinstance(tensor._node, Leaf) or (root is not None and root.origin != "outside"):
            raise CaptureError(
                "compile: the function reads the value of a Tensor in Python (`if`, `float`, `item`, `numpy`, ...). It "
                "runs once, for the capture, and later calls would reuse the value it read then. Choose with "
                "tinygrad_cnn.where, return the Tensor and read it outside, or take this part out of the compiled function"
            )
        if any(np.may_share_memory(tensor._array, array) for array in self.written[0]):
            self.state.impure = "writes a Tensor and then reads its value in Python"
        if self.state.is_new(tensor._array, "its values"):
            self.state.reads.append(values("the value of a Tensor that the function reads", tensor._array))

    def _read_form(self, tensor: Tensor) -> None:
        """Read whether a Tensor requires a gradient, unless the run made it."""
        if isinstance(tensor._node, Leaf) and (original := tensor._node.tensor()) is not None:
            tensor = original
        root, result = self._values.get(id(tensor._array)), self._results.get(id(tensor))
        is_known = id(tensor) in self._forms or (result is not None and result() is tensor)
        if not is_known and (root is None or root.origin == "outside"):
            test = f"{{0}}._node is {'not ' * (tensor._node is not None)}None"
            read = Read("whether a Tensor requires a gradient", ["{0}._node is None"], tensor, tests=[test])
            self._forms[id(tensor)] = tensor, read
            self.state.undo.append(partial(setattr, tensor, "_node", tensor._node))

    def _read_gradient(self, leaf: Tensor) -> None:
        """Record a step that takes the gradient a leaf has when the program begins."""
        if self._touch(leaf):
            gradient = leaf._grad
            if id(leaf) not in self._stand_ins:  # for arguments, this is part of the signature
                test = f"{{0}}._grad is {'not ' * (gradient is not None)}None"
                self._graded.append(Read("whether a leaf has a gradient", ["{0}._grad is None"], leaf, tests=[test]))
            if gradient is not None:
                leaf._grad = Tensor._of(_gradient(leaf))
                self._step("gradient", _gradient, (self._leaf(leaf),), (leaf._grad._array,))
                self.steps.insert(0, self.steps.pop())  # before the program overwrites the gradients of its last run

    def _read_params(self, optimizer: Any) -> None:
        if self.state.is_new(optimizer, "its parameters"):
            groups = optimizer.param_groups
            self.state.reads += [
                items("of an optimizer", optimizer, vars(optimizer), ["param_groups"]),
                contents(groups),
            ]
            for group in groups:
                params = group["params"]
                self.state.reads += [items("of a group", group, group, ["params"]), contents(params, sys.maxsize)]

    def _touch(self, leaf: Tensor) -> bool:
        """Whether this is the first read or write of the gradient of an outside leaf."""
        known = self._values.get(id(leaf._array))
        if id(leaf) in self.leaves or (known is not None and known.origin == "step"):
            return False
        before = getattr(leaf, "_grad", None)
        self.leaves[id(leaf)] = (leaf, before)
        leaf._grad = before  # make the attribute exist
        self.state.undo.append(partial(setattr, leaf, "_grad", before))
        return True

    def vjp(self, node: Node, g: Tensor, saved: Args, parents: Args) -> Args:
        """The rules of a node as the ops that they call, or as a single step if they also compute without ops.

        Rules get indices, labels and residuals as plain arrays. Results computed from these without an op would be taken for
        constants. So rules are given Tensors instead. If an unknown array still turns up where a known array was an input, the
        rules of the node become a single step.
        """
        op, mark = node.op, len(self.steps)
        known = any(isinstance(a, np.ndarray) and id(a) in self._values for a in flat((saved, node.params)))
        self._suspects.clear()
        try:
            found = op.pull(g, mapped(self._wrapped, saved) if known else saved, node.params, parents)
            if not known or not (self._suspects or any(isinstance(r, np.ndarray | np.generic) for r in found)):
                return tuple(
                    [Tensor._of(np.asarray(r)) if isinstance(r, np.ndarray | np.generic) else r for r in found]
                )
        except CaptureError:  # the rule reads values, which a single step may do
            pass
        except TypeError:
            if not known:
                raise
        if is_grad_enabled():
            raise CaptureError(
                f"compile: the gradient of `{op.name}` computes with an index, label or residual outside of ops, and cannot "
                "be captured where its own gradient is recorded (create_graph=True); leave this part uncompiled"
            )
        for value in flat([step.outputs for step in self.steps[mark:]]):
            self._forget(value)
        del self.steps[mark:]
        forms = tuple([p and Form(p.shape, p.dtype) for p in parents])
        results = [r if r is None else np.asarray(r) for r in op.pull(g._array, node.saved or (), node.params, forms)]
        inputs = (*self.of((g, node.saved, node.params)), forms)
        step = self._step(f"{op.name}'", op.pull, inputs, results, several=True)
        return tuple([value and Tensor._of(value.array) for value in step.outputs])

    def _wrapped(self, leaf: Any) -> Any:
        return Tensor._of(leaf) if isinstance(leaf, np.ndarray) and id(leaf) in self._values else leaf

    # Steps and values

    def _step(self, name: str, call: Callable[..., Any], inputs: Any, results: Sequence[Any] = (), **more: Any) -> Step:
        frame, outputs = caller(), tuple([self._new(result) for result in results])
        line = frame.f_code.co_filename, frame.f_lineno
        self.steps.append(Step(name, call, inputs, outputs=outputs, line=line, **more))
        return self.steps[-1]

    def of(self, tree: Any) -> Any:
        """The form of `tree` in a step: values in place of Tensors and arrays, in nested containers too."""
        return mapped(self._refer, tree)

    def _refer(self, x: Any) -> Any:
        if isinstance(x, Tensor):
            self._read_form(x)
            return self._value(x._array)
        if isinstance(x, np.generic) or (isinstance(x, np.ndarray) and id(x) not in self._values):
            self._suspects.append(x)
        return self._value(x) if isinstance(x, np.ndarray) else x

    def _value(self, array: np.ndarray) -> Value:
        """The value of an array; an unknown array comes from outside."""
        if id(array) in self._values:
            return self._values[id(array)]
        root = self._owners.get(id(owner(array)))
        if root is not None and root.origin == "step":
            raise CaptureError(
                "compile: an op is given an array that is a view of a value, but was not made by an op; use "
                "the Tensor's own methods, such as reshape and indexing, inside a compiled function"
            )
        self.is_aliased |= root is not None and root.origin == "argument"  # the call is then not compiled
        return self._known(array, "outside")

    def _new(self, array: Any) -> Value | None:
        """The value of an array that a step returns."""
        if not isinstance(array, np.ndarray):
            return None
        return self._values.get(id(array)) or self._known(array, "step")

    def _known(self, array: np.ndarray, origin: str) -> Value:
        value = Value(array, origin, -1 if origin == "outside" else next(self._numbers))
        root = self._owners.setdefault(id(owner(array)), value)
        value.base = None if root is value else root
        self._values[id(array)] = value
        return value

    def _forget(self, value: Value | None) -> None:
        if value is not None:
            self._values.pop(id(value.array), None)
            if self._owners.get(id(owner(value.array))) is value:
                del self._owners[id(owner(value.array))]

    def _leaf(self, tensor: Tensor) -> steps.Leaf:
        number = self._stand_ins.get(id(tensor), -1)
        return steps.Leaf(tensor if number < 0 else None, number)


def _gradient(leaf: Tensor) -> np.ndarray:
    gradient: Any = leaf._grad
    return np.array(gradient._array, order="C")


def _hooks_on(tensors: list[Tensor]) -> list[Any]:
    return [hook for t in tensors for hook in getattr(t._node, "hooks", {}).values()]


def _holder(tensor: Tensor) -> str | None:
    """The attribute and object that hold `tensor`, in words."""
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
