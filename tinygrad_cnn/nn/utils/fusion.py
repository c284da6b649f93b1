"""A batch normalization of evaluation, folded into the layer before it."""

from __future__ import annotations

from copy import deepcopy
from typing import Any, TypeVar

import numpy as np

from ...tensor import Tensor
from ..module import Module
from ..parameter import Parameter

__all__ = ["fuse_conv_bn_eval", "fuse_conv_bn_weights", "fuse_linear_bn_eval", "fuse_linear_bn_weights"]

M = TypeVar("M", bound=Module)


def fuse_conv_bn_eval(conv: M, bn: Module, transpose: bool = False) -> M:
    """One convolution that computes ``bn(conv(x))``, both in evaluation mode: a copy of `conv` with other parameters.

    Args:
        conv: a convolution.
        bn: a batch normalization of its outputs, with running statistics.
        transpose: whether `conv` is a transposed convolution, whose weight has the outputs along the second axis.

    Raises:
        ValueError: if one is in training mode, there are no running statistics, or the sizes differ.

    >>> import tinygrad_cnn as tg
    >>> conv, bn = tg.nn.Conv2d(3, 8, 3, bias=False).eval(), tg.nn.BatchNorm2d(8).eval()
    >>> tg.nn.utils.fuse_conv_bn_eval(conv, bn).bias.shape
    (8,)
    """
    return _fused("fuse_conv_bn_eval", conv, bn, 1 if transpose else 0)


def fuse_linear_bn_eval(linear: M, bn: Module) -> M:
    """One linear layer that computes ``bn(linear(x))``, both in evaluation mode: a copy of `linear` with other parameters.

    Raises:
        ValueError: if one is in training mode, there are no running statistics, or the sizes differ.
    """
    return _fused("fuse_linear_bn_eval", linear, bn, 0)


def _fused(owner: str, layer: M, bn: Any, axis: int) -> M:
    if layer.training or bn.training:
        raise ValueError(f"{owner}: it is for evaluation; call eval() of both layers first")
    if bn.running_mean is None or bn.running_var is None:
        raise ValueError(f"{owner}: the normalization has no running statistics, so it depends on the batch")
    if layer._computed:
        raise ValueError(f"{owner}: {', '.join(layer._computed)} is parametrized or pruned; remove that first")
    fused: Any = deepcopy(layer)
    if axis and getattr(layer, "groups", 1) != 1:
        raise ValueError(
            f"{owner}: a transposed convolution in groups has its outputs along two axes; it cannot be fused"
        )
    if fused.weight.shape[axis] != bn.running_mean.size and bn.running_mean.size != 1:
        raise ValueError(
            f"{owner}: the layer has {fused.weight.shape[axis]} outputs and the normalization {bn.running_mean.size} features"
        )
    weight, bias = _folded(
        axis, fused.weight, fused.bias, bn.running_mean, bn.running_var, bn.eps, bn.weight, bn.bias
    )  # fmt: skip
    fused.register_parameter("weight", weight)
    fused.register_parameter("bias", bias)
    return fused  # type: ignore[no-any-return]


def fuse_conv_bn_weights(
    conv_w: Tensor, conv_b: Tensor | None, bn_rm: Tensor, bn_rv: Tensor, bn_eps: float, bn_w: Tensor | None,
    bn_b: Tensor | None, transpose: bool = False,
) -> tuple[Parameter, Parameter]:  # fmt: skip
    """Weight and bias of the convolution that :func:`fuse_conv_bn_eval` makes.

    With scale = bn_w / sqrt(bn_rv + bn_eps): weight = conv_w scale and bias = (conv_b - bn_rm) scale + bn_b. They are computed
    in float64. None stands for a bias or shift of 0 and a scale of 1.
    """
    return _folded(1 if transpose else 0, conv_w, conv_b, bn_rm, bn_rv, bn_eps, bn_w, bn_b)


def fuse_linear_bn_weights(
    linear_w: Tensor, linear_b: Tensor | None, bn_rm: Tensor, bn_rv: Tensor, bn_eps: float, bn_w: Tensor | None,
    bn_b: Tensor | None,
) -> tuple[Parameter, Parameter]:  # fmt: skip
    """Weight and bias of the linear layer that :func:`fuse_linear_bn_eval` makes, as :func:`fuse_conv_bn_weights`."""
    return _folded(0, linear_w, linear_b, bn_rm, bn_rv, bn_eps, bn_w, bn_b)


def _folded(
    axis: int,
    w: Tensor,
    b: Tensor | None,
    mean: Tensor,
    var: Tensor,
    eps: float,
    scale: Tensor | None,
    shift: Tensor | None,
) -> tuple[Parameter, Parameter]:
    def wide(x: Tensor | None, default: float) -> Any:
        return default if x is None else x.numpy().astype(np.float64)

    factor = wide(scale, 1.0) / np.sqrt(wide(var, 1.0) + eps)
    shape = [-1 if i == axis else 1 for i in range(w.ndim)]
    weight = wide(w, 0.0) * factor.reshape(shape)
    bias = (wide(b, 0.0) - wide(mean, 0.0)) * factor + wide(shift, 0.0)
    bias = np.broadcast_to(bias, (w.shape[axis],))
    learned = w.requires_grad if b is None else b.requires_grad
    return (
        Parameter(weight.astype(w.dtype), requires_grad=w.requires_grad),
        Parameter(bias.astype((w if b is None else b).dtype), requires_grad=learned),
    )
