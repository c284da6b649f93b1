"""Dropout layers."""

from __future__ import annotations

from collections.abc import Callable
from typing import ClassVar

from ..core.graph import Array
from ..ops.dropout import dropout, dropout2d
from ..ops.real import probability
from ..tensor import Tensor
from .layer import Layer

__all__ = ["Dropout", "Dropout2d"]


class _Dropout(Layer):
    function: ClassVar[Callable[..., Tensor]]

    def __init__(self, p: float = 0.5, inplace: bool = False) -> None:
        probability(type(self).__name__, "p", p)
        self.p, self.inplace = p, inplace

    def forward(self, x: Array) -> Tensor:
        """x, with elements dropped in training."""
        return type(self).function(x, self.p, self.training)

    def extra_repr(self) -> str:
        return f"p={self.p}, inplace={self.inplace}"


class Dropout(_Dropout):
    """In training, y = x m / (1 - p), with each m zero with probability p and else one; in evaluation, y = x.

    Args:
        p: the probability that an element is dropped.
        inplace: accepted as in PyTorch; it changes nothing, for nothing recorded is ever written.

    >>> import tinygrad_cnn as tg
    >>> from tinygrad_cnn import nn
    >>> layer = nn.Dropout(0.5)
    >>> sorted(set(layer(tg.ones(100)).tolist()))
    [0.0, 2.0]
    >>> set(layer.eval()(tg.ones(100)).tolist())
    {1.0}
    """

    function = staticmethod(dropout)


class Dropout2d(_Dropout):
    """:class:`Dropout` of whole channels of images (N, C, H, W) or (C, H, W)."""

    function = staticmethod(dropout2d)
