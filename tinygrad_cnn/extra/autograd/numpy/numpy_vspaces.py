"""``ArrayVSpace`` and ``ComplexArrayVSpace``: the space of arrays of a shape and dtype, by which it is complex or not."""

from ..vspaces import VSpace
from ..vspaces import VSpace as ArrayVSpace
from ..vspaces import VSpace as ComplexArrayVSpace

__all__ = ["ArrayVSpace", "ComplexArrayVSpace", "VSpace"]
