"""The multilayer perceptron."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise

from ..activation import ReLU
from ..containers import Sequential
from ..dropout import Dropout
from ..linear import Flatten, Linear
from ..module import Module


class MLP(Sequential):
    """A multilayer perceptron: linear layers with an activation after each but the last.

    Args:
        sizes: the number of input, hidden and output features, such as (784, 128, 10). ValueError for fewer than two.
        activation: a class or function that makes the activation layers.
        dropout: the probability with which a hidden feature is dropped; 0 for no dropout layers.

    Shapes: (N, ...), flattened to (N, sizes[0]), to (N, sizes[-1]).

    >>> import tinygrad_cnn as tg
    >>> from tinygrad_cnn import nn
    >>> nn.models.MLP((64, 32, 10))(tg.zeros(5, 1, 8, 8)).shape
    (5, 10)
    """

    def __init__(self, sizes: Sequence[int], activation: Callable[[], Module] = ReLU, dropout: float = 0.0) -> None:
        if len(sizes) < 2:
            raise ValueError(f"MLP: `sizes` is {sizes!r}; give the features at the start and at the end at least")
        super().__init__(Flatten())
        for i, (before, after) in enumerate(pairwise(sizes)):
            if i:
                self.append(activation())
                if dropout:
                    self.append(Dropout(dropout))
            self.append(Linear(before, after))
