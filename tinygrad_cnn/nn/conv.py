"""Convolutional layers. Each dimension has a class, which names the function it calls; the rest is shared."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar

import numpy as np
from numpy.typing import DTypeLike

from ..core.graph import Array
from ..ops.conv import conv1d, conv2d, conv3d
from ..ops.conv_transpose import conv_transpose1d, conv_transpose2d, conv_transpose3d
from ..ops.geometry import SizeLike, padding_pairs, sizes
from ..ops.shape import pad
from ..tensor import Tensor
from .layer import Layer, parameter, reset, size
from .parameter import Parameter

__all__ = ["Conv1d", "Conv2d", "Conv3d", "ConvTranspose1d", "ConvTranspose2d", "ConvTranspose3d"]

MODES = {"zeros": "constant", "reflect": "reflect", "replicate": "edge", "circular": "wrap"}
"""NumPy's names for PyTorch's ways of padding."""


class _Convolution(Layer):
    """What layers with filters share: their arguments, their parameters and how they are drawn."""

    ndim: ClassVar[int]
    function: ClassVar[Callable[..., Tensor]]
    weight: Parameter
    bias: Parameter | None
    padding: Any

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
        text = ", ".join([f"{self.in_channels}, {self.out_channels}", *(f"{n}={getattr(self, n)}" for n in shown)])
        text += ", bias=False" if self.bias is None else ""
        return text if self.padding_mode == "zeros" else f"{text}, padding_mode={self.padding_mode}"


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


class _ConvTranspose(_Convolution):
    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: SizeLike,
        stride: SizeLike = 1,
        padding: SizeLike = 0,
        output_padding: SizeLike = 0,
        groups: int = 1,
        bias: bool = True,
        dilation: SizeLike = 1,
        padding_mode: str = "zeros",
        dtype: DTypeLike | None = None,
    ) -> None:
        name = type(self).__name__
        if padding_mode != "zeros":
            raise ValueError(f"{name}: `padding_mode` is {padding_mode!r}; a transposed convolution only has 'zeros'")
        cut = sizes(name, "padding", padding, self.ndim, least=0)
        self._set(in_channels, out_channels, kernel_size, stride, cut, dilation, groups, padding_mode)
        self.output_padding = sizes(name, "output_padding", output_padding, self.ndim, least=0)
        self._make_parameters((in_channels, out_channels // groups), bias, dtype)

    def forward(self, x: Array, output_size: SizeLike | None = None) -> Tensor:
        """The transposed convolution of x with the filters, plus the biases.

        Args:
            x: (N, C, ...) or (C, ...).
            output_size: the spatial sizes of the result, in place of `output_padding`: the sizes that the convolution of
                these arguments would have made x of.
        """
        kept = self.output_padding if output_size is None else self._output_padding(np.shape(x), output_size)
        return type(self).function(
            x, self.weight, self.bias, self.stride, self.padding, kept, self.groups, self.dilation
        )

    def _output_padding(self, shape: tuple[int, ...], output_size: SizeLike) -> tuple[int, ...]:
        name = type(self).__name__
        wanted = sizes(name, "output_size", output_size, self.ndim, least=1)
        geometry = zip(shape[-self.ndim :], self.kernel_size, self.stride, self.padding, self.dilation, strict=True)
        least = tuple((n - 1) * s - 2 * p + d * (k - 1) + 1 for n, k, s, p, d in geometry)
        kept = tuple(m - n for m, n in zip(wanted, least, strict=True))
        if any(not 0 <= extra < s for extra, s in zip(kept, self.stride, strict=True)):
            most = tuple(n + s - 1 for n, s in zip(least, self.stride, strict=True))
            raise ValueError(f"{name}: `output_size` is {output_size!r}; it must lie between {least} and {most}")
        return kept


class ConvTranspose1d(_ConvTranspose):
    """1-D transposed convolution: :class:`ConvTranspose2d` on signals (N, C, L) or (C, L)."""

    ndim, function = 1, staticmethod(conv_transpose1d)


class ConvTranspose2d(_ConvTranspose):
    """2-D transposed convolution, which paints a filter for every element: :func:`~tinygrad_cnn.conv_transpose2d`.

    Args:
        in_channels, out_channels: C and O, the channels of x and y.
        kernel_size, dilation: an int or a pair.
        stride: the distance between painted filters, an int or a pair.
        padding: rows and columns cut off on every side.
        output_padding: rows and columns kept again at the end.
        groups: channels are split into this many groups that do not mix.
        bias: whether there is a bias for each output channel.
        padding_mode: "zeros".
        dtype: of the parameters; the default dtype unless given.

    Attributes:
        weight: (C, O / groups, kH, kW), drawn uniformly from +-1 / sqrt(O / groups kH kW).
        bias: (O,), drawn from the same; or None.

    >>> import tinygrad_cnn as tg
    >>> from tinygrad_cnn import nn
    >>> nn.ConvTranspose2d(16, 3, kernel_size=4, stride=2, padding=1)(tg.zeros(5, 16, 8, 8)).shape
    (5, 3, 16, 16)
    """

    ndim, function = 2, staticmethod(conv_transpose2d)


class ConvTranspose3d(_ConvTranspose):
    """3-D transposed convolution: :class:`ConvTranspose2d` on volumes (N, C, D, H, W) or (C, D, H, W)."""

    ndim, function = 3, staticmethod(conv_transpose3d)
