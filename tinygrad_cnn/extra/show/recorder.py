"""The tracer of a computation that is shown: an item for each op, with its value and the results of the backward pass.

To name the user's lines and the modules around an op, it reads the frames of the calling functions. Only a call of ``tg.show``,
or a training that a Live callback shows, does that; no other call of the library does.
"""

from __future__ import annotations

import sys
from types import FrameType
from typing import Any

import numpy as np

from ...core.graph import Op
from ...core.node import Leaf, Node, Place
from ...core.tracing import Args, Tracer, performed
from ...core.versions import tick, written_since
from ...frames import PACKAGE, is_library
from ...nn import Module, Parameter
from ...ops.shape import sum_to
from ...tensor import Tensor
from .graph import Graph, Group, Input, Item, shown, shown_place
from .labels import constant, is_function, written
from .names import Names

CALL = Module.__call__.__code__

OTHERS = tuple(f"{PACKAGE}{place}" for place in ("core/backward", "transforms", "training", "optim", "compile"))
"""Code that calls ops on its own account, such as the backward pass."""


class Recorder(Tracer):
    """Adds an item for every op that is called on Tensors, in the group of its module, and the results of the backward pass."""

    def __init__(self, graph: Graph, names: Names) -> None:
        self.graph = graph
        self.names = names
        self.items: dict[int, Item] = {}  # by identity of the Tensor or array
        self.places: dict[Place, Item] = {}
        self._times: dict[Item, int] = {}  # when the value was summarized
        self.pulled = False
        self._last = 0  # the number of the node that a walk visited last
        self._before = 0  # how many of the items in `graph.order` were visited by earlier walks
        self._in_rule = self._ended = False
        self._alive: list[Any] = []  # keeps objects alive, so ids stay unique
        self._calls: list[tuple[FrameType, Group]] = []  # the modules around the last op
        self._function: FrameType | None = None  # the function of the library that the program called last
        self._functions: list[tuple[str, list[Item]]] = []  # the name of each such function, and the items of its ops

    def call(self, op: Op, inputs: Args, params: Args) -> Tensor | None:
        output = performed(op, inputs, params, self, self.outer)
        if self._ended:  # the second run of a checkpoint
            return output
        given = [self._input(name, value) for name, value in zip(input_names(op, len(inputs)), inputs, strict=True)]
        group, place, function = self._position()
        item = self.graph.add(
            "op", output, op=op, inputs=given, group=group, place=place, requires_grad=output._node is not None,
            params={n: shown(v) for n, v in zip(op.signature.params, params, strict=True)},
            value=self.graph.summaries.add(output._array), label=written(op, output.shape),
        )  # fmt: skip
        if function is not None and function is self._function:
            self._functions[-1][1].append(item)
        elif function is not None:
            self._functions.append((function.f_code.co_name, [item]))
        self._function = function
        self.register(output, item)
        return output

    def vjp(self, node: Node, g: Any, saved: Args, parents: Args) -> Args:
        if self._in_rule:  # a walk through the second run of a checkpoint
            return super().vjp(node, g, saved, parents)
        self._in_rule = True
        try:
            gradients = super().vjp(node, g, saved, parents)
        finally:
            self._in_rule = False
        self.pulled = True
        if node.number >= self._last:
            self._before = len(self.graph.order)
        self._last = node.number
        item = self.places.get(node)
        if item is not None:
            if item in self.graph.order[: self._before]:
                self.forget_gradients(self._before)
            self.graph.order.append(item)
            item.gradient = self.graph.summaries.add(array_of(g))
            slots = _slots(node.op, item)
            for slot, parent, r in zip(slots, parents, gradients, strict=True):
                r = array_of(r)
                if parent is not None and slot is not None and isinstance(r, np.ndarray):
                    slot.gradient = self.graph.summaries.add(
                        r if r.shape == parent.shape else array_of(sum_to(r, shape=parent.shape))
                    )
        return gradients

    def forget_gradients(self, count: int) -> None:
        """Drop the gradients of the first `count` items of the order, which earlier walks computed."""
        for item in self.graph.order[:count]:
            item.gradient = None
            for given in item.inputs:
                given.gradient = None
        del self.graph.order[:count]
        self._before = 0

    def end(self) -> None:
        """Add no more items, and drop the gradients: the next walk is the one to be shown."""
        self._ended = True
        self.forget_gradients(len(self.graph.order))

    def assign(self, tensor: Tensor) -> None:
        self.items.pop(id(tensor), None)
        super().assign(tensor)

    def register(self, tensor: Tensor, item: Item) -> None:
        """Map a Tensor, its array and its node to an item, by identity."""
        self._alive += [tensor, tensor._array]
        self._times[item] = tick()
        self.items[id(tensor)] = self.items[id(tensor._array)] = item
        if tensor._node is not None:
            self.places[tensor._node] = item

    def find(self, tensor: Tensor) -> Item | None:
        """The item of a Tensor, or of the Tensor that it was detached from; None if it was written in place since."""
        if tensor._node is not None:
            item = self.places.get(tensor._node)
        else:
            item = self.items.get(id(tensor)) or self.items.get(id(tensor._array))
        if item is not None and item.op is None and written_since(self._times.get(item, 0), [tensor._array]):
            return None
        return item

    def value(self, tensor: Tensor) -> Item:
        """The item of a Tensor; a new item if it has none."""
        item = self.find(tensor)
        if item is None:
            name, kind = self.names.of(tensor)
            kind = kind or _kind(tensor)
            item = self.graph.add(
                kind, tensor, name=name, value=self.graph.summaries.add(tensor._array, kind),
                requires_grad=tensor._node is not None,
                label=constant(tensor._array) if kind == "constant" and not name else "",
            )  # fmt: skip
            self.register(tensor, item)
        return item

    def _input(self, name: str, value: Any) -> Input:
        if isinstance(value, Tensor):
            return Input(name, self.value(value))
        if isinstance(value, np.ndarray) and value.ndim and value.dtype.kind in "biufc":
            item = self.items.get(id(value))
            if item is None:
                called, kind = self.names.of(value)
                item = self.graph.add(
                    kind or "constant", value, name=called, value=self.graph.summaries.add(value, kind or "constant"),
                    label="" if kind or called else constant(value),
                )  # fmt: skip
                self._alive.append(value)
                self.items[id(value)] = item
            return Input(name, item)
        return Input(name, text=shown(value))

    def _position(self) -> tuple[Group | None, tuple[str, int] | None, FrameType | None]:
        """The group of the innermost running module, the file and line of the user's code, and the function that it called.

        That is the outermost public function of the library below the innermost module or user's function.
        """
        frame: FrameType | None = sys._getframe(2)
        place = function = None
        inside = True  # a function that was called by a module or by the user
        modules: list[FrameType] = []
        while frame is not None:
            if place is None and not is_library(frame.f_code.co_filename):
                place = shown_place(frame.f_code.co_filename), frame.f_lineno
            if frame.f_code is CALL:
                modules.append(frame)
            if inside:
                inside = place is None and frame.f_code is not CALL
                if frame.f_code.co_filename.startswith(OTHERS):  # the op is no part of what the program called
                    function, inside = None, False
                elif inside and is_function(frame.f_code.co_name):
                    function = frame
            frame = frame.f_back
        modules.reverse()
        same = 0
        while same < len(modules) and same < len(self._calls) and modules[same] is self._calls[same][0]:
            same += 1
        del self._calls[same:]
        for frame in modules[same:]:
            module = frame.f_locals["self"]
            above, parent = self._calls[-1] if self._calls else (None, None)
            name = self.names.of_module(module, above and above.f_locals["self"])
            self._calls.append((frame, self.graph.add_group(name, type(module).__name__, parent)))
        return (self._calls[-1][1] if self._calls else None), place, function

    def forget_frames(self) -> None:
        """Drop the frames of modules and functions, which keep all their local variables alive."""
        self._calls.clear()
        self._function = None

    def name_calls(self) -> None:
        """Name each op after the function that the program called; several ops of one call become a group of that name."""
        for name, items in self._functions:
            if len(items) == 1:
                items[0].label = name
                continue
            group = self.graph.add_group(name, "function", items[0].group)
            for item in items:
                item.group, item.label = group, "" if item.label == name else item.label
        self._functions.clear()


def _slots(op: Op, item: Item) -> list[Input | None]:
    """The inputs of an item that correspond to the parents of its node, in order."""
    if op.signature.variadic:
        return list(item.inputs)
    by_name = {given.name: given for given in item.inputs}
    return [by_name.get(name) for name in op.signature.served]


def input_names(op: Op, count: int) -> list[str]:
    """The names of the inputs of a call; those of a list are numbered."""
    sig = op.signature
    return [f"{sig.inputs[0]}[{i}]" for i in range(count)] if sig.variadic else list(sig.inputs)


def _kind(tensor: Tensor) -> str:
    if isinstance(tensor, Parameter):
        return "parameter"
    if tensor._node is None:
        return "constant"
    return "leaf" if isinstance(tensor._node, Leaf) else "before"


def array_of(value: Any) -> Any:
    """The values of a Tensor; a NumPy scalar as an array."""
    return np.asarray(value) if isinstance(value, np.generic) else getattr(value, "_array", value)
