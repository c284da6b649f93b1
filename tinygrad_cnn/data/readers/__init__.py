"""Readers of data files. They allocate nothing before the sizes that a file declares are compared with its own."""

from .cifar import CIFAR10_CLASSES, cifar10, cifar100, read_cifar10, read_cifar100
from .folder import ImageFolder
from .idx import read_idx
from .npz import read_npz
from .source import DataFileError

__all__ = ["CIFAR10_CLASSES", "DataFileError", "ImageFolder", "cifar10", "cifar100", "read_cifar10", "read_cifar100"]
__all__ += ["read_idx", "read_npz"]
