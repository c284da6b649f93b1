"""The transformer's layers and stacks: Vaswani et al., "Attention is all you need", arXiv:1706.03762."""

from __future__ import annotations

from collections.abc import Callable
from copy import deepcopy
from typing import Any

import numpy as np
from numpy.typing import DTypeLike

from ..core.graph import Array
from ..numpy_api.creation import full
from ..ops.activation import gelu, relu
from ..ops.rearrange import triu
from ..tensor import Tensor
from . import init
from .attention import MultiheadAttention
from .containers import ModuleList
from .dropout import Dropout
from .layer import size
from .linear import Linear
from .module import Module
from .normalization import LayerNorm

__all__ = [
    "Transformer",
    "TransformerDecoder",
    "TransformerDecoderLayer",
    "TransformerEncoder",
    "TransformerEncoderLayer",
]

Activation = str | Callable[[Any], Any]


class _TransformerLayer(Module):
    """Attention and a network of two linear layers, each added to what it is applied to, with a norm before or behind it."""

    def _set_up(
        self, d_model: int, nhead: int, dim_feedforward: int, p: float, activation: Activation, eps: float, batch_first: bool,
        norm_first: bool, bias: bool, dtype: DTypeLike | None, attentions: list[str],
    ) -> None:  # fmt: skip
        for name in attentions:
            setattr(self, name, MultiheadAttention(d_model, nhead, p, bias, batch_first=batch_first, dtype=dtype))
        self.linear1 = Linear(d_model, size(self, "dim_feedforward", dim_feedforward), bias, dtype)
        self.dropout = Dropout(p)
        self.linear2 = Linear(dim_feedforward, d_model, bias, dtype)
        self.norm_first = norm_first
        parts = range(1, len(attentions) + 2)
        for i in parts:
            setattr(self, f"norm{i}", LayerNorm(d_model, eps, bias=bias, dtype=dtype))
        for i in parts:
            setattr(self, f"dropout{i}", Dropout(p))
        self.activation = _activation(self, activation)

    def _add(self, x: Any, i: int, part: Callable[[Any], Any]) -> Any:
        """x + part(x) after dropout, with the norm of number `i`."""
        norm, drop = getattr(self, f"norm{i}"), getattr(self, f"dropout{i}")
        return x + drop(part(norm(x))) if self.norm_first else norm(x + drop(part(x)))

    def _feed_forward(self, x: Any) -> Any:
        return self.linear2(self.dropout(self.activation(self.linear1(x))))


class TransformerEncoderLayer(_TransformerLayer):
    """x = norm1(x + attention(x)),  y = norm2(x + linear2(activation(linear1(x)))), with dropout in each part, as in PyTorch.

    Args:
        d_model, nhead: the size of each position, and the heads of :class:`MultiheadAttention`.
        dim_feedforward: the size between the two linear layers.
        dropout: the probability, in four places.
        activation: "relu", "gelu" or a function.
        layer_norm_eps: added to the variance in the norms.
        batch_first: whether x is (N, L, d_model), and not (L, N, d_model).
        norm_first: x + attention(norm1(x)) and x + linear2(...(norm2(x))) instead.
        bias: whether linear layers and norms have a bias.
        dtype: of the parameters; the default dtype unless given.

    Attributes:
        self_attn, linear1, linear2, norm1, norm2: the layers.

    >>> import tinygrad_cnn as tg
    >>> from tinygrad_cnn import nn
    >>> nn.TransformerEncoderLayer(8, 2, 16, batch_first=True)(tg.zeros(4, 10, 8)).shape
    (4, 10, 8)
    """

    self_attn: MultiheadAttention

    def __init__(
        self, d_model: int, nhead: int, dim_feedforward: int = 2048, dropout: float = 0.1, activation: Activation = relu,
        layer_norm_eps: float = 1e-5, batch_first: bool = False, norm_first: bool = False, bias: bool = True,
        dtype: DTypeLike | None = None,
    ) -> None:  # fmt: skip
        self._set_up(
            d_model, nhead, dim_feedforward, dropout, activation, layer_norm_eps, batch_first, norm_first, bias, dtype,
            ["self_attn"],
        )  # fmt: skip

    def forward(
        self, src: Array, src_mask: Array = None, src_key_padding_mask: Array = None, is_causal: bool = False
    ) -> Tensor:
        """y in the shape of x, `src`; the masks are those of :class:`MultiheadAttention`."""

        def attend(x: Any) -> Any:
            return self.self_attn(x, x, x, src_key_padding_mask, False, src_mask, is_causal=is_causal)[0]

        y: Tensor = self._add(self._add(src, 1, attend), 2, self._feed_forward)
        return y


class TransformerDecoderLayer(_TransformerLayer):
    """:class:`TransformerEncoderLayer` with attention to the encoder's result between its two parts.

    Arguments are those of :class:`TransformerEncoderLayer`.

    Attributes:
        self_attn, multihead_attn: the attention to x itself and to `memory`.
        linear1, linear2, norm1, norm2, norm3: the other layers.
    """

    self_attn: MultiheadAttention
    multihead_attn: MultiheadAttention

    def __init__(
        self, d_model: int, nhead: int, dim_feedforward: int = 2048, dropout: float = 0.1, activation: Activation = relu,
        layer_norm_eps: float = 1e-5, batch_first: bool = False, norm_first: bool = False, bias: bool = True,
        dtype: DTypeLike | None = None,
    ) -> None:  # fmt: skip
        self._set_up(
            d_model, nhead, dim_feedforward, dropout, activation, layer_norm_eps, batch_first, norm_first, bias, dtype,
            ["self_attn", "multihead_attn"],
        )  # fmt: skip

    def forward(
        self, tgt: Array, memory: Array, tgt_mask: Array = None, memory_mask: Array = None, tgt_key_padding_mask: Array = None,
        memory_key_padding_mask: Array = None, tgt_is_causal: bool = False, memory_is_causal: bool = False,
    ) -> Tensor:  # fmt: skip
        """y in the shape of x, `tgt`. `memory` has the keys and values; the masks are those of :class:`MultiheadAttention`."""

        def attend(x: Any) -> Any:
            return self.self_attn(x, x, x, tgt_key_padding_mask, False, tgt_mask, is_causal=tgt_is_causal)[0]

        def look(x: Any) -> Any:
            masks = memory_key_padding_mask, False, memory_mask
            return self.multihead_attn(x, memory, memory, *masks, is_causal=memory_is_causal)[0]

        y: Tensor = self._add(self._add(self._add(tgt, 1, attend), 2, look), 3, self._feed_forward)
        return y


class TransformerEncoder(Module):
    """`num_layers` copies of an encoder layer, one after the other, and a norm behind the last one.

    Args:
        encoder_layer: is copied with its values, so all layers start alike, as in PyTorch.
        num_layers: the number of copies.
        norm: a module for the result; or None.

    Attributes:
        layers: the copies.

    >>> import tinygrad_cnn as tg
    >>> from tinygrad_cnn import nn
    >>> layer = nn.TransformerEncoderLayer(8, 2, 16, batch_first=True)
    >>> nn.TransformerEncoder(layer, 3)(tg.zeros(4, 10, 8), is_causal=True).shape
    (4, 10, 8)
    """

    def __init__(self, encoder_layer: Module, num_layers: int, norm: Module | None = None) -> None:
        self.num_layers = size(self, "num_layers", num_layers)
        self.layers = ModuleList([deepcopy(encoder_layer) for _ in range(num_layers)])
        self.norm = norm

    def forward(
        self, src: Array, mask: Array = None, src_key_padding_mask: Array = None, is_causal: bool | None = None
    ) -> Tensor:
        """y in the shape of x, `src`. Every layer has the same masks, those of :class:`MultiheadAttention`."""
        y: Any = src
        for layer in self.layers:
            y = layer(y, mask, src_key_padding_mask, bool(is_causal))
        result: Tensor = y if self.norm is None else self.norm(y)
        return result


class TransformerDecoder(Module):
    """`num_layers` copies of a decoder layer, one after the other, and a norm behind the last one.

    Args:
        decoder_layer, num_layers, norm: as for :class:`TransformerEncoder`.
    """

    def __init__(self, decoder_layer: Module, num_layers: int, norm: Module | None = None) -> None:
        self.num_layers = size(self, "num_layers", num_layers)
        self.layers = ModuleList([deepcopy(decoder_layer) for _ in range(num_layers)])
        self.norm = norm

    def forward(
        self, tgt: Array, memory: Array, tgt_mask: Array = None, memory_mask: Array = None, tgt_key_padding_mask: Array = None,
        memory_key_padding_mask: Array = None, tgt_is_causal: bool | None = None, memory_is_causal: bool = False,
    ) -> Tensor:  # fmt: skip
        """y in the shape of x, `tgt`. Every layer has the same `memory` and masks."""
        masks = tgt_mask, memory_mask, tgt_key_padding_mask, memory_key_padding_mask
        y: Any = tgt
        for layer in self.layers:
            y = layer(y, memory, *masks, bool(tgt_is_causal), memory_is_causal)
        result: Tensor = y if self.norm is None else self.norm(y)
        return result


class Transformer(Module):
    """A decoder that attends to what an encoder makes of another sequence.

    Args:
        d_model, nhead, dim_feedforward, dropout, activation, layer_norm_eps, batch_first, norm_first, bias, dtype: as for
            :class:`TransformerEncoderLayer`.
        num_encoder_layers, num_decoder_layers: the layers; a norm is behind the last of each.
        custom_encoder, custom_decoder: modules in their places.

    Attributes:
        encoder, decoder: the two stacks; weights are drawn by Xavier's rule.

    >>> import tinygrad_cnn as tg
    >>> from tinygrad_cnn import nn
    >>> model = nn.Transformer(8, 2, 1, 1, 16, batch_first=True)
    >>> model(tg.zeros(4, 10, 8), tg.zeros(4, 7, 8), tgt_is_causal=True).shape
    (4, 7, 8)
    """

    def __init__(
        self, d_model: int = 512, nhead: int = 8, num_encoder_layers: int = 6, num_decoder_layers: int = 6,
        dim_feedforward: int = 2048, dropout: float = 0.1, activation: Activation = relu,
        custom_encoder: Module | None = None, custom_decoder: Module | None = None, layer_norm_eps: float = 1e-5,
        batch_first: bool = False, norm_first: bool = False, bias: bool = True, dtype: DTypeLike | None = None,
    ) -> None:  # fmt: skip
        self.d_model, self.batch_first = size(self, "d_model", d_model), batch_first
        arguments = (
            d_model, nhead, dim_feedforward, dropout, activation, layer_norm_eps, batch_first, norm_first, bias, dtype
        )  # fmt: skip
        self.encoder = custom_encoder or TransformerEncoder(
            TransformerEncoderLayer(*arguments),
            num_encoder_layers,
            LayerNorm(d_model, layer_norm_eps, bias=bias, dtype=dtype),
        )
        self.decoder = custom_decoder or TransformerDecoder(
            TransformerDecoderLayer(*arguments),
            num_decoder_layers,
            LayerNorm(d_model, layer_norm_eps, bias=bias, dtype=dtype),
        )
        for parameter in self.parameters():
            if parameter.ndim > 1:
                init.xavier_uniform_(parameter)

    def forward(
        self, src: Array, tgt: Array, src_mask: Array = None, tgt_mask: Array = None, memory_mask: Array = None,
        src_key_padding_mask: Array = None, tgt_key_padding_mask: Array = None, memory_key_padding_mask: Array = None,
        src_is_causal: bool | None = None, tgt_is_causal: bool | None = None, memory_is_causal: bool = False,
    ) -> Tensor:  # fmt: skip
        """The decoder's result for `tgt`, with the encoder's for `src`; masks are those of :class:`MultiheadAttention`."""
        memory = self.encoder(src, src_mask, src_key_padding_mask, src_is_causal)
        y: Tensor = self.decoder(
            tgt,
            memory,
            tgt_mask,
            memory_mask,
            tgt_key_padding_mask,
            memory_key_padding_mask,
            tgt_is_causal,
            memory_is_causal,
        )
        return y

    @staticmethod
    def generate_square_subsequent_mask(sz: int, dtype: DTypeLike | None = None) -> Tensor:
        """The mask (sz, sz) of `is_causal`, to be added: -inf where a key comes after the query, else 0."""
        return triu(full((sz, sz), -np.inf, dtype=dtype), 1)


def _activation(layer: Module, given: Activation) -> Callable[[Any], Any]:
    """The function that `given` names, or `given` itself."""
    if callable(given):
        return given
    if given not in ("relu", "gelu"):
        raise ValueError(f"{type(layer).__name__}: `activation` is {given!r}; it must be 'relu', 'gelu' or a function")
    return relu if given == "relu" else gelu
