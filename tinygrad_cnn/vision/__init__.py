"""Images: models by name, ops of detection and segmentation, transforms with their targets, and pictures of results."""

from ..core.remedies import publish
from . import models, ops, transforms, utils

__all__ = ["models", "ops", "transforms", "utils"]


def __dir__() -> list[str]:
    """Public names only."""
    return list(__all__)


publish(globals())
