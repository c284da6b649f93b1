"""Loss layers: each calls the function of the same name.

Each has a `reduction`: "mean", "sum", or "none" for the loss of each element.
"""

from __future__ import annotations

from ..core.graph import Array
from ..ops.losses import binary, classification, ctc, distance, margin, regression
from ..ops.losses.base import check_reduction
from ..ops.losses.regression import mse
from ..ops.real import real
from ..tensor import Tensor
from .layer import Layer

__all__ = [
    "BCELoss", "BCEWithLogitsLoss", "CTCLoss", "CosineEmbeddingLoss", "CrossEntropyLoss", "GaussianNLLLoss",
    "HingeEmbeddingLoss", "HuberLoss", "KLDivLoss", "L1Loss", "MSELoss", "MarginRankingLoss", "MultiLabelMarginLoss",
    "MultiLabelSoftMarginLoss", "MultiMarginLoss", "NLLLoss", "PoissonNLLLoss", "SmoothL1Loss", "SoftMarginLoss",
    "TripletMarginLoss",
]  # fmt: skip


class Loss(Layer, shown=""):
    """A layer that compares its inputs."""

    def __init__(self, reduction: str = "mean") -> None:
        check_reduction(type(self).__name__, reduction, self._called)
        self.reduction = reduction

    @property
    def _called(self) -> str:
        """The end of an error about what can only be the arguments of a call."""
        return f". A loss is made first and then called: nn.{type(self).__name__}()(output, target)"

    def _keep(self, name: str, weight: Array) -> None:
        """Register a weight as a buffer, so that it is part of the state."""
        self.register_buffer(name, weight if weight is None or isinstance(weight, Tensor) else Tensor(weight))


class MSELoss(Loss, function=mse):
    """(prediction - target)^2: :func:`~tinygrad_cnn.mse`.

    >>> import tinygrad_cnn as tg
    >>> from tinygrad_cnn import nn
    >>> nn.MSELoss()(tg.Tensor([1.0, 2.0]), tg.Tensor([1.0, 4.0])).item()
    2.0
    """


class L1Loss(Loss, function=regression.l1_loss):
    """|prediction - target|: :func:`~tinygrad_cnn.l1_loss`."""


class HuberLoss(Loss, function=regression.huber_loss):
    """d^2 / 2 where |d| = |prediction - target| <= delta, else delta (|d| - delta / 2): :func:`~tinygrad_cnn.huber_loss`."""

    def __init__(self, reduction: str = "mean", delta: float = 1.0) -> None:
        super().__init__(reduction)
        self.delta = delta


class SmoothL1Loss(Loss, function=regression.smooth_l1_loss):
    """d^2 / (2 beta) where |d| = |prediction - target| <= beta, else |d| - beta / 2: :func:`~tinygrad_cnn.smooth_l1_loss`."""

    def __init__(self, reduction: str = "mean", beta: float = 1.0) -> None:
        super().__init__(reduction)
        self.beta = beta


class PoissonNLLLoss(Loss, function=regression.poisson_nll_loss):
    """e^x - target x, where x = prediction is the logarithm of a rate and target a count.

    The arguments are those of :func:`~tinygrad_cnn.poisson_nll_loss`.
    """

    def __init__(self, log_input: bool = True, full: bool = False, eps: float = 1e-8, reduction: str = "mean") -> None:
        super().__init__(reduction)
        self.log_input, self.full, self.eps = log_input, full, eps


class GaussianNLLLoss(Loss, function=regression.gaussian_nll_loss):
    """(log v + (prediction - target)^2 / v) / 2, where v = max(var, eps) is the variance.

    The arguments are those of :func:`~tinygrad_cnn.gaussian_nll_loss`.
    """

    def __init__(self, *, full: bool = False, eps: float = 1e-6, reduction: str = "mean") -> None:
        super().__init__(reduction)
        self.full, self.eps = full, eps


class KLDivLoss(Loss, function=regression.kl_div):
    """target (log target - prediction), where predictions are log-probabilities: :func:`~tinygrad_cnn.kl_div`.

    Args:
        reduction: "batchmean" for the divergence itself; "mean" over all elements, "sum" or "none".
        log_target: targets are logarithms too.
    """

    def __init__(self, reduction: str = "mean", log_target: bool = False) -> None:
        super().__init__("sum" if reduction == "batchmean" else reduction)
        self.reduction, self.log_target = reduction, log_target


class _WeightedLoss(Loss):
    weight: Tensor | None

    def __init__(self, weight: Array = None, reduction: str = "mean") -> None:
        super().__init__(reduction)
        self._keep("weight", weight)


class CrossEntropyLoss(_WeightedLoss, function=classification.cross_entropy):
    """-log softmax(logits) at the target class: :func:`~tinygrad_cnn.cross_entropy`, whose arguments it has.

    `weight` is kept as a buffer.

    >>> import numpy as np, tinygrad_cnn as tg
    >>> from tinygrad_cnn import nn
    >>> round(nn.CrossEntropyLoss()(tg.zeros(5, 10), np.arange(5)).item(), 4)  # log 10
    2.3026
    """

    def __init__(
        self, weight: Array = None, ignore_index: int = -100, reduction: str = "mean", label_smoothing: float = 0.0
    ) -> None:
        super().__init__(weight, reduction)
        real("CrossEntropyLoss", "ignore_index", ignore_index, "be an integer", float.is_integer, self._called)
        real("CrossEntropyLoss", "label_smoothing", label_smoothing, "be from 0 to 1", lambda x: 0 <= x <= 1)
        self.ignore_index, self.label_smoothing = ignore_index, label_smoothing


class NLLLoss(_WeightedLoss, function=classification.nll_loss):
    """-log_probs at the target class, for the output of :class:`LogSoftmax`: :func:`~tinygrad_cnn.nll_loss`.

    Arguments as for :class:`CrossEntropyLoss`.
    """

    def __init__(self, weight: Array = None, ignore_index: int = -100, reduction: str = "mean") -> None:
        super().__init__(weight, reduction)
        real("NLLLoss", "ignore_index", ignore_index, "be an integer", float.is_integer, self._called)
        self.ignore_index = ignore_index


class BCELoss(_WeightedLoss, function=binary.binary_cross_entropy):
    """-(t log p + (1 - t) log(1 - p)), with p = prediction and t = target: :func:`~tinygrad_cnn.binary_cross_entropy`.

    `weight`, a factor for each element, is kept as a buffer.
    """


class BCEWithLogitsLoss(_WeightedLoss, function=binary.binary_cross_entropy_with_logits):
    """:class:`BCELoss` of sigmoid(logits), exact for logits of any size.

    The arguments are those of :func:`~tinygrad_cnn.binary_cross_entropy_with_logits`; both weights are kept as buffers.
    """

    pos_weight: Tensor | None

    def __init__(self, weight: Array = None, reduction: str = "mean", pos_weight: Array = None) -> None:
        super().__init__(weight, reduction)
        self._keep("pos_weight", pos_weight)


class CTCLoss(Loss):
    """-log of the probability of a sequence of labels, summed over its alignments: :func:`~tinygrad_cnn.ctc_loss`.

    Args:
        blank: the class that spells nothing.
        reduction: "mean" divides by the lengths of the targets, too; "sum" or "none".
        zero_infinity: whether a target that does not fit counts as 0.

    >>> import numpy as np, tinygrad_cnn as tg
    >>> from tinygrad_cnn import nn
    >>> log_probs = tg.log_softmax(tg.zeros(4, 1, 3), axis=2)
    >>> round(nn.CTCLoss()(log_probs, [[1, 2]], [4], [2]).item(), 4)  # log(81 / 15) / 2
    0.8432
    """

    def __init__(self, blank: int = 0, reduction: str = "mean", zero_infinity: bool = False) -> None:
        super().__init__(reduction)
        self.blank, self.zero_infinity = blank, zero_infinity

    def forward(self, log_probs: Array, targets: Array, input_lengths: Array, target_lengths: Array) -> Tensor:
        """The loss of log_probs (T, N, C) or (T, C), for targets (N, S) or those of all sequences in a row."""
        return ctc.ctc_loss(
            log_probs, targets, input_lengths, target_lengths, self.blank, self.reduction, self.zero_infinity
        )


class SoftMarginLoss(Loss, function=margin.soft_margin_loss):
    """log(1 + e^(-target prediction)), with targets 1 and -1: :func:`~tinygrad_cnn.soft_margin_loss`."""


class MultiMarginLoss(_WeightedLoss, function=margin.multi_margin_loss):
    """max(0, margin - x_t + x_i)^p for each class i but the target t: :func:`~tinygrad_cnn.multi_margin_loss`."""

    def __init__(self, p: int = 1, margin: float = 1.0, weight: Array = None, reduction: str = "mean") -> None:
        super().__init__(weight, reduction)
        self.p, self.margin = p, margin


class MultiLabelMarginLoss(Loss, function=margin.multilabel_margin_loss):
    """max(0, 1 - x_t + x_i) for each class t of an example and each other class i.

    See :func:`~tinygrad_cnn.multilabel_margin_loss`.
    """


class MultiLabelSoftMarginLoss(_WeightedLoss, function=margin.multilabel_soft_margin_loss):
    """:class:`BCEWithLogitsLoss`, averaged over the classes: :func:`~tinygrad_cnn.multilabel_soft_margin_loss`.

    `weight`, a factor for each class, is kept as a buffer.
    """


class HingeEmbeddingLoss(Loss):
    """x where the target is 1, max(0, margin - x) where it is -1: :func:`~tinygrad_cnn.hinge_embedding_loss`."""

    def __init__(self, margin: float = 1.0, reduction: str = "mean") -> None:
        super().__init__(reduction)
        self.margin = margin

    def forward(self, x: Array, target: Array) -> Tensor:
        """The loss of distances x; `target`, 1 or -1, broadcasts to their shape."""
        return distance.hinge_embedding_loss(x, target, self.margin, self.reduction)


class CosineEmbeddingLoss(Loss, function=distance.cosine_embedding_loss):
    """1 - cos where the target is 1, max(0, cos - margin) where it is -1: :func:`~tinygrad_cnn.cosine_embedding_loss`."""

    def __init__(self, margin: float = 0.0, reduction: str = "mean") -> None:
        super().__init__(reduction)
        self.margin = margin


class MarginRankingLoss(Loss, function=distance.margin_ranking_loss):
    """max(0, margin - target (x1 - x2)): :func:`~tinygrad_cnn.margin_ranking_loss`."""

    def __init__(self, margin: float = 0.0, reduction: str = "mean") -> None:
        super().__init__(reduction)
        self.margin = margin


class TripletMarginLoss(Loss, function=distance.triplet_margin_loss):
    """max(0, d(anchor, positive) - d(anchor, negative) + margin), with d the :func:`~tinygrad_cnn.pairwise_distance`.

    The arguments are those of :func:`~tinygrad_cnn.triplet_margin_loss`.
    """

    def __init__(
        self, margin: float = 1.0, p: float = 2.0, eps: float = 1e-6, swap: bool = False, reduction: str = "mean"
    ) -> None:
        super().__init__(reduction)
        self.margin, self.p, self.eps, self.swap = margin, p, eps, swap
