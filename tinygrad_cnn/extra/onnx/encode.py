"""The bytes of a model whose large tensors are written from the memory they have; protobuf would copy each several times."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from .errors import package

GRAPH, INITIALIZER, RAW_DATA = 7, 5, 9
"""The numbers of the fields ModelProto.graph, GraphProto.initializer and TensorProto.raw_data."""


def with_inputs(model: Any, tensors: Mapping[str, np.ndarray]) -> Any:
    """A copy of the model in which these initializers, which it lacks, are inputs: the checker needs their shapes alone."""
    onnx = package("export")
    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    for name, array in tensors.items():
        copy.graph.input.append(onnx.helper.make_tensor_value_info(name, _type(array), array.shape))
    return copy


def size_of(model: Any, tensors: Mapping[str, np.ndarray]) -> int:
    """The number of bytes of :func:`encoded`, but for a few hundred for each tensor at most."""
    return int(model.ByteSize()) + sum(array.nbytes for array in tensors.values())


def encoded(model: Any, tensors: Mapping[str, np.ndarray]) -> Iterator[bytes | memoryview]:
    """The bytes of a model with these initializers after its own, piece by piece."""
    if not tensors:
        yield model.SerializeToString()
        return
    heads = {name: _head(name, array) for name, array in tensors.items()}
    graph = model.graph.SerializeToString()
    others = package("export").ModelProto()
    others.CopyFrom(model)
    others.ClearField("graph")
    yield others.SerializeToString()
    yield _field(GRAPH, len(graph) + sum(len(heads[name]) + array.nbytes for name, array in tensors.items())) + graph
    for name, array in tensors.items():
        yield heads[name]
        elements: Any = np.ascontiguousarray(array, array.dtype.newbyteorder("<")).reshape(-1).view(np.uint8)
        yield memoryview(elements)


def _head(name: str, array: np.ndarray) -> bytes:
    """What comes before the elements of an initializer."""
    tensor = package("export").TensorProto(dims=array.shape, data_type=_type(array), name=name)
    head = bytes(tensor.SerializeToString()) + _field(RAW_DATA, array.nbytes)
    return _field(INITIALIZER, len(head) + array.nbytes) + head


def _field(number: int, length: int) -> bytes:
    """The beginning of a field of so many bytes: its number with the type 2, and the length, seven bits a byte."""
    out = [number << 3 | 2]
    while length > 127:
        out.append(length & 127 | 128)
        length >>= 7
    return bytes([*out, length])


def _type(array: np.ndarray) -> int:
    return int(package("export").helper.np_dtype_to_tensor_dtype(array.dtype.newbyteorder("=")))
