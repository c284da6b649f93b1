"""Attention of several heads: Vaswani et al., "Attention is all you need", arXiv:1706.03762."""

from __future__ import annotations

import math
from functools import reduce
from typing import Any

import numpy as np
from numpy.typing import DTypeLike

from ..core.graph import Array
from ..numpy_api.creation import zeros
from ..ops.attention import attended
from ..ops.compare import logical_not, logical_or
from ..ops.elementwise import add, mul, where
from ..ops.matmul import linear
from ..ops.real import probability
from ..ops.reduce import mean
from ..ops.shape import broadcast_to, concatenate, expand_dims, get_shape, pad, reshape, swapaxes
from ..tensor import Tensor
from . import init
from .layer import size
from .linear import Linear
from .module import Module
from .parameter import Parameter

__all__ = ["MultiheadAttention"]


class MultiheadAttention(Module):
    """y = [head_1 ... head_H] W_o^T + b_o, with head_i = softmax(q_i k_i^T / sqrt(D)) v_i and D = embed_dim / num_heads.

    q = query W_q^T + b_q, k = key W_k^T + b_k and v = value W_v^T + b_v; each head takes D columns of them.

    Args:
        embed_dim, num_heads: the size E of queries and results, and the heads, which divide it.
        dropout: the probability that a weight of the softmax is dropped in training.
        bias: whether the four linear maps have a bias.
        add_bias_kv: whether a learned key and value are added to each sequence.
        add_zero_attn: whether a key and a value of zeros are added to each sequence.
        kdim, vdim: the sizes of keys and values; E unless given.
        batch_first: whether sequences are (N, L, E), and not (L, N, E).
        dtype: of the parameters; the default dtype unless given.

    Attributes:
        in_proj_weight: W_q, W_k and W_v in one matrix (3 E, E), drawn by Xavier's rule; or None, and `q_proj_weight`,
            `k_proj_weight` and `v_proj_weight`, if keys or values have another size.
        in_proj_bias: their biases (3 E,), zeros; or None.
        out_proj: the linear layer of W_o; its bias starts at zeros.
        bias_k, bias_v: the learned key and value (1, 1, E); or None.

    >>> import tinygrad_cnn as tg
    >>> from tinygrad_cnn import nn
    >>> attention, x = nn.MultiheadAttention(8, 2, batch_first=True), tg.zeros(4, 10, 8)
    >>> y, weights = attention(x, x, x)
    >>> y.shape, weights.shape
    ((4, 10, 8), (4, 10, 10))
    """

    in_proj_weight: Parameter | None
    q_proj_weight: Parameter | None
    k_proj_weight: Parameter | None
    v_proj_weight: Parameter | None
    in_proj_bias: Parameter | None
    bias_k: Parameter | None
    bias_v: Parameter | None

    def __init__(
        self, embed_dim: int, num_heads: int, dropout: float = 0.0, bias: bool = True, add_bias_kv: bool = False,
        add_zero_attn: bool = False, kdim: int | None = None, vdim: int | None = None, batch_first: bool = False,
        dtype: DTypeLike | None = None,
    ) -> None:  # fmt: skip
        self.embed_dim, self.num_heads = size(self, "embed_dim", embed_dim), size(self, "num_heads", num_heads)
        if embed_dim % num_heads:
            raise ValueError(f"MultiheadAttention: `num_heads` is {num_heads}; it must divide `embed_dim` {embed_dim}")
        self.dropout = probability("MultiheadAttention", "dropout", dropout)
        self.kdim = embed_dim if kdim is None else size(self, "kdim", kdim)
        self.vdim = embed_dim if vdim is None else size(self, "vdim", vdim)
        self.add_zero_attn, self.batch_first = add_zero_attn, batch_first
        joint = self.kdim == self.vdim == embed_dim
        shapes = {
            "in_proj_weight": (3 * embed_dim, embed_dim) if joint else None,
            "q_proj_weight": None if joint else (embed_dim, embed_dim),
            "k_proj_weight": None if joint else (embed_dim, self.kdim),
            "v_proj_weight": None if joint else (embed_dim, self.vdim),
            "in_proj_bias": (3 * embed_dim,) if bias else None,
            "bias_k": (1, 1, embed_dim) if add_bias_kv else None,
            "bias_v": (1, 1, embed_dim) if add_bias_kv else None,
        }
        for name, shape in shapes.items():
            self.register_parameter(name, None if shape is None else Parameter(zeros(shape, dtype=dtype)))
        self.out_proj = Linear(embed_dim, embed_dim, bias, dtype)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw the weights, and set the biases to 0."""
        for name, parameter in self.named_parameters():
            if name.endswith("proj_weight"):
                init.xavier_uniform_(parameter)
            elif name in ("bias_k", "bias_v"):
                init.xavier_normal_(parameter)
            elif name.endswith("bias"):
                init.zeros_(parameter)

    def extra_repr(self) -> str:
        return f"{self.embed_dim}, {self.num_heads}, dropout={self.dropout}, batch_first={self.batch_first}"

    def forward(
        self, query: Array, key: Array, value: Array, key_padding_mask: Array = None, need_weights: bool = True,
        attn_mask: Array = None, average_attn_weights: bool = True, is_causal: bool = False,
    ) -> tuple[Tensor, Tensor | None]:  # fmt: skip
        """y (N, L, E), and the weights of the softmax after dropout, (N, L, S), or None.

        A query for which every key is masked has the result b_o, and weights of 0.

        Args:
            query: (L, N, E), or (N, L, E) with `batch_first`, or one sequence (L, E); y has its shape.
            key, value: (S, N, kdim) and (S, N, vdim), or as for `query`.
            key_padding_mask: (N, S) or (S,): True where a key is masked, or numbers that are added to the products. These are
                the opposite of the Booleans of :func:`~tinygrad_cnn.scaled_dot_product_attention`, as in PyTorch.
            need_weights: whether the weights are returned.
            attn_mask: the same for each query and key, (L, S), or also for each head, (N num_heads, L, S).
            average_attn_weights: the mean of the heads' weights; False for all of them, (N, num_heads, L, S).
            is_causal: for query i all keys after key i are masked, too.

        Raises:
            ValueError: for shapes that do not fit.
            TypeError: for a mask of integers.
        """
        alone = self._check(get_shape(query), get_shape(key), get_shape(value))
        q, k, v = self._projected(query, key, value)
        if alone:
            q, k, v = (expand_dims(x, 0) for x in (q, k, v))
        elif not self.batch_first:
            q, k, v = (swapaxes(x, 0, 1) for x in (q, k, v))
        mask = self._mask(q, k.shape[1], key_padding_mask, attn_mask, is_causal, alone)
        if self.bias_k is not None and self.bias_v is not None:
            k, v = self._one_more(k, self.bias_k), self._one_more(v, self.bias_v)
        if self.add_zero_attn:
            k, v = self._one_more(k, 0), self._one_more(v, 0)
        if mask is not None:
            added = k.shape[1] - mask.shape[-1]
            mask = pad(mask, ((0, 0),) * (mask.ndim - 1) + ((0, added),), constant_values=mask.dtype == bool)
        y, weights = attended(
            "MultiheadAttention", mul(self._heads(q), 1 / math.sqrt(self.embed_dim // self.num_heads)), self._heads(k),
            self._heads(v), mask, self.dropout if self.training else 0.0,
        )  # fmt: skip
        y = self.out_proj(reshape(swapaxes(y, 1, 2), shape=q.shape))
        if need_weights and average_attn_weights:
            weights = mean(weights, axis=1)
        if alone:
            y, weights = y[0], weights[0]
        elif not self.batch_first:
            y = swapaxes(y, 0, 1)
        return y, weights if need_weights else None

    def _check(self, query: tuple[int, ...], key: tuple[int, ...], value: tuple[int, ...]) -> bool:
        """ValueError if these are no shapes of sequences; else whether they are of one sequence, without a batch."""
        alone = len(query) == 2
        widths = (query[-1:], key[-1:], value[-1:]) == ((self.embed_dim,), (self.kdim,), (self.vdim,))
        fits = len(query) == len(key) == len(value) in (2, 3) and widths and key[:-1] == value[:-1]
        batch = 0 if self.batch_first else 1
        if not fits or (not alone and query[batch] != key[batch]):
            form = "(N, {}, {})" if self.batch_first else "({}, N, {})"
            raise ValueError(
                f"MultiheadAttention: `query` {query}, `key` {key} and `value` {value} must be "
                f"{form.format('L', self.embed_dim)}, {form.format('S', self.kdim)} and {form.format('S', self.vdim)}, or all "
                "three without N"
            )
        return alone

    def _projected(self, query: Array, key: Array, value: Array) -> list[Any]:
        """q, k and v, (..., embed_dim); by one product if query, key and value are one array."""
        e = self.embed_dim
        biases: list[Any] = [None] * 3
        if self.in_proj_weight is not None and query is key is value:
            joint = linear(query, self.in_proj_weight, self.in_proj_bias)
            parts = reshape(joint, shape=(*joint.shape[:-1], 3, e))
            return [parts[..., i, :] for i in range(3)]
        if self.in_proj_weight is None:
            weights: list[Any] = [self.q_proj_weight, self.k_proj_weight, self.v_proj_weight]
        else:
            weights = list(reshape(self.in_proj_weight, shape=(3, e, e)))
        if self.in_proj_bias is not None:
            biases = list(reshape(self.in_proj_bias, shape=(3, e)))
        return [linear(x, w, b) for x, w, b in zip((query, key, value), weights, biases, strict=True)]

    def _heads(self, x: Any) -> Any:
        """(N, L, embed_dim) as (N, num_heads, L, embed_dim / num_heads)."""
        return swapaxes(reshape(x, shape=(*x.shape[:2], self.num_heads, self.embed_dim // self.num_heads)), 1, 2)

    def _one_more(self, x: Any, row: Any) -> Any:
        """x (N, S, embed_dim) with one more row at the end of each sequence."""
        return concatenate([x, broadcast_to(row, shape=(x.shape[0], 1, self.embed_dim)).astype(x.dtype)], axis=1)

    def _mask(self, q: Any, s: int, padding: Any, mask: Any, is_causal: bool, alone: bool) -> Any:
        """All masks as one for :func:`attended`, which broadcasts to (N, num_heads, L, S); None without any."""
        n, length, heads = q.shape[0], q.shape[1], self.num_heads
        masks: list[Any] = []
        if padding is not None:
            own = self._checked("key_padding_mask", padding, [(s,)] if alone else [(n, s)])
            masks.append(reshape(own, shape=(n, 1, 1, s)))
        if mask is not None:
            own = self._checked("attn_mask", mask, [(length, s), (n * heads, length, s)])
            masks.append(reshape(own, shape=(-1, heads, length, s)) if len(own.shape) == 3 else own)
        if is_causal:
            masks.append(np.tri(length, s) == 0)
        added = [each.astype(q.dtype) for each in masks if each.dtype != bool]
        masked: Any = False
        for each in masks:
            if each.dtype == bool:
                masked = logical_or(masked, each)
        if not added:
            return logical_not(masked) if masks else None
        return where(masked, -np.inf, reduce(add, added))

    def _checked(self, name: str, mask: Any, shapes: list[tuple[int, ...]]) -> Any:
        """`mask`, if it has one of these shapes and is of Booleans or floats."""
        mask = mask if isinstance(mask, Tensor) else np.asarray(mask)
        if mask.shape not in shapes:
            wanted = " or ".join(map(str, shapes))
            raise ValueError(f"MultiheadAttention: `{name}` has shape {mask.shape}; it must be {wanted}")
        if mask.dtype.kind not in "bf":
            raise TypeError(
                f"MultiheadAttention: `{name}` has dtype {mask.dtype}; it must hold Booleans, True where a key is masked, or "
                "floats, which are added"
            )
        return mask
