"""``ArrayBox``: a Tensor."""

from ....tensor import Tensor as ArrayBox

Box = ArrayBox

__all__ = ["ArrayBox", "Box"]
