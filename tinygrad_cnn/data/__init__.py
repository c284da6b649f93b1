"""Data as plain NumPy arrays: datasets, readers of data files, transforms of images, and loaders of batches."""

from typing import TYPE_CHECKING

from ..names import explaining_getattr
from . import readers, transforms
from .dataset import ConcatDataset, Dataset, Subset, TensorDataset, collate
from .digits import digits
from .images import enlarge
from .loader import DataLoader
from .mnist_family import FASHION_MNIST_CLASSES, fashion_mnist, mnist, mnist5k
from .readers import *
from .sampler import ClassSampler, Sampler, SubsetRandomSampler, WeightedRandomSampler
from .split import random_split, stratified_split
from .transforms import *

__all__ = [
    "FASHION_MNIST_CLASSES", "ClassSampler", "ConcatDataset", "DataLoader", "Dataset", "Sampler", "Subset",
    "SubsetRandomSampler", "TensorDataset", "WeightedRandomSampler", "collate", "digits", "enlarge",
]  # fmt: skip
__all__ += ["fashion_mnist", "mnist", "mnist5k", "random_split", "stratified_split", "transforms"]
__all__ += readers.__all__
__all__ += transforms.__all__

if not TYPE_CHECKING:  # a checker would take every name for an attribute
    __getattr__ = explaining_getattr("tinygrad_cnn.data", "torch.utils.data")


def __dir__() -> list[str]:
    """Public names only."""
    return list(__all__)
