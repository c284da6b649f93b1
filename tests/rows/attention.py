"""Rows for ops/attention.py, one query at a time."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from tinygrad_cnn.ops import attention as ops
from tinygrad_cnn.testing.cases import Arg, Case

from .normalization import kept


def attended(
    q: NDArray[Any], k: NDArray[Any], v: NDArray[Any], mask: Any = 0.0, *, is_causal: bool = False, scale: Any = None,
    enable_gqa: bool = False, dropout_p: float = 0.0, rng: int = 0,
) -> NDArray[Any]:  # fmt: skip
    """The mean of values for each query; heads that have no keys of their own look at those of another."""
    if enable_gqa:
        heads = np.arange(q.shape[-3]) * k.shape[-3] // q.shape[-3]
        k, v = k[..., heads, :, :], v[..., heads, :, :]
    lead, (rows, size) = np.broadcast_shapes(q.shape[:-2], k.shape[:-2]), q.shape[-2:]
    q, k, v = (np.broadcast_to(x, (*lead, *x.shape[-2:])) for x in (q, k, v))
    weights = np.zeros((*lead, rows, k.shape[-2]))
    mask = np.broadcast_to(mask, weights.shape)
    for at in np.ndindex(weights.shape):
        allowed = mask[at] if mask.dtype == bool else at[-1] <= at[-2] or not is_causal
        score = np.exp(q[at[:-1]] @ k[(*at[:-2], at[-1])] * (size**-0.5 if scale is None else scale))
        weights[at] = allowed and score * (1 if mask.dtype == bool else np.exp(mask[at]))
    total = weights.sum(-1, keepdims=True)
    weights = weights / np.where(total == 0, 1, total)
    return (weights * (kept(weights, dropout_p, 0, rng) if dropout_p else 1)) @ v


Q, K, V = (Arg(shape, low=-1, high=1) for shape in ((2, 3, 2), (2, 4, 2), (2, 4, 3)))
GROUPS = [Arg(shape, low=-1, high=1) for shape in ((1, 4, 2, 2), (1, 2, 3, 2), (1, 2, 3, 2))]

CASES = [
    Case(ops.scaled_dot_product_attention, (Q, K, V), attended, order=2),
    Case(ops.scaled_dot_product_attention, (Q, Arg((4, 2)), V), attended, {"scale": 0.5, "is_causal": True}, order=2),
    Case(ops.scaled_dot_product_attention, (Q, K, V, Arg((3, 4))), attended, order=2),
    Case(ops.scaled_dot_product_attention, (Q, K, V, Arg((2, 3, 4), kind="bool")), attended, order=2),
    Case(ops.scaled_dot_product_attention, (Q, K, V), attended, {"dropout_p": 0.5, "rng": 2}, order=2),
    Case(ops.scaled_dot_product_attention, tuple(GROUPS), attended, {"enable_gqa": True, "is_causal": True}, order=2),
]
