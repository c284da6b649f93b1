"""A small residual network."""

from __future__ import annotations

from collections.abc import Sequence

from ...core.graph import Array
from ...tensor import Tensor
from .. import init
from ..containers import Sequential
from ..conv import Conv2d
from ..linear import Flatten, Identity, Linear
from ..module import Module
from ..normalization import BatchNorm2d
from ..pool import AdaptiveAvgPool2d


class BasicBlock(Module):
    """y = relu(x + f(x)), where f is two 3 x 3 convolutions, each with BatchNorm2d, and relu between them.

    Where the shape changes, the shortcut for x is a 1 x 1 convolution with BatchNorm2d.

    Args:
        in_channels, out_channels: the channels of x and y.
        stride: of the first convolution.
    """

    def __init__(self, in_channels: int, out_channels: int, stride: int = 1) -> None:
        super().__init__()
        self.conv1 = Conv2d(in_channels, out_channels, kernel_size=3, stride=stride, padding=1, bias=False)
        self.bn1 = BatchNorm2d(out_channels)
        self.conv2 = Conv2d(out_channels, out_channels, kernel_size=3, padding=1, bias=False)
        self.bn2 = BatchNorm2d(out_channels)
        self.shortcut: Module = Identity()
        if stride != 1 or in_channels != out_channels:
            self.shortcut = Sequential(
                Conv2d(in_channels, out_channels, kernel_size=1, stride=stride, bias=False), BatchNorm2d(out_channels)
            )

    def forward(self, x: Array) -> Tensor:
        """relu(x + f(x)), with the shortcut for x."""
        change = self.bn2(self.conv2(self.bn1(self.conv1(x)).relu()))
        y: Tensor = (self.shortcut(x) + change).relu()
        return y


class ResNet(Module):
    """A residual network for small images: stages of :class:`BasicBlock`, each but the first of half the size.

    He, Zhang, Ren and Sun, "Deep residual learning for image recognition", 2016: the networks for CIFAR-10, with 1 x 1
    convolutions as shortcuts where the shape changes.

    Args:
        in_channels: the channels of the images.
        classes: the number of scores.
        blocks: the number of blocks in each stage; three stages of n blocks make 6n + 2 layers.
        widths: the channels of each stage.

    Shapes: (N, in_channels, H, W) to (N, classes).

    >>> import tinygrad_cnn as tg
    >>> from tinygrad_cnn import nn
    >>> model = nn.models.ResNet(blocks=(1, 1, 1))
    >>> model(tg.zeros(2, 3, 32, 32)).shape
    (2, 10)
    """

    def __init__(
        self, in_channels: int = 3, classes: int = 10, blocks: Sequence[int] = (3, 3, 3),
        widths: Sequence[int] = (16, 32, 64),
    ) -> None:  # fmt: skip
        super().__init__()
        if len(blocks) != len(widths) or not blocks or min(blocks) < 1:
            given = f"`blocks` is {blocks!r} and `widths` {widths!r}"
            raise ValueError(f"ResNet: {given}; give the blocks, at least one, and the channels of each stage")
        self.conv = Conv2d(in_channels, widths[0], kernel_size=3, padding=1, bias=False)
        self.bn = BatchNorm2d(widths[0])
        self.stages = Sequential()
        before = widths[0]
        for i, (count, width) in enumerate(zip(blocks, widths, strict=True)):
            first = BasicBlock(before, width, stride=1 if i == 0 else 2)
            self.stages.append(Sequential(first, *(BasicBlock(width, width) for _ in range(count - 1))))
            before = width
        self.head = Sequential(AdaptiveAvgPool2d(1), Flatten(), Linear(before, classes))
        for module in self.modules():
            if isinstance(module, Conv2d):
                init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")

    def forward(self, x: Array) -> Tensor:
        """Scores (N, classes)."""
        scores: Tensor = self.head(self.stages(self.bn(self.conv(x)).relu()))
        return scores
