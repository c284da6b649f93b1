"""Small complete models, to use and to read."""

from .classic import LeNet5, MnistCNN
from .digits import digits
from .mlp import MLP
from .notebook import NotebookNet
from .resnet import BasicBlock, ResNet

__all__ = ["MLP", "BasicBlock", "LeNet5", "MnistCNN", "NotebookNet", "ResNet", "digits"]
