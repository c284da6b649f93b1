"""Transforms of image batches (N, C, H, W), from arrays to arrays, with independent draws for each image.

MixUp transforms a batch with its targets.
"""

from ...core.remedies import publish
from .affine import RandomAffine, RandomRotation
from .color import ColorJitter
from .compose import Compose
from .crop import RandomCrop, RandomHorizontalFlip, RandomVerticalFlip
from .cutout import Cutout
from .mixup import MixUp
from .resize import Resize
from .values import Normalize, ToFloat

__all__ = [
    "ColorJitter", "Compose", "Cutout", "MixUp", "Normalize", "RandomAffine", "RandomCrop", "RandomHorizontalFlip",
    "RandomRotation", "RandomVerticalFlip", "Resize", "ToFloat",
]  # fmt: skip


publish(globals())
