"""The base of layers: a layer stores its arguments, calls a function with them, and shows them in its ``repr``."""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable, Sequence
from typing import Any, ClassVar

import numpy as np
from numpy.typing import DTypeLike

from ..generated import made
from ..numpy_api import creation
from ..ops.composite import accepting_lists
from ..ops.geometry import sizes
from ..ops.real import dtype_of
from . import init
from .module import Module
from .parameter import Parameter, look_at_output

TORCH_NAMES = {"a": "x", "axis": "dim", "start_axis": "start_dim", "end_axis": "end_dim"}
"""PyTorch's names, which layers have, for parameters of functions."""


class Layer(Module):
    """A module that calls one function. ``class ELU(Layer, function=elu)`` names it and needs no ``forward``.

    For a parameter of the function that is an argument of ``__init__``, or an attribute that the class annotates or defines,
    ``forward`` passes the attribute of the layer. The other parameters without a default are the inputs of ``forward``.
    """

    function: ClassVar[Callable[..., Any]]
    takes_complex: ClassVar[bool] = False
    """Whether the parameters may be complex."""
    reshapes: ClassVar[bool] = False
    """Whether the function reshapes the weight, so that ``forward`` has to look for float64 beside it."""
    reset_parameters: Callable[[], None]  # of layers with parameters
    shown: ClassVar[str | None] = None
    """The format of the arguments in ``repr``, such as "{size}, alpha={alpha}"; None for all arguments of ``__init__``."""

    def __init_subclass__(cls, function: Callable[..., Any] | None = None, **attributes: Any) -> None:
        """Keywords in the head of a class are its attributes; `function` gives it a ``forward`` unless one is defined."""
        for name, value in attributes.items():
            setattr(cls, name, value)
        definer = next(base for base in cls.__mro__ if "forward" in vars(base))
        if definer is cls:
            cls.forward = accepting_lists(vars(cls)["forward"])
        elif function is not None and (definer is Module or "function" in vars(definer)):
            cls.forward = _forward(cls, function)
        if function is not None:
            cls.function = staticmethod(function)

    def extra_repr(self) -> str:
        """The arguments, in the format :attr:`shown`. A parameter is shown as True or False: whether there is one."""
        values = (
            vars(self)
            | {name: vars(self)[name] is not None for name in self._kinds}
            | dict.fromkeys(self._computed, True)
        )
        if self.shown is not None:
            return self.shown.format_map(values)
        names = [name for name in inspect.signature(type(self)).parameters if name in values]
        return ", ".join(f"{name}={values[name]!r}" for name in names if name != "inplace" or values[name])

    def _make_parameters(self, dtype: DTypeLike | None, **shapes: Sequence[int] | None) -> None:
        """Register parameters of these shapes, None for one that is missing, and initialize them."""
        if dtype is not None and dtype_of(type(self).__name__, dtype).kind == "c" and not self.takes_complex:
            raise TypeError(
                f"{type(self).__name__}: `dtype` is {np.dtype(dtype)}; it must be real, since the layer computes with real "
                "numbers: give it real(z), imag(z) or abs(z)"
            )
        for name, shape in shapes.items():
            self.register_parameter(name, None if shape is None else Parameter(creation.zeros(shape, dtype=dtype)))
        self.reset_parameters()


class Weighted(Layer, takes_complex=True):
    """A layer with a weight and perhaps a bias, drawn uniformly from +-1 / sqrt(fan in), as in PyTorch."""

    weight: Parameter
    bias: Parameter | None

    def reset_parameters(self) -> None:
        """Draw the parameters."""
        init.kaiming_uniform_(self.weight, a=math.sqrt(5))  # a slope for which the bound is 1 / sqrt(fan in)
        if self.bias is not None:
            bound = 1 / math.sqrt(init.fans("reset_parameters", self.weight)[0])
            init.uniform_(self.bias, -bound, bound)


def _forward(cls: type[Layer], function: Callable[..., Any]) -> Callable[..., Any]:
    """A ``forward`` that calls `function`, generated as source so that a call only looks up the attributes it needs."""
    attributes = set(inspect.signature(cls).parameters).union(*map(inspect.get_annotations, cls.__mro__))
    inputs, arguments = [], []
    for name, parameter in inspect.signature(function).parameters.items():
        ours = TORCH_NAMES.get(name, name)
        if ours in attributes or hasattr(cls, ours):
            arguments.append(f"{name}=self.{ours}")
        elif parameter.default is parameter.empty:
            inputs.append(ours)
    result = f"function({', '.join([*inputs, *arguments])})"
    if cls.reshapes:
        result = f"look_at_output({result}, self.weight, {', '.join(inputs)})"
    source = f"def forward(self, {', '.join(inputs)}):\n    return {result}\n"
    names = {"function": function, "look_at_output": look_at_output}
    forward: Callable[..., Any] = made(f"<{cls.__name__}: call>", source, names)
    forward.__module__, forward.__qualname__ = cls.__module__, f"{cls.__qualname__}.forward"
    forward.__doc__ = f":func:`~tinygrad_cnn.{function.__name__}` of {', '.join(inputs)}, with the layer's arguments."
    return forward


def size(layer: Module, name: str, value: Any) -> int:
    """`value`, the argument `name` of `layer`, as an int that is at least 1."""
    return sizes(type(layer).__name__, name, value, 1, least=1)[0]
