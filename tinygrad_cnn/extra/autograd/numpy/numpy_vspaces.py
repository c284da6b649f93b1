"""``ArrayVSpace``: the space of arrays of a shape and dtype."""

from ..vspaces import VSpace
from ..vspaces import VSpace as ArrayVSpace

__all__ = ["ArrayVSpace", "VSpace"]
