"""``ArrayBox``: what is being differentiated, a Tensor, whose value is also called ``_value``."""

from ....tensor import Tensor  # which, once installed, is pickled by this name
from ..boxes import ArrayBox, Box, SequenceBox

__all__ = ["ArrayBox", "Box", "SequenceBox", "Tensor"]
