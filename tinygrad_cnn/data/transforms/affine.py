"""Random rotations, shifts, scalings and shears."""

import math
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from ...ops.random import Seed, generator
from .crop import batch_of_images

Range: TypeAlias = float | tuple[float, float]

PIXELS = 1 << 15
"""Pixels that are warped at once, so that intermediate arrays stay in the cache."""


class RandomAffine:
    """Random rotation, shear, scaling and shift of each image about its centre; bilinear.

    As torchvision's RandomAffine: the point (x, y) of an image, from its centre and in pixels, moves to
    scale R(angle) (x - tan(shear) y, y) + shift.

    Args:
        degrees: the angle is drawn from (low, high), or from -degrees to degrees; clockwise.
        translate: (a, b): the shift is drawn from -a to a times the width and -b to b times the height, in whole pixels.
        scale: (low, high) of the factor; None for 1.
        shear: (low, high) in degrees, or one number for both signs: how far upright lines lean to the right.
        fill: the value of pixels from outside the image.

    Raises:
        ValueError: if an argument is out of range.

    >>> import numpy as np, tinygrad_cnn as tg
    >>> augment = tg.data.RandomAffine(10, translate=(0.1, 0.1), scale=(0.9, 1.1), shear=5)
    >>> augment(np.zeros((64, 1, 28, 28), np.uint8)).shape
    (64, 1, 28, 28)
    """

    def __init__(
        self, degrees: Range, translate: tuple[float, float] | None = None, scale: tuple[float, float] | None = None,
        shear: Range | None = None, fill: float = 0,
    ) -> None:  # fmt: skip
        name = type(self).__name__
        self.degrees = _range(name, "degrees", degrees)
        self.shear = _range(name, "shear", 0 if shear is None else shear)
        self.scale = _range(name, "scale", (1, 1) if scale is None else scale)
        self.translate = _range(name, "translate", (0, 0) if translate is None else translate, ordered=False)
        if not all(0 <= part <= 1 for part in self.translate):
            raise ValueError(f"{name}: `translate` is {translate}; both parts must be from 0 to 1")
        if self.scale[0] <= 0:
            raise ValueError(f"{name}: `scale` is {scale}; factors must be above 0")
        if max(map(abs, self.shear)) >= 90:
            raise ValueError(f"{name}: `shear` is {shear}; it must be between -90 and 90 degrees")
        self.fill = fill

    def __call__(self, images: NDArray[Any], rng: Seed = None) -> NDArray[Any]:
        """Images (N, ..., H, W), in their dtype. Integers are rounded to the nearest."""
        images = batch_of_images(type(self).__name__, images)
        rng = generator(rng)
        count, (height, width) = len(images), images.shape[-2:]
        angle, shear = (np.radians(rng.uniform(*bounds, count)) for bounds in (self.degrees, self.shear))
        scale = rng.uniform(*self.scale, count)
        shift = np.rint(rng.uniform(-1, 1, (count, 2)) * self.translate * np.array([width, height]))
        # The inverse of scale R S maps a pixel of the result to its source. x points to the right and y down.
        cos, sin, lean = np.cos(angle) / scale, np.sin(angle) / scale, np.tan(shear)
        inverse = np.array([[cos - lean * sin, sin + lean * cos], [-sin, cos]]).transpose(2, 0, 1)
        return warp(images, inverse, shift, self.fill)

    def __repr__(self) -> str:
        others = f"translate={self.translate}, scale={self.scale}, shear={self.shear}"
        return f"{type(self).__name__}({self.degrees}, {others})"


class RandomRotation(RandomAffine):
    """Random rotation of each image about its centre, counter-clockwise; bilinear.

    Args:
        degrees: the angle is drawn from (low, high), or from -degrees to degrees.
        fill: the value of pixels from outside the image.

    >>> import numpy as np, tinygrad_cnn as tg
    >>> quarter = tg.data.RandomRotation((90, 90))
    >>> quarter(np.array([[[[1, 2], [3, 4]]]])).tolist()
    [[[[2, 4], [1, 3]]]]
    """

    def __init__(self, degrees: Range, fill: float = 0) -> None:
        low, high = _range("RandomRotation", "degrees", degrees)
        super().__init__((-high, -low), fill=fill)

    def __repr__(self) -> str:
        low, high = self.degrees
        return f"RandomRotation(({-high:g}, {-low:g}))"


def warp(images: NDArray[Any], matrix: NDArray[Any], shift: NDArray[Any], fill: float = 0) -> NDArray[Any]:
    """y(q) = x(matrix (q - shift)) for pixels q from the centre, by bilinear interpolation; `fill` outside of the image.

    The images are (N, ..., H, W), the matrices (N, 2, 2) and the shifts (N, 2), for vectors (x, y).
    """
    warped = np.empty(images.shape, images.dtype)
    group = max(1, PIXELS // max(1, math.prod(images.shape[-2:])))
    for start in range(0, len(images) if images.size else 0, group):
        some = slice(start, start + group)
        _warp_group(images[some], matrix[some], shift[some], fill, warped[some])
    return warped


def _warp_group(
    images: NDArray[Any], matrix: NDArray[Any], shift: NDArray[Any], fill: float, out: NDArray[Any]
) -> None:
    count, (height, width) = len(images), images.shape[-2:]
    work = np.result_type(images.dtype, np.float32)
    matrix, shift = matrix.astype(work), shift.astype(work)
    x = np.arange(width, dtype=work) - (width - 1) / 2 - shift[:, :1]  # (N, W)
    y = np.arange(height, dtype=work) - (height - 1) / 2 - shift[:, 1:]  # (N, H)
    column, right = _split(matrix[:, 0], x, y, width)
    row, down = _split(matrix[:, 1], x, y, height)
    at = (np.arange(count)[:, None, None] * (height + 2) + row) * (width + 2) + column  # (N, H, W), of the upper left
    neighbours = [at, at + 1, at + width + 2, at + width + 3]
    padded = np.full((count, height + 2, width + 2), fill, work)  # a frame of `fill`, to which positions are clipped
    for channel in np.ndindex(images.shape[1:-2]):
        padded[:, 1:-1, 1:-1] = images[:, *channel]
        a, b, c, d = (padded.take(place) for place in neighbours)
        new = _between(_between(a, b, right), _between(c, d, right), down)
        out[:, *channel] = np.rint(new, out=new) if images.dtype.kind in "biu" else new


def _split(vector: NDArray[Any], x: NDArray[Any], y: NDArray[Any], size: int) -> tuple[NDArray[np.intp], NDArray[Any]]:
    """The sources of pixels (N, H, W) along an axis of the padded images: the pixel before, and the distance from it."""
    place = vector[:, :1, None] * x[:, None, :] + (vector[:, 1:] * y + (size + 1) / 2)[:, :, None]
    np.clip(place, 0, size + 1, out=place)
    before = np.minimum(place.astype(np.intp), size)
    place -= before
    return before, place


def _between(a: NDArray[Any], b: NDArray[Any], part: NDArray[Any]) -> NDArray[Any]:
    """(1 - part) a + part b, exact at both ends; a and b are overwritten."""
    a *= 1 - part
    b *= part
    a += b
    return a


def _range(name: str, label: str, value: Any, *, ordered: bool = True) -> tuple[float, float]:
    given = np.asarray(value)
    if given.shape not in ((), (2,)) or given.dtype.kind not in "iuf" or not np.isfinite(given).all():
        raise ValueError(f"{name}: `{label}` is {value!r}; it must be a finite number or two")
    if not given.ndim and given < 0:
        raise ValueError(f"{name}: `{label}` is {value!r}; one number is for both signs and must be at least 0")
    low, high = (float(bound) for bound in (given if given.ndim else (-given, given)))
    if ordered and low > high:
        raise ValueError(f"{name}: `{label}` is {value!r}; the lower bound comes first")
    return low, high
