"""Layers for inference: batch norms are folded into the layers before them, and the weights of linear layers transposed."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import partial
from typing import Any

import numpy as np

from ..kernels.matmul import prepare_linear
from ..nn import conv, linear, normalization
from ..nn.joined import LIMITS, NORMS, clipped_norm
from ..nn.module import Module
from ..nn.utils.fusion import fuse_conv_bn_eval, fuse_linear_bn_eval
from ..ops.matmul import linear as linear_function
from ..scope import silent
from ..tensor import Tensor

NORM = {
    conv.Conv1d: normalization.BatchNorm1d, conv.ConvTranspose1d: normalization.BatchNorm1d,
    conv.Conv2d: normalization.BatchNorm2d, conv.ConvTranspose2d: normalization.BatchNorm2d,
    conv.Conv3d: normalization.BatchNorm3d, conv.ConvTranspose3d: normalization.BatchNorm3d,
    linear.Linear: normalization.BatchNorm1d,
}  # fmt: skip
"""The batch norm that can be folded into a layer of each type."""


DTYPES = (np.float32, np.float64)
"""Of the weights that are folded or transposed."""


class Folded:
    """``norm(layer(x))`` by one layer, for batches in the dtype of the parameters; other inputs go through both."""

    def __init__(self, layer: Any, norm: Module, fused: Module) -> None:
        self._layer, self._norm = layer, norm
        self._fused = transposed_or(fused) if type(fused) is linear.Linear else fused.forward
        self._dtype, self._ndim = layer.weight.dtype, layer.weight.ndim

    def __call__(self, x: Any) -> Any:
        if x.__class__ is Tensor and x.ndim == self._ndim and x.dtype == self._dtype:
            return self._fused(x)
        return self._norm(self._layer(x))


class Transposed:
    """A linear layer with a copy of its weight in the order in which BLAS reads it, for inputs in its dtype.

    The copy holds for the values that the weight had: who keeps it asks :class:`~.layers.State` before each call.
    """

    def __init__(self, layer: Any) -> None:
        self._weight, self._bias = Tensor._of(np.asfortranarray(layer.weight._array)), layer.bias

    def takes(self, x: Any) -> bool:
        """Whether it computes what the layer does."""
        return x.__class__ is Tensor and x.dtype == self._weight.dtype and x.shape[-1:] == self._weight.shape[1:]

    def __call__(self, x: Any) -> Any:
        return linear_function(x, self._weight, self._bias)


def transposed(layer: Any) -> Transposed | None:
    """The layer with its weight transposed; None if it is no linear layer, or a compiled kernel lays the weight out."""
    if type(layer) is not linear.Linear or layer.weight.dtype not in DTYPES:
        return None
    return Transposed(layer) if linear_function.op.prepare is prepare_linear else None


def transposed_or(layer: Any) -> Callable[[Any], Any]:
    """A call of a linear layer, with its weight transposed in memory where that gains."""
    if (call := transposed(layer)) is None:
        return layer.forward  # type: ignore[no-any-return]
    return lambda x: call(x) if call.takes(x) else layer.forward(x)


def folded(layers: Iterable[Module]) -> list[Callable[[Any], Any]]:
    """Calls that compute the layers, all in evaluation, one after the other: a norm and a ReLU are one, too."""
    calls: list[Any] = []
    for layer in layers:
        before = calls[-1] if calls else None
        if (both := _both(before, layer)) is not None:
            calls[-1] = both
        elif type(before) in NORMS and type(layer) in LIMITS:
            calls[-1] = partial(clipped_norm, before, layer)
        else:
            calls.append(layer)
    return [transposed_or(call) if type(call) is linear.Linear else call for call in calls]


def _both(layer: Any, norm: Any) -> Folded | None:
    """A layer and the norm behind it as one; None if the norm uses its batch, dtypes or sizes differ, or weights would not be
    finite."""
    if NORM.get(type(layer)) is not type(norm) or norm.running_mean is None or norm.running_var is None:
        return None
    axis = 1 if getattr(layer, "transposed", False) else 0
    if norm.running_mean.shape != (layer.weight.shape[axis],):  # as those of transposed convolutions in groups
        return None
    given = (layer.weight, layer.bias, norm.running_mean, norm.running_var, norm.weight, norm.bias)
    if layer.weight.dtype not in DTYPES or {x.dtype for x in given if x is not None} != {layer.weight.dtype}:
        return None
    with silent:
        if type(layer) is linear.Linear:
            fused: Any = fuse_linear_bn_eval(layer, norm)
        else:
            fused = fuse_conv_bn_eval(layer, norm, transpose=axis == 1)
    is_finite = all(np.isfinite(parameter.numpy()).all() for parameter in (fused.weight, fused.bias))
    return Folded(layer, norm, fused) if is_finite else None
