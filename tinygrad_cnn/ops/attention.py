"""Scaled dot-product attention: Vaswani et al., "Attention is all you need", arXiv:1706.03762."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ..core.graph import Array, Tensor
from .compare import greater
from .dropout import dropout
from .elementwise import mul, where
from .geometry import shape_of
from .index import fits
from .matmul import matmul
from .random import Seed
from .real import probability, real
from .rearrange import repeat
from .reduce import max as largest
from .shape import swapaxes
from .softmax import softmax

__all__ = ["scaled_dot_product_attention"]


def scaled_dot_product_attention(
    query: Array, key: Array, value: Array, attn_mask: Array = None, dropout_p: float = 0.0, is_causal: bool = False,
    scale: float | None = None, enable_gqa: bool = False, rng: Seed = None,
) -> Tensor:  # fmt: skip
    """y = softmax(scale query key^T + mask) value: for each query, a weighted mean of the values.

    If all keys of a query are masked, its result is 0, and its gradient too.

    Args:
        query: (..., L, E).
        key: (..., S, E).
        value: (..., S, V). The leading axes of all three broadcast.
        attn_mask: a term that is added to the products, or Booleans, False where a key is masked; it broadcasts to (..., L, S).
        dropout_p: the probability that a weight is dropped. As in PyTorch this does not depend on a mode: pass 0 in evaluation.
        is_causal: for query i all keys after key i are masked; not together with `attn_mask`.
        scale: 1 / sqrt(E) by default.
        enable_gqa: each head of key and value (..., H', S, E) serves H / H' heads in a row of query (..., H, L, E).
        rng: a generator or a seed, for dropout; the library's generator by default.

    Returns:
        (..., L, V).

    Raises:
        ValueError: for shapes that do not match, both `attn_mask` and `is_causal`, or a `dropout_p` that is not from 0 to 1.
        TypeError: for a mask of integers, or a `scale` that is not a number.

    >>> import tinygrad_cnn as tg
    >>> tg.scaled_dot_product_attention(tg.zeros(1, 2), tg.ones(2, 2), tg.Tensor([[1.0], [3.0]])).tolist()
    [[2.0]]
    """
    name = "scaled_dot_product_attention"
    dropout_p = probability(name, "dropout_p", dropout_p)
    shapes = [shape_of(name, label, x) for label, x in (("query", query), ("key", key), ("value", value))]
    if enable_gqa:
        heads = [shape[-3] if len(shape) > 2 else 0 for shape in shapes]
        if not heads[1] or heads[1] != heads[2] or heads[0] % heads[1]:
            raise ValueError(
                f"{name}: `enable_gqa` needs as many heads of keys as of values, and a multiple of them of queries, but "
                f"`query` is {shapes[0]}, `key` {shapes[1]} and `value` {shapes[2]}; they must be (..., heads, length, size)"
            )
        key, value = (repeat(x, heads[0] // heads[1], -3) for x in (key, value))
        shapes[1:] = np.shape(key), np.shape(value)
    fits = min(map(len, shapes)) > 1 and shapes[0][-1] == shapes[1][-1] and shapes[1][-2] == shapes[2][-2]
    try:
        np.broadcast_shapes(*(shape[:-2] for shape in shapes))
    except ValueError:
        fits = False
    if not fits:
        raise ValueError(
            f"{name}: `query` {shapes[0]}, `key` {shapes[1]} and `value` {shapes[2]} must be (..., L, E), (..., S, E) and "
            "(..., S, V), with leading axes that broadcast"
        )
    factor = 1 / math.sqrt(max(shapes[0][-1], 1)) if scale is None else real(name, "scale", scale)
    if is_causal:
        if attn_mask is not None:
            raise ValueError(f"{name}: `attn_mask` is given and `is_causal` is True; put both into one mask")
        attn_mask = np.tri(shapes[0][-2], shapes[1][-2], dtype=bool)
    y: Tensor = attended(name, mul(query, factor), key, value, attn_mask, dropout_p, rng)[0]
    return y


def attended(
    name: str, query: Array, key: Array, value: Array, mask: Array, dropout_p: float, rng: Seed = None
) -> tuple[Any, Any]:  # fmt: skip
    """softmax(query key^T + mask) value, and the softmax after dropout. The query is scaled already."""
    scores = matmul(query, swapaxes(key, -1, -2))
    weights = dropout(softmax(scores, axis=-1) if mask is None else _masked(name, scores, mask), dropout_p, rng=rng)
    return matmul(weights, value), weights


def _masked(name: str, scores: Any, mask: Any) -> Any:
    """The softmax of masked scores, 0 for a query for which all keys are masked."""
    kind = getattr(mask, "dtype", np.dtype(object)).kind
    if kind not in "bf":
        raise TypeError(f"{name}: `attn_mask` is {getattr(mask, 'dtype', mask)!r:.60}; it must hold Booleans or floats")
    if not fits(np.shape(mask), scores.shape):
        raise ValueError(f"{name}: `attn_mask` has shape {np.shape(mask)}, which does not broadcast to {scores.shape}")
    scores = where(mask, scores, -np.inf) if kind == "b" else scores + mask
    met = greater(largest(scores, axis=-1, keepdims=True), -np.inf)
    return where(met, softmax(where(met, scores, 0), axis=-1), 0)
