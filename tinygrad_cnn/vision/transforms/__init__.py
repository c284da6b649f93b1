"""Transforms of images and of their boxes, masks and keypoints, with the names, arguments and draws of torchvision's v2.

They take and return arrays; each image of a batch has its own draws. :mod:`functional` has the changes of colours as functions.
"""

from ...core.remedies import publish
from ...data.transforms import MixUp
from . import affine, auto, color, compose, erase, geometry
from . import functional as functional
from .affine import *
from .auto import *
from .color import *
from .compose import *
from .erase import *
from .geometry import *
from .transform import Transform

__all__ = ["MixUp", "Transform", "functional"]
__all__ += affine.__all__
__all__ += auto.__all__
__all__ += color.__all__
__all__ += compose.__all__
__all__ += erase.__all__
__all__ += geometry.__all__


def __dir__() -> list[str]:
    """Public names only."""
    return list(__all__)


publish(globals())
