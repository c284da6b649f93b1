"""Padding layers: each puts a border around the last one, two or three axes, by :func:`~tinygrad_cnn.pad`.

A negative width crops.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

import numpy as np

from ..core.graph import Array
from ..ops.geometry import LAYOUTS
from ..ops.shape import pad
from ..tensor import Tensor
from .layer import Layer

__all__ = [
    "CircularPad1d", "CircularPad2d", "CircularPad3d", "ConstantPad1d", "ConstantPad2d", "ConstantPad3d", "ReflectionPad1d",
    "ReflectionPad2d", "ReflectionPad3d", "ReplicationPad1d", "ReplicationPad2d", "ReplicationPad3d", "ZeroPad1d", "ZeroPad2d",
    "ZeroPad3d",
]  # fmt: skip

Padding = int | Sequence[int]


class _Pad(Layer):
    """A border of widths `padding`: one for all sides, or (left, right, top, bottom, front, back), the last axis first."""

    ndim: ClassVar[int]
    mode: ClassVar[str] = "constant"
    shown = "{padding}"

    def __init__(self, padding: Padding) -> None:
        name = type(self).__name__
        given = (padding,) * (2 * self.ndim) if isinstance(padding, int) else tuple(padding)
        if len(given) != 2 * self.ndim or any(
            isinstance(n, bool) or not isinstance(n, int | np.integer) for n in given
        ):
            raise ValueError(
                f"{name}: `padding` is {padding!r}; it must be an integer, or {2 * self.ndim} of them: before and after each "
                f"of {self.ndim} axes, the last axis first"
            )
        self.padding = tuple(int(n) for n in given)

    def forward(self, x: Array) -> Tensor:
        """The border around x (N, C, ...) or (C, ...)."""
        if np.ndim(x) not in (self.ndim + 1, self.ndim + 2):
            axes = LAYOUTS[self.ndim]
            raise ValueError(
                f"{type(self).__name__}: `x` has shape {np.shape(x)}; it must be (N, C, {axes}) or (C, {axes})"
            )
        pairs = list(zip(self.padding[::2], self.padding[1::2], strict=True))[::-1]
        return pad(x, [(0, 0)] * (np.ndim(x) - self.ndim) + pairs, self.mode, getattr(self, "value", 0.0))


class _ConstantPad(_Pad, shown="padding={padding}, value={value}"):
    def __init__(self, padding: Padding, value: float) -> None:
        super().__init__(padding)
        self.value = value


class ConstantPad1d(_ConstantPad, ndim=1):
    """A border of `value` around signals: :class:`ConstantPad2d` on (N, C, L) or (C, L)."""


class ConstantPad2d(_ConstantPad, ndim=2):
    """A border of `value` around images (N, C, H, W) or (C, H, W); `padding` is one width, or (left, right, top, bottom).

    Raises:
        ValueError: for another number of widths.

    >>> import tinygrad_cnn as tg
    >>> tg.nn.ConstantPad2d((1, 0, 0, 0), 5.0)(tg.zeros(1, 2, 2)).tolist()
    [[[5.0, 0.0, 0.0], [5.0, 0.0, 0.0]]]
    """


class ConstantPad3d(_ConstantPad, ndim=3):
    """A border of `value` around volumes: :class:`ConstantPad2d` on (N, C, D, H, W) or (C, D, H, W)."""


class ZeroPad1d(_Pad, ndim=1):
    """Zeros around signals: :class:`ZeroPad2d` on (N, C, L) or (C, L)."""


class ZeroPad2d(_Pad, ndim=2):
    """Zeros around images: :class:`ConstantPad2d` with a value of 0."""


class ZeroPad3d(_Pad, ndim=3):
    """Zeros around volumes: :class:`ZeroPad2d` on (N, C, D, H, W) or (C, D, H, W)."""


class ReflectionPad1d(_Pad, ndim=1, mode="reflect"):
    """Signals mirrored at their ends: :class:`ReflectionPad2d` on (N, C, L) or (C, L)."""


class ReflectionPad2d(_Pad, ndim=2, mode="reflect"):
    """Images mirrored about their outermost pixels. `padding` as for :class:`ConstantPad2d`."""


class ReflectionPad3d(_Pad, ndim=3, mode="reflect"):
    """Volumes mirrored: :class:`ReflectionPad2d` on (N, C, D, H, W) or (C, D, H, W)."""


class ReplicationPad1d(_Pad, ndim=1, mode="edge"):
    """The outermost elements of signals repeated: :class:`ReplicationPad2d` on (N, C, L) or (C, L)."""


class ReplicationPad2d(_Pad, ndim=2, mode="edge"):
    """The outermost pixels of images repeated. `padding` as for :class:`ConstantPad2d`."""


class ReplicationPad3d(_Pad, ndim=3, mode="edge"):
    """The outermost elements of volumes repeated: :class:`ReplicationPad2d` on (N, C, D, H, W) or (C, D, H, W)."""


class CircularPad1d(_Pad, ndim=1, mode="wrap"):
    """Signals continued periodically: :class:`CircularPad2d` on (N, C, L) or (C, L)."""


class CircularPad2d(_Pad, ndim=2, mode="wrap"):
    """Images continued periodically. `padding` as for :class:`ConstantPad2d`."""


class CircularPad3d(_Pad, ndim=3, mode="wrap"):
    """Volumes continued periodically: :class:`CircularPad2d` on (N, C, D, H, W) or (C, D, H, W)."""
