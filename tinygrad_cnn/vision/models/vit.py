"""Dosovitskiy et al., "An image is worth 16x16 words: transformers for image recognition at scale", arXiv:2010.11929."""

from __future__ import annotations

import math
from typing import Any

from ...core.graph import Array
from ...nn import init
from ...nn.activation import GELU
from ...nn.attention import MultiheadAttention
from ...nn.containers import Sequential
from ...nn.conv import Conv2d
from ...nn.dropout import Dropout
from ...nn.linear import Linear
from ...nn.module import Module
from ...nn.normalization import LayerNorm
from ...nn.parameter import Parameter
from ...numpy_api.creation import zeros
from ...ops.shape import broadcast_to, concatenate, reshape, swapaxes
from ...tensor import Tensor
from .weights import Weights, weighted

__all__ = ["VisionTransformer", "vit_b_16", "vit_tiny"]


class _Block(Module):
    def __init__(self, heads: int, dim: int, hidden: int, dropout: float, attention_dropout: float) -> None:
        super().__init__()
        self.ln_1 = LayerNorm(dim, eps=1e-6)
        self.self_attention = MultiheadAttention(dim, heads, attention_dropout, batch_first=True)
        self.dropout = Dropout(dropout)
        self.ln_2 = LayerNorm(dim, eps=1e-6)
        self.mlp = Sequential(Linear(dim, hidden), GELU(), Dropout(dropout), Linear(hidden, dim), Dropout(dropout))
        for layer in self.mlp:
            if isinstance(layer, Linear):
                init.xavier_uniform_(layer.weight)
                if layer.bias is not None:
                    init.normal_(layer.bias, std=1e-6)

    def forward(self, x: Array) -> Tensor:
        """(N, L, E), in this shape."""
        own = self.ln_1(x)
        x = x + self.dropout(self.self_attention(own, own, own, need_weights=False)[0])
        y: Tensor = x + self.mlp(self.ln_2(x))
        return y


class _Encoder(Module):
    def __init__(
        self, length: int, layers: int, heads: int, dim: int, hidden: int, dropout: float, attention_dropout: float
    ) -> None:  # fmt: skip
        super().__init__()
        self.pos_embedding = Parameter(init.normal_(zeros(1, length, dim), std=0.02))
        self.dropout = Dropout(dropout)
        self.layers = Sequential({
            f"encoder_layer_{i}": _Block(heads, dim, hidden, dropout, attention_dropout) for i in range(layers)
        })  # fmt: skip
        self.ln = LayerNorm(dim, eps=1e-6)

    def forward(self, x: Array) -> Tensor:
        """(N, L, E), in this shape."""
        y: Tensor = self.ln(self.layers(self.dropout(x + self.pos_embedding)))
        return y


class VisionTransformer(Module):
    """A transformer over the patches of an image and one token more, whose last value gives the scores.

    Args:
        image_size: the height and width of the images, a multiple of `patch_size`.
        patch_size: the height and width of a patch.
        num_layers: the number of blocks.
        num_heads: the heads of each attention.
        hidden_dim: the numbers that stand for a patch, a multiple of `num_heads`.
        mlp_dim: the hidden ones of a block's two linear layers.
        dropout, attention_dropout: probabilities in training.
        num_classes: the number of scores.

    Shapes: (N, 3, image_size, image_size) to (N, num_classes).

    Raises:
        ValueError: for sizes that do not divide, and for images of another size.

    >>> import tinygrad_cnn as tg
    >>> model = tg.vision.models.VisionTransformer(32, 8, num_layers=2, num_heads=2, hidden_dim=16, mlp_dim=32, num_classes=10)
    >>> model(tg.zeros(4, 3, 32, 32)).shape
    (4, 10)
    """

    def __init__(
        self, image_size: int, patch_size: int, num_layers: int, num_heads: int, hidden_dim: int, mlp_dim: int,
        dropout: float = 0.0, attention_dropout: float = 0.0, num_classes: int = 1000,
    ) -> None:  # fmt: skip
        super().__init__()
        for label, size, part, by in (
            ("image_size", image_size, "patch_size", patch_size), ("hidden_dim", hidden_dim, "num_heads", num_heads)
        ):  # fmt: skip
            if size % by:
                raise ValueError(f"VisionTransformer: `{label}` is {size} and `{part}` {by}; it must be a multiple")
        self.image_size, self.patch_size, self.hidden_dim = image_size, patch_size, hidden_dim
        self.conv_proj = Conv2d(3, hidden_dim, patch_size, stride=patch_size)
        self.class_token = Parameter(zeros(1, 1, hidden_dim))
        length = (image_size // patch_size) ** 2 + 1
        self.encoder = _Encoder(length, num_layers, num_heads, hidden_dim, mlp_dim, dropout, attention_dropout)
        self.heads = Sequential({"head": Linear(hidden_dim, num_classes)})
        init.trunc_normal_(self.conv_proj.weight, std=math.sqrt(1 / (3 * patch_size**2)))
        for parameter in (self.conv_proj.bias, *self.heads.parameters()):
            if parameter is not None:
                init.zeros_(parameter)

    def forward(self, x: Array) -> Tensor:
        """Scores (N, num_classes)."""
        if x.shape[2:] != (self.image_size,) * 2:
            wanted = f"(N, 3, {self.image_size}, {self.image_size})"
            raise ValueError(f"VisionTransformer: `x` has shape {tuple(x.shape)}; it must be {wanted}")
        patches = swapaxes(reshape(self.conv_proj(x), shape=(len(x), self.hidden_dim, -1)), 1, 2)  # (N, patches, E)
        token = broadcast_to(self.class_token, shape=(len(x), 1, self.hidden_dim))
        scores: Tensor = self.heads(self.encoder(concatenate([token, patches], axis=1))[:, 0])
        return scores


def vit_b_16(*, weights: Weights = None, image_size: int = 224, **options: Any) -> VisionTransformer:
    """ViT-B/16: :class:`VisionTransformer` of 86.6 million parameters. Arguments as for :func:`resnet18`."""
    return weighted("vit_b_16", VisionTransformer(image_size, 16, 12, 12, 768, 3072, **options), weights)


def vit_tiny(
    *, weights: Weights = None, image_size: int = 224, patch_size: int = 16, **options: Any
) -> VisionTransformer:  # fmt: skip
    """ViT-Ti: :class:`VisionTransformer` of 5.7 million parameters. Arguments as for :func:`resnet18`.

    torchvision has no weights for it; its ``VisionTransformer(224, 16, 12, 3, 192, 768)`` has the same names.
    """
    return weighted("vit_tiny", VisionTransformer(image_size, patch_size, 12, 3, 192, 768, **options), weights)
