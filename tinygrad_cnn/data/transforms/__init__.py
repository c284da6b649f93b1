"""Transforms of image batches (N, C, H, W), from arrays to arrays, with independent draws for each image."""

from .affine import RandomAffine, RandomRotation
from .compose import Compose
from .crop import RandomCrop, RandomHorizontalFlip
from .values import Normalize, ToFloat

__all__ = ["Compose", "Normalize", "RandomAffine", "RandomCrop", "RandomHorizontalFlip", "RandomRotation", "ToFloat"]
