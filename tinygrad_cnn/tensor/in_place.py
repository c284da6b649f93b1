"""In-place operators: they write a leaf that requires a gradient, and make a new Tensor of any other."""

from __future__ import annotations

import operator
from collections.abc import Callable
from typing import Any

from ..core.grad_mode import is_grad_enabled
from ..core.node import Argument

_OPERATORS: dict[str, Callable[[Any, Any], Any]] = {
    "+": operator.add, "-": operator.sub, "*": operator.mul, "/": operator.truediv, "**": operator.pow,
    "@": operator.matmul, "&": operator.and_, "|": operator.or_, "^": operator.xor, "//": operator.floordiv, "%": operator.mod,
}  # fmt: skip


def operator_of(name: str) -> Callable[[Any, Any], Any]:
    """The in-place method for an operator, such as ``__iadd__`` for "+"."""
    return lambda tensor, other: _written(tensor, name, other)


def _written(tensor: Any, name: str, other: Any) -> Any:
    """Write ``tensor name other`` into the Tensor and return it, for a leaf that requires a gradient; else NotImplemented.

    Raises:
        RuntimeError: outside of no_grad.
        TypeError, ValueError: if the result has another shape, or a dtype that is not floating-point.
    """
    if not tensor.is_leaf or not tensor.requires_grad or isinstance(tensor._node, Argument):
        return NotImplemented  # Python then computes x = x + y
    sign = f"{name}="
    if is_grad_enabled():
        raise RuntimeError(
            f"Tensor: `{sign}` would overwrite a leaf that requires a gradient, or rebind its name to another Tensor; "
            "write it under no_grad(), or let an optimizer of tinygrad_cnn.optim update it; for a new Tensor, write x = x "
            f"{name} y"
        )
    result = _OPERATORS[name](tensor, other)
    if result.shape != tensor.shape:
        raise ValueError(
            f"Tensor: `{sign}` has a result of shape {result.shape}, which does not fit into a leaf of shape {tensor.shape}"
        )
    if result.dtype.kind != "f":
        raise TypeError(f"Tensor: `{sign}` has a result of {result.dtype}, which cannot be written into {tensor.dtype}")
    return tensor.copy_(result)
