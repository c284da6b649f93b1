"""Activation layers."""

from __future__ import annotations

from ..graph import Array
from ..ops import activation
from ..tensor import Tensor
from .layer import Layer

__all__ = ["ReLU"]


class ReLU(Layer):
    """y = max(x, 0): :func:`~tinygrad_cnn.relu`.

    Args:
        inplace: accepted as in PyTorch; it changes nothing, for nothing recorded is ever written.
    """

    def __init__(self, inplace: bool = False) -> None:
        self.inplace = inplace

    def forward(self, x: Array) -> Tensor:
        """y, elementwise."""
        return activation.relu(x)
