"""The inputs of a graph: their description in the file, and checks of values."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np

from .errors import OnnxError
from .table.logic import numpy_dtype


class Port:
    """An input of a graph: its name, and the dtype and sizes in the file; None for an unknown one."""

    def __init__(self, name: str, dtype: Any, sizes: tuple[int | str | None, ...] | None) -> None:
        self.name, self.dtype, self.sizes = name, dtype, sizes

    def __str__(self) -> str:
        sizes = "" if self.sizes is None else f" ({', '.join('?' if n is None else str(n) for n in self.sizes)})"
        return f"{self.name}: {self.dtype}{sizes}"

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


def ports_of(graph: Any) -> list[Port]:
    """The inputs of a graph that are not initializers."""
    known = {tensor.name for tensor in graph.initializer}
    return [port_of(value) for value in graph.input if value.name not in known]


def port_of(value: Any) -> Port:
    """What a file says of a value."""
    kind = value.type.WhichOneof("value")
    if kind not in (None, "tensor_type"):
        raise OnnxError(
            f"load: the value {value.name!r} is not a tensor, but a {kind.removesuffix('_type')}, which is not read"
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
