"""What the layers of the library share."""

from __future__ import annotations

import inspect
import math
from typing import Any

from numpy.typing import DTypeLike

from ..core.operands import accepting_lists
from ..ops.geometry import sizes
from ..tensor import Tensor, creation
from . import init
from .module import Module
from .parameter import Parameter


class Layer(Module):
    """A module of one step, which takes lists that hold Tensors, and shows in its ``repr`` what it was made with."""

    def __init_subclass__(cls) -> None:
        if "forward" in vars(cls):
            cls.forward = accepting_lists(vars(cls)["forward"])

    def extra_repr(self) -> str:
        """The constructor's arguments, from the attributes of the same names."""
        shown = [n for n in inspect.signature(type(self).__init__).parameters if n != "inplace" or vars(self).get(n)]
        return ", ".join(f"{name}={vars(self)[name]!r}" for name in shown if name in vars(self))


def size(layer: Module, name: str, value: Any, least: int = 1) -> int:
    """`value`, the argument `name` of `layer`, as an int that is at least `least`."""
    return sizes(type(layer).__name__, name, value, 1, least)[0]


def parameter(*shape: int, dtype: DTypeLike | None) -> Parameter:
    """A Parameter of this shape, zero until it is drawn."""
    return Parameter(creation.zeros(shape, dtype=dtype))


def reset(weight: Tensor, bias: Tensor | None) -> None:
    """Draw weight and bias uniformly from +-1 / sqrt(fan in), as PyTorch does for linear and convolutional layers."""
    init.kaiming_uniform_(weight, a=math.sqrt(5))  # that slope makes the bound what it is
    if bias is not None:
        bound = 1 / math.sqrt(init.fans("reset", weight)[0])
        init.uniform_(bias, -bound, bound)
