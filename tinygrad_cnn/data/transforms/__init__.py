"""Transforms of image batches (N, C, H, W): arrays in, arrays out, each image drawn for by itself."""

from .affine import RandomAffine, RandomRotation
from .compose import Compose
from .crop import RandomCrop, RandomHorizontalFlip
from .values import Normalize, ToFloat

__all__ = ["Compose", "Normalize", "RandomAffine", "RandomCrop", "RandomHorizontalFlip", "RandomRotation", "ToFloat"]
