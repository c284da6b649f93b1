"""Functions and layers of detection and segmentation, with torchvision's names and arguments."""

from ...core.remedies import publish
from . import boxes, deform_conv, losses, roi
from . import nms as _nms
from .boxes import *
from .deform_conv import *
from .losses import *
from .nms import *
from .roi import *

__all__ = [*boxes.__all__]
__all__ += _nms.__all__
__all__ += roi.__all__
__all__ += losses.__all__
__all__ += deform_conv.__all__


def __dir__() -> list[str]:
    """Public names only."""
    return list(__all__)


publish(globals())
