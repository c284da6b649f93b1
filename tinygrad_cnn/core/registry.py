"""What the engine knows of by registration: the ops, the NumPy functions that they stand for, and the layers above."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from importlib import import_module
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
    """What the engine calls in the layers above, so that core imports none of them.

    `tensor/` registers what an op or a walk needs; `later` names the modules of what is imported when it is first called.
    """

    adapt: Callable[..., Any]
    gather: Callable[..., Any]
    broadcast_to: Callable[..., Any]
    copy: Callable[..., Any]
    keep_freed_memory: Callable[[], None]
    laid_out: Callable[..., Any]
    plain: Callable[..., Any]
    real: Callable[..., Any]
    sum_to: Callable[..., Any]

    def wide_result(self, op: Op, inputs: Sequence[Any]) -> None:
        """The result of an op of layers is float64. ``nn/`` replaces this."""

    def wide_gradient(self, op: Op, leaf: Any) -> None:
        """A float64 gradient arrives at a float32 leaf, so the op had another operand of float64. ``nn/`` replaces this."""

    def __init__(self) -> None:
        self.later: dict[str, str] = {}

    def __getattr__(self, name: str) -> Any:
        if name not in self.later:
            raise AttributeError(name)
        path, _, function = self.later[name].partition(":")
        vars(self)[name] = value = getattr(import_module(path), function)
        return value


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
