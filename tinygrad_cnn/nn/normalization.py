"""Normalization layers."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np
from numpy.typing import DTypeLike

from .. import creation
from ..functional.normalization import batch_norm
from ..graph import Array
from ..tensor import Tensor
from . import init
from .layer import Layer, parameter, size
from .parameter import Parameter

__all__ = ["BatchNorm1d", "BatchNorm2d", "BatchNorm3d"]


class _RunningNorm(Layer):
    """What layers share that may keep running statistics of each channel."""

    weight: Parameter | None
    bias: Parameter | None
    running_mean: Tensor | None
    running_var: Tensor | None
    num_batches_tracked: Tensor | None
    layouts: ClassVar[tuple[str, ...]]

    def _set(
        self, num_features: int, eps: float, momentum: float | None, affine: bool, track_running_stats: bool,
        dtype: DTypeLike | None,
    ) -> None:  # fmt: skip
        self.num_features = size(self, "num_features", num_features)
        self.eps, self.momentum, self.affine = eps, momentum, affine
        self.track_running_stats = track_running_stats
        for name in ("weight", "bias"):
            self.register_parameter(name, parameter(num_features, dtype=dtype) if affine else None)
        for name in ("running_mean", "running_var"):
            self.register_buffer(name, creation.zeros(num_features, dtype=dtype) if track_running_stats else None)
        self.register_buffer("num_batches_tracked", Tensor(0, dtype=np.int64) if track_running_stats else None)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Set weight to 1, bias to 0, and forget the running statistics."""
        self.reset_running_stats()
        if self.weight is not None:
            init.ones_(self.weight)
        if self.bias is not None:
            init.zeros_(self.bias)

    def reset_running_stats(self) -> None:
        """Set the running mean to 0, the running variance to 1, and the count of batches to 0."""
        for tensor, value in ((self.running_mean, 0), (self.running_var, 1), (self.num_batches_tracked, 0)):
            if tensor is not None:
                tensor.copy_(value)

    def extra_repr(self) -> str:
        return f"{self.num_features}, {super().extra_repr().partition(', ')[2]}"

    def _check(self, x: Array) -> None:
        shape = np.shape(x)
        if len(shape) not in [layout.count(",") + 1 for layout in self.layouts]:
            raise ValueError(
                f"{type(self).__name__}: `x` has shape {shape}; it must be {' or '.join(self.layouts)}: reshape it, or use "
                "the layer of another dimension"
            )

    def _momentum(self) -> Any:
        """The share of the next batch in the running statistics. Counts the batch."""
        if self.num_batches_tracked is not None:
            self.num_batches_tracked.copy_(self.num_batches_tracked + 1)
            if self.momentum is None:
                return 1 / self.num_batches_tracked
        return 0.0 if self.momentum is None else self.momentum


class _BatchNorm(_RunningNorm):
    def __init__(
        self,
        num_features: int,
        eps: float = 1e-5,
        momentum: float | None = 0.1,
        affine: bool = True,
        track_running_stats: bool = True,
        dtype: DTypeLike | None = None,
    ) -> None:
        self._set(num_features, eps, momentum, affine, track_running_stats, dtype)

    def forward(self, x: Array) -> Tensor:
        """x normalized; in training this moves the running statistics."""
        self._check(x)
        by_batch = self.training or self.running_mean is None
        momentum = self._momentum() if self.training else 0.0
        return batch_norm(x, self.running_mean, self.running_var, self.weight, self.bias, by_batch, momentum, self.eps)


class BatchNorm1d(_BatchNorm):
    """:class:`BatchNorm2d` for features (N, C) or signals (N, C, L)."""

    layouts = ("(N, C)", "(N, C, L)")


class BatchNorm2d(_BatchNorm):
    """y = (x - mean) / sqrt(var + eps) weight + bias for images (N, C, H, W), with a mean and variance for each channel.

    In training they are those of the batch, and running statistics follow them, which stand in for them in evaluation:
    running = (1 - momentum) running + momentum batch. See :func:`~tinygrad_cnn.batch_norm`.

    Args:
        num_features: C.
        eps: keeps the root away from zero.
        momentum: the share of each batch in the running statistics; None for the plain mean over all batches.
        affine: whether there are weight and bias.
        track_running_stats: whether there are running statistics; else those of the batch serve in evaluation too.
        dtype: of parameters and statistics; the default dtype unless given.

    Attributes:
        weight, bias: (C,), 1 and 0 at first; or None.
        running_mean, running_var: (C,), buffers, 0 and 1 at first; or None.
        num_batches_tracked: the number of batches seen in training, a buffer; or None.

    >>> import tinygrad_cnn as tg
    >>> from tinygrad_cnn import nn
    >>> layer = nn.BatchNorm2d(3)
    >>> layer(tg.ones(5, 3, 8, 8)).shape
    (5, 3, 8, 8)
    >>> layer.running_mean
    Tensor([0.1, 0.1, 0.1], dtype=float32)
    """

    layouts = ("(N, C, H, W)",)


class BatchNorm3d(_BatchNorm):
    """:class:`BatchNorm2d` for volumes (N, C, D, H, W)."""

    layouts = ("(N, C, D, H, W)",)
