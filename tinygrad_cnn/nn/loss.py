"""Loss layers."""

from __future__ import annotations

from ..functional.classification import cross_entropy
from ..graph import Array
from ..ops.loss import check_reduction, mse
from ..tensor import Tensor
from .layer import Layer

__all__ = ["CrossEntropyLoss", "MSELoss"]


class _Loss(Layer):
    """A loss with a `reduction`, which is checked at once."""

    def __init__(self, reduction: str = "mean") -> None:
        check_reduction(type(self).__name__, reduction)
        self.reduction = reduction

    def extra_repr(self) -> str:
        return ""


class MSELoss(_Loss):
    """The mean of (prediction - target)^2: :func:`~tinygrad_cnn.mse`.

    Args:
        reduction: "mean", "sum" or "none".
    """

    def forward(self, prediction: Array, target: Array) -> Tensor:
        """The loss of a prediction; the target broadcasts to its shape."""
        return mse(prediction, target, reduction=self.reduction)


class CrossEntropyLoss(_Loss):
    """-log softmax(logits) at the class, averaged: :func:`~tinygrad_cnn.cross_entropy`.

    Args:
        weight: a factor for each class, (C,), or None. It is a buffer.
        ignore_index: the class of what does not count.
        reduction: "mean", "sum" or "none".
        label_smoothing: the share of the target that is spread evenly over the classes, from 0 to 1.

    >>> import numpy as np, tinygrad_cnn as tg
    >>> from tinygrad_cnn import nn
    >>> round(nn.CrossEntropyLoss()(tg.zeros(5, 10), np.arange(5)).item(), 4)  # log 10
    2.3026
    """

    weight: Tensor | None

    def __init__(
        self,
        weight: Array = None,
        ignore_index: int = -100,
        reduction: str = "mean",
        label_smoothing: float = 0.0,
    ) -> None:
        super().__init__(reduction)
        self.register_buffer("weight", weight if weight is None or isinstance(weight, Tensor) else Tensor(weight))
        self.ignore_index, self.label_smoothing = ignore_index, label_smoothing

    def forward(self, logits: Array, target: Array) -> Tensor:
        """The loss of logits (N, C, ...) for classes (N, ...) or probabilities (N, C, ...)."""
        return cross_entropy(logits, target, self.weight, self.ignore_index, self.reduction, self.label_smoothing)
