"""Writing a model as an ONNX file."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from ...io.atomic import replacing
from ...nn import Module
from ...tensor import Tensor
from .arguments import Axes, checked_names, dynamic, traces_of
from .arguments import input_names as names_of_inputs
from .encode import encoded, size_of, with_inputs
from .errors import OnnxError, package
from .model import PRODUCER, GraphModule
from .table import WRITERS
from .table.base import discrete
from .trace import Record, Trace
from .value import Dimension, Value
from .write import Writer

__all__ = ["export"]

OLDEST, NEWEST = 13, 23
"""The opsets that can be written."""

IR = {13: 7, 14: 7, 15: 8, 16: 8, 17: 8, 18: 8, 19: 9, 20: 9, 21: 10, 22: 10, 23: 11}
"""The version of the file format for each opset."""

NAMING = "2"
"""The producer's version in a file. From 2 on the names of nodes tell apart the calls of a module."""

LARGE = 1 << 16
"""The least bytes of a parameter that protobuf does not copy."""

LARGEST = (1 << 31) - 1
"""The maximum size of a file in bytes: protobuf's limit."""


def export(
    model: Module,
    args: Any,
    path: str | os.PathLike[str] | BinaryIO,
    *,
    input_names: Sequence[str] | None = None,
    output_names: Sequence[str] | None = None,
    dynamic_axes: Axes | None = None,
    opset: int = 18,
) -> None:
    """Write a model as an ONNX file: ``tg.onnx.export(model, images[:1], "model.onnx")``.

    The model is called in evaluation mode and traced, and every op is written as one or a few nodes; what does not depend on
    the inputs is folded into constants. Parameters and buffers keep their names in ``state_dict``, nodes are named by the path
    of their module. The model is also called with smaller and larger inputs, to find what depends on dynamic sizes.

    Args:
        model: any module. Its modes and state stay as they are.
        args: an example input, or a tuple of them: arrays or Tensors, which give the dtypes and shapes of the file's inputs.
        path: the path of the file, or a file object that is open for writing bytes.
        input_names: by default the names of the parameters of ``forward``.
        output_names: by default the keys of a dict that the model returns, else "output", or "output_0" and so on.
        dynamic_axes: for each input name a list of dynamic axes, or a dict of their names. Axes with the same name have the
            same size. By default the first axis of every input is dynamic and named "batch"; {} for no dynamic axis. Axes of
            outputs follow from these.
        opset: 13 to 23.

    Raises:
        OnnxError: if ONNX cannot express an op (the error names the op, its module and the line), if the model reads values of
            Tensors in Python, draws random numbers or changes its state, or for a wrong argument. No file is written then.
        TypeError: if `model` is not a Module, or `path` neither a path nor a file.
        ImportError: if the package onnx is not installed.
    """
    onnx = package("export")
    if isinstance(opset, bool) or not isinstance(opset, int) or not OLDEST <= opset <= NEWEST:
        raise OnnxError(f"export: `opset` is {opset!r}; it must be from {OLDEST} to {NEWEST}")
    if not isinstance(model, Module):
        raise TypeError(f"export: `model` is a {type(model).__name__}; it must be a Module")
    if not isinstance(path, str | os.PathLike) and not hasattr(path, "write"):
        raise TypeError(
            f"export: `path` is a {type(path).__name__}; it must be a path, or a file that is open for writing"
        )
    given = args if isinstance(args, tuple) else (args,)
    arrays = [np.array(x._array if isinstance(x, Tensor) else x) for x in given]
    for array in arrays:
        if array.dtype.kind not in "biuf" or array.dtype.itemsize > 8:
            raise OnnxError(f"export: `args` has an array of {array.dtype}; give Booleans, or numbers of up to 64 bits")
    arrays = [array.astype(array.dtype.newbyteorder("="), copy=False) for array in arrays]
    inputs = names_of_inputs(model, len(arrays), input_names)
    axes = dynamic(inputs, arrays, dynamic_axes, output_names)
    traces = traces_of(model, arrays, axes)
    made = _Export(model, traces, opset, inputs, axes, output_names)
    proto = made.proto()
    size = size_of(proto, made.large)
    if size > LARGEST:
        raise OnnxError(f"export: the file would have {size} bytes; the format can have {LARGEST}")
    try:
        onnx.checker.check_model(with_inputs(proto, made.large), full_check=True)
    except Exception as error:
        node = re.search(r"node name: ([^)]*)\)|Name: (\S+)", str(error))
        place = made.writer.written.get(node[1] or node[2], "the model") if node else "the model"
        raise OnnxError(
            f"export: {place} becomes nodes that the checker of the package onnx refuses: {error}"
        ) from error
    with replacing(Path(path)) if isinstance(path, str | os.PathLike) else nullcontext(path) as file:
        for piece in encoded(proto, made.large):
            file.write(piece)


class _Export:
    """Writes one file."""

    def __init__(
        self, model: Module, traces: Sequence[Trace], opset: int, inputs: Sequence[str], axes: Sequence[dict[int, str]],
        output_names: Sequence[str] | None,
    ) -> None:  # fmt: skip
        self.traces, self.opset, self.input_names, self.axes = traces, opset, inputs, axes
        self.outputs = [array for _, array in traces[0].outputs]
        self.output_names = self._output_names(model, output_names)
        self.writer = Writer(traces, opset, _state_names(model))
        self.helper = package("export").helper
        self.large: dict[str, np.ndarray] = {}  # initializers that the proto lacks

    def _output_names(self, model: Module, given: Sequence[str] | None) -> list[str]:
        count = len(self.outputs)
        if given is not None:
            return checked_names("output", count, given)
        if isinstance(model, GraphModule):
            return list(model.output_names)
        labels = [label for label, _ in self.traces[0].outputs]
        if all(labels) and len(set(labels)) == count:
            return labels
        return ["output"] if count == 1 else [f"output_{i}" for i in range(count)]

    def proto(self) -> Any:
        """The model in ONNX's form, without the `large` initializers."""
        w = self.writer
        clash = (set(self.input_names) & set(self.output_names)) | (
            (set(self.input_names) | set(self.output_names)) & w.taken
        )
        if clash:
            raise OnnxError(
                f"export: the name {min(clash)!r} stands for two values; give `input_names` or `output_names`"
            )
        w.taken.update([*self.input_names, *self.output_names])
        seen: set[str] = set()
        for i, (name, named) in enumerate(zip(self.input_names, self.axes, strict=True)):
            array = self.traces[0].inputs[i]
            value = Value(name, [t.inputs[i].shape for t in self.traces], array.dtype)
            w.values[id(array)] = value
            for axis, label in named.items():
                if label not in seen:
                    seen.add(label)
                    w.dimensions.append(Dimension(label, value, axis))
        self._write_records(self._needed())
        return self._model()

    def _needed(self) -> list[int]:
        """The records that outputs depend on. OnnxError that lists all without a row in the table."""
        w, first = self.writer, self.traces[0]
        wanted = {id(array) for array in self.outputs}
        w.kept = set(wanted)
        chosen, unknown = [], []
        for i in reversed(range(len(first.records))):
            record = first.records[i]
            if id(record.output) not in wanted:
                continue
            if not record.depends:
                for array in _arrays_of(record):
                    w.users.setdefault(id(array), []).append(record)
                    wanted.add(id(array))
                continue
            row = WRITERS.get(_key(record))
            if row is None:
                unknown.append(record)
            ignored = row.ignored if row is not None else ()
            for name, given in zip(_input_labels(record), record.inputs, strict=True):
                if isinstance(given, np.ndarray) and name not in ignored:
                    wanted.add(id(given))
                    w.users.setdefault(id(given), []).append(record)
            for array in _arrays_of(record.params):
                wanted.add(id(array))
                w.users.setdefault(id(array), []).append(record)
            chosen.append(i)
        if unknown:
            lines = "\n".join(f"- `{_name(r)}` in {r.path or 'the model'}, line {r.line}" for r in reversed(unknown))
            raise OnnxError(f"export: ONNX cannot express these ops:\n{lines}")
        return chosen[::-1]

    def _write_records(self, chosen: Sequence[int]) -> None:
        w, first = self.writer, self.traces[0]
        for i in chosen:
            record = w.record = first.records[i]
            w.index = i
            shapes = [t.records[i].output.shape for t in self.traces]
            w.out = Value("", shapes, record.output.dtype)
            if id(record) in w.given:
                result = w.given[id(record)]
            else:
                row = WRITERS[_key(record)]
                ignored = [name in row.ignored for name in _input_labels(record)]
                operands = [None if skip else w.operand(j) for j, skip in enumerate(ignored)]
                if row.ignored:
                    operands = [
                        record.inputs[j] if skip else x
                        for j, (skip, x) in enumerate(zip(ignored, operands, strict=True))
                    ]
                params = self._params(record, i, row.varies)
                if record.op is discrete.op:
                    del params["function"]
                if row.wants_out:
                    params["out"] = w.out
                result = self._written(row, operands, params)
            if not result.varies or len(result.shape) != len(shapes[0]) or result.constant is None:
                result.shapes, result.dtype = shapes, record.output.dtype
            w.values[id(record.output)] = result

    def _written(self, row: Any, operands: Sequence[Any], params: dict[str, Any]) -> Value:
        try:
            return row.function(self.writer, *operands, **params)  # type: ignore[no-any-return]
        except OnnxError:
            raise
        except Exception as error:
            raise OnnxError(f"export: {self.writer.place()} cannot be written: {error}") from error

    def _params(self, record: Record, i: int, varies: bool) -> dict[str, Any]:
        w, params = self.writer, dict(record.params)
        for name, value in params.items():
            others = [t.records[i].params[name] for t in self.traces[1:]]
            if not varies and name != "function" and not all(_equal(value, other) for other in others):
                w.refuse_size(True, f"has a parameter `{name}` that changes with the size of a dynamic axis")
            if name == "index":
                params[name] = _mapped(lambda a: w.value(a), value)
            else:
                w.refuse(
                    any(id(a) in self.traces[0].depends for a in _arrays_of(value)),
                    f"has a parameter `{name}` that was computed",
                )
        return params

    def _model(self) -> Any:
        w, helper = self.writer, self.helper
        names: dict[str, str] = {}  # of values that become outputs
        extra = []
        for k, (array, name) in enumerate(zip(self.outputs, self.output_names, strict=True)):
            depends = id(array) in self.traces[0].depends
            value = w.value(array) if depends else w.varying(array, [t.outputs[k][1] for t in self.traces])
            made = any(value.name in node.output for node in w.nodes)
            if made and value.name not in names:
                names[value.name] = name
            else:
                extra.append(
                    helper.make_node(
                        "Identity", [names.get(value.name, value.name)], [name], name=w.unique(f"{name}/Identity")
                    )
                )
        nodes = [*w.nodes, *extra]
        for node in nodes:
            node.input[:] = [names.get(n, n) for n in node.input]
            node.output[:] = [names.get(n, n) for n in node.output]
        nodes = _alive(nodes, set(self.output_names))
        used = {n for node in nodes for n in node.input}
        constants = {n: v.constant for n, v in w.constants.items() if n in used and v.constant is not None}
        names_of_state = set(w.parameters.values())
        state = {name: array for name, array in constants.items() if name in names_of_state}
        self.large = {name: array for name, array in state.items() if array.nbytes >= LARGE}
        initializers = [_tensor(name, array) for name, array in state.items() if name not in self.large]
        others = [(name, _tensor(name, array)) for name, array in constants.items() if name not in names_of_state]
        nodes = [
            *(helper.make_node("Constant", [], [name], name=name, value=tensor) for name, tensor in others),
            *nodes,
        ]
        labels = {d.value.sizes(d.axis): d.name for d in w.dimensions}
        ports = []
        for i, (name, named) in enumerate(zip(self.input_names, self.axes, strict=True)):
            array = self.traces[0].inputs[i]
            ports.append(self._info(name, array.dtype, [named.get(j, n) for j, n in enumerate(array.shape)]))
        results = []
        for k, (array, name) in enumerate(zip(self.outputs, self.output_names, strict=True)):
            shapes = [t.outputs[k][1].shape for t in self.traces]
            sizes = [tuple(s[j] for s in shapes) for j in range(array.ndim)]
            known = [s[0] if len(set(s)) == 1 else labels.get(s, f"{name}_{j}") for j, s in enumerate(sizes)]
            results.append(self._info(name, array.dtype, known))
        graph = helper.make_graph(nodes, "tinygrad_cnn", ports, results, initializers)
        opsets = [helper.make_opsetid("", self.opset)]
        return helper.make_model(
            graph, opset_imports=opsets, ir_version=IR[self.opset], producer_name=PRODUCER, producer_version=NAMING
        )

    def _info(self, name: str, dtype: Any, sizes: Sequence[Any]) -> Any:
        return self.helper.make_tensor_value_info(name, self.helper.np_dtype_to_tensor_dtype(dtype), list(sizes))


def _tensor(name: str, array: Any) -> Any:
    native = np.ascontiguousarray(array, array.dtype.newbyteorder("="))
    return package("export").numpy_helper.from_array(native.reshape(array.shape), name)


def _state_names(model: Module) -> dict[int, str]:
    """By identity of their arrays, the names of parameters and buffers: those of a file that was read, if it was."""
    renamed: dict[str, str] = {}
    for above, module in model.named_modules():
        if isinstance(module, GraphModule):
            renamed.update(
                {
                    f"{above}.{path}" if above else path: f"{above}.{name}" if above else name
                    for path, name in module.names.items()
                }
            )
    state = [*model.named_parameters(), *model.named_buffers()]
    return {id(tensor._array): renamed.get(path, path) for path, tensor in state}


def _key(record: Record) -> Any:
    return record.params["function"] if record.op is discrete.op else record.op


def _name(record: Record) -> str:
    key = _key(record)
    return str(getattr(key, "name", getattr(key, "__name__", type(key).__name__)))


def _input_labels(record: Record) -> Sequence[str]:
    names = record.op.signature.inputs
    return (
        names
        if len(names) == len(record.inputs) and not record.op.signature.variadic
        else [names[0]] * len(record.inputs)
    )


def _arrays_of(tree: Any) -> Iterable[np.ndarray]:
    if isinstance(tree, Record):
        tree = (tree.inputs, tree.params)
    if isinstance(tree, np.ndarray):
        yield tree
    elif isinstance(tree, tuple | list):
        for branch in tree:
            yield from _arrays_of(branch)
    elif isinstance(tree, dict):
        yield from _arrays_of(list(tree.values()))


def _mapped(function: Any, tree: Any) -> Any:
    if isinstance(tree, np.ndarray):
        return function(tree)
    if type(tree) in (tuple, list):
        return type(tree)(_mapped(function, branch) for branch in tree)
    return tree


def _equal(a: Any, b: Any) -> bool:
    if isinstance(a, np.ndarray) and isinstance(b, np.ndarray):
        return a.shape == b.shape and np.array_equal(a, b)
    if isinstance(a, tuple | list) and isinstance(b, tuple | list):
        return len(a) == len(b) and all(map(_equal, a, b))
    return bool(a == b) or (a != a and b != b)


def _alive(nodes: Sequence[Any], wanted: set[str]) -> list[Any]:
    """The nodes that the outputs depend on."""
    kept = []
    for node in reversed(nodes):
        if wanted & set(node.output):
            wanted |= set(node.input)
            kept.append(node)
    return kept[::-1]
