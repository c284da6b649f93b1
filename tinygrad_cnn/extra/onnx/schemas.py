"""What the package onnx says of the operators: their inputs, outputs and attributes, and the types of these."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import Any

from .errors import package


@cache
def schema(operator: str, opset: int | None = None) -> Any:
    """The description of an operator in an opset, by default the newest; None if there is none."""
    defs = package("export").defs
    try:
        return defs.get_schema(operator) if opset is None else defs.get_schema(operator, opset)
    except defs.SchemaError:
        return None


def port_at(ports: Sequence[Any], i: int) -> Any:
    """The description of an input or output. The last one may stand for several."""
    return ports[min(i, len(ports) - 1)]


def type_name(dtype: Any) -> str:
    """ONNX's name of a type of tensors."""
    onnx = package("export")
    return f"tensor({onnx.TensorProto.DataType.Name(onnx.helper.np_dtype_to_tensor_dtype(dtype)).lower()})"


def dtype_named(name: str) -> Any:
    """The dtype of such a name."""
    onnx = package("export")
    code = onnx.TensorProto.DataType.Value(name.removeprefix("tensor(").removesuffix(")").upper())
    return onnx.helper.tensor_dtype_to_np_dtype(code)


@cache
def attribute_types(operator: str, opset: int) -> dict[str, Any]:
    """The types of an operator's attributes, as far as they are known."""
    found = schema(operator, opset)
    return {} if found is None else {name: each.type for name, each in found.attributes.items()}
