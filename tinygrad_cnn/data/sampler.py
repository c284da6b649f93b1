"""Samplers: which examples an epoch has, and in which order."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..checks import checked, flag, whole
from ..ops.random import generator
from .dataset import Array, as_array, integers


class Sampler(ABC):
    """The examples of an epoch, for ``DataLoader(dataset, sampler=...)``. A subclass defines ``__len__`` and :meth:`draw`.

    >>> import numpy as np, tinygrad_cnn as tg
    >>> class EvenFirst(tg.data.Sampler):
    ...     def __len__(self):
    ...         return 6
    ...     def draw(self, rng):
    ...         return np.concatenate([2 * rng.permutation(3), 2 * rng.permutation(3) + 1])
    >>> loader = tg.data.DataLoader(np.arange(6), batch_size=3, sampler=EvenFirst(), seed=0)
    >>> [sorted(batch.tolist()) for batch, in loader]
    [[0, 2, 4], [1, 3, 5]]
    """

    @abstractmethod
    def __len__(self) -> int:
        """How many examples an epoch has."""

    @abstractmethod
    def draw(self, rng: np.random.Generator) -> NDArray[np.int64]:
        """The numbers of the examples of an epoch, in order. It draws from `rng` only, so that an epoch can be repeated."""

    def __iter__(self) -> Iterator[int]:
        """The numbers of an epoch that is drawn from the library's generator."""
        return iter(self.draw(generator()).tolist())


class WeightedRandomSampler(Sampler):
    """Examples at random, with probabilities in proportion to their weights.

    Args:
        weights: a number of at least 0 for each example of the dataset. They need not add up to 1.
        num_samples: how many examples an epoch has.
        replacement: whether an example may occur more than once in an epoch.

    Raises:
        TypeError, ValueError: if an argument has the wrong type or is out of range, or there are too few examples of a weight
            above 0 for an epoch without replacement.

    >>> import numpy as np, tinygrad_cnn as tg
    >>> sampler = tg.data.WeightedRandomSampler([0.0, 3.0, 1.0], num_samples=1000)
    >>> loader = tg.data.DataLoader(range(3), batch_size=1000, sampler=sampler, seed=0)
    >>> never, often, seldom = np.bincount(next(iter(loader))[0]).tolist()
    >>> never, often > 2 * seldom
    (0, True)
    """

    def __init__(self, weights: Sequence[float] | Array, num_samples: int, replacement: bool = True) -> None:
        name = type(self).__name__
        options = checked(name, {"num_samples": whole(1), "replacement": flag}, locals())
        try:
            self.weights = np.array(weights, np.float64)
        except (TypeError, ValueError):
            raise TypeError(f"{name}: `weights` is {weights!r:.60}; it must be a row of numbers") from None
        self.num_samples: int = options["num_samples"]
        self.replacement: bool = options["replacement"]
        if self.weights.ndim != 1:
            raise ValueError(f"{name}: `weights` has shape {self.weights.shape}; it must be a row of numbers")
        wrong = ~(np.isfinite(self.weights) & (self.weights >= 0))
        if wrong.any():
            at = wrong.argmax()
            raise ValueError(
                f"{name}: `weights` holds {self.weights[at]} at {at}; each must be a finite number of at least 0"
            )
        usable = np.count_nonzero(self.weights)
        needed = 1 if self.replacement else self.num_samples
        if usable < needed:
            raise ValueError(f"{name}: {usable} of the `weights` are above 0; an epoch needs at least {needed}")

    def __len__(self) -> int:
        return self.num_samples

    def draw(self, rng: np.random.Generator) -> NDArray[np.int64]:
        scaled = self.weights / self.weights.max()  # so that the sum is finite
        return rng.choice(len(scaled), self.num_samples, self.replacement, scaled / scaled.sum())

    def __repr__(self) -> str:
        number = f"{self.num_samples} of {len(self.weights)} examples"
        return f"{type(self).__name__}({number}, replacement={self.replacement})"


class SubsetRandomSampler(Sampler):
    """The examples at `indices`, in a new random order in each epoch.

    Raises:
        TypeError: if `indices` are not integers.

    >>> import tinygrad_cnn as tg
    >>> loader = tg.data.DataLoader(range(10), batch_size=3, sampler=tg.data.SubsetRandomSampler([2, 3, 5]))
    >>> sorted(next(iter(loader))[0].tolist())
    [2, 3, 5]
    """

    def __init__(self, indices: Sequence[int] | Array) -> None:
        self.indices = integers(type(self).__name__, "indices", indices)

    def __len__(self) -> int:
        return len(self.indices)

    def draw(self, rng: np.random.Generator) -> NDArray[np.int64]:
        return rng.permutation(self.indices)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({len(self)} examples)"


class ClassSampler(Sampler):
    """The same number of examples of each class in an epoch, in random order.

    If a class has more examples than that, an epoch has a random part of them. If it has fewer, all occur, and equally often
    but for a random part that occurs once more.

    Args:
        labels: the class of each example of the dataset.
        per_class: how many examples of each class; None for the size of the largest class.

    Raises:
        TypeError, ValueError: if an argument has the wrong type or is out of range.

    >>> import numpy as np, tinygrad_cnn as tg
    >>> labels = np.repeat([0, 1], [90, 10])
    >>> loader = tg.data.DataLoader(labels, batch_size=180, sampler=tg.data.ClassSampler(labels))
    >>> np.bincount(next(iter(loader))[0]).tolist()
    [90, 90]
    """

    def __init__(self, labels: Sequence[int] | Array, per_class: int | None = None) -> None:
        name = type(self).__name__
        classes = as_array(labels)
        if classes.ndim != 1 or not len(classes):
            raise ValueError(f"{name}: `labels` has shape {classes.shape}; it must be a row of one for each example")
        _, members = np.unique(classes, return_inverse=True)
        self._members = [np.flatnonzero(members == number) for number in range(members.max() + 1)]
        largest = max(map(len, self._members))
        self.per_class: int = checked(
            name, {"per_class": whole(1)}, {"per_class": largest if per_class is None else per_class}
        )["per_class"]

    def __len__(self) -> int:
        return self.per_class * len(self._members)

    def draw(self, rng: np.random.Generator) -> NDArray[np.int64]:
        drawn = []
        for members in self._members:
            times, rest = divmod(self.per_class, len(members))
            drawn += [np.tile(members, times), rng.choice(members, rest, replace=False)]
        return rng.permutation(np.concatenate(drawn))

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.per_class} examples of each of {len(self._members)} classes)"


class _Given(Sampler):
    """The examples with these numbers in this order, in each epoch."""

    def __init__(self, indices: NDArray[np.int64]) -> None:
        self.indices = indices

    def __len__(self) -> int:
        return len(self.indices)

    def draw(self, rng: np.random.Generator) -> NDArray[np.int64]:
        return self.indices

    def __repr__(self) -> str:
        return f"{len(self)} given examples"


def as_sampler(owner: str, value: Any) -> Sampler:
    """`value` if it is a Sampler; a sampler of a row of integers, the same for each epoch; TypeError for anything else."""
    return value if isinstance(value, Sampler) else _Given(integers(owner, "sampler", value))
