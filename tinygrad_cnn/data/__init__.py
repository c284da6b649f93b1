"""Data as plain NumPy arrays: real images to train on, what prepares them, and what hands them out in batches."""

from . import transforms
from .dataset import Dataset, Subset, TensorDataset, collate
from .digits import digits
from .images import enlarge
from .loader import DataLoader
from .split import random_split, stratified_split
from .transforms import *

__all__ = ["DataLoader", "Dataset", "Subset", "TensorDataset", "collate", "digits", "enlarge", "random_split"]
__all__ += ["stratified_split", "transforms"]
__all__ += transforms.__all__
