"""Random windows and mirror images."""

from operator import index
from typing import Any

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from ...checks import checked, number
from ...frames import warn_user
from ...ops.random import Seed, generator

_MODES = ("constant", "edge", "reflect", "symmetric")


class RandomCrop:
    """A window of each image, at a random position.

    Args:
        size: of the window: (height, width), or one number for both.
        padding: the number of pixels by which each side of an image is padded first.
        fill: the value of these pixels.
        padding_mode: "constant" for `fill`, or as in ``np.pad`` "edge", "reflect" or "symmetric".

    Raises:
        TypeError, ValueError: if an argument has the wrong type or is out of range.

    >>> import numpy as np, tinygrad_cnn as tg
    >>> images = np.zeros((64, 3, 32, 32), np.uint8)
    >>> tg.data.RandomCrop(32, padding=4)(images).shape
    (64, 3, 32, 32)
    """

    def __init__(
        self, size: int | tuple[int, int], padding: int = 0, fill: float = 0, padding_mode: str = "constant"
    ) -> None:
        try:
            self.height, self.width = (index(n) for n in (size if isinstance(size, tuple | list) else (size, size)))
            self.padding = index(padding)
        except (TypeError, ValueError):
            raise TypeError(
                f"RandomCrop: `size` is {size!r} and `padding` {padding!r}; they must be whole numbers, `size` one or two"
            ) from None
        if min(self.height, self.width) < 1 or self.padding < 0:
            raise ValueError(f"RandomCrop: `size` is {size} and `padding` {padding}; they must be at least 1 and 0")
        if padding_mode not in _MODES:
            raise ValueError(f"RandomCrop: `padding_mode` is {padding_mode!r}; it must be one of {', '.join(_MODES)}")
        self.fill = fill
        self.padding_mode = padding_mode

    def __call__(self, images: NDArray[Any], rng: Seed = None) -> NDArray[Any]:
        """Images (N, ..., H, W) as (N, ..., height, width), in their dtype.

        Raises:
            ValueError: if the padded images are smaller than the window.
        """
        images = batch_of_images("RandomCrop", images)
        if self.padding:
            widths = [(0, 0)] * (images.ndim - 2) + [(self.padding, self.padding)] * 2
            mode: Any = self.padding_mode
            value: Any = {"constant_values": self.fill} if self.padding_mode == "constant" else {}
            images = np.pad(images, widths, mode, **value)
        rows, columns = images.shape[-2] - self.height + 1, images.shape[-1] - self.width + 1
        if min(rows, columns) < 1:
            size, padded = f"{self.height} x {self.width}", f"{images.shape[-2]} x {images.shape[-1]}"
            raise ValueError(f"RandomCrop: `size` is {size} but the padded images are {padded}; it must not be larger")
        rng = generator(rng)
        top, left = (rng.integers(n, size=len(images)) for n in (rows, columns))
        windows = sliding_window_view(images, (self.height, self.width), axis=(-2, -1))
        windows = np.moveaxis(windows, (-4, -3), (1, 2))  # (N, rows, columns, ..., height, width)
        cropped: NDArray[Any] = windows[np.arange(len(images)), top, left]
        return cropped

    def __repr__(self) -> str:
        return f"RandomCrop(({self.height}, {self.width}), padding={self.padding})"


_P = {"p": number("a number from 0 to 1", lambda p: 0 <= p <= 1)}


class _RandomFlip:
    """The base of random mirror images."""

    _mirrored: tuple[Any, ...]

    def __init__(self, p: float = 0.5) -> None:
        self.p: float = checked(type(self).__name__, _P, locals())["p"]

    def __call__(self, images: NDArray[Any], rng: Seed = None) -> NDArray[Any]:
        """Images (N, ..., H, W), in their dtype."""
        images = batch_of_images(type(self).__name__, images)
        chosen = generator(rng).random(len(images)) < self.p
        flipped = images.copy()
        flipped[chosen] = images[chosen][self._mirrored]
        return flipped

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.p:g})"


class RandomHorizontalFlip(_RandomFlip):
    """Exchange left and right of each image with probability `p`.

    Raises:
        ValueError: if `p` is not from 0 to 1.

    >>> import numpy as np, tinygrad_cnn as tg
    >>> tg.data.RandomHorizontalFlip(p=1)(np.array([[[[1, 2, 3]]]])).tolist()
    [[[[3, 2, 1]]]]
    """

    _mirrored = (..., slice(None, None, -1))


class RandomVerticalFlip(_RandomFlip):
    """Exchange top and bottom of each image with probability `p`.

    Raises:
        ValueError: if `p` is not from 0 to 1.

    >>> import numpy as np, tinygrad_cnn as tg
    >>> tg.data.RandomVerticalFlip(p=1)(np.array([[[[1, 2], [3, 4]]]])).tolist()
    [[[[3, 4], [1, 2]]]]
    """

    _mirrored = (..., slice(None, None, -1), slice(None))


def batch_of_images(name: str, images: Any) -> NDArray[Any]:
    """`images` as an array (N, ..., H, W), or a ValueError if it has less than three axes. A warning for (N, H, W, 3 or 4)."""
    array: NDArray[Any] = np.asarray(images)
    if array.ndim < 3:
        raise ValueError(f"{name}: `images` has shape {array.shape}; it must be a batch (N, ..., H, W)")
    if array.shape[-1] in (3, 4) and array.ndim == 4 and min(array.shape[1:3]) > 4:
        warn_user(
            f"{name}: `images` has shape {array.shape}, as if its channels were last, and its last two axes are taken for "
            "height and width; make it (N, C, H, W) by images.transpose(0, 3, 1, 2)"
        )
    return array
