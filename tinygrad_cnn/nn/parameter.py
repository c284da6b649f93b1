"""The Parameter: a Tensor that a module owns and an optimizer updates."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from numpy.typing import DTypeLike

from ..tensor import Tensor

__all__ = ["Parameter"]


class Parameter(Tensor):
    """A leaf Tensor that becomes a parameter of the :class:`Module` it is assigned to. Ops on it return plain Tensors.

    Arguments and errors are those of :class:`~tinygrad_cnn.Tensor`; `data` is copied.

    >>> from tinygrad_cnn import nn
    >>> nn.Parameter([1.0, 2.0])
    Parameter([1., 2.], dtype=float32, requires_grad=True)
    """

    __slots__ = ()

    def __init__(self, data: Any, *, requires_grad: bool = True, dtype: DTypeLike | None = None) -> None:
        super().__init__(data, requires_grad=requires_grad, dtype=dtype)
        if not requires_grad:
            self._node = None  # a Parameter is a leaf, also when `data` is recorded

    def __repr__(self) -> str:
        return super().__repr__().replace("Tensor(", "Parameter(", 1)

    def __reduce__(self) -> tuple[Callable[..., Tensor], tuple[Any, ...]]:
        return partial(type(self), requires_grad=self.requires_grad), (self._array,)
