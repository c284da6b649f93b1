"""Squares that are cut out of images."""

from operator import index
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...checks import checked, whole
from ...ops.random import Seed, generator
from .crop import batch_of_images


class Cutout:
    """Rectangles at random positions of each image are filled. Part of one may be outside of the image.

    The middle is a random pixel of the image, with the same probability for each.

    Reference: DeVries and Taylor, "Improved regularization of convolutional neural networks with cutout", arXiv:1708.04552.

    Args:
        size: of a rectangle: (height, width), or one number for both.
        holes: how many rectangles an image gets.
        fill: the new value of the pixels.

    Raises:
        TypeError, ValueError: if an argument has the wrong type or is out of range.

    >>> import numpy as np, tinygrad_cnn as tg
    >>> cut = tg.data.Cutout(3)(np.ones((1000, 1, 8, 8), np.uint8))
    >>> sorted(set((64 - cut.sum(axis=(1, 2, 3))).tolist()))
    [4, 6, 9]
    """

    def __init__(self, size: int | tuple[int, int], holes: int = 1, fill: float = 0) -> None:
        try:
            self.height, self.width = (index(n) for n in (size if isinstance(size, tuple | list) else (size, size)))
        except (TypeError, ValueError):
            raise TypeError(f"Cutout: `size` is {size!r}; it must be a whole number, or two") from None
        if min(self.height, self.width) < 1:
            raise ValueError(f"Cutout: `size` is {size!r}; it must be at least 1")
        self.holes: int = checked("Cutout", {"holes": whole(1)}, locals())["holes"]
        self.fill = fill

    def __call__(self, images: NDArray[Any], rng: Seed = None) -> NDArray[Any]:
        """Images (N, ..., H, W), in their dtype."""
        images = batch_of_images("Cutout", images)
        rng = generator(rng)
        height, width = images.shape[-2:]
        cut = images.copy()
        if not images.size:
            return cut
        for _ in range(self.holes):
            rows = _covered(rng, len(images), height, self.height)[:, :, None]
            columns = _covered(rng, len(images), width, self.width)[:, None, :]
            np.moveaxis(cut, 0, -3)[..., rows & columns] = self.fill
        return cut

    def __repr__(self) -> str:
        return f"Cutout(({self.height}, {self.width}), holes={self.holes}, fill={self.fill:g})"


def _covered(rng: np.random.Generator, count: int, side: int, length: int) -> NDArray[np.bool_]:
    """For each image, which pixels along a side are covered by a piece of this length around a random one."""
    distance = np.arange(side) - rng.integers(side, size=(count, 1)) + length // 2
    return (distance >= 0) & (distance < length)
