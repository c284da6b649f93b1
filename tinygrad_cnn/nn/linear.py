"""Layers without spatial axes: linear maps, embeddings, and changes of shape."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, Self

import numpy as np
from numpy.typing import DTypeLike

from ..core.graph import Array
from ..ops.gather import embedding
from ..ops.matmul import bilinear, linear
from ..ops.shape import flatten, get_shape, reshape
from ..tensor import Tensor
from . import init
from .layer import Layer, Weighted, size
from .module import Module
from .parameter import Parameter

__all__ = ["Bilinear", "Embedding", "Flatten", "Identity", "Linear", "Unflatten"]


class Identity(Module):
    """y = x. Arguments are accepted and ignored, so that it can stand in for any layer."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        pass

    def forward(self, x: Array) -> Array:
        """Return x."""
        return x


class Linear(Weighted):
    """y = x W^T + b, for x (..., in_features).

    Args:
        in_features, out_features: the sizes of the last axis of x and y.
        bias: whether there is a b.
        dtype: of the parameters; the default dtype unless given.

    Attributes:
        weight: W, (out_features, in_features), drawn uniformly from +-1 / sqrt(in_features).
        bias: b, (out_features,), drawn from the same; or None.

    >>> import tinygrad_cnn as tg
    >>> from tinygrad_cnn import nn
    >>> nn.Linear(64, 10)(tg.zeros(5, 64)).shape
    (5, 10)
    """

    def __init__(self, in_features: int, out_features: int, bias: bool = True, dtype: DTypeLike | None = None) -> None:
        self.in_features = size(self, "in_features", in_features)
        self.out_features = size(self, "out_features", out_features)
        self._make_parameters(dtype, weight=(out_features, in_features), bias=(out_features,) if bias else None)

    def forward(self, x: Array) -> Tensor:
        """y for x (..., in_features). ValueError for another size."""
        if get_shape(x)[-1:] != (self.in_features,):
            raise ValueError(
                f"Linear: `x` has shape {get_shape(x)}; its last axis must be `in_features` {self.in_features}: flatten or "
                "reshape it, or change the layer"
            )
        return linear(x, self.weight, self.bias)


class Bilinear(Weighted, function=bilinear, reshapes=True):
    """y_k = x1^T W_k x2 + b_k, for x1 (..., in1_features) and x2 (..., in2_features): :func:`~tinygrad_cnn.bilinear`.

    Args:
        in1_features, in2_features, out_features: the sizes of the last axes of x1, x2 and y.
        bias: whether there is a b.
        dtype: of the parameters; the default dtype unless given.

    Attributes:
        weight: W, (out_features, in1_features, in2_features), drawn uniformly from +-1 / sqrt(in1_features).
        bias: b, (out_features,), drawn from the same; or None.
    """

    def __init__(
        self, in1_features: int, in2_features: int, out_features: int, bias: bool = True, dtype: DTypeLike | None = None
    ) -> None:
        self.in1_features = size(self, "in1_features", in1_features)
        self.in2_features = size(self, "in2_features", in2_features)
        self.out_features = size(self, "out_features", out_features)
        shape = (self.out_features, self.in1_features, self.in2_features)
        self._make_parameters(dtype, weight=shape, bias=shape[:1] if bias else None)

    def reset_parameters(self) -> None:
        """Draw the parameters."""
        bound = 1 / math.sqrt(self.in1_features)
        for parameter in self.parameters():
            init.uniform_(parameter, -bound, bound)


class Embedding(Layer, function=embedding, takes_complex=True):
    """Rows of a table: y[...] = weight[indices[...]].

    Args:
        num_embeddings, embedding_dim: the rows and columns of the table.
        padding_idx: a row that starts at zero and is never learned; negative counts from the end.
        dtype: of the table; the default dtype unless given.

    Attributes:
        weight: the table, (num_embeddings, embedding_dim), drawn from the standard normal distribution.

    >>> import numpy as np
    >>> from tinygrad_cnn import nn
    >>> nn.Embedding(10, 3)(np.array([[1, 2], [4, 5]])).shape
    (2, 2, 3)
    """

    weight: Parameter

    def __init__(
        self, num_embeddings: int, embedding_dim: int, padding_idx: int | None = None, dtype: DTypeLike | None = None
    ) -> None:
        self.num_embeddings = size(self, "num_embeddings", num_embeddings)
        self.embedding_dim = size(self, "embedding_dim", embedding_dim)
        if padding_idx is not None and not -num_embeddings <= padding_idx < num_embeddings:
            rows = f"{-num_embeddings} to {num_embeddings - 1}"
            raise ValueError(f"Embedding: `padding_idx` is {padding_idx}; it must be a row, from {rows}")
        self.padding_idx = None if padding_idx is None else padding_idx % num_embeddings
        self._make_parameters(dtype, weight=(num_embeddings, embedding_dim))

    @classmethod
    def from_pretrained(cls, embeddings: Array, freeze: bool = True, padding_idx: int | None = None) -> Self:
        """An Embedding with the given table, (num_embeddings, embedding_dim); frozen unless `freeze` is False."""
        if np.ndim(embeddings) != 2:
            raise ValueError(f"Embedding: `embeddings` has shape {get_shape(embeddings)}; it must be (rows, features)")
        rows, features = get_shape(embeddings)
        layer = cls(rows, features, padding_idx)
        layer.weight = Parameter(embeddings, requires_grad=not freeze)
        return layer

    def reset_parameters(self) -> None:
        """Draw the table."""
        table = init.normal_(self.weight).numpy().copy()
        if self.padding_idx is not None:
            table[self.padding_idx] = 0
        self.weight.copy_(table)

    def extra_repr(self) -> str:
        padding = "" if self.padding_idx is None else f", padding_idx={self.padding_idx}"
        return f"{self.num_embeddings}, {self.embedding_dim}{padding}"


class Flatten(Layer, function=flatten):
    """Join the axes from `start_dim` to `end_dim` into one; by default all but the batch.

    >>> import tinygrad_cnn as tg
    >>> from tinygrad_cnn import nn
    >>> nn.Flatten()(tg.zeros(5, 3, 4, 4)).shape
    (5, 48)
    """

    def __init__(self, start_dim: int = 1, end_dim: int = -1) -> None:
        self.start_dim, self.end_dim = start_dim, end_dim


class Unflatten(Layer):
    """Split the axis `dim` into several, of sizes `unflattened_size`, one of which may be -1, to be inferred.

    >>> import tinygrad_cnn as tg
    >>> from tinygrad_cnn import nn
    >>> nn.Unflatten(1, (3, 4, 4))(tg.zeros(5, 48)).shape
    (5, 3, 4, 4)
    """

    def __init__(self, dim: int, unflattened_size: Sequence[int]) -> None:
        self.dim, self.unflattened_size = dim, tuple(unflattened_size)

    def forward(self, x: Array) -> Tensor:
        """x with more axes. ValueError if the sizes do not fit."""
        shape = get_shape(x)
        if not -len(shape) <= self.dim < len(shape):
            raise ValueError(f"Unflatten: `x` has shape {shape}, which has no axis `dim` {self.dim}")
        at = self.dim % len(shape)
        try:
            return reshape(x, shape=(*shape[:at], *self.unflattened_size, *shape[at + 1 :]))
        except ValueError:
            raise ValueError(
                f"Unflatten: `x` has {shape[at]} elements along axis {self.dim}, which cannot take the shape "
                f"`unflattened_size` {self.unflattened_size}"
            ) from None
