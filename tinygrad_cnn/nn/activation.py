"""Activation layers: each calls the function of the same name. `inplace` is accepted as in PyTorch and changes nothing."""

from __future__ import annotations

import numpy as np
from numpy.typing import DTypeLike

from ..core.graph import Array
from ..ops import activation as f
from ..ops.softmax import log_softmax, softmax, softmin
from ..ops.transcendental import sigmoid, tanh
from ..tensor import Tensor
from . import init
from .layer import Layer, size
from .parameter import Parameter

__all__ = [
    "CELU", "ELU", "GELU", "GLU", "SELU", "Hardshrink", "Hardsigmoid", "Hardswish", "Hardtanh", "LeakyReLU", "LogSigmoid",
    "LogSoftmax", "Mish", "PReLU", "RReLU", "ReLU", "ReLU6", "SiLU", "Sigmoid", "Softmax", "Softmax2d", "Softmin", "Softplus",
    "Softshrink", "Softsign", "Tanh", "Tanhshrink", "Threshold",
]  # fmt: skip


class Sigmoid(Layer, function=sigmoid):
    """y = 1 / (1 + e^-x): :func:`~tinygrad_cnn.sigmoid`."""


class Tanh(Layer, function=tanh):
    """y = tanh x: :func:`~tinygrad_cnn.tanh`."""


class LogSigmoid(Layer, function=f.logsigmoid):
    """y = log sigmoid(x): :func:`~tinygrad_cnn.logsigmoid`."""


class Softsign(Layer, function=f.softsign):
    """y = x / (1 + |x|): :func:`~tinygrad_cnn.softsign`."""


class Tanhshrink(Layer, function=f.tanhshrink):
    """y = x - tanh x: :func:`~tinygrad_cnn.tanhshrink`."""


class _Inplace(Layer):
    def __init__(self, inplace: bool = False) -> None:
        self.inplace = inplace


class ReLU(_Inplace, function=f.relu):
    """y = max(x, 0): :func:`~tinygrad_cnn.relu`."""


class ReLU6(_Inplace, function=f.relu6):
    """y = min(max(x, 0), 6): :func:`~tinygrad_cnn.relu6`."""


class SELU(_Inplace, function=f.selu):
    """y = scale elu(x, alpha), with constants that keep mean 0 and variance 1: :func:`~tinygrad_cnn.selu`."""


class SiLU(_Inplace, function=f.silu):
    """y = x sigmoid(x): :func:`~tinygrad_cnn.silu`."""


class Mish(_Inplace, function=f.mish):
    """y = x tanh(softplus(x)): :func:`~tinygrad_cnn.mish`."""


class Hardsigmoid(_Inplace, function=f.hardsigmoid):
    """y = min(max(x + 3, 0), 6) / 6: :func:`~tinygrad_cnn.hardsigmoid`."""


class Hardswish(_Inplace, function=f.hardswish):
    """y = x hardsigmoid(x): :func:`~tinygrad_cnn.hardswish`."""


class ELU(Layer, function=f.elu):
    """y = x where x > 0, else alpha (e^x - 1): :func:`~tinygrad_cnn.elu`."""

    def __init__(self, alpha: float = 1.0, inplace: bool = False) -> None:
        self.alpha, self.inplace = alpha, inplace


class CELU(ELU, function=f.celu):
    """y = x where x > 0, else alpha (e^(x / alpha) - 1): :func:`~tinygrad_cnn.celu`."""


class LeakyReLU(Layer, function=f.leaky_relu):
    """y = x where x > 0, else negative_slope x: :func:`~tinygrad_cnn.leaky_relu`."""

    def __init__(self, negative_slope: float = 0.01, inplace: bool = False) -> None:
        self.negative_slope, self.inplace = negative_slope, inplace


class RReLU(Layer, function=f.rrelu):
    """y = x where x > 0, else slope x, in training with slopes drawn from lower to upper: :func:`~tinygrad_cnn.rrelu`."""

    def __init__(self, lower: float = 1 / 8, upper: float = 1 / 3, inplace: bool = False) -> None:
        self.lower, self.upper, self.inplace = lower, upper, inplace


class PReLU(Layer, function=f.prelu, reshapes=True, shown="num_parameters={num_parameters}"):
    """y = x where x > 0, else weight x, with a learned weight: :func:`~tinygrad_cnn.prelu`.

    Args:
        num_parameters: 1, or the number of channels of x (N, C, ...), for a weight each.
        init: the initial value of `weight`, (num_parameters,).
        dtype: of the weight; the default dtype unless given.
    """

    weight: Parameter

    def __init__(self, num_parameters: int = 1, init: float = 0.25, dtype: DTypeLike | None = None) -> None:
        self.num_parameters, self.init = size(self, "num_parameters", num_parameters), init
        self._make_parameters(dtype, weight=(num_parameters,))

    def reset_parameters(self) -> None:
        """Set the weight to its initial value."""
        init.constant_(self.weight, self.init)


class Hardtanh(Layer, function=f.hardtanh):
    """y = x limited to [min_val, max_val]: :func:`~tinygrad_cnn.hardtanh`."""

    def __init__(self, min_val: float = -1.0, max_val: float = 1.0, inplace: bool = False) -> None:
        if not min_val <= max_val:
            raise ValueError(f"Hardtanh: `min_val` {min_val!r} is above `max_val` {max_val!r}; exchange them")
        self.min_val, self.max_val, self.inplace = min_val, max_val, inplace


class Softshrink(Layer, function=f.softshrink, shown="{lambd}"):
    """y = x moved towards 0 by lambd, or 0 where |x| <= lambd: :func:`~tinygrad_cnn.softshrink`."""

    def __init__(self, lambd: float = 0.5) -> None:
        self.lambd = lambd


class Hardshrink(Softshrink, function=f.hardshrink):
    """y = x where |x| > lambd, else 0: :func:`~tinygrad_cnn.hardshrink`."""


class Threshold(Layer, function=f.threshold):
    """y = x where x > threshold, else value: :func:`~tinygrad_cnn.threshold`."""

    def __init__(self, threshold: float, value: float, inplace: bool = False) -> None:
        self.threshold, self.value, self.inplace = threshold, value, inplace


class Softplus(Layer, function=f.softplus):
    """y = log(1 + e^(beta x)) / beta, and x where beta x > threshold: :func:`~tinygrad_cnn.softplus`."""

    def __init__(self, beta: float = 1.0, threshold: float = 20.0) -> None:
        self.beta, self.threshold = beta, threshold


class GELU(Layer, function=f.gelu):
    """y = x P(x), with P the normal distribution function, or its approximation by "tanh": :func:`~tinygrad_cnn.gelu`."""

    def __init__(self, approximate: str = "none") -> None:
        if approximate not in ("none", "tanh"):
            raise ValueError(f"GELU: `approximate` is {approximate!r}; it must be 'none' or 'tanh'")
        self.approximate = approximate


class _AlongAxis(Layer):
    def __init__(self, dim: int = -1) -> None:
        self.dim = dim


class Softmax(_AlongAxis, function=softmax):
    """y = e^x / sum of e^x along the axis `dim`, by default the last: :func:`~tinygrad_cnn.softmax`."""


class Softmin(_AlongAxis, function=softmin):
    """y = e^-x / sum of e^-x along the axis `dim`, by default the last: :func:`~tinygrad_cnn.softmin`."""


class Softmax2d(Layer):
    """:class:`Softmax` over the channels of images (N, C, H, W) or (C, H, W)."""

    def forward(self, x: Array) -> Tensor:
        """The softmax over the channels."""
        if np.ndim(x) not in (3, 4):
            raise ValueError(f"Softmax2d: `x` has shape {np.shape(x)}; it must be (N, C, H, W) or (C, H, W)")
        return softmax(x, axis=-3)


class GLU(_AlongAxis, function=f.glu):
    """y = a sigmoid(b) with a and b the halves of x along the axis `dim`: :func:`~tinygrad_cnn.glu`."""


class LogSoftmax(_AlongAxis, function=log_softmax):
    """y = log softmax(x) along the axis `dim`, by default the last: :func:`~tinygrad_cnn.log_softmax`."""
