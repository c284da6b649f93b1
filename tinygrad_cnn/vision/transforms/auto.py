"""Augmentation by operations that are drawn for each image, from a table."""

from __future__ import annotations

from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from ...checks import checked, whole
from . import functional as f
from .affine import affine_change
from .geometry import interpolated
from .transform import Batch, Transform

__all__ = ["RandAugment", "TrivialAugmentWide"]

Array: TypeAlias = NDArray[Any]

MOVES = ("ShearX", "ShearY", "TranslateX", "TranslateY", "Rotate")
SIGNED = (*MOVES, "Brightness", "Color", "Contrast", "Sharpness")
OPERATIONS = ("Identity", *SIGNED, "Posterize", "Solarize", "AutoContrast", "Equalize")
LAST_SIGNED = len(SIGNED)


class _Auto(Transform):
    """The base: `_operate` applies one operation to images, with a magnitude for each."""

    interpolation: str
    fill: Any

    def _images(self, batch: Batch) -> Array:
        name = type(self).__name__
        if batch.positions():
            raise ValueError(
                f"{name}: the targets have {batch.positions()}, which it does not move; it is for images and labels only"
            )
        return f.images_of(name, batch.images)

    def _operate(self, operation: str, x: Array, magnitude: Array) -> Array:
        whole = 255 if x.dtype == np.uint8 else 1
        if operation == "Posterize":
            return f.posterize(x, magnitude)
        if operation == "Solarize":
            return f.solarize(x, whole * magnitude)
        if operation in ("AutoContrast", "Equalize"):
            return f.autocontrast(x) if operation == "AutoContrast" else f.equalize(x)
        change = {
            "Brightness": f.adjust_brightness, "Color": f.adjust_saturation, "Contrast": f.adjust_contrast,
            "Sharpness": f.adjust_sharpness,
        }[operation]  # fmt: skip
        return change(x, 1 + magnitude)

    def _moved(self, picked: Array, x: Array, magnitude: Array) -> Array:
        """Images by the affine maps of the operations with these numbers, all at once."""

        def given(*names: str) -> Array:
            """(N, names): the magnitude where an image gets the operation, and elsewhere 0."""
            return np.where(picked[:, None] == [OPERATIONS.index(name) for name in names], magnitude[:, None], 0.0)

        shear, shift = np.degrees(np.arctan(given("ShearX", "ShearY"))), np.trunc(given("TranslateX", "TranslateY"))
        size = x.shape[-2:]
        center = np.where(shear.any(axis=1, keepdims=True), 0.0, (size[1] / 2, size[0] / 2))
        turn, ones = -given("Rotate")[:, 0], np.ones(len(x))
        return affine_change(size, turn, shift, ones, shear, self.interpolation, self.fill, center).images(x)

    def _drawn(self, rng: np.random.Generator, x: Array, tables: dict[str, Array | None], bins: Any) -> Array:
        """One operation for each image, with the magnitude of its bin in the table, of random sign where it has one."""
        y = x.copy()
        picked = rng.integers(len(OPERATIONS), size=len(x))
        levels = bins(len(x))
        signs = np.where(rng.random(len(x)) <= 0.5, -1.0, 1.0)
        magnitude = np.zeros(len(x))
        found = np.unique(picked).tolist()
        for number in found:
            table = tables[OPERATIONS[number]]
            if table is not None:
                here = picked == number
                magnitude[here] = table[levels[here]]
        magnitude[picked <= LAST_SIGNED] *= signs[picked <= LAST_SIGNED]
        moves = np.flatnonzero((picked > 0) & (picked <= len(MOVES)))
        if len(moves):
            y[moves] = self._moved(picked[moves], x[moves], magnitude[moves])
        for number in found:
            if number > len(MOVES):
                chosen = np.flatnonzero(picked == number)
                y[chosen] = self._operate(OPERATIONS[number], x[chosen], magnitude[chosen])
        return y


def _tables(
    bins: int, shear: float, shifts: tuple[float, float], turn: float, color: float, bits: int
) -> dict[str, Array | None]:
    """The magnitude of each bin for each operation, None where it has none."""
    ends = dict.fromkeys(("ShearX", "ShearY"), shear) | dict(zip(("TranslateX", "TranslateY"), shifts, strict=True))
    ends |= {"Rotate": turn} | dict.fromkeys(("Brightness", "Color", "Contrast", "Sharpness"), color)
    tables: dict[str, Array | None] = {name: np.linspace(0, end, bins) for name, end in ends.items()}
    tables |= {"Solarize": np.linspace(1, 0, bins), "Posterize": np.rint(8 - np.arange(bins) / ((bins - 1) / bits))}
    return tables | dict.fromkeys(("Identity", "AutoContrast", "Equalize"))


class RandAugment(_Auto):
    """`num_ops` operations of 14 for each image, one after another, all of one magnitude.

    Reference: Cubuk et al., "RandAugment", arXiv:1909.13719.

    Args:
        num_ops: how many operations.
        magnitude: the bin of their magnitude.
        num_magnitude_bins: how many bins there are, at least 2.
        interpolation, fill: of rotations, shears and shifts, as for :class:`RandomRotation`.

    Raises:
        ValueError: for boxes, masks or keypoints, which it does not move; or an argument out of range.

    >>> import numpy as np, tinygrad_cnn as tg
    >>> tg.vision.transforms.RandAugment()(np.zeros((8, 3, 32, 32), np.uint8)).shape
    (8, 3, 32, 32)
    """

    def __init__(
        self, num_ops: int = 2, magnitude: int = 9, num_magnitude_bins: int = 31, interpolation: str = "nearest",
        fill: Any = None,
    ) -> None:  # fmt: skip
        table = {"num_ops": whole(0), "num_magnitude_bins": whole(2), "magnitude": whole(0, num_magnitude_bins)}
        self.num_ops, self.num_magnitude_bins, self.magnitude = checked("RandAugment", table, locals()).values()
        self.interpolation, self.fill = interpolated("RandAugment", interpolation), 0 if fill is None else fill

    def apply(self, batch: Batch, rng: np.random.Generator) -> Batch:
        """The batch with its images changed."""
        x = self._images(batch)
        height, width = x.shape[-2:]
        shifts = (150 / 331 * width, 150 / 331 * height)
        tables = _tables(self.num_magnitude_bins, 0.3, shifts, 30, 0.9, 4)
        for _ in range(self.num_ops):
            x = self._drawn(rng, x, tables, lambda count: np.full(count, self.magnitude))
        return batch._replace(images=x)


class TrivialAugmentWide(_Auto):
    """One operation of 14 for each image, of a random magnitude.

    Reference: Mueller and Hutter, "TrivialAugment", arXiv:2103.10158. Arguments as for :class:`RandAugment`.
    """

    def __init__(self, num_magnitude_bins: int = 31, interpolation: str = "nearest", fill: Any = None) -> None:
        table = {"num_magnitude_bins": whole(2)}
        self.num_magnitude_bins = checked("TrivialAugmentWide", table, locals())["num_magnitude_bins"]
        self.interpolation = interpolated("TrivialAugmentWide", interpolation)
        self.fill = 0 if fill is None else fill

    def apply(self, batch: Batch, rng: np.random.Generator) -> Batch:
        """The batch with its images changed."""
        x = self._images(batch)
        tables = _tables(self.num_magnitude_bins, 0.99, (32, 32), 135, 0.99, 6)
        return batch._replace(
            images=self._drawn(rng, x, tables, lambda count: rng.integers(self.num_magnitude_bins, size=count))
        )
