"""A file's bytes as a model, and its tensors as arrays. Files are not trusted: everything is checked."""

from __future__ import annotations

import math
import os
from pathlib import Path
from typing import Any

import numpy as np

from .errors import OnnxError, package
from .table import READERS
from .table.logic import numpy_dtype

OLDEST, NEWEST = 7, 28
"""The opsets that can be read."""

DEEPEST = 16
"""The deepest nesting of graphs."""

MOST_NODES = 1_000_000
"""The most nodes after functions are inlined, unless the file itself has as many."""


def model_of(source: Any) -> tuple[Any, Path | None]:
    """The model in a file, or in bytes, and its folder. OnnxError if it is not a model."""
    onnx = package("load")
    folder = None
    if isinstance(source, bytes | bytearray | memoryview):
        data = bytes(source)
    elif isinstance(source, onnx.ModelProto):
        data = source.SerializeToString()
    elif isinstance(source, str | os.PathLike):
        path = Path(source)
        folder, data = path.parent, path.read_bytes()
    else:
        raise TypeError(f"load: the source is a {type(source).__name__}; it must be a path, or the bytes of a file")
    model = onnx.ModelProto()
    try:
        model.ParseFromString(data)
    except Exception as error:  # protobuf raises classes of its own
        raise OnnxError(f"load: this is not an ONNX model: {error}") from None
    if not model.HasField("graph") or not (model.graph.node or model.graph.output):
        raise OnnxError("load: this is not an ONNX model: there is no graph in it")
    return model, folder


def without_functions(model: Any) -> Any:
    """The model with its functions inlined. OnnxError if they are recursive, or have too many nodes."""
    if not model.functions:
        return model
    functions = {(f.domain, f.name): f for f in model.functions}
    clashing = sorted(f.name for f in model.functions if f.domain in ("", "ai.onnx") and f.name in READERS)
    if clashing:
        raise OnnxError(f"load: the model has a function {clashing[0]!r} with the name of an ONNX operator; rename it")
    sizes: dict[tuple[str, str], int] = {}
    path: list[tuple[str, str]] = []

    def size_of(nodes: Any) -> int:
        total = 0
        for node in nodes:
            key = (node.domain, node.op_type)
            total += 1 if key not in functions else size_of_function(key)
            total += sum(
                size_of(graph.node) for a in node.attribute for graph in ([a.g] if a.HasField("g") else a.graphs)
            )
        return total

    def size_of_function(key: tuple[str, str]) -> int:
        if key in path or len(path) > 100:
            raise OnnxError(f"load: the function {'::'.join(key)} calls itself, or calls are nested too deeply")
        if key not in sizes:
            path.append(key)
            sizes[key] = size_of(functions[key].node)
            path.pop()
        return sizes[key]

    most = max(MOST_NODES, 2 * len(model.graph.node))
    if size_of(model.graph.node) > most:
        raise OnnxError(f"load: with its functions in their places, the model has more than {most} nodes")
    try:
        return package("load").inliner.inline_local_functions(model)
    except Exception as error:
        raise OnnxError(f"load: the functions of the model cannot be put in their places: {error}") from None


def opset_of(model: Any) -> int:
    """The opset of ONNX's own operators. OnnxError for an unsupported opset."""
    versions = [i.version for i in model.opset_import if i.domain in ("", "ai.onnx")]
    if len(versions) != 1:
        raise OnnxError(f"load: the model names {len(versions)} opsets of ONNX's operators; it must name one")
    if not OLDEST <= versions[0] <= NEWEST:
        raise OnnxError(
            f"load: the model is of opset {versions[0]}; from {OLDEST} to {NEWEST} are read: convert it with "
            "onnx.version_converter"
        )
    return int(versions[0])


def array_of(tensor: Any, folder: Path | None = None) -> np.ndarray:
    """The array of a tensor in a file. Its size is checked before memory is allocated. OnnxError for a damaged tensor."""
    what = f"tensor {tensor.name!r}"
    shape = tuple(tensor.dims)
    if any(n < 0 for n in shape):
        raise OnnxError(f"{what}: the shape {shape} has a negative size")
    dtype = numpy_dtype(tensor.data_type)
    size = math.prod(shape) * dtype.itemsize
    external = package("load").TensorProto.EXTERNAL
    if tensor.data_location == external:
        raw = _external(tensor, size, folder)
    elif tensor.HasField("raw_data"):
        raw = bytes(tensor.raw_data)
    else:
        return _listed(tensor, shape, dtype, what)
    if len(raw) != size:
        raise OnnxError(f"{what}: {shape} of {dtype} has {size} bytes, but {len(raw)} are there")
    return np.frombuffer(raw, dtype.newbyteorder("<")).astype(dtype).reshape(shape)


def _listed(tensor: Any, shape: tuple[int, ...], dtype: np.dtype[Any], what: str) -> np.ndarray:
    """The array of a tensor whose values are stored as a list."""
    if dtype == np.float32 or dtype == np.complex64:
        listed = np.array(tensor.float_data, np.float32)
    elif dtype == np.float64 or dtype == np.complex128:
        listed = np.array(tensor.double_data, np.float64)
    elif dtype == np.int64:
        listed = np.array(tensor.int64_data, np.int64)
    elif dtype in (np.uint64, np.uint32):
        listed = np.array(tensor.uint64_data, np.uint64)
    else:
        listed = np.array(tensor.int32_data, np.int32)
    if dtype.kind == "c":
        listed = listed.view(dtype) if listed.size % 2 == 0 else listed[:0]
    elif dtype == np.float16:
        listed = listed.astype(np.uint16).view(np.float16)
    if listed.size != math.prod(shape):
        raise OnnxError(f"{what}: the shape {shape} has {math.prod(shape)} elements, but {listed.size} are there")
    return listed.astype(dtype).reshape(shape)


def _external(tensor: Any, size: int, folder: Path | None) -> bytes:
    """The bytes of a tensor that are stored in another file of the model's folder."""
    entries = {entry.key: entry.value for entry in tensor.external_data}
    name, what = entries.get("location", ""), f"tensor {tensor.name!r}"
    if folder is None:
        raise OnnxError(f"{what}: its data are in the file {name!r}; load the model by its path, not from bytes")
    home = folder.resolve()
    path = home if "\0" in name else (home / name).resolve()
    if not name or not path.is_relative_to(home) or path == home or Path(name).is_absolute():
        raise OnnxError(
            f"{what}: its data are said to be in {name!r}, which is not in the folder of the model; refused"
        )
    try:
        offset = int(entries.get("offset", "0"))
        length = int(entries.get("length", str(size)))
        there = path.stat().st_size
    except (OSError, ValueError) as error:
        raise OnnxError(f"{what}: its data in {name!r} cannot be read: {error}") from None
    if offset < 0 or length != size or offset + length > there or not path.is_file():
        raise OnnxError(
            f"{what}: {size} bytes are wanted, but {name!r} is said to have {length} of them from {offset}, and has {there}"
        )
    with path.open("rb") as file:
        file.seek(offset)
        return bytes(file.read(length))


def attribute_of(attribute: Any) -> Any:
    """The Python value of an attribute. A graph stays as it is in the file."""
    kinds = package("load").AttributeProto
    match attribute.type:
        case kinds.FLOAT:
            return attribute.f
        case kinds.INT:
            return attribute.i
        case kinds.STRING:
            return _text(attribute, attribute.s)
        case kinds.TENSOR:
            return array_of(attribute.t)
        case kinds.GRAPH:
            return attribute.g
        case kinds.FLOATS:
            return tuple(attribute.floats)
        case kinds.INTS:
            return tuple(attribute.ints)
        case kinds.STRINGS:
            return tuple(_text(attribute, s) for s in attribute.strings)
    raise OnnxError(f"the attribute {attribute.name!r} has the type {attribute.type}, which is not read")


def _text(attribute: Any, value: bytes) -> str:
    try:
        return value.decode()
    except UnicodeDecodeError:
        raise OnnxError(f"the attribute {attribute.name!r} is not text") from None
