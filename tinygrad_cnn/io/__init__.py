"""Checkpoints: nested state in a file, written whole or not at all, and read without trust in the file."""

from .checkpoint import load, save
from .errors import CheckpointError

__all__ = ["CheckpointError", "load", "save"]
