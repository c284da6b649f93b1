"""The conversion of a module to another dtype."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import DTypeLike

from ..core import tracing
from ..tensor import Tensor
from .parameter import Parameter

if TYPE_CHECKING:
    from .module import Module


def convert(model: Module, dtype: DTypeLike) -> None:
    """Convert a module as :meth:`Module.to` describes."""
    try:
        wanted = np.dtype(dtype)
    except TypeError:
        wanted = None
    if wanted is None or wanted.kind != "f" or dtype is None:
        raise TypeError(
            f"{type(model).__name__}.to: `dtype` is {dtype!r:.60}; it must be a floating-point dtype such as np.float64, "
            "and there is one device, the processor"
        )
    tracing.tracer().impure("converts a module to another dtype")
    converted: dict[int, Tensor] = {}
    for module in model.modules():
        for name, value in module._own("parameter", "buffer", "transient buffer"):
            if value.dtype.kind == "f" and value.dtype != wanted:
                if id(value) not in converted:
                    converted[id(value)] = _converted(value, wanted)
                vars(module)[name] = converted[id(value)]


def _converted(tensor: Tensor, dtype: np.dtype[Any]) -> Tensor:
    if not isinstance(tensor, Parameter):
        return tensor.detach().astype(dtype)
    new = type(tensor)(tensor.detach(), requires_grad=tensor.requires_grad, dtype=dtype)
    new.grad = None if tensor.grad is None else tensor.grad.detach().astype(dtype)
    tensor._array.flags.writeable = False  # so that an optimizer that still has it notices
    return new
