"""Resizing."""

from operator import index
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...checks import checked, flag, one_of
from ...ops.matmul import matmul
from .crop import batch_of_images


class Resize:
    """Images of another size, by bilinear interpolation or the nearest pixel.

    As torchvision's Resize: a pixel at i of a side that shrinks or grows by the factor s lies at (i + 0.5) / s - 0.5. With
    antialias, a pixel of a smaller image is the mean of all pixels nearer than 1 / s, with weights that fall linearly to 0.

    Args:
        size: (height, width); or one number for the shorter side, the other one keeps the proportions.
        interpolation: "bilinear" or "nearest".
        antialias: for "bilinear"; whether smaller images are means over all pixels, or of two neighbours along each side.

    Raises:
        TypeError, ValueError: if an argument has the wrong type or is out of range.

    >>> import numpy as np, tinygrad_cnn as tg
    >>> images = np.zeros((8, 3, 30, 40), np.uint8)
    >>> tg.data.Resize(60)(images).shape, tg.data.Resize((15, 15))(images).shape
    ((8, 3, 60, 80), (8, 3, 15, 15))
    """

    def __init__(
        self, size: int | tuple[int, int], interpolation: str = "bilinear", antialias: bool = True
    ) -> None:  # fmt: skip
        try:
            sides = tuple(index(n) for n in size) if isinstance(size, tuple | list) else (index(size),)
        except TypeError:
            raise TypeError(f"Resize: `size` is {size!r}; it must be a whole number, or two") from None
        if not 1 <= len(sides) <= 2 or min(sides) < 1:
            raise ValueError(f"Resize: `size` is {size!r}; it must be a whole number of at least 1, or two")
        self.size = sides
        table = {"interpolation": one_of("bilinear", "nearest"), "antialias": flag}
        self.interpolation, self.antialias = checked("Resize", table, locals()).values()

    def __call__(self, images: NDArray[Any]) -> NDArray[Any]:
        """Images (N, ..., H, W), in their dtype. Integers are rounded to the nearest.

        Raises:
            ValueError: if an image has no pixel.
        """
        images = batch_of_images("Resize", images)
        if 0 in images.shape[-2:]:
            raise ValueError(f"Resize: `images` has shape {images.shape}; an image must have at least one pixel")
        old = images.shape[-2:]
        new = self.size if len(self.size) == 2 else tuple(self.size[0] * n // min(old) for n in old)
        if self.interpolation == "nearest":
            rows, columns = (np.arange(n) * m // n for m, n in zip(old, new, strict=True))
            nearest: NDArray[Any] = images.take(rows, axis=-2).take(columns, axis=-1)
            return nearest
        work = np.result_type(images.dtype, np.float32)
        height, width = (self._weights(m, n).astype(work) for m, n in zip(old, new, strict=True))
        resized: Any = matmul(matmul(height, images.astype(work, copy=False)), width.T)
        result: NDArray[Any] = np.rint(resized) if images.dtype.kind in "biu" else resized
        return result.astype(images.dtype, copy=False)

    def _weights(self, old: int, new: int) -> NDArray[np.float64]:
        """The share of each old pixel in each new one along a side, (new, old)."""
        ratio = old / new
        reach = max(ratio, 1.0) if self.antialias else 1.0
        centres = (np.arange(new) + 0.5) * ratio - 0.5
        if not self.antialias:
            centres = centres.clip(0, old - 1)
        shares: NDArray[np.float64] = np.maximum(0, 1 - abs(np.arange(old) - centres[:, None]) / reach)
        shares /= shares.sum(axis=1, keepdims=True)
        return shares

    def __repr__(self) -> str:
        size = self.size if len(self.size) == 2 else self.size[0]
        antialias = f", antialias={self.antialias}" if self.interpolation == "bilinear" else ""
        return f"Resize({size}, {self.interpolation!r}{antialias})"
