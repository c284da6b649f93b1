"""Random splits of datasets, such as into training and test data."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..checks import checked, whole
from ..ops.random import Seed, generator
from ..tensor import Tensor
from .dataset import Array, Dataset, Subset, as_array, as_dataset


def random_split(
    dataset: Dataset | Sequence[Any] | Array | Tensor, lengths: Sequence[float], rng: Seed = None
) -> list[Subset]:
    """Random parts of `dataset` that have no example in common.

    Args:
        dataset: the dataset, or an array, Tensor or sequence.
        lengths: the numbers of examples, which add up to len(dataset); or fractions that add up to 1. Fractions of the
            length are rounded down, and the rest goes to the parts one by one, from the first.
        rng: a generator or an integer seed; None is the library's generator.

    Raises:
        ValueError: if the lengths do not add up.

    >>> import tinygrad_cnn as tg
    >>> train, test = tg.data.random_split(tg.data.TensorDataset(*tg.data.digits()), [0.8, 0.2], rng=0)
    >>> len(train), len(test)
    (1438, 359)
    """
    dataset = as_dataset(dataset)
    sizes = _sizes("random_split", lengths, len(dataset))
    return _cut(dataset, generator(rng).permutation(len(dataset)), sizes)


def stratified_split(
    dataset: Dataset | Sequence[Any] | Array | Tensor, lengths: Sequence[float], labels: Any, rng: Seed = None
) -> list[Subset]:
    """:func:`random_split` with the classes of the dataset in the same proportions in each part, in random order.

    If the numbers do not divide, a class may have one or two examples more or less.

    Args:
        dataset, lengths, rng: as for :func:`random_split`.
        labels: the class of each example.

    Raises:
        ValueError: if the lengths do not add up, or there is not one label for each example.

    >>> import numpy as np, tinygrad_cnn as tg
    >>> labels = np.repeat([0, 1], [30, 60])  # sorted by class
    >>> train, test = tg.data.stratified_split(labels, [0.8, 0.2], labels, rng=0)
    >>> np.bincount(labels[train.indices]).tolist(), np.bincount(labels[test.indices]).tolist()
    ([24, 48], [6, 12])
    """
    dataset = as_dataset(dataset)
    sizes = _sizes("stratified_split", lengths, len(dataset))
    classes = as_array(labels)
    if classes.shape != (len(dataset),):
        raise ValueError(f"stratified_split: `labels` has shape {classes.shape}; it must be ({len(dataset)},)")
    order = generator(rng).permutation(len(dataset))
    # Spread each class evenly over [0, 1]; every part of this interval has the classes in proportion.
    _, members, counts = np.unique(classes[order], return_inverse=True, return_counts=True)
    by_class = np.argsort(members, kind="stable")
    starts = np.cumsum(counts) - counts
    place = np.empty(len(order))
    place[by_class] = (np.arange(len(order)) - np.repeat(starts, counts) + 0.5) / np.repeat(counts, counts)
    return _cut(dataset, order[np.argsort(place, kind="stable")], sizes)


def k_fold(
    dataset: Dataset | Sequence[Any] | Array | Tensor, k: int = 5, labels: Any = None, rng: Seed = None
) -> list[tuple[Subset, Subset]]:
    """Cross-validation: `dataset` in k random parts of nearly equal size, each once held out, with all others to train on.

    Args:
        dataset, rng: as for :func:`random_split`.
        k: the number of parts, at least 2.
        labels: the class of each example, so that each part has the classes in the same proportions; None for any parts.

    Returns:
        For each part the examples to train on, and those held out.

    Raises:
        TypeError, ValueError: if `k` is not a whole number from 2 to the number of examples, or there is not one label for
            each example.

    >>> import tinygrad_cnn as tg
    >>> x, y = tg.data.digits()
    >>> folds = tg.data.k_fold(tg.data.TensorDataset(x, y), 5, labels=y, rng=0)
    >>> [(len(train), len(held_out)) for train, held_out in folds]
    [(1437, 360), (1437, 360), (1438, 359), (1438, 359), (1438, 359)]
    """
    dataset = as_dataset(dataset)
    checked("k_fold", {"k": whole(2)}, {"k": k})
    if k > len(dataset):
        raise ValueError(f"k_fold: `k` is {k}; the dataset has {len(dataset)} examples")
    shares = [1 / k] * k
    parts = random_split(dataset, shares, rng) if labels is None else stratified_split(dataset, shares, labels, rng)
    indices = [np.asarray(part.indices) for part in parts]
    others = [np.concatenate(indices[:i] + indices[i + 1 :]) for i in range(k)]
    return [(Subset(dataset, rest), part) for rest, part in zip(others, parts, strict=True)]


def _cut(dataset: Dataset, order: NDArray[np.int64], sizes: list[int]) -> list[Subset]:
    return [Subset(dataset, part) for part in np.split(order, np.cumsum(sizes)[:-1])]


def _sizes(name: str, lengths: Sequence[float], total: int) -> list[int]:
    numbers = np.asarray(lengths)
    if numbers.ndim != 1 or not numbers.size or numbers.dtype.kind not in "iuf":
        raise ValueError(f"{name}: `lengths` is {lengths!r}; it must be a list of numbers")
    if not (numbers >= 0).all():
        raise ValueError(f"{name}: `lengths` is {lengths!r}; no part can have a negative length")
    if numbers.dtype.kind != "f":
        if numbers.sum() != total:
            raise ValueError(f"{name}: `lengths` add up to {numbers.sum()}; the dataset has {total} examples")
        return [int(number) for number in numbers]
    if abs(numbers.sum() - 1) > 1e-9:
        raise ValueError(f"{name}: `lengths` add up to {numbers.sum():g}; fractions must add up to 1")
    sizes = [int(total * number) for number in numbers]
    for extra in range(total - sum(sizes)):
        sizes[extra % len(sizes)] += 1
    return sizes
