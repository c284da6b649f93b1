"""Parts of images that are erased, or taken from another image."""

from __future__ import annotations

from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from ...checks import checked, number, whole
from ...ops.gather import one_hot
from ...ops.random import Seed, generator
from .color import Values
from .geometry import P, windows
from .transform import Change, Transform, ordered

__all__ = ["CutMix", "RandomErasing"]

Array: TypeAlias = NDArray[Any]


class RandomErasing(Transform):
    """A rectangle of an image erased, with probability `p`. Boxes, masks and keypoints stay.

    Reference: Zhong et al., "Random erasing data augmentation", arXiv:1708.04896.

    Args:
        p: the probability.
        scale: the bounds of its area, as part of that of the image.
        ratio: the bounds of its height / width; its logarithm is uniform.
        value: the new value: a number, one for each channel, or "random" for numbers from a normal distribution.
        inplace: accepted as in torchvision; a new array is returned.

    Raises:
        ValueError: if an argument is out of range.
    """

    def __init__(
        self, p: float = 0.5, scale: tuple[float, float] = (0.02, 0.33), ratio: tuple[float, float] = (0.3, 3.3),
        value: Any = 0.0, inplace: bool = False,
    ) -> None:  # fmt: skip
        self.p = checked("RandomErasing", P, locals())["p"]
        self.scale = ordered("RandomErasing", "scale", scale, 0)
        self.ratio = ordered("RandomErasing", "ratio", ratio, 1e-6)
        if self.scale[1] > 1:
            raise ValueError(f"RandomErasing: `scale` is {scale}; it must be from 0 to 1")
        if isinstance(value, str) and value != "random":
            raise ValueError(f"RandomErasing: `value` is {value!r}; it must be numbers, or 'random'")
        self.value = value

    def draw(self, rng: np.random.Generator, images: Array) -> Change:
        """A rectangle of some images."""
        count, channels, height, width = images.shape
        if not isinstance(self.value, str) and np.size(self.value) not in (1, channels):
            raise ValueError(f"RandomErasing: `value` is {self.value!r}; it must be one number, or {channels}")
        chosen = rng.random(count) < self.p

        def fits(rows: Array, columns: Array) -> Array:
            inside: Array = (rows < height) & (columns < width)
            return inside

        low, high = np.log(self.ratio)
        boxes, found = windows(rng, count, (height, width), self.scale, (-high, -low), fits)

        def erased(x: Array) -> Array:
            y = x.copy()
            for n in np.flatnonzero(chosen & found):
                top, left, rows, columns = boxes[n].tolist()
                if isinstance(self.value, str):
                    new = rng.standard_normal((channels, rows, columns), np.float32)
                    new = new.astype(np.int64) if x.dtype.kind in "iu" else new
                else:
                    new = np.asarray(self.value).reshape(-1, 1, 1)
                y[n, :, top : top + rows, left : left + columns] = new.astype(x.dtype)
            return y

        return Values(erased)


class CutMix:
    """A rectangle of each image from another one of the batch, and its label mixed in proportion to the area.

    A class becomes a row of probabilities, which :func:`tinygrad_cnn.cross_entropy` takes. Give it to a loader as
    ``batch_transform``, since it changes the whole batch. :class:`tinygrad_cnn.data.MixUp` is its sibling.

    Reference: Yun et al., "CutMix", arXiv:1905.04899.

    Args:
        alpha: the area is 1 - s of the image, s from Beta(alpha, alpha), drawn for each image.
        num_classes: how many classes there are; it is needed if labels are integers.

    Raises:
        TypeError, ValueError: if an argument has the wrong type or is out of range.

    >>> import numpy as np, tinygrad_cnn as tg
    >>> mix = tg.vision.transforms.CutMix(num_classes=10)
    >>> images, labels = mix(np.zeros((8, 3, 32, 32), np.uint8), np.arange(8))
    >>> images.shape, labels.shape, bool(np.allclose(labels.sum(axis=1), 1))
    ((8, 3, 32, 32), (8, 10), True)
    """

    def __init__(self, *, alpha: float = 1.0, num_classes: int | None = None) -> None:
        table = {"alpha": number("a finite number above 0", lambda v: 0 < v < np.inf)}
        self.alpha: float = checked("CutMix", table, locals())["alpha"]
        some = {} if num_classes is None else {"num_classes": whole(1)}
        self.num_classes: int | None = checked("CutMix", some, locals()).get("num_classes")

    def __call__(self, images: Array, labels: Array, rng: Seed = None) -> tuple[Array, Array]:
        """Images (N, C, H, W) and labels: classes (N,), or probabilities (N, classes).

        Raises:
            ValueError: for other shapes, or classes without `num_classes`.
        """
        images, labels = np.asarray(images), np.asarray(labels)
        if images.ndim != 4 or not labels.ndim or len(images) != len(labels):
            raise ValueError(
                f"CutMix: `images` has shape {images.shape} and `labels` {labels.shape}; they must be (N, C, H, W) and N rows"
            )
        if labels.dtype.kind in "iu":
            if self.num_classes is None or labels.ndim > 1:
                raise ValueError(
                    f"CutMix: `labels` is {labels.dtype} {labels.shape} and `num_classes` {self.num_classes}; classes are (N,) "
                    "and need `num_classes`, probabilities must be floating point"
                )
            labels = np.asarray(one_hot(labels, num_classes=self.num_classes)).astype(np.float32)
        rng = generator(rng)
        count, (height, width) = len(images), images.shape[2:]
        half = 0.5 * np.sqrt(1 - rng.beta(self.alpha, self.alpha, count))
        x, y = rng.integers(width, size=count), rng.integers(height, size=count)
        across, down = (half * width).astype(int), (half * height).astype(int)
        left, right = (x - across).clip(0), (x + across).clip(max=width)
        top, bottom = (y - down).clip(0), (y + down).clip(max=height)
        partner = rng.permutation(count)
        mixed = images.copy()
        for n, other in enumerate(partner):
            window = (slice(None), slice(top[n], bottom[n]), slice(left[n], right[n]))
            mixed[n][window] = images[other][window]
        share = (1 - (right - left) * (bottom - top) / (height * width)).astype(labels.dtype)
        share = share.reshape(-1, *(1 for _ in labels.shape[1:]))
        return mixed, share * labels + (1 - share) * labels[partner]

    def __repr__(self) -> str:
        return f"CutMix(alpha={self.alpha:g}, num_classes={self.num_classes})"
