"""Transforms of the values of pixels."""

from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray


class ToFloat:
    """y = x / scale, in floating point. Data takes less memory if it is kept in uint8 and converted batch by batch.

    Args:
        scale: the value that becomes 1; 255 for 8-bit images.
        dtype: of the result, floating point.

    Raises:
        TypeError: if `dtype` is not floating point.
        ValueError: if `scale` is not a finite number other than 0.

    >>> import numpy as np, tinygrad_cnn as tg
    >>> tg.data.ToFloat()(np.array([0, 51, 255], np.uint8))
    array([0. , 0.2, 1. ], dtype=float32)
    """

    def __init__(self, scale: float = 255, dtype: DTypeLike = np.float32) -> None:
        self.dtype = np.dtype(dtype)
        if self.dtype.kind != "f":
            raise TypeError(f"ToFloat: `dtype` is {self.dtype}; it must be a floating-point dtype such as float32")
        self.scale = float(scale)
        if not np.isfinite(self.scale) or not self.scale:
            raise ValueError(f"ToFloat: `scale` is {scale}; it must be a finite number other than 0")

    def __call__(self, images: NDArray[Any]) -> NDArray[Any]:
        result: NDArray[Any] = np.asarray(images, self.dtype) / self.scale
        return result

    def __repr__(self) -> str:
        return f"ToFloat({self.scale:g})"


class Normalize:
    """y = (x - mean) / std, for each channel.

    Args:
        mean, std: one number for each channel, or one for all.

    Raises:
        ValueError: if a `std` is not above 0, or `mean` and `std` are not rows of one length.

    >>> import numpy as np, tinygrad_cnn as tg
    >>> gray = np.full((8, 1, 28, 28), 0.75, np.float32)
    >>> float(tg.data.Normalize(0.5, 0.25)(gray).mean())
    1.0
    """

    def __init__(self, mean: Any, std: Any) -> None:
        self.mean, self.std = np.broadcast_arrays(np.asarray(mean, np.float64), np.asarray(std, np.float64))
        if self.mean.ndim > 1:
            raise ValueError(
                f"Normalize: `mean` and `std` have shape {self.mean.shape}; give a number for each channel"
            )
        if not (self.std > 0).all():
            raise ValueError(f"Normalize: `std` is {std}; it must be above 0")

    def __call__(self, images: NDArray[Any]) -> NDArray[Any]:
        """Images (N, C, ...) in their dtype.

        Raises:
            TypeError: if they are not floating point.
            ValueError: if they do not have as many channels as `mean`.
        """
        images = np.asarray(images)
        if images.dtype.kind != "f":
            raise TypeError(f"Normalize: `images` is {images.dtype}; convert it with ToFloat() first")
        if self.mean.ndim and (images.ndim < 2 or images.shape[1] != len(self.mean)):
            found = f"`images` has shape {images.shape} but there are {len(self.mean)} means"
            raise ValueError(f"Normalize: {found}; it must be (N, C, ...) with a mean for each channel")
        shape = (-1, *(1 for _ in range(images.ndim - 2))) if self.mean.ndim else ()
        mean, std = (each.astype(images.dtype).reshape(shape) for each in (self.mean, self.std))
        result: NDArray[Any] = images - mean
        result /= std
        return result

    def __repr__(self) -> str:
        return f"Normalize({self.mean.tolist()}, {self.std.tolist()})"
