"""Layers that compare two batches of vectors."""

from __future__ import annotations

from ..core.graph import Array
from ..ops.losses import distance as f
from ..ops.shape import expand_dims
from ..tensor import Tensor
from .layer import Layer

__all__ = ["CosineSimilarity", "PairwiseDistance"]


class CosineSimilarity(Layer, shown=""):
    """<x1, x2> / (|x1| |x2|) along the axis `dim`: :func:`~tinygrad_cnn.cosine_similarity`."""

    def __init__(self, dim: int = 1, eps: float = 1e-8) -> None:
        self.dim, self.eps = dim, eps

    def forward(self, x1: Array, x2: Array) -> Tensor:
        """The cosine of each pair of vectors."""
        return f.cosine_similarity(x1, x2, self.dim, self.eps)


class PairwiseDistance(Layer, shown=""):
    """The `p`-norm of x1 - x2 + eps over the last axis: :func:`~tinygrad_cnn.pairwise_distance`."""

    def __init__(self, p: float = 2.0, eps: float = 1e-6, keepdim: bool = False) -> None:
        self.p, self.eps, self.keepdim = p, eps, keepdim

    def forward(self, x1: Array, x2: Array) -> Tensor:
        """The distance of each pair of vectors; `keepdim` keeps the axis, of size 1."""
        y = f.pairwise_distance(x1, x2, self.p, self.eps)
        return expand_dims(y, -1) if self.keepdim else y
