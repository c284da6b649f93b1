"""The parts of a course: slots for values, and steps on them."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from operator import is_
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from ..core.grad_mode import _recording
from ..core.graph import Op
from ..core.node import Leaf, Node
from ..core.signature import OUTPUT
from ..tensor import Tensor

if TYPE_CHECKING:
    from .blocks import Block

_recorded = _recording.get


OURS = tuple([f"{__name__.partition('.')[0]}.{room}." for room in ("ops", "numpy_api")])


def is_ours(op: Op) -> bool:
    """Whether an op is defined by this library: its definition and its rules have no effects, and call no other Python."""
    return (op.function.__module__ or "").startswith(OURS)


class Slot:
    """The place of a value in a course. Its array and node are those of the call that runs now.

    The array and node of an operand from outside stay from one call to the next, until it turns out that it `moves`.
    """

    __slots__ = (
        "array", "copied", "dtype", "fixed", "is_number", "is_outside", "moves", "node", "placed_as", "shape", "shared", "step",
        "strides", "tensor", "users",
    )  # fmt: skip

    def __init__(self, array: np.ndarray | None) -> None:
        self.array: Any = None
        self.node: Node | Leaf | None = None
        self.fixed: np.ndarray | None = None  # the array that prepared tasks read in its place
        self.step: Step | None = None  # the step that makes it
        self.tensor: Tensor | None = None  # the Tensor on it, if that is kept from one call to the next
        self.users: list[Step] = []  # the steps that have it as an operand
        self.copied = False  # whether the array must be copied to `fixed` before each use
        self.is_outside = self.is_number = self.moves = False
        self.placed_as: type = type(None)  # of an operand from outside, the class of its node
        self.shared: dict[Any, Any] = {}  # what kernels keep for tasks that read it
        if array is not None:
            self.shape, self.dtype, self.strides = array.shape, array.dtype, array.strides

    @property
    def nbytes(self) -> int:
        """The size of its array."""
        return math.prod(self.shape) * self.dtype.itemsize


class Use(NamedTuple):
    """An operand of a step."""

    slot: Slot
    is_placed: bool
    """Whether it has the node of the slot, and was not detached from the graph."""
    binds: bool
    """Whether it is from outside, and used for the first time in a call."""


class Branch:
    """Steps of which each follows the one before, from one where calls part."""

    __slots__ = ("start",)

    def __init__(self, start: Step | None) -> None:
        self.start = start  # the step that they follow


class Step:
    """A recorded call of an op."""

    __slots__ = (
        "binds", "block", "branch", "children", "copies", "escapes", "is_view", "keeps", "next", "op", "otherwise", "outer",
        "output", "params", "parents", "position", "previous", "recorded", "recording", "releases", "saved", "strays", "take",
        "tensors", "uses", "varies",
    )  # fmt: skip

    def __init__(
        self, op: Op, uses: tuple[Use, ...], params: tuple[Any, ...], output: Slot, previous: Step | None
    ) -> None:
        self.op, self.uses, self.params, self.output = op, uses, params, output
        output.step = self
        for use in uses:
            use.slot.users.append(self)
        self.previous = previous
        self.position: int = 0 if previous is None else previous.position + 1
        self.branch: Branch = previous.branch if previous is not None and not previous.children else Branch(previous)
        self.varies = not all(map(plain, params))  # whether parameters or numbers differ from call to call
        self.recorded = () if self.varies else snapshot(params)
        self.binds = tuple([use.slot for use in uses if use.binds])
        self.children: list[Step] = []
        self.releases: tuple[Slot, ...] = ()  # the large values that no step after this one has as an operand
        has_grad = any(use.is_placed and use.slot.node is not None for use in uses)
        self.recording = _recorded() if has_grad else None  # whether calls were recorded in the graph, if that matters
        self.is_view = False
        self.parents: tuple[int | None, ...] | None = None  # see `Form`, as for `saved`
        self.saved: tuple[Any, ...] = ()
        self.take: Callable[..., Tensor | None] | None = None  # see `codegen.source`
        self.next: Callable[..., Tensor | None]  # what answers the op call after this one
        self.otherwise: Callable[..., Tensor | None]  # what answers a call that is not this step
        self.tensors: tuple[bool, ...] = ()  # whether each operand was a Tensor when `take` was made
        self.keeps = True  # whether nobody ever held its result until the end of a call
        self.strays = False  # whether its value once had another form
        self.escapes = False  # whether somebody held its value until a later call
        self.block: Block | None = None  # the memory of its value, or of that of which it is a kept view
        self.outer: np.ndarray | None = None  # an array on its own block, whose views everybody may get
        self.copies = False  # whether tasks read a copy of its value

    def follows(self, other: Step) -> bool:
        """Whether calls that take this step took the other one before."""
        branch, position = self.branch, self.position
        while branch is not other.branch:
            start = branch.start
            if start is None:
                return False
            branch, position = start.branch, start.position
        return position >= other.position

    def saves(self, slot: Slot) -> bool:
        """Whether its node saves the value of a slot that is an operand."""
        return any(what == "all" or (isinstance(what, int) and self.uses[what].slot is slot) for what in self.saved)

    def describe_node(self, node: Node) -> None:
        """Note how the node of its output is made: from which operands its parents and saved values are."""
        sig = self.op.signature
        places = [i if use.is_placed and not use.slot.is_number else None for i, use in enumerate(self.uses)]
        numbers = {name: i for i, name in enumerate(sig.inputs)}
        self.parents = tuple(places) if sig.variadic else tuple([places[numbers[name]] for name in sig.served])
        names: dict[str, Any] = {OUTPUT: "y", **{name: f"r{i}" for i, name in enumerate(sig.residuals)}}
        names |= {sig.inputs[0]: "all"} if sig.variadic else numbers
        values = zip(sig.saved, node.saved or (), strict=True)
        self.saved = tuple([None if value is None else names[name] for name, value in values])

    def match(self, inputs: Sequence[Any], params: tuple[Any, ...]) -> Sequence[tuple[Slot, Any]] | None:
        """The operands from outside that differ from those of the last call, if this is the step that is called; else None."""
        new: list[tuple[Slot, Any]] = []
        bound: dict[Slot, tuple[Any, Any]] = {}  # in x * x, the second operand is the first one of this call
        if len(inputs) != len(self.uses):
            return None
        for x, (slot, is_placed, binds) in zip(inputs, self.uses, strict=True):
            if slot.is_number:
                if not (x is slot.array or same((x,), (slot.array,))):
                    if x.__class__ is not slot.array.__class__:
                        return None
                    new.append((slot, x))
                continue
            data, node = (x._array, x._node) if isinstance(x, Tensor) else (x, None)
            array, place = bound.get(slot, (slot.array, slot.node))
            is_same = data is array and node is (place if is_placed else None)
            if binds and not (is_same and _has_form(data, slot)):
                if node.__class__ is not slot.placed_as or not _has_form(data, slot):
                    return None
                new.append((slot, x))
                bound[slot] = data, node
            elif not is_same:
                return None
        if self.recording is not None and _recorded() is not self.recording:
            return None
        if not self.varies and not same(params, self.recorded):
            return None
        return new

    def text(self, names: dict[Slot, str]) -> str:
        """A line of `describe`."""
        for use in self.uses:
            if not use.slot.is_number and use.slot not in names:
                names[use.slot] = f"x{len(names)}"
        given = [f"{use.slot.array!r:.20}" if use.slot.is_number else names[use.slot] for use in self.uses]
        names[self.output] = f"v{len(names)}"
        slot = self.output
        how = "" if self.take is None else ", in memory of its own" if self.block is not None else ", computed as usual"
        return f"{names[slot]} = {self.op.name}({', '.join(given)})    {slot.dtype} {slot.shape}{how}"


def _has_form(array: Any, slot: Slot) -> bool:
    """Whether an operand is an array with the shape, dtype and memory order that was recorded."""
    if array.__class__ is not np.ndarray:
        return False
    return array.shape == slot.shape and array.dtype == slot.dtype and array.strides == slot.strides


_PLAIN = frozenset({type(None), bool, int, float, str, complex, type, type(Ellipsis)})


def plain(x: Any) -> bool:
    """Whether a parameter is made of values that can be compared."""
    if is_sequence(x):
        return all(map(plain, x))
    if x.__class__ is slice:
        return plain((x.start, x.stop, x.step))
    return x.__class__ in _PLAIN or isinstance(x, np.dtype | np.generic)


def is_sequence(x: Any) -> bool:
    """Whether a parameter is a tuple, a list or a named tuple."""
    return x.__class__ in (tuple, list) or (isinstance(x, tuple) and hasattr(x, "_fields"))


def snapshot(x: Any) -> Any:
    """Plain values with copies of the lists in them. What holds no list stays the same object."""
    if not is_sequence(x):
        return x
    found = [snapshot(each) for each in x]
    if x.__class__ is list:
        return found
    if all(map(is_, found, x)):
        return x
    return x._make(found) if hasattr(x, "_make") else tuple(found)


def same(a: Sequence[Any], b: Sequence[Any]) -> bool:
    """Whether plain values are the same, in type and sign too."""
    if len(a) != len(b):
        return False
    for x, y in zip(a, b, strict=True):
        kind = x.__class__
        if x is y and kind is not list:
            continue
        if kind is not y.__class__:
            return False
        if is_sequence(x):
            if not same(x, y):
                return False
        elif kind is slice:
            for p, q in ((x.start, y.start), (x.stop, y.stop), (x.step, y.step)):
                if p is not q and not same((p,), (q,)):
                    return False
        elif isinstance(x, np.generic):
            if x.dtype != y.dtype or x.tobytes() != y.tobytes():
                return False
        elif (
            (kind not in _PLAIN and not isinstance(x, np.dtype))
            or x != y
            or (kind is float and not x and math.copysign(1.0, x) != math.copysign(1.0, y))
        ):
            return False
    return True
