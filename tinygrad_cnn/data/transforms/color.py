"""Random changes of colour."""

from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from ...ops.random import Seed, generator

Array: TypeAlias = NDArray[Any]
Amount: TypeAlias = float | tuple[float, float]


class ColorJitter:
    """Random brightness, contrast, saturation and hue of each image, in a random order.

    As torchvision's ColorJitter, with x in [0, 1] clipped after each change, and factors f that are drawn from a range:
    brightness f x;  contrast f x + (1 - f) mean(gray);  saturation f x + (1 - f) gray;  hue turned by f of a whole circle,
    where gray = 0.2989 red + 0.587 green + 0.114 blue. Images with one channel have no saturation and hue to change.

    Args:
        brightness, contrast, saturation: the range (low, high) of the factor; or v for (max(0, 1 - v), 1 + v).
        hue: the range within (-0.5, 0.5); or v of at most 0.5 for (-v, v).

    Raises:
        TypeError, ValueError: if an argument has the wrong type or is out of range.

    >>> import numpy as np, tinygrad_cnn as tg
    >>> images = np.full((2, 3, 4, 4), 100, np.uint8)
    >>> tg.data.ColorJitter(brightness=(1.5, 1.5))(images)[0, 0, 0, 0]
    np.uint8(150)
    """

    def __init__(
        self, brightness: Amount = 0, contrast: Amount = 0, saturation: Amount = 0, hue: Amount = 0
    ) -> None:  # fmt: skip
        self.brightness = _range("brightness", brightness, 1, 0, np.inf)
        self.contrast = _range("contrast", contrast, 1, 0, np.inf)
        self.saturation = _range("saturation", saturation, 1, 0, np.inf)
        self.hue = _range("hue", hue, 0, -0.5, 0.5)

    def __call__(self, images: Array, rng: Seed = None) -> Array:
        """Images (N, 3, H, W), (N, 1, H, W) or (N, H, W), in their dtype: uint8, or floating point from 0 to 1.

        Raises:
            TypeError, ValueError: if they are others.
        """
        images = np.asarray(images)
        if images.ndim not in (3, 4) or (images.ndim == 4 and images.shape[1] not in (1, 3)):
            raise ValueError(
                f"ColorJitter: `images` has shape {images.shape}; it must be a batch (N, 3, H, W), (N, 1, H, W) or (N, H, W)"
            )
        if images.dtype != np.uint8 and images.dtype.kind != "f":
            raise TypeError(f"ColorJitter: `images` is {images.dtype}; it must be uint8 or floating point")
        whole = 255 if images.dtype == np.uint8 else 1
        if whole == 1 and images.size and not (images.min() >= 0 and images.max() <= 1):
            found = f"from {images.min():g} to {images.max():g}"
            raise ValueError(f"ColorJitter: `images` is {found}; it must be from 0 to 1: put Normalize after it")
        rng = generator(rng)
        changes = [(_brighten, self.brightness), (_contrast, self.contrast), (_saturate, self.saturation)]
        changes.append((_turn, self.hue))
        factors = [rng.uniform(*bounds, (len(images), 1, 1, 1)) for _, bounds in changes]
        order = rng.permuted(np.tile(np.arange(len(changes)), (len(images), 1)), axis=1)
        x = images[:, None] if images.ndim == 3 else images
        x = x.astype(np.result_type(images.dtype, np.float32)) / whole
        for place in order.T:
            for number, (change, bounds) in enumerate(changes):
                chosen = place == number
                if bounds != (int(change is not _turn),) * 2 and chosen.any():
                    x[chosen] = change(x[chosen], factors[number][chosen].astype(x.dtype)).clip(0, 1)
        changed: Array = np.rint(x * whole) if whole > 1 else x
        return changed.reshape(images.shape).astype(images.dtype, copy=False)

    def __repr__(self) -> str:
        names = ("brightness", "contrast", "saturation", "hue")
        return f"ColorJitter({', '.join(f'{name}={getattr(self, name)}' for name in names)})"


def _brighten(x: Array, f: Array) -> Array:
    return _blend(x, np.zeros_like(x), f)


def _contrast(x: Array, f: Array) -> Array:
    return _blend(x, _gray(x).mean(axis=(1, 2, 3), keepdims=True), f)


def _saturate(x: Array, f: Array) -> Array:
    return _blend(x, _gray(x), f)


def _blend(x: Array, other: Array, f: Array) -> Array:
    blended: Array = f * x + (1 - f) * other
    return blended


def _turn(x: Array, f: Array) -> Array:
    if x.shape[1] == 1:
        return x
    red, green, blue = x.swapaxes(0, 1)
    most = x.max(axis=1)
    chroma = most - x.min(axis=1)
    safe = np.where(chroma, chroma, 1)
    blue_or_green = np.where(most == green, (blue - red) / safe + 2, (red - green) / safe + 4)
    hue = np.where(most == red, (green - blue) / safe, blue_or_green) + 6 * f[:, 0]  # in sixths of a circle
    places = [(start + hue) % 6 for start in (5, 3, 1)]
    return np.stack([most - chroma * np.minimum(place, 4 - place).clip(0, 1) for place in places], axis=1)


def _gray(x: Array) -> Array:
    if x.shape[1] == 1:
        return x
    weights = np.array([0.2989, 0.587, 0.114], x.dtype)[:, None, None]
    gray: Array = (x * weights).sum(axis=1, keepdims=True)
    return gray


def _range(name: str, value: Any, middle: float, least: float, most: float) -> tuple[float, float]:
    numbers = np.asarray(value)
    if numbers.shape not in ((), (2,)) or numbers.dtype.kind not in "iuf" or not np.isfinite(numbers).all():
        raise TypeError(f"ColorJitter: `{name}` is {value!r}; it must be a finite number or two")
    if numbers.ndim:
        low, high = (float(bound) for bound in numbers)
    else:
        low, high = middle - float(numbers), middle + float(numbers)
        low = max(low, least) if middle else low
    if not least <= low <= high <= most:
        rule = "a number from 0 to 0.5, or two from -0.5 to 0.5" if name == "hue" else "a number of at least 0, or two"
        raise ValueError(f"ColorJitter: `{name}` is {value!r}; it must be {rule}, the lower one first")
    return low, high
