"""Convolutional layers. Each dimension has a class, which names the function it calls; the rest is shared."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar

import numpy as np
from numpy.typing import DTypeLike

from ..graph import Array
from ..ops.conv import conv1d, conv2d, conv3d
from ..ops.geometry import SizeLike, padding_pairs, sizes
from ..ops.shape import pad
from ..tensor import Tensor
from .layer import Layer, parameter, reset, size
from .parameter import Parameter

__all__ = ["Conv1d", "Conv2d", "Conv3d"]

MODES = {"zeros": "constant", "reflect": "reflect", "replicate": "edge", "circular": "wrap"}
"""NumPy's names for PyTorch's ways of padding."""


class _Convolution(Layer):
    """What layers with filters share: their arguments, their parameters and how they are drawn."""

    ndim: ClassVar[int]
    function: ClassVar[Callable[..., Tensor]]
    weight: Parameter
    bias: Parameter | None

    def _set(
        self, in_channels: int, out_channels: int, kernel_size: SizeLike, stride: SizeLike, padding: SizeLike | str,
        dilation: SizeLike, groups: int, padding_mode: str,
    ) -> None:  # fmt: skip
        name = type(self).__name__
        self.in_channels = size(self, "in_channels", in_channels)
        self.out_channels = size(self, "out_channels", out_channels)
        self.groups = size(self, "groups", groups)
        if in_channels % groups or out_channels % groups:
            raise ValueError(
                f"{name}: `groups` is {groups}; it must divide both `in_channels` {in_channels} and `out_channels` "
                f"{out_channels}"
            )
        self.kernel_size = sizes(name, "kernel_size", kernel_size, self.ndim, least=1)
        self.stride = sizes(name, "stride", stride, self.ndim, least=1)
        self.dilation = sizes(name, "dilation", dilation, self.ndim, least=1)
        padding_pairs(name, padding, self.kernel_size, self.stride, self.dilation)  # refuses what it cannot read
        self.padding = padding if isinstance(padding, str) else sizes(name, "padding", padding, self.ndim, least=0)
        if padding_mode not in MODES:
            raise ValueError(
                f"{name}: `padding_mode` is {padding_mode!r}; it must be one of {', '.join(map(repr, MODES))}"
            )
        self.padding_mode = padding_mode

    def _make_parameters(self, filters: tuple[int, int], bias: bool, dtype: DTypeLike | None) -> None:
        self.weight = parameter(*filters, *self.kernel_size, dtype=dtype)
        self.register_parameter("bias", parameter(self.out_channels, dtype=dtype) if bias else None)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw the parameters anew."""
        reset(self.weight, self.bias)

    def extra_repr(self) -> str:
        usual = {
            "padding": (0,) * self.ndim,
            "dilation": (1,) * self.ndim,
            "output_padding": (0,) * self.ndim,
            "groups": 1,
        }
        shown = ["kernel_size", "stride", *(n for n in usual if vars(self).get(n, usual[n]) != usual[n])]
        text = ", ".join([f"{self.in_channels}, {self.out_channels}", *(f"{n}={getattr(self, n)!r}" for n in shown)])
        text += ", bias=False" if self.bias is None else ""
        return text if self.padding_mode == "zeros" else f"{text}, padding_mode={self.padding_mode!r}"


class _Conv(_Convolution):
    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: SizeLike,
        stride: SizeLike = 1,
        padding: SizeLike | str = 0,
        dilation: SizeLike = 1,
        groups: int = 1,
        bias: bool = True,
        padding_mode: str = "zeros",
        dtype: DTypeLike | None = None,
    ) -> None:
        self._set(in_channels, out_channels, kernel_size, stride, padding, dilation, groups, padding_mode)
        self._make_parameters((out_channels, in_channels // groups), bias, dtype)

    def forward(self, x: Array) -> Tensor:
        """The convolution of x with the filters, plus the biases."""
        padding: Any = self.padding
        if self.padding_mode != "zeros":
            pairs = padding_pairs(type(self).__name__, padding, self.kernel_size, self.stride, self.dilation)
            x = pad(x, [(0, 0)] * (np.ndim(x) - self.ndim) + list(pairs), mode=MODES[self.padding_mode])
            padding = 0
        return type(self).function(x, self.weight, self.bias, self.stride, padding, self.dilation, self.groups)


class Conv1d(_Conv):
    """1-D convolution: :class:`Conv2d` on signals x (N, C, L) or (C, L), with weight (O, C / groups, k)."""

    ndim, function = 1, staticmethod(conv1d)


class Conv2d(_Conv):
    """2-D convolution of images with filters that are learned: :func:`~tinygrad_cnn.conv2d`.

    Args:
        in_channels, out_channels: C and O, the channels of x and y.
        kernel_size, stride, dilation: an int or a pair.
        padding: an int or a pair; "valid" for none, "same" for an output of the input's size.
        groups: channels are split into this many groups that do not mix; C groups make it depthwise.
        bias: whether there is a bias for each output channel.
        padding_mode: what stands around the image: "zeros", "reflect", "replicate" or "circular".
        dtype: of the parameters; the default dtype unless given.

    Attributes:
        weight: (O, C / groups, kH, kW), drawn uniformly from +-1 / sqrt(C / groups kH kW).
        bias: (O,), drawn from the same; or None.

    Shapes: (N, C, H, W) or (C, H, W) to (N, O, oH, oW) or (O, oH, oW).

    Raises:
        ValueError, TypeError: for an argument out of its range or of another type, already here and not in the call.

    >>> import tinygrad_cnn as tg
    >>> from tinygrad_cnn import nn
    >>> nn.Conv2d(3, 16, kernel_size=3, stride=2, padding=1)(tg.zeros(5, 3, 32, 32)).shape
    (5, 16, 16, 16)
    """

    ndim, function = 2, staticmethod(conv2d)


class Conv3d(_Conv):
    """3-D convolution: :class:`Conv2d` on x (N, C, D, H, W) or (C, D, H, W), with weight (O, C / groups, kD, kH, kW)."""

    ndim, function = 3, staticmethod(conv3d)
