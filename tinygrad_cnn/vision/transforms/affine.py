"""Random rotations, affine maps and perspectives, with boxes, masks and keypoints."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from ...checks import checked, flag, number
from ...scope import contained
from .geometry import P, interpolated
from .transform import Batch, Change, Size, Transform, changed, ordered
from .warp import Warp

__all__ = ["RandomAffine", "RandomPerspective", "RandomRotation"]

Array: TypeAlias = NDArray[Any]


def _range(name: str, label: str, value: Any) -> tuple[float, float]:
    """(low, high), or of one number both signs."""
    if np.ndim(value) == 0:
        value = checked(
            name, {label: number("a finite number of at least 0", lambda v: 0 <= v < math.inf)}, {label: value}
        )
        return -value[label], value[label]
    return ordered(name, label, value)


def _center(name: str, center: Any) -> tuple[float, float] | None:
    if center is None:
        return None
    given = np.asarray(center)
    if given.shape != (2,) or given.dtype.kind not in "iuf":
        raise ValueError(f"{name}: `center` is {center!r}; it must be two numbers, x and y, or None for the middle")
    return float(given[0]), float(given[1])


def affine_matrices(
    center: tuple[float, float] | Array, angle: Array, shift: Array, scale: Array, shear: Array
) -> Array:  # fmt: skip
    """The matrices (N, 3, 3) that turn clockwise, shear, scale and shift about centers (2,) or (N, 2); in degrees.

    `angle` and `scale` are (N,), `shift` and `shear` (N, 2).
    """
    turn, (sx, sy) = np.radians(angle), np.radians(shear).T
    matrices = np.zeros((len(turn), 3, 3))
    matrices[:, 0, 0] = np.cos(turn - sy) / np.cos(sy)
    matrices[:, 0, 1] = -np.cos(turn - sy) * np.tan(sx) / np.cos(sy) - np.sin(turn)
    matrices[:, 1, 0] = np.sin(turn - sy) / np.cos(sy)
    matrices[:, 1, 1] = -np.sin(turn - sy) * np.tan(sx) / np.cos(sy) + np.cos(turn)
    matrices *= scale[:, None, None]
    middle = np.asarray(center)
    matrices[:, :2, 2] = middle + shift - (matrices[:, :2, :2] * middle[..., None, :]).sum(axis=-1)
    matrices[:, 2, 2] = 1
    return matrices


def affine_change(
    size: Size, angle: Any, shift: Any, scale: Any, shear: Any, interpolation: str, fill: Any, center: Any = None
) -> Change:  # fmt: skip
    """A change by affine maps, one for each angle."""
    middle = (size[1] / 2, size[0] / 2) if center is None else center
    forward = affine_matrices(middle, *(np.asarray(v, np.float64) for v in (angle, shift, scale, shear)))
    return Warp(contained(np.linalg.inv, forward), size, interpolation, fill)


class RandomRotation(Transform):
    """Each image turned counter-clockwise by a random angle.

    Args:
        degrees: the angle is drawn from (low, high), or from -degrees to degrees.
        interpolation: "nearest" or "bilinear"; masks take the nearest pixel.
        expand: whether the new images hold all of the old ones. The images of a batch then need one angle.
        center: (x, y) about which to turn; the middle by default.
        fill: the value of pixels from outside the image: as for :class:`Pad`.

    Raises:
        ValueError: if an argument is out of range, or expanded images have several sizes.

    >>> import numpy as np, tinygrad_cnn as tg
    >>> tg.vision.transforms.RandomRotation((90, 90))(np.array([[[1, 2], [3, 4]]])).tolist()
    [[[2, 4], [1, 3]]]
    """

    def __init__(
        self, degrees: float | tuple[float, float], interpolation: str = "nearest", expand: bool = False,
        center: Sequence[float] | None = None, fill: Any = 0,
    ) -> None:  # fmt: skip
        self.degrees = _range("RandomRotation", "degrees", degrees)
        self.interpolation = interpolated("RandomRotation", interpolation)
        self.expand = checked("RandomRotation", {"expand": flag}, locals())["expand"]
        self.center, self.fill = _center("RandomRotation", center), fill

    def draw(self, rng: np.random.Generator, images: Array) -> Change:
        """An angle for each image."""
        count, size = len(images), images.shape[-2:]
        angle = -rng.uniform(*self.degrees, count)
        none, ones = np.zeros((count, 2)), np.ones(count)
        if not self.expand or not count:
            return affine_change(size, angle, none, ones, none, self.interpolation, self.fill, self.center)
        half = np.array([size[1], size[0]]) / 2
        middle = (0.0, 0.0) if self.center is None else tuple(np.array(self.center) - half)
        forward = affine_matrices(middle, angle, none, ones, none)  # about the middle of the image
        frame = np.array([[-1, -1], [-1, 1], [1, 1], [1, -1]]) * half
        inverse = contained(np.linalg.inv, forward)
        seen = frame @ inverse[:, :2, :2].swapaxes(1, 2) + inverse[:, None, :2, 2] + half
        seen = np.trunc(seen * 1e4) / 1e4  # what is 1e-15 above a whole number is this number
        new = (np.ceil(seen.max(axis=1)) - np.floor(seen.min(axis=1))).astype(int)
        if (new != new[0]).any():
            raise ValueError(
                "RandomRotation: with expand=True the images of this batch get several sizes; turn them one by one"
            )
        width, height = new[0].tolist()
        to_middle, back = np.eye(3), np.eye(3)
        to_middle[:2, 2], back[:2, 2] = -width / 2, half
        to_middle[1, 2] = -height / 2
        low = (frame @ forward[:, :2, :2].swapaxes(1, 2) + forward[:, None, :2, 2]).min(axis=1)
        shift = low + np.array([width, height]) / 2  # torchvision moves boxes so that the turned frame begins at 0
        return Warp(back @ inverse @ to_middle, (height, width), self.interpolation, self.fill, shift)


class RandomAffine(Transform):
    """Each image turned, sheared, scaled and shifted at random about its middle.

    Args:
        degrees: the angle is drawn from (low, high), or from -degrees to degrees; clockwise.
        translate: (a, b): the shift is drawn from -a to a times the width and -b to b times the height, in whole pixels.
        scale: (low, high) of the factor; None for 1.
        shear: in degrees: (low, high) along x, or one number for both signs; or (low x, high x, low y, high y).
        interpolation, fill, center: as for :class:`RandomRotation`.

    Raises:
        ValueError: if an argument is out of range.

    >>> import numpy as np, tinygrad_cnn as tg
    >>> move = tg.vision.transforms.RandomAffine(10, translate=(0.1, 0.1), scale=(0.9, 1.1), shear=5)
    >>> move(np.zeros((64, 1, 28, 28), np.uint8)).shape
    (64, 1, 28, 28)
    """

    def __init__(
        self, degrees: float | tuple[float, float], translate: tuple[float, float] | None = None,
        scale: tuple[float, float] | None = None, shear: float | Sequence[float] | None = None,
        interpolation: str = "nearest", fill: Any = 0, center: Sequence[float] | None = None,
    ) -> None:  # fmt: skip
        name = "RandomAffine"
        self.degrees = _range(name, "degrees", degrees)
        self.translate = (0.0, 0.0) if translate is None else tuple(float(v) for v in translate)
        if len(self.translate) != 2 or not all(0 <= v <= 1 for v in self.translate):
            raise ValueError(f"{name}: `translate` is {translate!r}; it must be two numbers from 0 to 1")
        self.scale = (1.0, 1.0) if scale is None else ordered(name, "scale", scale, 1e-6)
        several: Any = (
            [0] * 4 if shear is None else [*_range(name, "shear", shear), 0, 0] if np.size(shear) < 4 else shear
        )
        self.shear = (*ordered(name, "shear", several[:2]), *ordered(name, "shear", several[2:]))
        if max(map(abs, self.shear)) >= 90:
            raise ValueError(f"{name}: `shear` is {shear!r}; it must be between -90 and 90 degrees")
        self.interpolation, self.fill = interpolated(name, interpolation), fill
        self.center = _center(name, center)

    def draw(self, rng: np.random.Generator, images: Array) -> Change:
        """An affine map for each image."""
        count, (height, width) = len(images), images.shape[-2:]
        angle = rng.uniform(*self.degrees, count)
        reach = np.array([width, height]) * self.translate
        shift = np.rint(rng.uniform(-1, 1, (count, 2)) * reach)
        scale = rng.uniform(*self.scale, count)
        shear = np.stack([rng.uniform(*self.shear[:2], count), rng.uniform(*self.shear[2:], count)], axis=1)
        return affine_change((height, width), angle, shift, scale, shear, self.interpolation, self.fill, self.center)


class RandomPerspective(Transform):
    """Images seen from another place, with probability `p`: each corner moves to a random place towards the middle.

    Args:
        distortion_scale: how far, from 0 to 1: at most this part of half the height and width.
        p: the probability with which an image is changed.
        interpolation, fill: as for :class:`RandomRotation`.

    Raises:
        ValueError: if an argument is out of range.
    """

    def __init__(
        self, distortion_scale: float = 0.5, p: float = 0.5, interpolation: str = "bilinear", fill: Any = 0
    ) -> None:
        table = {"distortion_scale": number("a number from 0 to 1", lambda v: 0 <= v <= 1), **P}
        self.distortion_scale, self.p = checked("RandomPerspective", table, locals()).values()
        self.interpolation, self.fill = interpolated("RandomPerspective", interpolation), fill

    def apply(self, batch: Batch, rng: np.random.Generator) -> Batch:
        """The batch with some of its images changed."""
        chosen = np.flatnonzero(rng.random(len(batch.images)) < self.p)
        if not len(chosen):
            return batch
        part = batch.take(chosen)
        return batch.put("RandomPerspective", chosen, changed(part, self.draw(rng, part.images)))

    def draw(self, rng: np.random.Generator, images: Array) -> Change:
        """Four corners for each image."""
        height, width = images.shape[-2:]
        down, across = (int(self.distortion_scale * (n // 2)) for n in (height, width))
        left, right = (rng.integers(0, across + 1, (len(images), 2)) for _ in "lr")
        top, bottom = (rng.integers(0, down + 1, (len(images), 2)) for _ in "tb")
        ends = np.stack([
            np.stack([left[:, 0], top[:, 0]], axis=1), np.stack([width - 1 - right[:, 0], top[:, 1]], axis=1),
            np.stack([width - 1 - right[:, 1], height - 1 - bottom[:, 1]], axis=1),
            np.stack([left[:, 1], height - 1 - bottom[:, 0]], axis=1),
        ], axis=1)  # fmt: skip
        starts = np.array([[0, 0], [width - 1, 0], [width - 1, height - 1], [0, height - 1]])
        return Warp(homographies(ends, starts), (height, width), self.interpolation, self.fill)


def homographies(points: Array, targets: Array) -> Array:
    """The matrices (N, 3, 3) that take four points (N, 4, 2) to these targets (4, 2)."""
    count = len(points)
    x, y = points[..., 0].astype(np.float64), points[..., 1].astype(np.float64)
    none, ones = np.zeros_like(x), np.ones_like(x)
    to = np.broadcast_to(targets.astype(np.float64), (count, 4, 2))
    rows = [
        np.stack([x, y, ones, none, none, none, -to[..., 0] * x, -to[..., 0] * y], axis=-1),
        np.stack([none, none, none, x, y, ones, -to[..., 1] * x, -to[..., 1] * y], axis=-1),
    ]
    system = np.concatenate(rows, axis=1)  # (N, 8, 8)
    known = np.concatenate([to[..., 0], to[..., 1]], axis=1)[..., None]
    found = contained(np.linalg.pinv, system) @ known if count else np.zeros((0, 8, 1))
    return np.concatenate([found[..., 0], np.ones((count, 1))], axis=1).reshape(count, 3, 3)
