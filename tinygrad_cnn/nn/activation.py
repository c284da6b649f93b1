"""Activation layers: the functions of the same names, with their arguments kept.

Where PyTorch has an argument `inplace`, it is accepted here too. It changes nothing: nothing recorded is ever written.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import ClassVar

from numpy.typing import DTypeLike

from ..core.graph import Array
from ..ops import activation as f
from ..ops.softmax import log_softmax, softmax, softmin
from ..ops.transcendental import sigmoid, tanh
from ..tensor import Tensor
from . import init
from .layer import Layer, parameter, size
from .parameter import Parameter

__all__ = [
    "CELU",
    "ELU",
    "GELU",
    "SELU",
    "Hardshrink",
    "Hardsigmoid",
    "Hardswish",
    "Hardtanh",
    "LeakyReLU",
    "LogSigmoid",
    "LogSoftmax",
    "Mish",
    "PReLU",
    "ReLU",
    "ReLU6",
    "SiLU",
    "Sigmoid",
    "Softmax",
    "Softmin",
    "Softplus",
    "Softshrink",
    "Softsign",
    "Tanh",
    "Tanhshrink",
    "Threshold",
]


class _Fixed(Layer):
    """A function without arguments."""

    function: ClassVar[Callable[..., Tensor]]

    def forward(self, x: Array) -> Tensor:
        """y for x of any shape."""
        return type(self).function(x)


class _Inplace(_Fixed):
    def __init__(self, inplace: bool = False) -> None:
        self.inplace = inplace


class Sigmoid(_Fixed):
    """y = 1 / (1 + e^-x): :func:`~tinygrad_cnn.sigmoid`."""

    function = staticmethod(sigmoid)


class Tanh(_Fixed):
    """y = tanh x: :func:`~tinygrad_cnn.tanh`."""

    function = staticmethod(tanh)


class LogSigmoid(_Fixed):
    """y = log sigmoid(x): :func:`~tinygrad_cnn.logsigmoid`."""

    function = staticmethod(f.logsigmoid)


class Softsign(_Fixed):
    """y = x / (1 + |x|): :func:`~tinygrad_cnn.softsign`."""

    function = staticmethod(f.softsign)


class Tanhshrink(_Fixed):
    """y = x - tanh x: :func:`~tinygrad_cnn.tanhshrink`."""

    function = staticmethod(f.tanhshrink)


class ReLU(_Inplace):
    """y = max(x, 0): :func:`~tinygrad_cnn.relu`."""

    function = staticmethod(f.relu)


class ReLU6(_Inplace):
    """y = min(max(x, 0), 6): :func:`~tinygrad_cnn.relu6`."""

    function = staticmethod(f.relu6)


class SELU(_Inplace):
    """y = scale elu(x), with the constants that keep mean 0 and variance 1: :func:`~tinygrad_cnn.selu`."""

    function = staticmethod(f.selu)


class SiLU(_Inplace):
    """y = x sigmoid(x): :func:`~tinygrad_cnn.silu`."""

    function = staticmethod(f.silu)


class Mish(_Inplace):
    """y = x tanh(softplus(x)): :func:`~tinygrad_cnn.mish`."""

    function = staticmethod(f.mish)


class Hardsigmoid(_Inplace):
    """y = min(max(x + 3, 0), 6) / 6: :func:`~tinygrad_cnn.hardsigmoid`."""

    function = staticmethod(f.hardsigmoid)


class Hardswish(_Inplace):
    """y = x hardsigmoid(x): :func:`~tinygrad_cnn.hardswish`."""

    function = staticmethod(f.hardswish)


class ELU(Layer):
    """y = x where x > 0, else alpha (e^x - 1): :func:`~tinygrad_cnn.elu`."""

    def __init__(self, alpha: float = 1.0, inplace: bool = False) -> None:
        self.alpha, self.inplace = alpha, inplace

    def forward(self, x: Array) -> Tensor:
        """y for x of any shape."""
        return f.elu(x, self.alpha)


class CELU(ELU):
    """y = x where x > 0, else alpha (e^(x / alpha) - 1): :func:`~tinygrad_cnn.celu`."""

    def forward(self, x: Array) -> Tensor:
        """y for x of any shape."""
        return f.celu(x, self.alpha)


class LeakyReLU(Layer):
    """y = x where x > 0, else negative_slope x: :func:`~tinygrad_cnn.leaky_relu`."""

    def __init__(self, negative_slope: float = 0.01, inplace: bool = False) -> None:
        self.negative_slope, self.inplace = negative_slope, inplace

    def forward(self, x: Array) -> Tensor:
        """y for x of any shape."""
        return f.leaky_relu(x, negative_slope=self.negative_slope)


class PReLU(Layer):
    """y = x where x > 0, else weight x, with a weight that is learned: :func:`~tinygrad_cnn.prelu`.

    Args:
        num_parameters: 1, or the channels of x (N, C, ...), for a weight each.
        init: the weight at first.
        dtype: of the weight; the default dtype unless given.

    Attributes:
        weight: (num_parameters,).
    """

    weight: Parameter

    def __init__(self, num_parameters: int = 1, init: float = 0.25, dtype: DTypeLike | None = None) -> None:
        self.num_parameters, self.init = size(self, "num_parameters", num_parameters), init
        self.weight = parameter(num_parameters, dtype=dtype)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Set the weight to what it was at first."""
        init.constant_(self.weight, self.init)

    def forward(self, x: Array) -> Tensor:
        """y for x (N, C, ...), or of any shape if there is one weight."""
        return f.prelu(x, self.weight)

    def extra_repr(self) -> str:
        return f"num_parameters={self.num_parameters}"


class Hardtanh(Layer):
    """y = x brought into [min_val, max_val]: :func:`~tinygrad_cnn.hardtanh`."""

    def __init__(self, min_val: float = -1.0, max_val: float = 1.0, inplace: bool = False) -> None:
        if not min_val <= max_val:
            raise ValueError(f"Hardtanh: `min_val` {min_val!r} is above `max_val` {max_val!r}; exchange them")
        self.min_val, self.max_val, self.inplace = min_val, max_val, inplace

    def forward(self, x: Array) -> Tensor:
        """y for x of any shape."""
        return f.hardtanh(x, min_val=self.min_val, max_val=self.max_val)


class Softshrink(Layer):
    """y = x brought nearer to 0 by lambd: :func:`~tinygrad_cnn.softshrink`."""

    def __init__(self, lambd: float = 0.5) -> None:
        self.lambd = lambd

    def forward(self, x: Array) -> Tensor:
        """y for x of any shape."""
        return f.softshrink(x, self.lambd)

    def extra_repr(self) -> str:
        return str(self.lambd)


class Hardshrink(Softshrink):
    """y = x where |x| > lambd, else 0: :func:`~tinygrad_cnn.hardshrink`."""

    def forward(self, x: Array) -> Tensor:
        """y for x of any shape."""
        return f.hardshrink(x, self.lambd)


class Threshold(Layer):
    """y = x where x > threshold, else value: :func:`~tinygrad_cnn.threshold`."""

    def __init__(self, threshold: float, value: float, inplace: bool = False) -> None:
        self.threshold, self.value, self.inplace = threshold, value, inplace

    def forward(self, x: Array) -> Tensor:
        """y for x of any shape."""
        return f.threshold(x, self.threshold, self.value)


class Softplus(Layer):
    """y = log(1 + e^(beta x)) / beta, and x where beta x > threshold: :func:`~tinygrad_cnn.softplus`."""

    def __init__(self, beta: float = 1.0, threshold: float = 20.0) -> None:
        self.beta, self.threshold = beta, threshold

    def forward(self, x: Array) -> Tensor:
        """y for x of any shape."""
        return f.softplus(x, beta=self.beta, threshold=self.threshold)


class GELU(Layer):
    """y = x P(x), with the normal distribution function P, or its approximation by "tanh": :func:`~tinygrad_cnn.gelu`."""

    def __init__(self, approximate: str = "none") -> None:
        if approximate not in ("none", "tanh"):
            raise ValueError(f"GELU: `approximate` is {approximate!r}; it must be 'none' or 'tanh'")
        self.approximate = approximate

    def forward(self, x: Array) -> Tensor:
        """y for x of any shape."""
        return f.gelu(x, approximate=self.approximate)


class _Along(Layer):
    """A function along one axis."""

    function: ClassVar[Callable[..., Tensor]]

    def __init__(self, dim: int = -1) -> None:
        self.dim = dim

    def forward(self, x: Array) -> Tensor:
        """y for x of any shape."""
        return type(self).function(x, axis=self.dim)


class Softmax(_Along):
    """y = e^x / sum of e^x along the axis `dim`, the last one by default: :func:`~tinygrad_cnn.softmax`."""

    function = staticmethod(softmax)


class Softmin(_Along):
    """y = e^-x / sum of e^-x along the axis `dim`, the last one by default: :func:`~tinygrad_cnn.softmin`."""

    function = staticmethod(softmin)


class LogSoftmax(_Along):
    """y = log softmax(x) along the axis `dim`, the last one by default: :func:`~tinygrad_cnn.log_softmax`."""

    function = staticmethod(log_softmax)
