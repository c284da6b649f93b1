"""``getval`` and ``isbox``, by HIPS/autograd's module of that name. A Box is a Tensor."""

from .core import Box, getval, isbox
from .extend import notrace_primitive, primitive

__all__ = ["Box", "getval", "isbox", "notrace_primitive", "primitive"]
