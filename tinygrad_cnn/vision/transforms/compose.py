"""Transforms made of transforms."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from ...checks import checked
from ...data.transforms.compose import draws, is_function
from .color import Values
from .geometry import P
from .transform import Batch, Transform, changed

__all__ = ["Compose", "Lambda", "RandomApply", "RandomChoice", "RandomOrder"]


class Lambda(Transform):
    """A function of the values of images, (N, C, H, W) to (N, C, H, W): it may not move what is in them.

    Args:
        function: called with the images, and with a generator ``rng`` if it has such a parameter.

    Raises:
        ValueError: if the images have another size after it, and boxes, masks or keypoints are with them.

    >>> import numpy as np, tinygrad_cnn as tg
    >>> half = tg.vision.transforms.Lambda(lambda x: x // 2)
    >>> half(np.full((1, 1, 1), 9)).item()
    4
    """

    def __init__(self, function: Callable[..., Any]) -> None:
        if not is_function(function):
            raise TypeError(f"Lambda: {function!r} is not a function of images")
        self.function = function
        self._draws = draws(function)

    def apply(self, batch: Batch, rng: np.random.Generator) -> Batch:
        """The batch with the function of its images."""

        def change(x: Any) -> Any:
            return np.asarray(self.function(x, rng=rng) if self._draws else self.function(x))

        new = changed(batch, Values(change))
        if batch.positions() and new.images.shape[-2:] != batch.images.shape[-2:]:
            raise ValueError(
                f"Lambda: images {batch.images.shape} became {new.images.shape}, and {batch.positions()} would stay where they "
                "were; write a Transform that moves them"
            )
        return new


def _transforms(name: str, transforms: Any) -> tuple[Any, ...]:
    if not isinstance(transforms, Iterable):
        raise TypeError(f"{name}: `transforms` is {transforms!r:.60}; it must be a list of transforms")
    found = tuple(transforms)
    for transform in found:
        if not is_function(transform):
            raise TypeError(f"{name}: {transform!r} is not a transform; it must be a function of images")
    return found


def _apply(name: str, transform: Any, batch: Batch, rng: np.random.Generator) -> Batch:
    """The batch transformed by a Transform, or by a function of images if nothing else could move."""
    if isinstance(transform, Transform):
        return transform.apply(batch, rng)
    if batch.positions():
        raise ValueError(
            f"{name}: {transform!r} is a function of images alone, and would leave {batch.positions()} where they are; if it "
            "changes values only, wrap it in Lambda"
        )
    return Lambda(transform).apply(batch, rng)


class Compose(Transform):
    """Transforms one after another.

    Args:
        transforms: transforms of this module; functions of images may be among them if no boxes, masks or keypoints are given.
        kinds: kinds of entries, for every call: see :class:`Transform`.

    >>> import numpy as np, tinygrad_cnn as tg
    >>> from tinygrad_cnn.vision import transforms
    >>> augment = transforms.Compose([transforms.RandomHorizontalFlip(1), transforms.Resize((4, 4))])
    >>> augment({"image": np.zeros((3, 2, 2), np.uint8), "boxes": [[0.0, 0.0, 1.0, 1.0]], "labels": [3]})["boxes"].tolist()
    [[2.0, 0.0, 4.0, 2.0]]
    """

    def __init__(self, transforms: Sequence[Callable[..., Any]], kinds: Mapping[str, str] | None = None) -> None:
        self.transforms = _transforms("Compose", transforms)
        self._kinds = dict(kinds or {})

    def __call__(
        self, images: Any, targets: Any = None, *, rng: Any = None, kinds: Mapping[str, str] | None = None
    ) -> Any:  # fmt: skip
        given = images if isinstance(images, Mapping) else targets
        usual = {key: kind for key, kind in self._kinds.items() if isinstance(given, Mapping) and key in given}
        return super().__call__(images, targets, rng=rng, kinds=usual | dict(kinds or {}))

    def apply(self, batch: Batch, rng: np.random.Generator) -> Batch:
        """The batch after all of them."""
        for transform in self.transforms:
            batch = _apply("Compose", transform, batch, rng)
        return batch


class RandomApply(Transform):
    """Transforms one after another, of each image with probability `p`."""

    def __init__(self, transforms: Sequence[Callable[..., Any]], p: float = 0.5) -> None:
        self.transforms = _transforms("RandomApply", transforms)
        self.p = checked("RandomApply", P, locals())["p"]

    def apply(self, batch: Batch, rng: np.random.Generator) -> Batch:
        """The batch with some of its images changed."""
        chosen = np.flatnonzero(rng.random(len(batch.images)) < self.p)
        if not len(chosen):
            return batch
        part = batch.take(chosen)
        for transform in self.transforms:
            part = _apply("RandomApply", transform, part, rng)
        return batch.put("RandomApply", chosen, part)


class RandomChoice(Transform):
    """One of several transforms for each image.

    Args:
        transforms: the transforms.
        p: their probabilities, which are divided by their sum; equal by default.
    """

    def __init__(self, transforms: Sequence[Callable[..., Any]], p: Sequence[float] | None = None) -> None:
        self.transforms = _transforms("RandomChoice", transforms)
        weights = np.ones(len(self.transforms)) if p is None else np.asarray(p, np.float64)
        if weights.shape != (len(self.transforms),) or not (weights >= 0).all() or not 0 < weights.sum() < np.inf:
            raise ValueError(f"RandomChoice: `p` is {p!r}; it must be {len(self.transforms)} numbers of at least 0")
        self.p = (weights / weights.sum()).tolist()

    def apply(self, batch: Batch, rng: np.random.Generator) -> Batch:
        """The batch with one of them for each image."""
        picked = rng.choice(len(self.transforms), size=len(batch.images), p=self.p)
        for number in np.unique(picked):
            chosen = np.flatnonzero(picked == number)
            part = _apply("RandomChoice", self.transforms[number], batch.take(chosen), rng)
            batch = batch.put("RandomChoice", chosen, part)
        return batch


class RandomOrder(Transform):
    """All transforms, in an order that is drawn for the batch."""

    def __init__(self, transforms: Sequence[Callable[..., Any]]) -> None:
        self.transforms = _transforms("RandomOrder", transforms)

    def apply(self, batch: Batch, rng: np.random.Generator) -> Batch:
        """The batch after all of them."""
        for number in rng.permutation(len(self.transforms)):
            batch = _apply("RandomOrder", self.transforms[number], batch, rng)
        return batch
