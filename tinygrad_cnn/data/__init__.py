"""Data as plain NumPy arrays: datasets, readers of data files, transforms of images, and loaders of batches."""

from ..core.remedies import publish
from . import readers, transforms
from .dataset import ConcatDataset, Dataset, Subset, TensorDataset, collate
from .digits import digits
from .images import enlarge
from .loader import DataLoader
from .mnist_family import FASHION_MNIST_CLASSES, fashion_mnist, mnist, mnist5k
from .readers import *
from .sampler import ClassSampler, Sampler, SubsetRandomSampler, WeightedRandomSampler
from .split import k_fold, random_split, stratified_split
from .transforms import *

__all__ = [
    "FASHION_MNIST_CLASSES", "ClassSampler", "ConcatDataset", "DataLoader", "Dataset", "Sampler", "Subset",
    "SubsetRandomSampler", "TensorDataset", "WeightedRandomSampler", "collate", "digits", "enlarge",
]  # fmt: skip
__all__ += ["fashion_mnist", "k_fold", "mnist", "mnist5k", "random_split", "stratified_split", "transforms"]
__all__ += readers.__all__
__all__ += transforms.__all__


def __dir__() -> list[str]:
    """Public names only."""
    return list(__all__)


publish(globals())
