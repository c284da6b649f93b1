"""Batch normalization of shards with the moments of the whole batch."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ...core.grad_mode import no_grad
from ...core.graph import Array, op
from ...ops.normalization import batch_norm
from ...tensor import Tensor
from .lockstep import exchanged


@op
def over_shards(x: Array) -> Array:
    """y = sum of x over all shards of the batch.   x' = sum of g over all shards."""
    return exchanged(np.asarray(x))


over_shards.vjp(x=lambda g: over_shards(g))


def sync_batch_norm(
    x: Array,
    running_mean: Any,
    running_var: Any,
    weight: Array = None,
    bias: Array = None,
    training: bool = False,
    momentum: Any = 0.1,
    eps: float = 1e-5,
) -> Tensor:
    """:func:`tinygrad_cnn.batch_norm` with the mean and variance of all shards. Its arguments are the same.

    Mean and variance are computed in float64 and composed of ops, so gradients pass through them into every shard.
    """
    if not training:
        return batch_norm(x, running_mean, running_var, weight, bias, training, momentum, eps)
    x = x if isinstance(x, Tensor) else Tensor(x)
    axes, shape = (0, *range(2, x.ndim)), (1, x.shape[1], *(1 for _ in x.shape[2:]))
    count = float(exchanged(np.array(float(math.prod(x.shape) // x.shape[1]))))
    if count < 2:
        raise ValueError(f"sync_batch_norm: the batch has {count:.0f} value for each channel; it must have at least 2")
    wide = x.astype(np.float64)
    mean = over_shards(wide.sum(axis=axes)) / count
    centred = wide - mean.reshape(shape)
    variance = over_shards((centred * centred).sum(axis=axes)) / count
    with no_grad():
        for running, batch in ((running_mean, mean), (running_var, variance * (count / (count - 1)))):
            if running is not None:
                running.copy_((running * (1 - momentum) + batch * momentum).astype(running.dtype))
    y: Tensor = (centred * (variance.reshape(shape) + eps) ** -0.5).astype(x.dtype)
    y = y if weight is None else y * weight.reshape(shape)
    if bias is not None:
        y = y + bias.reshape(shape)
    return y
