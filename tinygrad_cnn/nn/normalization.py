"""Normalization layers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, ClassVar

import numpy as np
from numpy.typing import DTypeLike

from ..core.graph import Array
from ..numpy_api import creation
from ..ops.geometry import batched, unbatched
from ..ops.in_place import update_
from ..ops.normalization import batch_norm, group_norm, instance_norm, layer_norm, local_response_norm, rms_norm
from ..ops.shape import get_shape
from ..scope import Scoped
from ..tensor import Tensor
from .layer import Layer, size
from .parameter import Parameter, look_at_output

__all__ = [
    "BatchNorm1d", "BatchNorm2d", "BatchNorm3d", "GroupNorm", "InstanceNorm1d", "InstanceNorm2d", "InstanceNorm3d", "LayerNorm",
    "LocalResponseNorm", "RMSNorm",
]  # fmt: skip


class _Norm(Layer):
    """A layer that may scale by a weight, and add a bias, after normalizing."""

    weight: Parameter | None
    bias: Parameter | None

    def reset_parameters(self) -> None:
        """Set weight to 1 and bias to 0."""
        for name, value in (("weight", 1), ("bias", 0)):
            if (parameter := vars(self).get(name)) is not None:
                parameter.copy_(value)


class _RunningNorm(_Norm):
    """A layer that may keep running statistics of each channel."""

    running_mean: Tensor | None
    running_var: Tensor | None
    num_batches_tracked: Tensor | None
    shown = (
        "{num_features}, eps={eps}, momentum={momentum}, affine={affine}, bias={bias}, "
        "track_running_stats={track_running_stats}"
    )

    def __init__(
        self, num_features: int, eps: float = 1e-5, momentum: float | None = 0.1, affine: bool = True,
        track_running_stats: bool = True, dtype: DTypeLike | None = None, *, bias: bool = True,
    ) -> None:  # fmt: skip
        self.num_features = size(self, "num_features", num_features)
        self.eps, self.momentum, self.affine = eps, momentum, affine
        self.track_running_stats = track_running_stats
        for name in ("running_mean", "running_var"):
            self.register_buffer(name, creation.zeros(num_features, dtype=dtype) if track_running_stats else None)
        self.register_buffer("num_batches_tracked", Tensor(0, dtype=np.int64) if track_running_stats else None)
        shape = (num_features,) if affine else None
        self._make_parameters(dtype, weight=shape, bias=shape if bias else None)

    def reset_parameters(self) -> None:
        """Set weight to 1 and bias to 0, and reset the running statistics."""
        self.reset_running_stats()
        super().reset_parameters()

    def reset_running_stats(self) -> None:
        """Set the running mean to 0, the running variance to 1, and the count of batches to 0."""
        for tensor, value in ((self.running_mean, 0), (self.running_var, 1), (self.num_batches_tracked, 0)):
            if tensor is not None:
                tensor.copy_(value)


batch_norm_function: Scoped[Callable[..., Tensor]] = Scoped("batch_norm_function", batch_norm)
"""What the layers of batch normalization call: another function of the same arguments may take the moments of more examples."""


class _BatchNorm(_RunningNorm):
    layouts: ClassVar[tuple[str, ...]]

    def forward(self, x: Array) -> Tensor:
        """Normalize x and, in training, update the running statistics."""
        return self._normalized(x, batch_norm_function.get())

    def _normalized(self, x: Array, function: Callable[..., Tensor]) -> Tensor:
        """The output, by a function of the arguments of :func:`batch_norm`."""
        shape = get_shape(x)
        if len(shape) not in [layout.count(",") + 1 for layout in self.layouts]:
            raise ValueError(
                f"{type(self).__name__}: `x` has shape {shape}; it must be {' or '.join(self.layouts)}: reshape it, or use "
                "the layer of another dimension"
            )
        momentum: Any = self.momentum or 0.0
        if self.training and self.num_batches_tracked is not None and 0 not in shape:
            update_(self.num_batches_tracked, np.add, 1)
            if self.momentum is None:
                momentum = 1 / self.num_batches_tracked
        mean, var = self.running_mean, self.running_var
        y = function(x, mean, var, self.weight, self.bias, self._uses_batch, momentum, self.eps)
        return look_at_output(y, self.weight, x) if self._uses_batch else y

    @property
    def _uses_batch(self) -> bool:
        """Whether the statistics are those of the batch."""
        return self.training or self.running_mean is None


class BatchNorm1d(_BatchNorm, layouts=("(N, C)", "(N, C, L)")):
    """:class:`BatchNorm2d` for features (N, C) or signals (N, C, L)."""


class BatchNorm2d(_BatchNorm, layouts=("(N, C, H, W)",)):
    """y = (x - mean) / sqrt(var + eps) weight + bias for images (N, C, H, W), with a mean and variance for each channel.

    In training they are those of the batch, and the running statistics are updated:
    running = (1 - momentum) running + momentum batch. In evaluation, the running statistics are used.

    Args:
        num_features: C.
        eps, momentum: as for :func:`~tinygrad_cnn.batch_norm`; a momentum of None gives the plain mean over all batches.
        affine: whether there are weight and bias.
        track_running_stats: whether there are running statistics; without them, evaluation uses those of the batch too.
        dtype: of parameters and statistics; the default dtype unless given.
        bias: whether there is a bias besides the weight.

    Attributes:
        weight, bias: (C,), initially 1 and 0; or None.
        running_mean, running_var: (C,), buffers, initially 0 and 1; or None.
        num_batches_tracked: the number of training batches seen, without empty ones, a buffer; or None.

    >>> import tinygrad_cnn as tg
    >>> from tinygrad_cnn import nn
    >>> layer = nn.BatchNorm2d(3)
    >>> layer(tg.ones(5, 3, 8, 8)).shape
    (5, 3, 8, 8)
    >>> layer.running_mean
    Tensor([0.1, 0.1, 0.1], dtype=float32)
    """


class BatchNorm3d(_BatchNorm, layouts=("(N, C, D, H, W)",)):
    """:class:`BatchNorm2d` for volumes (N, C, D, H, W)."""


class _InstanceNorm(_RunningNorm):
    ndim: ClassVar[int]

    def __init__(
        self, num_features: int, eps: float = 1e-5, momentum: float | None = 0.1, affine: bool = False,
        track_running_stats: bool = False, dtype: DTypeLike | None = None, *, bias: bool = True,
    ) -> None:  # fmt: skip
        super().__init__(num_features, eps, momentum, affine, track_running_stats, dtype, bias=bias)

    def forward(self, x: Array) -> Tensor:
        """Normalize x and, in training, update the running statistics if there are any."""
        by_input = self.training or self.running_mean is None
        momentum = 0.0 if self.momentum is None else self.momentum
        x, alone = batched(type(self).__name__, x, self.ndim)
        y = instance_norm(x, self.running_mean, self.running_var, self.weight, self.bias, by_input, momentum, self.eps)
        y = unbatched(y, alone)
        return look_at_output(y, self.weight, x) if by_input else y


class InstanceNorm1d(_InstanceNorm, ndim=1):
    """:class:`InstanceNorm2d` for signals (N, C, L) or (C, L)."""


class InstanceNorm2d(_InstanceNorm, ndim=2):
    """:class:`BatchNorm2d` with a mean and variance for each channel of each image: :func:`~tinygrad_cnn.instance_norm`.

    As in PyTorch, and unlike BatchNorm2d, it has no parameters and no running statistics by default.

    Args:
        num_features: C, for images (N, C, H, W) or (C, H, W).
        eps, momentum, affine, track_running_stats, dtype, bias: as for :class:`BatchNorm2d`.
    """


class InstanceNorm3d(_InstanceNorm, ndim=3):
    """:class:`InstanceNorm2d` for volumes (N, C, D, H, W) or (C, D, H, W)."""


class GroupNorm(_Norm, shown="{num_groups}, {num_channels}, eps={eps}, affine={affine}, bias={bias}"):
    """Normalization over groups of channels of each example of x (N, C, ...): :func:`~tinygrad_cnn.group_norm`.

    Args:
        num_groups: the number of groups, of num_channels / num_groups channels each.
        num_channels: C.
        eps, affine, dtype, bias: as for :class:`BatchNorm2d`, and so are the attributes `weight` and `bias`.
    """

    def __init__(
        self, num_groups: int, num_channels: int, eps: float = 1e-5, affine: bool = True,
        dtype: DTypeLike | None = None, *, bias: bool = True,
    ) -> None:  # fmt: skip
        self.num_groups = size(self, "num_groups", num_groups)
        self.num_channels = size(self, "num_channels", num_channels)
        if num_channels % num_groups:
            raise ValueError(f"GroupNorm: `num_groups` is {num_groups}; it must divide `num_channels` {num_channels}")
        self.eps, self.affine = eps, affine
        shape = (num_channels,) if affine else None
        self._make_parameters(dtype, weight=shape, bias=shape if bias else None)

    def forward(self, x: Array) -> Tensor:
        """Normalize x."""
        if get_shape(x)[1:2] != (self.num_channels,):
            wanted = f"(N, C, ...) with `num_channels` {self.num_channels}"
            raise ValueError(f"GroupNorm: `x` has shape {get_shape(x)}; it must be {wanted}")
        return look_at_output(group_norm(x, self.num_groups, self.weight, self.bias, self.eps), self.weight, x)


class LayerNorm(_Norm, function=layer_norm):
    """Normalization over the last axes of each example: :func:`~tinygrad_cnn.layer_norm`.

    Args:
        normalized_shape: the sizes of the last axes, an int for one.
        elementwise_affine: whether there are weight and bias.
        eps, bias, dtype: as for :class:`BatchNorm2d`, and so are the attributes, but of shape `normalized_shape`.
    """

    shown = "{normalized_shape}, eps={eps}, elementwise_affine={elementwise_affine}, bias={bias}"

    def __init__(
        self, normalized_shape: int | Sequence[int], eps: float = 1e-5, elementwise_affine: bool = True,
        bias: bool = True, dtype: DTypeLike | None = None,
    ) -> None:  # fmt: skip
        self.normalized_shape = _shape(self, normalized_shape)
        self.eps, self.elementwise_affine = eps, elementwise_affine
        shape = self.normalized_shape if elementwise_affine else None
        self._make_parameters(dtype, weight=shape, bias=shape if bias else None)


class RMSNorm(_Norm, function=rms_norm):
    """y = x / sqrt(mean of x^2 + eps) weight, over the last axes of each example: :func:`~tinygrad_cnn.rms_norm`.

    The arguments are those of :class:`LayerNorm`, but there is no bias and `eps` is by default the machine epsilon of x.
    """

    shown = "{normalized_shape}, eps={eps}, elementwise_affine={elementwise_affine}"

    def __init__(
        self, normalized_shape: int | Sequence[int], eps: float | None = None, elementwise_affine: bool = True,
        dtype: DTypeLike | None = None,
    ) -> None:  # fmt: skip
        self.normalized_shape = _shape(self, normalized_shape)
        self.eps, self.elementwise_affine = eps, elementwise_affine
        self._make_parameters(dtype, weight=self.normalized_shape if elementwise_affine else None)


class LocalResponseNorm(Layer, function=local_response_norm, shown="{size}, alpha={alpha}, beta={beta}, k={k}"):
    """y = x / (k + alpha mean)^beta, with the mean of x^2 over `size` channels: :func:`~tinygrad_cnn.local_response_norm`."""

    def __init__(self, size: int, alpha: float = 1e-4, beta: float = 0.75, k: float = 1.0) -> None:
        self.size, self.alpha, self.beta, self.k = size, alpha, beta, k


def _shape(layer: Layer, normalized_shape: int | Sequence[int]) -> tuple[int, ...]:
    axes = normalized_shape if isinstance(normalized_shape, Sequence) else (normalized_shape,)
    return tuple(size(layer, "normalized_shape", n) for n in axes)
