"""Batch norms of evaluation, folded into the layers before them."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import numpy as np

from ..nn import conv, linear, normalization
from ..nn.module import Module
from ..nn.utils.fusion import fuse_conv_bn_eval, fuse_linear_bn_eval
from ..tensor import Tensor

NORM = {
    conv.Conv1d: normalization.BatchNorm1d, conv.ConvTranspose1d: normalization.BatchNorm1d,
    conv.Conv2d: normalization.BatchNorm2d, conv.ConvTranspose2d: normalization.BatchNorm2d,
    conv.Conv3d: normalization.BatchNorm3d, conv.ConvTranspose3d: normalization.BatchNorm3d,
    linear.Linear: normalization.BatchNorm1d,
}  # fmt: skip
"""The batch norm that can be folded into a layer of each type."""


class Folded:
    """``norm(layer(x))`` by one layer, for batches in the dtype of the parameters; other inputs go through both."""

    def __init__(self, layer: Any, norm: Module, fused: Module) -> None:
        self._layer, self._norm, self._fused = layer, norm, fused
        self._dtype, self._ndim = layer.weight.dtype, layer.weight.ndim

    def __call__(self, x: Any) -> Any:
        if x.__class__ is Tensor and x.ndim == self._ndim and x.dtype == self._dtype:
            return self._fused(x)
        return self._norm(self._layer(x))


def folded(layers: Iterable[Module]) -> list[Callable[[Any], Any]]:
    """Calls that compute the layers, all in evaluation, one after the other."""
    calls: list[Callable[[Any], Any]] = []
    for layer in layers:
        both = _both(calls[-1], layer) if calls else None
        if both is None:
            calls.append(layer)
        else:
            calls[-1] = both
    return calls


def _both(layer: Any, norm: Any) -> Folded | None:
    """A layer and the norm behind it as one, or None: the norm uses its batch, dtypes or sizes differ, or the weights of the one
    layer would not be finite."""
    if NORM.get(type(layer)) is not type(norm) or norm.running_mean is None or norm.running_var is None:
        return None
    axis = 1 if getattr(layer, "transposed", False) else 0
    if (axis and layer.groups != 1) or norm.running_mean.shape != (layer.weight.shape[axis],):
        return None
    given = (layer.weight, layer.bias, norm.running_mean, norm.running_var, norm.weight, norm.bias)
    if layer.weight.dtype not in (np.float32, np.float64) or {x.dtype for x in given if x is not None} != {layer.weight.dtype}:
        return None
    with np.errstate(all="ignore"):
        if type(layer) is linear.Linear:
            fused: Any = fuse_linear_bn_eval(layer, norm)
        else:
            fused = fuse_conv_bn_eval(layer, norm, transpose=axis == 1)
    is_finite = all(np.isfinite(parameter.numpy()).all() for parameter in (fused.weight, fused.bias))
    return Folded(layer, norm, fused) if is_finite else None
