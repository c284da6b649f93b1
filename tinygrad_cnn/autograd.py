"""Derivatives as function calls, by the name of their namespace: ``tinygrad_cnn.autograd.grad``."""

from .core.remedies import publish
from .transforms.autograd import *
from .transforms.autograd import __all__ as __all__


def __dir__() -> list[str]:
    """Public names only."""
    return list(__all__)


publish(globals())
