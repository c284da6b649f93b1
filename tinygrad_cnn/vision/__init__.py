"""Images: models by name, ops of detection and segmentation, transforms with their targets, and pictures of results."""

from ..core.remedies import publish
from . import models, ops, transforms

__all__ = ["models", "ops", "transforms"]


def __dir__() -> list[str]:
    """Public names only."""
    return list(__all__)


publish(globals())
