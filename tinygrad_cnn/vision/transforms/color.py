"""Random changes of colours, which move nothing."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from ...checks import checked, number, whole
from . import functional as f
from .geometry import P
from .transform import Batch, Change, Transform, changed, ordered

__all__ = [
    "ColorJitter", "GaussianBlur", "Grayscale", "Normalize", "RandomAdjustSharpness", "RandomAutocontrast", "RandomEqualize",
    "RandomGrayscale", "RandomInvert", "RandomPosterize", "RandomSolarize", "ToFloat",
]  # fmt: skip

Array: TypeAlias = NDArray[Any]
Amount: TypeAlias = float | Sequence[float]


class Values(Change):
    """A change of the values of images by a function."""

    def __init__(self, function: Callable[[Array], Array]) -> None:
        self._function = function

    def images(self, x: Array) -> Array:
        """Images (N, C, H, W)."""
        return self._function(x)


class _Sometimes(Transform):
    """A change of values with probability `p`."""

    p: float

    def apply(self, batch: Batch, rng: np.random.Generator) -> Batch:
        """The batch with some of its images changed."""
        chosen = rng.random(len(batch.images)) < self.p
        if not chosen.any():
            return batch
        return changed(batch, Values(self.change if chosen.all() else lambda x: self._some(x, chosen)))

    def _some(self, x: Array, chosen: Array) -> Array:
        """The images with the chosen ones changed, in groups that stay in the cache."""
        y = np.empty_like(x, order="C")
        group = max(1, f.PIXELS // max(1, math.prod(x.shape[2:])))
        for start in range(0, len(x), group):
            some = slice(start, start + group)
            here = chosen[some]
            if here.all():
                y[some] = self.change(x[some])
                continue
            y[some] = x[some]
            if here.any():
                y[some][here] = self.change(x[some][here])
        return y

    def change(self, x: Array) -> Array:
        """The images changed, (n, channels, height, width); each class defines it."""
        raise NotImplementedError(f"{type(self).__name__}: define `change(x)`, which returns the images changed")


def _checked_p(transform: Transform, p: float) -> float:
    return float(checked(type(transform).__name__, P, {"p": p})["p"])


class ColorJitter(Transform):
    """Random brightness, contrast, saturation and hue of each image, in a random order.

    Args:
        brightness, contrast, saturation: the bounds of a factor; or v for (max(0, 1 - v), 1 + v); None for no change.
        hue: bounds within (-0.5, 0.5); or v for (-v, v).

    Raises:
        TypeError, ValueError: if an argument, or an image, has the wrong type or is out of range.

    >>> import numpy as np, tinygrad_cnn as tg
    >>> jitter = tg.vision.transforms.ColorJitter(brightness=(1.5, 1.5))
    >>> jitter(np.full((2, 3, 4, 4), 100, np.uint8))[0, 0, 0, 0]
    np.uint8(150)
    """

    def __init__(
        self, brightness: Amount | None = None, contrast: Amount | None = None, saturation: Amount | None = None,
        hue: Amount | None = None,
    ) -> None:  # fmt: skip
        self.brightness = _amount("brightness", brightness, 1, 0, math.inf)
        self.contrast = _amount("contrast", contrast, 1, 0, math.inf)
        self.saturation = _amount("saturation", saturation, 1, 0, math.inf)
        self.hue = _amount("hue", hue, 0, -0.5, 0.5)

    def draw(self, rng: np.random.Generator, images: Array) -> Change:
        """Factors and an order for each image."""
        images = f.images_of("ColorJitter", images)
        functions = (f.adjust_brightness, f.adjust_contrast, f.adjust_saturation, f.adjust_hue)
        bounds = (self.brightness, self.contrast, self.saturation, self.hue)
        count = len(images)
        factors = [None if each is None else rng.uniform(*each, count) for each in bounds]
        order = rng.permuted(np.tile(np.arange(4), (count, 1)), axis=1)

        def change(x: Array) -> Array:
            kinds = [k for k in range(4) if factors[k] is not None]
            if len(kinds) == 1:
                return functions[kinds[0]](x, factors[kinds[0]])
            group = max(1, f.PIXELS // max(1, x[:1, 0].size))
            y = x.copy()
            ranks = order.argsort(axis=1)[:, kinds]  # in which turn each change comes
            turns = ranks.argsort(axis=1)  # the changes of an image in turn
            for turn in range(len(kinds)):
                for place, kind in enumerate(kinds):
                    here = np.flatnonzero(turns[:, turn] == place)
                    for start in range(0, len(here), group):
                        some: Any = here[start : start + group]
                        if len(some) == 1:
                            some = slice(some[0], some[0] + 1)
                        y[some] = functions[kind](y[some], factors[kind][some])  # type: ignore[index]
            return y

        return Values(change)


def _amount(name: str, value: Any, middle: float, low: float, high: float) -> tuple[float, float] | None:
    """The bounds of a factor, or None if it is always `middle`."""
    if value is None:
        return None
    if np.ndim(value) == 0:
        rule = number("a finite number of at least 0, or two", lambda v: 0 <= v < math.inf)
        one = checked("ColorJitter", {name: rule}, {name: value})[name]
        bounds = (max(middle - one, low) if middle else -one, middle + one)
    else:
        bounds = ordered("ColorJitter", name, value)
    if not low <= bounds[0] <= bounds[1] <= high:
        raise ValueError(f"ColorJitter: `{name}` is {value!r}; it must be from {low:g} to {high:g}")
    return None if bounds == (middle, middle) else bounds


class Grayscale(Transform):
    """Images without colours, of one channel or of three equal ones."""

    def __init__(self, num_output_channels: int = 1) -> None:
        if num_output_channels not in (1, 3):
            raise ValueError(f"Grayscale: `num_output_channels` is {num_output_channels!r}; it must be 1 or 3")
        self.num_output_channels = num_output_channels

    def draw(self, rng: np.random.Generator, images: Array) -> Change:
        """The same for every image."""
        return Values(lambda x: f.rgb_to_grayscale(x, self.num_output_channels))


class RandomGrayscale(_Sometimes):
    """Images without colours, with probability `p`; they keep their channels."""

    def __init__(self, p: float = 0.1) -> None:
        self.p = _checked_p(self, p)

    def change(self, x: Array) -> Array:
        """The images without colours."""
        return f.rgb_to_grayscale(x, x.shape[1] if x.ndim == 4 and x.shape[1] in (1, 3) else 1)


class RandomInvert(_Sometimes):
    """Negatives of images, with probability `p`."""

    def __init__(self, p: float = 0.5) -> None:
        self.p = _checked_p(self, p)

    def change(self, x: Array) -> Array:
        """See :func:`~tinygrad_cnn.vision.transforms.functional.invert`."""
        return f.invert(x)


class RandomAutocontrast(_Sometimes):
    """Images with each channel stretched to the whole range of values, with probability `p`."""

    def __init__(self, p: float = 0.5) -> None:
        self.p = _checked_p(self, p)

    def change(self, x: Array) -> Array:
        """See :func:`~tinygrad_cnn.vision.transforms.functional.autocontrast`."""
        return f.autocontrast(x)


class RandomEqualize(_Sometimes):
    """Images whose values are about equally frequent, with probability `p`."""

    def __init__(self, p: float = 0.5) -> None:
        self.p = _checked_p(self, p)

    def change(self, x: Array) -> Array:
        """See :func:`~tinygrad_cnn.vision.transforms.functional.equalize`."""
        return f.equalize(x)


class RandomPosterize(_Sometimes):
    """Images with the first `bits` bits of each value, with probability `p`."""

    def __init__(self, bits: int, p: float = 0.5) -> None:
        self.bits = checked("RandomPosterize", {"bits": whole(0, 9)}, locals())["bits"]
        self.p = _checked_p(self, p)

    def change(self, x: Array) -> Array:
        """The images with fewer bits."""
        return f.posterize(x, self.bits)


class RandomSolarize(_Sometimes):
    """Images with values of at least `threshold` inverted, with probability `p`."""

    def __init__(self, threshold: float, p: float = 0.5) -> None:
        self.threshold, self.p = threshold, _checked_p(self, p)

    def change(self, x: Array) -> Array:
        """The images with bright values inverted."""
        return f.solarize(x, self.threshold)


class RandomAdjustSharpness(_Sometimes):
    """Images blurred (a factor below 1) or sharpened (above 1), with probability `p`."""

    def __init__(self, sharpness_factor: float, p: float = 0.5) -> None:
        self.sharpness_factor, self.p = sharpness_factor, _checked_p(self, p)

    def change(self, x: Array) -> Array:
        """The images with this sharpness."""
        return f.adjust_sharpness(x, self.sharpness_factor)


class GaussianBlur(Transform):
    """Images blurred by a bell of random width.

    Args:
        kernel_size: odd, one number or two: (width, height).
        sigma: the standard deviation is drawn from (low, high), or is this number.
    """

    def __init__(self, kernel_size: int | Sequence[int], sigma: float | Sequence[float] = (0.1, 2.0)) -> None:
        self.kernel_size = kernel_size
        given = (sigma, sigma) if np.ndim(sigma) == 0 else sigma
        self.sigma = ordered("GaussianBlur", "sigma", given, 1e-6)
        f.gaussian_blur(np.zeros((0, 1, 10**6, 10**6), np.uint8), kernel_size, 1)  # raises if it is invalid

    def draw(self, rng: np.random.Generator, images: Array) -> Change:
        """A width for each image."""
        sigma = rng.uniform(*self.sigma, (len(images), 1))
        return Values(lambda x: f.gaussian_blur(x, self.kernel_size, sigma.repeat(2, axis=1)))


class ToFloat(Transform):
    """y = x / 255 of uint8 images, in float32; ToDtype(torch.float32, scale=True) in torchvision. Floating point stays."""

    def draw(self, rng: np.random.Generator, images: Array) -> Change:
        """The same for every image."""
        if images.dtype != np.uint8 and images.dtype.kind != "f":
            raise TypeError(f"ToFloat: `images` is {images.dtype}; it must be uint8 or floating point")
        return Values(lambda x: x if x.dtype.kind == "f" else f.scaled(x))


class Normalize(Transform):
    """y = (x - mean) / std for each channel of images in floating point.

    Raises:
        TypeError: if images are not floating point: put :class:`ToFloat` before it.
        ValueError: if a `std` is 0, or there are not as many as channels.
    """

    def __init__(self, mean: Sequence[float], std: Sequence[float], inplace: bool = False) -> None:
        self.mean, self.std = (np.atleast_1d(np.asarray(v, np.float64)).tolist() for v in (mean, std))
        if len(self.mean) != len(self.std) or 0 in self.std:
            raise ValueError(
                f"Normalize: `mean` is {mean!r} and `std` {std!r}; each needs a number for each channel, not 0"
            )

    def draw(self, rng: np.random.Generator, images: Array) -> Change:
        """The same for every image."""
        if images.dtype.kind != "f":
            raise TypeError(f"Normalize: `images` is {images.dtype}; put ToFloat() before it")
        if len(self.mean) not in (1, images.shape[1]):
            raise ValueError(f"Normalize: there are {len(self.mean)} means for {images.shape[1]} channels")
        mean, std = (np.array(v, images.dtype)[:, None, None] for v in (self.mean, self.std))
        return Values(lambda x: f.normalized(x, mean, std))
