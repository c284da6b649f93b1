"""Scaled dot-product attention, and rotary position embeddings."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ....core.graph import Array
from ....ops import elementwise as e
from ....ops import gather as g
from ....ops import matmul as m
from ....ops import rearrange, softmax
from ....ops import shape as s
from ....ops.compare import greater
from ....ops.index import getitem
from ....ops.reduce import max as largest
from ....ops.transcendental import tanh
from .base import as_dtype, bounded, dtype_of, reads, refuse, values
from .logic import numpy_dtype


def _by_head(x: Array, heads: int) -> Array:
    """(N, L, heads size) as (N, heads, L, size)."""
    n, length, size = np.shape(x)
    refuse(heads < 1 or size % heads, f"{heads} heads do not divide {size} features")
    return s.swapaxes(s.reshape(x, shape=(n, length, heads, size // heads)), 1, 2)


def _allowed(queries: int, keys: int, offset: Any, causal: int, left: int, right: int) -> Any:
    """The mask of the keys that each query attends to: a window of keys, none of them later than the query if `causal`."""
    place = np.arange(queries)[:, None] + np.reshape(offset, (-1, 1, 1, 1))
    gap = place - np.arange(keys)
    allowed = np.ones(gap.shape, bool)
    if causal:
        allowed &= gap >= 0
    if left >= 0:
        allowed &= gap <= left
    if right >= 0:
        allowed &= -gap <= right
    return allowed


@reads("Attention")
def _attention(
    q: Array, k: Array, v: Array, attn_mask: Array = None, past_key: Array = None, past_value: Array = None,
    nonpad_kv_seqlen: Array = None, *, is_causal: int = 0, kv_num_heads: int | None = None, q_num_heads: int | None = None,
    qk_matmul_output_mode: int = 0, scale: float | None = None, softcap: float = 0.0, softmax_precision: int | None = None,
    left_window_size: int = -1, right_window_size: int = -1, outputs: int,
) -> Any:  # fmt: skip
    """y = softmax(q k^T scale + bias) v; 0 for a query that attends to no key."""
    flat = np.ndim(q) == 3
    if flat:
        refuse(q_num_heads is None or kv_num_heads is None, "inputs of 3 axes need `q_num_heads` and `kv_num_heads`")
        q, k, v = _by_head(q, q_num_heads or 0), _by_head(k, kv_num_heads or 0), _by_head(v, kv_num_heads or 0)
    dtype, before = dtype_of(q), 0 if past_key is None else np.shape(past_key)[2]
    if past_key is not None:
        k, v = s.concatenate([past_key, k], axis=2), s.concatenate([past_value, v], axis=2)
    present, (n, heads, queries, size), keys = (k, v), np.shape(q), np.shape(k)[2]
    bounded([n, heads, queries, keys], "Attention")
    if heads != np.shape(k)[1]:
        refuse(bool(heads % np.shape(k)[1]), f"{heads} heads of queries for {np.shape(k)[1]} of keys")
        k, v = (rearrange.repeat(x, heads // np.shape(k)[1], 1) for x in (k, v))
    factor = dtype.type(math.sqrt(1 / math.sqrt(size) if scale is None else scale))
    scores = m.matmul(e.mul(q, factor), s.swapaxes(e.mul(k, factor), 2, 3))
    found = scores
    if softcap:
        scores = e.mul(tanh(e.div(scores, softcap)), softcap)
        found = scores if qk_matmul_output_mode == 1 else found
    lengths = None if nonpad_kv_seqlen is None else values(nonpad_kv_seqlen).reshape(-1)
    offset = before if lengths is None or past_key is not None else lengths - queries
    allowed = _allowed(queries, keys, offset, is_causal, left_window_size, right_window_size)
    if lengths is not None:
        allowed = allowed & (np.arange(keys) < lengths.reshape(-1, 1, 1, 1))
    bias: Any = np.where(allowed, dtype.type(0), dtype.type(-np.inf))
    if attn_mask is not None:
        bias = e.add(bias, _mask(attn_mask, keys, dtype))
    scores = e.add(scores, bias)
    found = scores if qk_matmul_output_mode == 2 else found
    precise = scores if softmax_precision is None else as_dtype(scores, numpy_dtype(softmax_precision))
    open_rows = greater(largest(bias, axis=-1, keepdims=True), -np.inf)
    weights = e.where(open_rows, softmax.softmax(e.where(open_rows, precise, 0), axis=-1), 0)
    found = weights if qk_matmul_output_mode == 3 else found
    y: Array = m.matmul(as_dtype(weights, dtype), v)
    if flat:
        y = s.reshape(s.swapaxes(y, 1, 2), shape=(n, queries, heads * np.shape(v)[3]))
    return y if outputs == 1 else (y, *present, as_dtype(found, dtype))


def _mask(mask: Array, keys: int, dtype: np.dtype[Any]) -> Any:
    """A mask as a term of the scores. Keys without an entry in the mask are excluded."""
    missing = keys - np.shape(mask)[-1]
    width = [(0, 0)] * (np.ndim(mask) - 1) + [(0, max(missing, 0))]
    if dtype_of(mask).kind == "b":
        whole = s.pad_constant(mask, pad_width=width, value=False)
        return e.where(whole, np.zeros((), dtype), dtype.type(-np.inf))
    return s.pad_constant(mask, pad_width=width, value=-np.inf)


@reads("RotaryEmbedding")
def _rotary(
    x: Array, cos_cache: Array, sin_cache: Array, position_ids: Array = None, *, interleaved: int = 0, num_heads: int = 0,
    rotary_embedding_dim: int = 0,
) -> Array:  # fmt: skip
    """Rotate pairs of features by angles that depend on the position."""
    shape = np.shape(x)
    parts = _by_head(x, num_heads) if len(shape) == 3 else x  # (N, heads, L, size)
    size = rotary_embedding_dim or np.shape(parts)[-1]
    turned, rest = getitem(parts, index=(..., slice(None, size))), getitem(parts, index=(..., slice(size, None)))
    if position_ids is not None:
        cos_cache, sin_cache = (g.take(table, position_ids, axis=0) for table in (cos_cache, sin_cache))
    cos, sin = (s.expand_dims(table, 1) for table in (cos_cache, sin_cache))
    refuse(2 * np.shape(cos)[-1] != size, f"the tables have {np.shape(cos)[-1]} angles for {size} features")
    halves = (slice(0, None, 2), slice(1, None, 2)) if interleaved else (slice(None, size // 2), slice(size // 2, None))
    a, b = (getitem(turned, index=(..., half)) for half in halves)
    pair = [e.sub(e.mul(cos, a), e.mul(sin, b)), e.add(e.mul(sin, a), e.mul(cos, b))]
    joined = s.reshape(s.stack(pair, -1), shape=np.shape(turned)) if interleaved else s.concatenate(pair, axis=-1)
    y: Array = s.concatenate([joined, rest], axis=-1)
    return s.reshape(s.swapaxes(y, 1, 2), shape=shape) if len(shape) == 3 else y
