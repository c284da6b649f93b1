"""What the engine knows of by registration: the ops, the NumPy functions that they stand for, and the layers above."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from ..tensor import Tensor
    from .graph import Op

F = TypeVar("F", bound=Callable[..., Any])

registry: dict[str, Op] = {}
"""Every op, by the module and name of its definition."""

numpy_ops: dict[Any, Callable[..., Any]] = {}
"""What NumPy's functions call when they are given a Tensor."""

namespace: dict[str, Any] = {}
"""Globals of the functions that are generated for ops."""


class _Above:
    """What the layers above register, so that core imports none: what walks apply to gradients, and NumPy's protocols."""

    adapt: Callable[..., Any]
    gather: Callable[..., Any]
    broadcast_to: Callable[..., Any]
    copy: Callable[..., Any]
    keep_freed_memory: Callable[[], None]
    laid_out: Callable[..., Any]
    sum_to: Callable[..., Any]
    array_ufunc: Callable[..., Any]
    array_function: Callable[..., Any]
    dlpack: Callable[..., Any]


above = _Above()


def register_tensor(cls: type[Tensor], **functions: Callable[..., Any]) -> None:
    """Register the Tensor class, and functions of `above`."""
    vars(above).update(functions)
    namespace.update(Tensor=cls, _gather=above.gather)
    for known in registry.values():
        known.globals.update(Tensor=cls, _gather=above.gather)


def implements(*numpy_functions: Any) -> Callable[[F], F]:
    """Declare that a function composed of ops replaces these NumPy functions when they are given a Tensor."""

    def declare(function: F) -> F:
        numpy_ops.update(dict.fromkeys(numpy_functions, function))
        return function

    return declare
