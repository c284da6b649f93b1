"""Images as arrays."""

from operator import index
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

Number = TypeVar("Number", bound=np.generic)


def enlarge(images: NDArray[Number], size: int) -> NDArray[Number]:
    """Images (..., H, W) as (..., size, size), in their dtype. Each new pixel is the old one at its centre.

    Raises:
        ValueError: if `images` has no pixel or less than two axes, or `size` is smaller than an image.
        TypeError: if `size` is not an integer.

    >>> import numpy as np, tinygrad_cnn as tg
    >>> tg.data.enlarge(np.array([[1, 2], [3, 4]]), 4).tolist()
    [[1, 1, 2, 2], [1, 1, 2, 2], [3, 3, 4, 4], [3, 3, 4, 4]]
    """
    images = np.asarray(images)
    if images.ndim < 2 or 0 in images.shape[-2:]:
        raise ValueError(f"enlarge: `images` has shape {images.shape}; it must be (..., H, W) with at least one pixel")
    try:
        size = index(size)
    except TypeError:
        raise TypeError(f"enlarge: `size` is {size!r}; it must be an integer") from None
    if size < max(images.shape[-2:]):
        height, width = images.shape[-2:]
        raise ValueError(f"enlarge: `size` is {size} but the images are {height} x {width}; it must not be smaller")
    centres = 2 * np.arange(size) + 1  # in units of half a new pixel, so that the arithmetic is exact
    rows, columns = (centres * n // (2 * size) for n in images.shape[-2:])
    enlarged: NDArray[Number] = images.take(rows, axis=-2).take(columns, axis=-1)
    return enlarged
