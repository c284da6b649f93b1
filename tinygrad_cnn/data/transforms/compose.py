"""A sequence of transforms as one."""

import inspect
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from ...ops.random import Seed, generator


def draws(function: Callable[..., Any]) -> bool:
    """Whether a function has a parameter `rng`, for a generator."""
    try:
        return "rng" in inspect.signature(function).parameters
    except ValueError:  # some functions written in C have no signature
        return False


def is_function(value: Any) -> bool:
    """Whether `value` can be called, and is not a class of this package in place of an object of it."""
    package = __name__.partition(".")[0]
    return callable(value) and not (isinstance(value, type) and value.__module__.partition(".")[0] == package)


class Compose:
    """Transforms called one after another. Those with a parameter `rng` draw from one generator.

    Args:
        transforms: functions from a batch of images to a batch of images.

    >>> import numpy as np, tinygrad_cnn as tg
    >>> augment = tg.data.Compose([tg.data.RandomHorizontalFlip(), tg.data.ToFloat(), np.sqrt])
    >>> augment(np.full((2, 1, 1, 1), 255, np.uint8), rng=0).tolist()
    [[[[1.0]]], [[[1.0]]]]
    """

    def __init__(self, transforms: Sequence[Callable[..., Any]]) -> None:
        if not isinstance(transforms, Iterable):
            raise TypeError(f"Compose: `transforms` is {transforms!r:.60}; it must be a list of transforms")
        for transform in transforms:
            if not is_function(transform):
                raise TypeError(f"Compose: {transform!r} is not a transform; it must be a function of images")
        self.transforms = tuple(transforms)
        self._draw = tuple(map(draws, self.transforms))  # inspecting a signature takes longer than flipping an image

    def __call__(self, images: Any, rng: Seed = None) -> Any:
        rng = generator(rng)
        for transform, draw in zip(self.transforms, self._draw, strict=True):
            images = transform(images, rng=rng) if draw else transform(images)
        return images

    def __repr__(self) -> str:
        return f"Compose([{', '.join(map(repr, self.transforms))}])"
