"""Models that ship: small, whole, and meant to be read."""

from .classic import LeNet5, MnistCNN
from .mlp import MLP
from .notebook import NotebookNet
from .resnet import BasicBlock, ResNet

__all__ = ["MLP", "BasicBlock", "LeNet5", "MnistCNN", "NotebookNet", "ResNet"]
