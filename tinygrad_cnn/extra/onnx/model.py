"""An ONNX file as a module."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import DTypeLike

from ...nn import Module, Parameter
from ...nn.summary import Summary
from ...tensor import Tensor
from .arrange import Arrangement, Origin
from .build import Builder, Constant
from .errors import OnnxError
from .files import model_of, opset_of, without_functions
from .names import Paths, paths, split
from .parts import Part
from .port import Port, ports_of
from .program import Env, Program
from .summary import summarize

__all__ = ["GraphModule", "load"]

PRODUCER = "tinygrad_cnn"
"""The name of this package in the files that it writes."""


class GraphModule(Part):
    """The graph of an ONNX file as a module. :func:`load` creates it.

    Its parameters are the initializers of the file and the constants that are used as weights or biases, under their names in
    the file. Its buffers are running statistics, integer tables and single numbers. In training mode, batch normalization and
    dropout behave as :class:`~tinygrad_cnn.nn.BatchNorm2d` and :class:`~tinygrad_cnn.nn.Dropout` do.

    Its parts are modules: those of the network that was exported, as far as the file names them, and the nodes. A call of the
    graph calls the modules that are there, so a part can be replaced: ``model[-1] = nn.Linear(32, 10)`` or ``model.fc = ...``.

    Attributes:
        input_names, output_names: the names in the file, in order.
        names: maps the path of each parameter and buffer to its name in the file. They differ if a name is not a legal path.
        opset: the opset of the file.
    """

    def __init__(
        self, program: Program, ports: list[Port], constants: dict[str, Constant], opset: int, origin: Origin
    ) -> None:
        super().__init__()
        self.program, self.ports, self.opset = program, ports, opset
        self.input_names = [port.name for port in ports]
        self.output_names: list[str] = []
        used = program.uses() & constants.keys()
        roles: dict[str, set[str]] = {}
        program.note(roles)
        state = {
            n: kind for n, c in constants.items() if n in used and (kind := _kind(c, roles.get(n, set()))) is not None
        }
        known: Env = {n: constants[n].array for n in used if n not in state}
        attributes = Paths()
        places = {name: tuple(path.split(".")) for name, path in paths(state, attributes).items()}
        self.names = {".".join(path): name for name, path in places.items()}
        owners = {name: split(name)[:-1] for name in state}
        arrangement = Arrangement(self, program, owners, known, attributes, origin)
        for name, (*scopes, leaf) in places.items():
            owner = arrangement.holder(tuple(scopes))
            if state[name] == "parameter":
                owner.register_parameter(leaf, Parameter(constants[name].array))
            else:
                owner.register_buffer(leaf, Tensor(constants[name].array))
        arrangement.pass_on(places)

    _returned = staticmethod(Module._returned)

    def forward(self, /, *inputs: Any, **named: Any) -> Any:
        """The outputs of the graph, one Tensor or a tuple, for its inputs: in their order, or by name.

        Raises:
            OnnxError: if an input is missing, unknown or does not fit, or a node cannot be computed; it names the node.
        """
        given = dict(zip(self.input_names, inputs, strict=False)) | named
        if len(given) != len(self.input_names) or len(inputs) + len(named) != len(given):
            raise OnnxError(
                f"{len(inputs)} inputs and {sorted(named)} by name are given; the graph takes "
                f"{', '.join(self.input_names) or 'none'}"
            )
        env = self._started({})
        for port, name in zip(self.ports, self._inputs, strict=True):
            if port.name not in given:
                raise OnnxError(f"the input {port.name!r} is missing; give {', '.join(self.input_names)}")
            value = given[port.name]
            if value.__class__ is not Tensor and not isinstance(value, Tensor):
                value = np.asarray(value, None if hasattr(value, "dtype") else port.dtype)
            port.check(value)
            env[name] = value
        return self._ran(env)

    def summary(self, input_shape: Any = None, *more: Any, dtype: DTypeLike | None = None) -> Summary:
        """Print a table of the nodes in their order, with outputs, parameters and multiply-adds.

        Args:
            input_shape: the shape of the input, or an example; by default as the file states it, with a batch of 1.
            more: the same for further inputs.
            dtype: of the inputs that are given as shapes; by default as the file states it.

        Returns:
            The table as a :class:`~tinygrad_cnn.nn.summary.Summary`.
        """
        given = () if input_shape is None else (input_shape, *more)
        result = summarize(self, given, dtype)
        print(result)
        return result

    def extra_repr(self) -> str:
        """The inputs, the outputs and the number of nodes."""
        return f"{', '.join(self.input_names)} -> {', '.join(self.output_names)}, {len(self.program.steps)} nodes"


def _kind(constant: Constant, roles: set[str]) -> str | None:
    """The role of a constant in the module: "parameter", "buffer", or None for a part of the graph."""
    kind = constant.array.dtype.kind
    if not roles - {"Structural"}:
        return None
    if not constant.given and any(
        (constant.array == fill).all() for fill in (0, 1)
    ):  # of a layer without scale or shift
        return None
    if kind == "f" and "Weight" in roles:
        return "parameter"
    if "Statistic" in roles:
        return "buffer"
    if kind == "f" and constant.array.size > 1:
        return "parameter"
    return "buffer" if constant.given else None


def _origin(model: Any) -> Origin:
    if model.producer_name != PRODUCER:
        return Origin.OTHER
    return Origin.OURS if model.producer_version else Origin.OLD


def load(source: Any) -> GraphModule:
    """The model in an ONNX file, as a module in evaluation mode: ``model = tg.onnx.load("model.onnx")``.

    The module can be called, trained, compiled, saved and exported as any other.

    Args:
        source: the path of a file, or its bytes. Opsets 7 to 28 are supported.

    Raises:
        OnnxError: if the file is damaged, refers to files outside its folder, or has unknown operators, which are all listed.
        TypeError: if `source` is neither a path nor bytes.
        OSError: if the file cannot be opened.
        ImportError: if the package onnx is not installed.
    """
    model, folder = model_of(source)
    opset = opset_of(model)
    model = without_functions(model)
    builder = Builder(opset, folder, budget=max(1 << 16, 4 * model.ByteSize()))
    try:
        program = builder.main(model.graph)
        ports = ports_of(model.graph)
        built = GraphModule(program, ports, builder.constants, opset, _origin(model))
    except RecursionError:
        raise OnnxError("load: the model is nested too deeply") from None
    built.output_names = [output.name for output in model.graph.output]
    return built.eval()
