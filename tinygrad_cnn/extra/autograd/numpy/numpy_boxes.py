"""``ArrayBox``: a Tensor, whose value is also called ``_value``, as in HIPS/autograd."""

from ....tensor import Tensor as ArrayBox
from ..trees import values

Box = ArrayBox
ArrayBox._value = property(values)  # type: ignore[attr-defined]

__all__ = ["ArrayBox", "Box"]
