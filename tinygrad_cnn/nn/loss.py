"""Loss layers: the losses of the package, with their arguments kept.

Each has a `reduction`: "mean", "sum", or "none" for the loss of each element on its own.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import ClassVar

from ..core.graph import Array
from ..ops.losses import classification, distance, regression
from ..ops.losses.base import check_reduction
from ..ops.losses.regression import mse
from ..ops.real import real
from ..tensor import Tensor
from .module import Module

__all__ = [
    "BCELoss",
    "BCEWithLogitsLoss",
    "CosineEmbeddingLoss",
    "CrossEntropyLoss",
    "GaussianNLLLoss",
    "HingeEmbeddingLoss",
    "HuberLoss",
    "KLDivLoss",
    "L1Loss",
    "MSELoss",
    "MarginRankingLoss",
    "NLLLoss",
    "PoissonNLLLoss",
    "SmoothL1Loss",
    "SoftMarginLoss",
    "TripletMarginLoss",
]


class _Loss(Module):
    def __init__(self, reduction: str = "mean") -> None:
        check_reduction(type(self).__name__, reduction)
        self.reduction = reduction

    def _keep(self, **weights: Array) -> None:
        """Factors as buffers, so that they are a part of the state."""
        for name, weight in weights.items():
            self.register_buffer(name, weight if weight is None or isinstance(weight, Tensor) else Tensor(weight))


class _PairLoss(_Loss):
    """A loss without further arguments."""

    function: ClassVar[Callable[..., Tensor]]

    def forward(self, prediction: Array, target: Array) -> Tensor:
        """The loss of `prediction`; `target` broadcasts to its shape."""
        return type(self).function(prediction, target, reduction=self.reduction)


# Numbers


class MSELoss(_PairLoss):
    """(prediction - target)^2: :func:`~tinygrad_cnn.mse`.

    >>> import tinygrad_cnn as tg
    >>> from tinygrad_cnn import nn
    >>> nn.MSELoss()(tg.Tensor([1.0, 2.0]), tg.Tensor([1.0, 4.0])).item()
    2.0
    """

    function = staticmethod(mse)


class L1Loss(_PairLoss):
    """|prediction - target|: :func:`~tinygrad_cnn.l1_loss`."""

    function = staticmethod(regression.l1_loss)


class SoftMarginLoss(_PairLoss):
    """log(1 + e^(-target prediction)), with targets 1 and -1: :func:`~tinygrad_cnn.soft_margin_loss`."""

    function = staticmethod(classification.soft_margin_loss)


class HuberLoss(_Loss):
    """d^2 / 2 where |d| <= delta, else delta (|d| - delta / 2): :func:`~tinygrad_cnn.huber_loss`."""

    def __init__(self, reduction: str = "mean", delta: float = 1.0) -> None:
        super().__init__(reduction)
        self.delta = delta

    def forward(self, prediction: Array, target: Array) -> Tensor:
        """The loss of `prediction`; `target` broadcasts to its shape."""
        return regression.huber_loss(prediction, target, self.reduction, self.delta)


class SmoothL1Loss(_Loss):
    """d^2 / (2 beta) where |d| <= beta, else |d| - beta / 2: :func:`~tinygrad_cnn.smooth_l1_loss`."""

    def __init__(self, reduction: str = "mean", beta: float = 1.0) -> None:
        super().__init__(reduction)
        self.beta = beta

    def forward(self, prediction: Array, target: Array) -> Tensor:
        """The loss of `prediction`; `target` broadcasts to its shape."""
        return regression.smooth_l1_loss(prediction, target, self.reduction, self.beta)


class PoissonNLLLoss(_Loss):
    """e^x - target x, with x the logarithm of a rate: :func:`~tinygrad_cnn.poisson_nll_loss`.

    Args:
        log_input: predictions are logarithms of rates; else rates.
        full: add Stirling's approximation of log target!.
        eps: keeps the logarithm of a rate from 0.
        reduction: "mean", "sum" or "none".
    """

    def __init__(self, log_input: bool = True, full: bool = False, eps: float = 1e-8, reduction: str = "mean") -> None:
        super().__init__(reduction)
        self.log_input, self.full, self.eps = log_input, full, eps

    def forward(self, prediction: Array, target: Array) -> Tensor:
        """The loss of `prediction`; `target`, the counts, broadcasts to its shape."""
        return regression.poisson_nll_loss(prediction, target, self.log_input, self.full, self.eps, self.reduction)


class GaussianNLLLoss(_Loss):
    """(log v + (prediction - target)^2 / v) / 2, with v the variance: :func:`~tinygrad_cnn.gaussian_nll_loss`.

    Args:
        full: add log(2 pi) / 2.
        eps: the smallest variance.
        reduction: "mean", "sum" or "none".
    """

    def __init__(self, *, full: bool = False, eps: float = 1e-6, reduction: str = "mean") -> None:
        super().__init__(reduction)
        self.full, self.eps = full, eps

    def forward(self, prediction: Array, target: Array, var: Array) -> Tensor:
        """The loss of `prediction`; `target` broadcasts to its shape, `var` too or with the last axis missing."""
        return regression.gaussian_nll_loss(prediction, target, var, self.full, self.eps, self.reduction)


class KLDivLoss(_Loss):
    """target (log target - prediction), with log-probabilities as predictions: :func:`~tinygrad_cnn.kl_div`.

    Args:
        reduction: "batchmean", the divergence itself; "mean" over all elements, "sum" or "none".
        log_target: targets are logarithms too.
    """

    def __init__(self, reduction: str = "mean", log_target: bool = False) -> None:
        super().__init__("sum" if reduction == "batchmean" else reduction)
        self.reduction, self.log_target = reduction, log_target

    def forward(self, prediction: Array, target: Array) -> Tensor:
        """The loss of `prediction`; `target` broadcasts to its shape."""
        return regression.kl_div(prediction, target, self.reduction, self.log_target)


# Classes


class CrossEntropyLoss(_Loss):
    """-log softmax(logits) at the class: :func:`~tinygrad_cnn.cross_entropy`.

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
        self, weight: Array = None, ignore_index: int = -100, reduction: str = "mean", label_smoothing: float = 0.0
    ) -> None:
        super().__init__(reduction)
        self._keep(weight=weight)
        real("CrossEntropyLoss", "label_smoothing", label_smoothing, "be from 0 to 1", lambda x: 0 <= x <= 1)
        self.ignore_index, self.label_smoothing = ignore_index, label_smoothing

    def forward(self, logits: Array, target: Array) -> Tensor:
        """The loss of logits (N, C, ...) for classes (N, ...) or probabilities (N, C, ...)."""
        return classification.cross_entropy(
            logits, target, self.weight, self.ignore_index, self.reduction, self.label_smoothing
        )


class NLLLoss(_Loss):
    """-log_probs at the class, for what comes out of :class:`LogSoftmax`: :func:`~tinygrad_cnn.nll_loss`.

    Args:
        weight, ignore_index, reduction: as for :class:`CrossEntropyLoss`.
    """

    weight: Tensor | None

    def __init__(self, weight: Array = None, ignore_index: int = -100, reduction: str = "mean") -> None:
        super().__init__(reduction)
        self._keep(weight=weight)
        self.ignore_index = ignore_index

    def forward(self, log_probs: Array, target: Array) -> Tensor:
        """The loss of log-probabilities (N, C, ...) for classes (N, ...)."""
        return classification.nll_loss(log_probs, target, self.weight, self.ignore_index, self.reduction)


class BCELoss(_Loss):
    """-(t log p + (1 - t) log(1 - p)), with probabilities p: :func:`~tinygrad_cnn.binary_cross_entropy`.

    Args:
        weight: a factor for each element, which broadcasts, or None. It is a buffer.
        reduction: "mean", "sum" or "none".
    """

    weight: Tensor | None

    def __init__(self, weight: Array = None, reduction: str = "mean") -> None:
        super().__init__(reduction)
        self._keep(weight=weight)

    def forward(self, prediction: Array, target: Array) -> Tensor:
        """The loss of probabilities; `target`, from 0 to 1, broadcasts to their shape."""
        return classification.binary_cross_entropy(prediction, target, self.weight, self.reduction)


class BCEWithLogitsLoss(_Loss):
    """:class:`BCELoss` of sigmoid(logits), exact for logits of any size:
    :func:`~tinygrad_cnn.binary_cross_entropy_with_logits`.

    Args:
        weight: a factor for each element, which broadcasts, or None. It is a buffer.
        reduction: "mean", "sum" or "none".
        pos_weight: a factor for the positive part, or None. It is a buffer.
    """

    weight: Tensor | None
    pos_weight: Tensor | None

    def __init__(self, weight: Array = None, reduction: str = "mean", pos_weight: Array = None) -> None:
        super().__init__(reduction)
        self._keep(weight=weight, pos_weight=pos_weight)

    def forward(self, logits: Array, target: Array) -> Tensor:
        """The loss of logits; `target`, from 0 to 1, broadcasts to their shape."""
        return classification.binary_cross_entropy_with_logits(
            logits, target, self.weight, self.reduction, self.pos_weight
        )


# Distances


class HingeEmbeddingLoss(_Loss):
    """x where the target is 1, max(0, margin - x) where it is -1: :func:`~tinygrad_cnn.hinge_embedding_loss`."""

    def __init__(self, margin: float = 1.0, reduction: str = "mean") -> None:
        super().__init__(reduction)
        self.margin = margin

    def forward(self, x: Array, target: Array) -> Tensor:
        """The loss of distances; `target`, 1 or -1, broadcasts to their shape."""
        return distance.hinge_embedding_loss(x, target, self.margin, self.reduction)


class CosineEmbeddingLoss(_Loss):
    """1 - cos where the target is 1, max(0, cos - margin) where it is -1: :func:`~tinygrad_cnn.cosine_embedding_loss`."""

    def __init__(self, margin: float = 0.0, reduction: str = "mean") -> None:
        super().__init__(reduction)
        self.margin = margin

    def forward(self, x1: Array, x2: Array, target: Array) -> Tensor:
        """The loss of vectors (N, D) and (N, D) for targets (N,)."""
        return distance.cosine_embedding_loss(x1, x2, target, self.margin, self.reduction)


class MarginRankingLoss(_Loss):
    """max(0, margin - target (x1 - x2)): :func:`~tinygrad_cnn.margin_ranking_loss`."""

    def __init__(self, margin: float = 0.0, reduction: str = "mean") -> None:
        super().__init__(reduction)
        self.margin = margin

    def forward(self, x1: Array, x2: Array, target: Array) -> Tensor:
        """The loss of scores x1 and x2; x2 and `target`, 1 or -1, broadcast to x1."""
        return distance.margin_ranking_loss(x1, x2, target, self.margin, self.reduction)


class TripletMarginLoss(_Loss):
    """max(0, d(anchor, positive) - d(anchor, negative) + margin): :func:`~tinygrad_cnn.triplet_margin_loss`.

    Args:
        margin: how much farther the negative is to be, above 0.
        p, eps: of the :func:`~tinygrad_cnn.pairwise_distance` d.
        swap: measure the negative from the anchor or from the positive, whichever is nearer.
        reduction: "mean", "sum" or "none".
    """

    def __init__(
        self, margin: float = 1.0, p: float = 2.0, eps: float = 1e-6, swap: bool = False, reduction: str = "mean"
    ) -> None:
        super().__init__(reduction)
        self.margin, self.p, self.eps, self.swap = margin, p, eps, swap

    def forward(self, anchor: Array, positive: Array, negative: Array) -> Tensor:
        """The loss of vectors (..., D), one shape for all three."""
        return distance.triplet_margin_loss(
            anchor, positive, negative, self.margin, self.p, self.eps, self.swap, self.reduction
        )
