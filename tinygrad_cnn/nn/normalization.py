"""Normalization layers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np
from numpy.typing import DTypeLike

from ..core.graph import Array
from ..ops.geometry import batched, unbatched
from ..ops.normalization import batch_norm, group_norm, instance_norm, layer_norm, local_response_norm, rms_norm
from ..tensor import Tensor, creation
from . import init
from .layer import Layer, parameter, size
from .parameter import Parameter

__all__ = [
    "BatchNorm1d",
    "BatchNorm2d",
    "BatchNorm3d",
    "GroupNorm",
    "InstanceNorm1d",
    "InstanceNorm2d",
    "InstanceNorm3d",
    "LayerNorm",
    "LocalResponseNorm",
    "RMSNorm",
]


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
        dtype: DTypeLike | None, bias: bool,
    ) -> None:  # fmt: skip
        self.num_features = size(self, "num_features", num_features)
        self.eps, self.momentum, self.affine = eps, momentum, affine
        self.track_running_stats = track_running_stats
        for name, there in (("weight", affine), ("bias", affine and bias)):
            self.register_parameter(name, parameter(num_features, dtype=dtype) if there else None)
        for name in ("running_mean", "running_var"):
            self.register_buffer(name, creation.zeros(num_features, dtype=dtype) if track_running_stats else None)
        self.register_buffer("num_batches_tracked", Tensor(0, dtype=np.int64) if track_running_stats else None)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Set weight to 1, bias to 0, and forget the running statistics."""
        self.reset_running_stats()
        _reset(self.weight, self.bias)

    def reset_running_stats(self) -> None:
        """Set the running mean to 0, the running variance to 1, and the count of batches to 0."""
        for tensor, value in ((self.running_mean, 0), (self.running_var, 1), (self.num_batches_tracked, 0)):
            if tensor is not None:
                tensor.copy_(value)

    def extra_repr(self) -> str:
        return (
            f"{self.num_features}, eps={self.eps}, momentum={self.momentum}, affine={self.affine}, "
            f"bias={self.bias is not None}, track_running_stats={self.track_running_stats}"
        )

    def _check(self, x: Array) -> None:
        shape = np.shape(x)
        if len(shape) not in [layout.count(",") + 1 for layout in self.layouts]:
            raise ValueError(
                f"{type(self).__name__}: `x` has shape {shape}; it must be {' or '.join(self.layouts)}: reshape it, or use "
                "the layer of another dimension"
            )


class _BatchNorm(_RunningNorm):
    def __init__(
        self,
        num_features: int,
        eps: float = 1e-5,
        momentum: float | None = 0.1,
        affine: bool = True,
        track_running_stats: bool = True,
        dtype: DTypeLike | None = None,
        *,
        bias: bool = True,
    ) -> None:
        self._set(num_features, eps, momentum, affine, track_running_stats, dtype, bias)

    def forward(self, x: Array) -> Tensor:
        """x normalized; in training this moves the running statistics."""
        self._check(x)
        momentum: Any = self.momentum or 0.0
        if self.training and self.num_batches_tracked is not None and 0 not in np.shape(x):
            count = self.num_batches_tracked + 1
            self.num_batches_tracked.copy_(count)
            if self.momentum is None:
                momentum = 1 / count
        by_batch = self.training or self.running_mean is None
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
        bias: whether there is a bias beside the weight.

    Attributes:
        weight, bias: (C,), 1 and 0 at first; or None.
        running_mean, running_var: (C,), buffers, 0 and 1 at first; or None.
        num_batches_tracked: the number of batches seen in training, without empty ones, a buffer; or None.

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


class _InstanceNorm(_RunningNorm):
    def __init__(
        self,
        num_features: int,
        eps: float = 1e-5,
        momentum: float | None = 0.1,
        affine: bool = False,
        track_running_stats: bool = False,
        dtype: DTypeLike | None = None,
        *,
        bias: bool = True,
    ) -> None:
        self._set(num_features, eps, momentum, affine, track_running_stats, dtype, bias)

    def forward(self, x: Array) -> Tensor:
        """x normalized; in training this moves the running statistics, if there are any."""
        self._check(x)
        by_input = self.training or self.running_mean is None
        momentum = 0.0 if self.momentum is None else self.momentum
        x, alone = batched(type(self).__name__, x, self.layouts[0].count(",") - 1)
        y = instance_norm(x, self.running_mean, self.running_var, self.weight, self.bias, by_input, momentum, self.eps)
        return unbatched(y, alone)  # type: ignore[no-any-return]


class InstanceNorm1d(_InstanceNorm):
    """:class:`InstanceNorm2d` for signals (N, C, L) or (C, L)."""

    layouts = ("(N, C, L)", "(C, L)")


class InstanceNorm2d(_InstanceNorm):
    """:class:`BatchNorm2d` with a mean and variance for each channel of each image: :func:`~tinygrad_cnn.instance_norm`.

    As in PyTorch, and unlike BatchNorm2d, it has no parameters and no running statistics unless they are asked for.

    Args:
        num_features: C, for images (N, C, H, W) or (C, H, W).
        eps, momentum, affine, track_running_stats, dtype, bias: as for :class:`BatchNorm2d`.
    """

    layouts = ("(N, C, H, W)", "(C, H, W)")


class InstanceNorm3d(_InstanceNorm):
    """:class:`InstanceNorm2d` for volumes (N, C, D, H, W) or (C, D, H, W)."""

    layouts = ("(N, C, D, H, W)", "(C, D, H, W)")


class GroupNorm(Layer):
    """Normalization over groups of channels of each example of x (N, C, ...): :func:`~tinygrad_cnn.group_norm`.

    Args:
        num_groups: how many groups of num_channels / num_groups channels.
        num_channels: C.
        eps: keeps the root away from zero.
        affine: whether there are weight and bias.
        dtype: of the parameters; the default dtype unless given.
        bias: whether there is a bias beside the weight.

    Attributes:
        weight, bias: (C,), 1 and 0 at first; or None.
    """

    weight: Parameter | None
    bias: Parameter | None

    def __init__(
        self,
        num_groups: int,
        num_channels: int,
        eps: float = 1e-5,
        affine: bool = True,
        dtype: DTypeLike | None = None,
        *,
        bias: bool = True,
    ) -> None:
        self.num_groups, self.num_channels = (
            size(self, "num_groups", num_groups),
            size(self, "num_channels", num_channels),
        )
        if num_channels % num_groups:
            raise ValueError(f"GroupNorm: `num_groups` is {num_groups}; it must divide `num_channels` {num_channels}")
        self.eps, self.affine = eps, affine
        for name, there in (("weight", affine), ("bias", affine and bias)):
            self.register_parameter(name, parameter(num_channels, dtype=dtype) if there else None)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Set weight to 1 and bias to 0."""
        _reset(self.weight, self.bias)

    def forward(self, x: Array) -> Tensor:
        """x normalized."""
        if np.shape(x)[1:2] != (self.num_channels,):
            raise ValueError(
                f"GroupNorm: `x` has shape {np.shape(x)}; it must be (N, C, ...) with `num_channels` {self.num_channels}"
            )
        return group_norm(x, self.num_groups, self.weight, self.bias, self.eps)

    def extra_repr(self) -> str:
        return f"{self.num_groups}, {self.num_channels}, eps={self.eps}, affine={self.affine}, bias={self.bias is not None}"


class LayerNorm(Layer):
    """Normalization over the last axes of each example: :func:`~tinygrad_cnn.layer_norm`.

    Args:
        normalized_shape: the sizes of the last axes, an int for one.
        eps: keeps the root away from zero.
        elementwise_affine: whether there are weight and bias.
        bias: whether there is a bias beside the weight.
        dtype: of the parameters; the default dtype unless given.

    Attributes:
        weight, bias: of `normalized_shape`, 1 and 0 at first; or None.
    """

    weight: Parameter | None
    bias: Parameter | None

    def __init__(
        self,
        normalized_shape: int | Sequence[int],
        eps: float = 1e-5,
        elementwise_affine: bool = True,
        bias: bool = True,
        dtype: DTypeLike | None = None,
    ) -> None:
        self.normalized_shape = _shape(self, normalized_shape)
        self.eps, self.elementwise_affine = eps, elementwise_affine
        for name, wanted in (("weight", True), ("bias", bias)):
            there = elementwise_affine and wanted
            self.register_parameter(name, parameter(*self.normalized_shape, dtype=dtype) if there else None)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Set weight to 1 and bias to 0."""
        _reset(self.weight, self.bias)

    def forward(self, x: Array) -> Tensor:
        """x normalized, for x (..., *normalized_shape)."""
        return layer_norm(x, self.normalized_shape, self.weight, self.bias, self.eps)

    def extra_repr(self) -> str:
        return (
            f"{self.normalized_shape}, eps={self.eps}, elementwise_affine={self.elementwise_affine}, "
            f"bias={self.bias is not None}"
        )


class RMSNorm(Layer):
    """y = x / sqrt(mean of x^2 + eps) weight, over the last axes of each example: :func:`~tinygrad_cnn.rms_norm`.

    Args:
        normalized_shape: the sizes of the last axes, an int for one.
        eps: keeps the root away from zero; the machine epsilon of x by default.
        elementwise_affine: whether there is a weight.
        dtype: of the weight; the default dtype unless given.

    Attributes:
        weight: of `normalized_shape`, 1 at first; or None.
    """

    weight: Parameter | None

    def __init__(
        self,
        normalized_shape: int | Sequence[int],
        eps: float | None = None,
        elementwise_affine: bool = True,
        dtype: DTypeLike | None = None,
    ) -> None:
        self.normalized_shape = _shape(self, normalized_shape)
        self.eps, self.elementwise_affine = eps, elementwise_affine
        self.register_parameter(
            "weight", parameter(*self.normalized_shape, dtype=dtype) if elementwise_affine else None
        )
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Set weight to 1."""
        _reset(self.weight, None)

    def forward(self, x: Array) -> Tensor:
        """x normalized, for x (..., *normalized_shape)."""
        return rms_norm(x, self.normalized_shape, self.weight, self.eps)

    def extra_repr(self) -> str:
        return f"{self.normalized_shape}, eps={self.eps}, elementwise_affine={self.elementwise_affine}"


class LocalResponseNorm(Layer):
    """y = x / (k + alpha mean)^beta, with the mean of x^2 over `size` neighbouring channels.

    See :func:`~tinygrad_cnn.local_response_norm`.
    """

    def __init__(self, size: int, alpha: float = 1e-4, beta: float = 0.75, k: float = 1.0) -> None:
        self.size, self.alpha, self.beta, self.k = size, alpha, beta, k

    def forward(self, x: Array) -> Tensor:
        """x normalized, for x (N, C, L, ...)."""
        return local_response_norm(x, self.size, self.alpha, self.beta, self.k)

    def extra_repr(self) -> str:
        return f"{self.size}, alpha={self.alpha}, beta={self.beta}, k={self.k}"


def _shape(layer: Layer, normalized_shape: int | Sequence[int]) -> tuple[int, ...]:
    several = isinstance(normalized_shape, Sequence)
    axes = tuple(normalized_shape) if several else (normalized_shape,)  # type: ignore[arg-type]
    return tuple(size(layer, "normalized_shape", n) for n in axes)


def _reset(weight: Tensor | None, bias: Tensor | None) -> None:
    if weight is not None:
        init.ones_(weight)
    if bias is not None:
        init.zeros_(bias)
