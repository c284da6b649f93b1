"""Checkpoints: nested state in a file, written atomically, and safe to read from untrusted sources."""

from ..core.remedies import publish
from .checkpoint import load, save
from .errors import CheckpointError
from .pytorch import to_torch

__all__ = ["CheckpointError", "load", "save", "to_torch"]


def __dir__() -> list[str]:
    """Public names only."""
    return list(__all__)


publish(globals())
