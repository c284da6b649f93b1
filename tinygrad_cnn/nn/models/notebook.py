"""The network of the notebook "Implementation of Convolutional Neural Networks from scratch"."""

from __future__ import annotations

from ...core.graph import Array
from ...ops.shape import flatten
from ...tensor import Tensor
from ..conv import Conv2d
from ..linear import Linear
from ..module import Module


class NotebookNet(Module):
    """A convolution with four 3 x 3 filters and stride 2, relu, and linear layers from 1024 to 10 features and to 1.

    As in the notebook, there is no activation between the two linear layers.

    Shapes: (N, 1, 32, 32) to (N, 1).

    >>> import tinygrad_cnn as tg
    >>> from tinygrad_cnn import nn
    >>> nn.models.NotebookNet()(tg.zeros(2, 1, 32, 32)).shape
    (2, 1)
    """

    def __init__(self) -> None:
        super().__init__()
        self.conv = Conv2d(1, 4, kernel_size=3, stride=2, padding=1)
        self.fc_1024 = Linear(4 * 16 * 16, 10)
        self.fc_10 = Linear(10, 1)

    def forward(self, x: Array) -> Tensor:
        """A number (N, 1) for each image."""
        z: Tensor = self.conv(x).relu()  # (N, 4, 16, 16)
        y: Tensor = self.fc_10(self.fc_1024(flatten(z, 1)))
        return y
