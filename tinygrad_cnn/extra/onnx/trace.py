"""A trace: the ops that one call of a model calls."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from ...core import tracing
from ...core.graph import Op
from ...core.tracing import Args
from ...frames import caller
from ...nn import Module
from ...nn.summary import followed
from ...tensor import Tensor
from .errors import OnnxError
from .parts import Part


class _Refusal(Exception):
    """Exceptions that become an OnnxError outside of ops. Ops have their own error messages."""


class Untraceable(OnnxError):
    """A model that does what a trace cannot hold, such as reading values in Python."""


class Record:
    """One call of an op: its arrays and numbers, its output, and the path and the call of the module that called it."""

    __slots__ = ("call", "depends", "index", "inputs", "line", "op", "output", "params", "path")

    def __init__(
        self, op: Op, inputs: Args, params: dict[str, Any], output: np.ndarray, path: str, call: str, line: str
    ) -> None:
        self.op, self.inputs, self.params, self.output = op, inputs, params, output
        self.path, self.call, self.line = path, call, line
        self.depends = False  # on an input of the model
        self.index = 0  # among the records


class Trace(tracing.Tracer):
    """Records every op of a call, in order."""

    follows_rules = True  # keeps computed indices alive

    def __init__(self, inputs: Sequence[np.ndarray]) -> None:
        self.records: list[Record] = []
        self.inputs = list(inputs)
        self.depends = {id(array) for array in inputs}
        self.made: dict[int, Record] = {}
        self.path = [""]
        self.calls = [""]  # the path with the numbers of repeated calls, such as "block.act#2"
        self._count: dict[str, int] = {}
        self.outputs: list[tuple[str, np.ndarray]] = []

    def call(self, op: Op, inputs: Args, params: Args) -> Tensor | None:
        output = tracing.performed(op, inputs, params, self)
        array = output._array
        if id(array) in self.made or id(array) in self.depends:  # the op returned its input
            return output
        frame = caller()
        named = dict(zip(op.signature.params, params, strict=True))
        arrays = tuple([np.asarray(x) if isinstance(x, list | tuple) else _array(x) for x in inputs])
        line = f"{frame.f_code.co_filename}:{frame.f_lineno}"
        record = Record(op, arrays, named, array, self.path[-1], self.calls[-1], line)
        record.depends = any(id(a) in self.depends for a in _arrays((arrays, named)))
        if record.depends:
            self.depends.add(id(array))
        self.made[id(array)], record.index = record, len(self.records)
        self.records.append(record)
        return output

    def compute(self, function: Callable[..., Any], *arrays: np.ndarray) -> Any:
        if any(id(a) in self.depends for a in arrays):
            raise _Refusal(f"export: the model computes without an op in {self.where()}, and a file cannot")
        return function(*arrays)

    def effect(self, function: Callable[..., None], *arrays: Any) -> None:
        raise _Refusal(f"export: the model changes its state in {self.where()}, and a file cannot")

    def read(self, tensor: Tensor) -> None:
        if id(tensor._array) in self.depends:
            raise _Refusal(
                f"export: the model reads the value of a Tensor in Python (`if`, `float`, `item`, `numpy`, ...) in "
                f"{self.where()}; a file would have the value that it has now: choose with tinygrad_cnn.where"
            )

    def draw(self, generator: np.random.Generator) -> None:
        raise _Refusal(f"export: the model draws random numbers in {self.where()}, and a file cannot")

    def enter(self, path: str) -> None:
        """Note that a module is called."""
        above, around = self.path[-1], self.calls[-1]
        call = around
        if path != above:
            call = around + path[len(above) :] if path.startswith(above + "." if above else "") else path
            self._count[call] = count = self._count.get(call, 0) + 1
            call = call if count == 1 else f"{call}#{count}"
        self.path.append(path)
        self.calls.append(call)

    def leave(self) -> None:
        """Note that it has returned."""
        self.path.pop()
        self.calls.pop()

    def where(self) -> str:
        """The module and the line that are running."""
        frame = caller()
        return f"{self.path[-1] or 'the model'}, line {frame.f_code.co_filename}:{frame.f_lineno}"


def _array(x: Any) -> Any:
    return getattr(x, "_array", x)


def _arrays(tree: Any) -> list[np.ndarray]:
    if isinstance(tree, np.ndarray):
        return [tree]
    if isinstance(tree, tuple | list):
        return [a for branch in tree for a in _arrays(branch)]
    if isinstance(tree, dict):
        return _arrays(list(tree.values()))
    return []


def traced(model: Module, inputs: Sequence[np.ndarray]) -> Trace:
    """The trace of one call in evaluation mode, without gradients. The model does not change."""
    arguments = [Tensor._of(array) for array in inputs]
    trace = Trace(inputs)
    paths = {id(module): _module_path(path, module) for path, module in model.named_modules()}

    def enter(module: Module, _: Any) -> None:
        trace.enter(paths[id(module)])

    def leave(*_: Any) -> None:
        trace.leave()

    with followed(model, enter, leave), tracing.trace(trace):
        try:
            found = model(*arguments)
        except _Refusal as error:
            raise Untraceable(str(error)) from None
    trace.outputs = _outputs(found, "")
    if not trace.outputs:
        raise OnnxError("export: the model returns no Tensor")
    return trace


def _module_path(path: str, module: Module) -> str:
    """The path of a module; of a node of a file that of the module that it belonged to."""
    return path.rpartition(".")[0] if isinstance(module, Part) and module._is_node else path


def _outputs(found: Any, name: str) -> list[tuple[str, np.ndarray]]:
    """The arrays of a model's result, and their names; the names are empty unless the result is a dict."""
    if isinstance(found, Tensor):
        return [(name, found._array)]
    if isinstance(found, dict):
        return [pair for key, value in found.items() for pair in _outputs(value, f"{name}.{key}" if name else str(key))]
    if isinstance(found, tuple | list):
        return [pair for value in found for pair in _outputs(value, name)]
    raise OnnxError(
        f"export: the model returns a {type(found).__name__}; it must return Tensors, in tuples, lists or dicts"
    )
