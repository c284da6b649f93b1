"""Pictures of results: grids of images, files, boxes and masks, with torchvision's names."""

from ...core.remedies import publish
from . import draw, grid
from .draw import *
from .grid import *

__all__ = [*draw.__all__]
__all__ += grid.__all__


def __dir__() -> list[str]:
    """Public names only."""
    return list(__all__)


publish(globals())
