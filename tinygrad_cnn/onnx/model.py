"""A file of ONNX as a module."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np

from ..nn import Module, Parameter
from ..tensor import Tensor
from .build import Builder, Constant
from .errors import OnnxError
from .files import model_of, opset_of
from .names import paths
from .program import Env, Program

__all__ = ["GraphModule", "load"]


class Scope(Module):
    """Parameters and buffers whose names have a common beginning."""


class Port:
    """An input of a graph: its name, and the dtype and sizes that the file states; None for an unknown one."""

    def __init__(self, name: str, dtype: Any, sizes: tuple[int | str | None, ...] | None) -> None:
        self.name, self.dtype, self.sizes = name, dtype, sizes

    def check(self, value: Any) -> None:
        """OnnxError if an array or Tensor does not fit."""
        shape, kind = np.shape(value), value.dtype.kind
        if self.dtype is not None and kind != self.dtype.kind and {kind, self.dtype.kind} != {"i", "u"}:
            raise OnnxError(
                f"the input {self.name!r} is {value.dtype}; it must be {self.dtype}: convert it with astype"
            )
        if self.sizes is not None and (
            len(shape) != len(self.sizes)
            or any(isinstance(m, int) and n != m for n, m in zip(shape, self.sizes, strict=True))
        ):
            stated = ", ".join("?" if n is None else str(n) for n in self.sizes)
            raise OnnxError(f"the input {self.name!r} has shape {shape}; it must be ({stated})")


class GraphModule(Module):
    """The graph of an ONNX file: :func:`load` makes it, and a call runs it.

    Its parameters are the file's initializers, under their names, and the constants that are weights and biases; its buffers
    are running statistics, tables of integers and single numbers. In training mode, batch normalization and dropout do what
    :class:`~tinygrad_cnn.nn.BatchNorm2d` and :class:`~tinygrad_cnn.nn.Dropout` do.

    Attributes:
        input_names, output_names: the names in the file, in their order.
        names: by path of a parameter or buffer, its name in the file. They differ where a name cannot be a path.
        opset: of the file.
    """

    def __init__(self, program: Program, ports: list[Port], constants: dict[str, Constant], opset: int) -> None:
        self._program, self._ports, self.opset = program, ports, opset
        self.input_names = [port.name for port in ports]
        self.output_names: list[str] = []
        used = program.uses() & constants.keys()
        roles: dict[str, set[str]] = {}
        program.note(roles)
        state = {
            n: kind for n, c in constants.items() if n in used and (kind := _kind(c, roles.get(n, set()))) is not None
        }
        self._constants: Env = {n: constants[n].array for n in used if n not in state}
        self.names: dict[str, str] = {}
        self._places: list[tuple[str, Module, str]] = []
        for name, path in paths(state).items():
            self.names[path] = name
            *scopes, leaf = path.split(".")
            owner: Module = self
            for scope in scopes:
                if scope not in owner._kinds:
                    owner.register_module(scope, Scope())
                owner = getattr(owner, scope)
            if state[name] == "parameter":
                owner.register_parameter(leaf, Parameter(constants[name].array))
            else:
                owner.register_buffer(leaf, Tensor(constants[name].array))
            self._places.append((name, owner, leaf))
        program.finish(kept=set(constants) | set(program.inputs))

    def forward(self, *inputs: Any, **named: Any) -> Any:
        """The outputs of the graph, one Tensor or a tuple, for its inputs: in their order, or by name.

        Raises:
            OnnxError: if an input is missing, unknown or does not fit, or a node cannot be computed; it names the node.
        """
        env = self.environment(inputs, named)
        self._program.run(env, self.training)
        found = tuple([env[name] for name in self._program.outputs])
        return found[0] if len(found) == 1 else found

    def environment(self, inputs: tuple[Any, ...], named: dict[str, Any]) -> Env:
        """What the program starts with."""
        given = dict(zip(self.input_names, inputs, strict=False)) | named
        if len(given) != len(self.input_names) or len(inputs) + len(named) != len(given):
            raise OnnxError(
                f"{len(inputs)} inputs and {sorted(named)} by name are given; the graph takes "
                f"{', '.join(self.input_names) or 'none'}"
            )
        env = dict(self._constants)
        for name, owner, leaf in self._places:
            env[name] = getattr(owner, leaf)
        for port, name in zip(self._ports, self._program.inputs, strict=True):
            if port.name not in given:
                raise OnnxError(f"the input {port.name!r} is missing; give {', '.join(self.input_names)}")
            value = given[port.name]
            if value.__class__ is not Tensor and not isinstance(value, Tensor):
                value = np.asarray(value, None if hasattr(value, "dtype") else port.dtype)
            port.check(value)
            env[name] = value
        return env

    def extra_repr(self) -> str:
        return f"{', '.join(self.input_names)} -> {', '.join(self.output_names)}, {len(self._program.steps)} nodes"


def _kind(constant: Constant, roles: set[str]) -> str | None:
    """What a constant is in the module: a "parameter", a "buffer" or, None, a part of the graph."""
    kind = constant.array.dtype.kind
    if not roles - {"Structural"}:
        return None
    if kind == "f" and "Weight" in roles:
        return "parameter"
    if "Statistic" in roles:
        return "buffer"
    if kind == "f" and constant.array.size > 1:
        return "parameter"
    return "buffer" if constant.given else None


def load(source: Any) -> GraphModule:
    """The model in an ONNX file as a module in evaluation mode, which can be called, trained, compiled, saved and exported.

    Args:
        source: a path, or the bytes of a file. Opsets 7 to 28 are read.

    Raises:
        OnnxError: if the file is damaged, has operators that are not known (all are listed), or points out of its folder.
        ImportError: if the package onnx is not installed.
    """
    model, folder = model_of(source)
    opset = opset_of(model)
    if model.functions:
        from .errors import package

        inliner = package("load")
        import importlib

        model = importlib.import_module(inliner.__name__ + ".inliner").inline_local_functions(model)
    builder = Builder(opset, folder, budget=max(1 << 16, 4 * model.ByteSize()))
    try:
        program = builder.main(model.graph)
        ports = _ports(model.graph)
        built = GraphModule(program, ports, builder.constants, opset)
    except RecursionError:
        raise OnnxError("load: the model is nested too deeply") from None
    built.output_names = [output.name for output in model.graph.output]
    return built.eval()


def _ports(graph: Any) -> list[Port]:
    known = {tensor.name for tensor in graph.initializer}
    return [_port(value) for value in graph.input if value.name not in known]


def _port(value: Any) -> Port:
    from .table.logic import numpy_dtype

    kind = value.type.WhichOneof("value")
    if kind not in (None, "tensor_type"):
        raise OnnxError(
            f"load: the input {value.name!r} is no tensor, but a {kind.removesuffix('_type')}, which is not read"
        )
    tensor = value.type.tensor_type
    dtype = numpy_dtype(tensor.elem_type) if tensor.elem_type else None
    if not tensor.HasField("shape"):
        return Port(value.name, dtype, None)
    return Port(value.name, dtype, tuple(_sizes(tensor.shape.dim)))


def _sizes(dims: Iterable[Any]) -> Iterable[int | str | None]:
    for dim in dims:
        if dim.HasField("dim_value") and dim.dim_value > 0:
            yield int(dim.dim_value)
        else:
            yield dim.dim_param or None
