"""Convolutional layers. The class of each dimension names the function it calls; the rest is shared."""

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
from .layer import Weighted, size

__all__ = ["Conv1d", "Conv2d", "Conv3d", "ConvTranspose1d", "ConvTranspose2d", "ConvTranspose3d"]

MODES = {"zeros": "constant", "reflect": "reflect", "replicate": "edge", "circular": "wrap"}
"""NumPy's names for PyTorch's padding modes."""


class _Conv(Weighted):
    """A convolution, and the base of transposed ones."""

    ndim: ClassVar[int]
    function: ClassVar[Callable[..., Tensor]]
    transposed: ClassVar[bool] = False
    shown = "{in_channels}, {out_channels}, kernel_size={kernel_size}, stride={stride}"
    padding: Any

    def __init__(
        self, in_channels: int, out_channels: int, kernel_size: SizeLike, stride: SizeLike = 1,
        padding: SizeLike | str = 0, dilation: SizeLike = 1, groups: int = 1, bias: bool = True,
        padding_mode: str = "zeros", dtype: DTypeLike | None = None,
    ) -> None:  # fmt: skip
        name = type(self).__name__
        self.in_channels = size(self, "in_channels", in_channels)
        self.out_channels = size(self, "out_channels", out_channels)
        self.groups = size(self, "groups", groups)
        if in_channels % groups or out_channels % groups:
            both = f"`in_channels` {in_channels} and `out_channels` {out_channels}"
            raise ValueError(f"{name}: `groups` is {groups}; it must divide both {both}")
        self.kernel_size = sizes(name, "kernel_size", kernel_size, self.ndim, least=1)
        self.stride = sizes(name, "stride", stride, self.ndim, least=1)
        self.dilation = sizes(name, "dilation", dilation, self.ndim, least=1)
        padding_pairs(name, padding, self.kernel_size, self.stride, self.dilation)  # raises if it is invalid
        self.padding = padding if isinstance(padding, str) else sizes(name, "padding", padding, self.ndim, least=0)
        if padding_mode not in MODES:
            modes = ", ".join(map(repr, MODES))
            raise ValueError(f"{name}: `padding_mode` is {padding_mode!r}; it must be one of {modes}")
        self.padding_mode = padding_mode
        first, second = (in_channels, out_channels) if self.transposed else (out_channels, in_channels)
        filters = (first, second // groups, *self.kernel_size)
        self._make_parameters(dtype, weight=filters, bias=(out_channels,) if bias else None)

    def forward(self, x: Array) -> Tensor:
        """Convolve x with the filters and add the biases."""
        padding: Any = self.padding
        if self.padding_mode != "zeros":
            pairs = padding_pairs(type(self).__name__, padding, self.kernel_size, self.stride, self.dilation)
            x = pad(x, [(0, 0)] * (np.ndim(x) - self.ndim) + list(pairs), mode=MODES[self.padding_mode])
            padding = 0
        return self.function(x, self.weight, self.bias, self.stride, padding, self.dilation, self.groups)

    def extra_repr(self) -> str:
        zeros, ones = (0,) * self.ndim, (1,) * self.ndim
        usual: dict[str, Any] = {"padding": zeros, "dilation": ones, "output_padding": zeros, "groups": 1, "bias": True}
        usual["padding_mode"] = "zeros"
        found = {**vars(self), "bias": self.bias is not None}
        others = [f"{name}={found[name]}" for name, value in usual.items() if found.get(name, value) != value]
        return ", ".join([super().extra_repr(), *others])


class Conv1d(_Conv, ndim=1, function=conv1d):
    """1-D convolution: :class:`Conv2d` on signals x (N, C, L) or (C, L), with weight (O, C / groups, k)."""


class Conv2d(_Conv, ndim=2, function=conv2d):
    """2-D convolution of images (N, C, H, W) or (C, H, W) with learned filters: :func:`~tinygrad_cnn.conv2d`.

    Args:
        in_channels, out_channels: C and O, the channels of x and y.
        kernel_size: the size of the filters, an int or a pair.
        stride, padding, dilation, groups: as for :func:`~tinygrad_cnn.conv2d`.
        bias: whether there is a bias for each output channel.
        padding_mode: how the image is padded: with "zeros", or by "reflect", "replicate" or "circular".
        dtype: of the parameters; the default dtype unless given.

    Attributes:
        weight: (O, C / groups, kH, kW), drawn uniformly from +-1 / sqrt(C / groups kH kW).
        bias: (O,), drawn from the same; or None.

    The constructor raises ValueError or TypeError for an argument out of range or of another type.

    >>> import tinygrad_cnn as tg
    >>> from tinygrad_cnn import nn
    >>> nn.Conv2d(3, 16, kernel_size=3, stride=2, padding=1)(tg.zeros(5, 3, 32, 32)).shape
    (5, 16, 16, 16)
    """


class Conv3d(_Conv, ndim=3, function=conv3d):
    """3-D convolution: :class:`Conv2d` on x (N, C, D, H, W) or (C, D, H, W), with weight (O, C / groups, kD, kH, kW)."""


class _ConvTranspose(_Conv, transposed=True):
    def __init__(
        self, in_channels: int, out_channels: int, kernel_size: SizeLike, stride: SizeLike = 1, padding: SizeLike = 0,
        output_padding: SizeLike = 0, groups: int = 1, bias: bool = True, dilation: SizeLike = 1,
        padding_mode: str = "zeros", dtype: DTypeLike | None = None,
    ) -> None:  # fmt: skip
        name = type(self).__name__
        if padding_mode != "zeros":
            raise ValueError(f"{name}: `padding_mode` is {padding_mode!r}; a transposed convolution only has 'zeros'")
        padding = sizes(name, "padding", padding, self.ndim, least=0)  # not "same" or "valid"
        self.output_padding = sizes(name, "output_padding", output_padding, self.ndim, least=0)
        given = in_channels, out_channels, kernel_size, stride, padding, dilation, groups, bias, padding_mode, dtype
        super().__init__(*given)

    def forward(self, x: Array, output_size: SizeLike | None = None) -> Tensor:
        """Convolve x, transposed, with the filters and add the biases.

        Args:
            x: (N, C, ...) or (C, ...).
            output_size: the spatial sizes of the result, instead of `output_padding`. A convolution with these arguments must
                map them to the sizes of x.
        """
        extra = self.output_padding if output_size is None else self._output_padding(np.shape(x), output_size)
        return self.function(x, self.weight, self.bias, self.stride, self.padding, extra, self.groups, self.dilation)

    def _output_padding(self, shape: tuple[int, ...], output_size: SizeLike) -> tuple[int, ...]:
        name = type(self).__name__
        wanted = sizes(name, "output_size", output_size, self.ndim, least=1)
        geometry = zip(shape[-self.ndim :], self.kernel_size, self.stride, self.padding, self.dilation, strict=True)
        least = tuple((n - 1) * s - 2 * p + d * (k - 1) + 1 for n, k, s, p, d in geometry)
        extra = tuple(m - n for m, n in zip(wanted, least, strict=True))
        if any(not 0 <= e < s for e, s in zip(extra, self.stride, strict=True)):
            most = tuple(n + s - 1 for n, s in zip(least, self.stride, strict=True))
            raise ValueError(f"{name}: `output_size` is {output_size!r}; it must lie between {least} and {most}")
        return extra


class ConvTranspose1d(_ConvTranspose, ndim=1, function=conv_transpose1d):
    """1-D transposed convolution: :class:`ConvTranspose2d` on signals (N, C, L) or (C, L)."""


class ConvTranspose2d(_ConvTranspose, ndim=2, function=conv_transpose2d):
    """2-D transposed convolution of images (N, C, H, W) or (C, H, W): :func:`~tinygrad_cnn.conv_transpose2d`.

    Args:
        in_channels, out_channels, kernel_size, bias, dtype: as for :class:`Conv2d`.
        stride, padding, output_padding, groups, dilation: those of the function.
        padding_mode: only "zeros".

    Attributes:
        weight: (C, O / groups, kH, kW), drawn uniformly from +-1 / sqrt(O / groups kH kW).
        bias: (O,), drawn from the same; or None.

    >>> import tinygrad_cnn as tg
    >>> from tinygrad_cnn import nn
    >>> nn.ConvTranspose2d(16, 3, kernel_size=4, stride=2, padding=1)(tg.zeros(5, 16, 8, 8)).shape
    (5, 3, 16, 16)
    """


class ConvTranspose3d(_ConvTranspose, ndim=3, function=conv_transpose3d):
    """3-D transposed convolution: :class:`ConvTranspose2d` on volumes (N, C, D, H, W) or (C, D, H, W)."""
