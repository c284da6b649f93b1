"""Derivatives as function calls, by the name of their namespace: ``tinygrad_cnn.autograd.grad``."""

from typing import TYPE_CHECKING

from .names import explaining_getattr
from .transforms.autograd import *
from .transforms.autograd import __all__ as __all__

if not TYPE_CHECKING:  # a checker would take every name for an attribute
    __getattr__ = explaining_getattr("tinygrad_cnn.autograd", "torch.autograd")


def __dir__() -> list[str]:
    """Public names only."""
    return list(__all__)
