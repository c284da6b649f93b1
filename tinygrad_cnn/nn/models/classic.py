"""Two classic classifiers of small grey images."""

from __future__ import annotations

from ...core.graph import Array
from ...ops.pool import max_pool2d
from ...ops.shape import flatten
from ...tensor import Tensor
from ..activation import Tanh
from ..containers import Sequential
from ..conv import Conv2d
from ..dropout import Dropout
from ..linear import Flatten, Linear
from ..module import Module
from ..pool import AvgPool2d


class LeNet5(Module):
    """Two convolutions with average pooling, then three linear layers, with tanh between them.

    LeCun, Bottou, Bengio and Haffner, "Gradient-based learning applied to document recognition", 1998. Unlike there, the
    last layer is linear instead of radial basis functions, and the second convolution connects all channels.

    Args:
        classes: the number of scores.
        padding: of the first convolution: 2 for images of 28 x 28, 0 for 32 x 32.

    Shapes: (N, 1, 28, 28) to (N, classes).

    >>> import tinygrad_cnn as tg
    >>> from tinygrad_cnn import nn
    >>> model = nn.models.LeNet5()
    >>> model(tg.zeros(5, 1, 28, 28)).shape
    (5, 10)
    >>> sum(p.size for p in model.parameters())
    61706
    """

    def __init__(self, classes: int = 10, padding: int = 2) -> None:
        super().__init__()
        self.features = Sequential(
            Conv2d(1, 6, kernel_size=5, padding=padding),  # (N, 6, 28, 28)
            Tanh(),
            AvgPool2d(2),
            Conv2d(6, 16, kernel_size=5),  # (N, 16, 10, 10)
            Tanh(),
            AvgPool2d(2),
        )
        self.classifier = Sequential(
            Flatten(), Linear(16 * 5 * 5, 120), Tanh(), Linear(120, 84), Tanh(), Linear(84, classes)
        )

    def forward(self, x: Array) -> Tensor:
        """Scores (N, classes)."""
        scores: Tensor = self.classifier(self.features(x))
        return scores


class MnistCNN(Module):
    """The network of PyTorch's MNIST example: two convolutions, a max-pool, two linear layers and dropout.

    It has the parameters of the example, with their names. It returns scores instead of log_softmax: train it with
    cross_entropy.

    Shapes: (N, 1, 28, 28) to (N, classes).

    >>> import tinygrad_cnn as tg
    >>> from tinygrad_cnn import nn
    >>> model = nn.models.MnistCNN()
    >>> model(tg.zeros(5, 1, 28, 28)).shape
    (5, 10)
    >>> sum(p.size for p in model.parameters())
    1199882
    """

    def __init__(self, classes: int = 10) -> None:
        super().__init__()
        self.conv1 = Conv2d(1, 32, kernel_size=3)
        self.conv2 = Conv2d(32, 64, kernel_size=3)
        self.dropout1 = Dropout(0.25)
        self.dropout2 = Dropout(0.5)
        self.fc1 = Linear(64 * 12 * 12, 128)
        self.fc2 = Linear(128, classes)

    def forward(self, x: Array) -> Tensor:
        """Scores (N, classes)."""
        x = self.conv1(x).relu()  # (N, 32, 26, 26)
        x = self.conv2(x).relu()  # (N, 64, 24, 24)
        x = self.dropout1(max_pool2d(x, 2))  # (N, 64, 12, 12)
        x = self.fc1(flatten(x, 1)).relu()
        scores: Tensor = self.fc2(self.dropout2(x))
        return scores
