"""Batches of a dataset, epoch after epoch, from a place that can be saved."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing
from functools import partial
from operator import index
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from ..ops.random import generator
from ..tensor import Tensor
from ..tensor.interop import shown
from .dataset import Array, Batch, Dataset, as_dataset
from .prefetch import ahead
from .transforms.compose import draws

Transform: TypeAlias = Callable[..., Any]
_COUNTS = ("seed", "epoch", "position")


class DataLoader:
    """Gives the batches of one epoch each time it is iterated: tuples of NumPy arrays, which all ops take.

    The order of an epoch follows from `seed` and the number of the epoch alone; so do the draws of a random transform,
    from `seed` and the numbers of epoch and batch. Therefore a loader can be stopped and resumed anywhere to the same
    bits, prefetched or not. :meth:`state_dict` counts a batch as used once it is handed out, so a state that is saved
    after the step for batch k goes on with batch k + 1. Prefetched batches that were not handed out do not count.

    Each iterator begins a new epoch, except the first after :meth:`load_state_dict`, which goes on where the state was
    taken. Of several iterators at once each has an epoch of its own, and the state follows the one that began last.

    Args:
        dataset: a :class:`Dataset`; an array or Tensor, by its first axis; or a sequence of examples.
        batch_size: how many examples a batch has.
        shuffle: draw a new order for each epoch.
        drop_last: leave out the last batch of an epoch if it is not full.
        seed: a non-negative integer; None draws one from the library's generator, see ``tg.manual_seed``.
        collate: makes a batch, a tuple of arrays, of a list of examples. Without it ``dataset.take`` makes it.
        transform: applied to the first array of each batch, the images. If it has a parameter `rng`, it is given a
            generator by that name, which it must draw from.
        prefetch: how many batches a background thread prepares while one is used; 0 for no thread.

    Raises:
        TypeError, ValueError: if an argument is not what it must be.

    >>> import tinygrad_cnn as tg
    >>> dataset = tg.data.TensorDataset(*tg.data.digits())
    >>> loader = tg.data.DataLoader(dataset, batch_size=64, shuffle=True, seed=0, transform=tg.data.ToFloat(16))
    >>> for images, labels in loader:
    ...     pass
    >>> len(loader), images.shape, images.dtype, labels.dtype
    (29, (5, 8, 8), dtype('float32'), dtype('int64'))
    """

    def __init__(
        self,
        dataset: Dataset | Sequence[Any] | Array | Tensor,
        batch_size: int = 1,
        shuffle: bool = False,
        drop_last: bool = False,
        *,
        seed: int | None = None,
        collate: Callable[[list[Any]], Batch] | None = None,
        transform: Transform | None = None,
        prefetch: int = 0,
    ) -> None:
        self.dataset = as_dataset(dataset)
        self.batch_size = _whole("batch_size", batch_size, 1)
        self.shuffle = _flag("shuffle", shuffle)
        self.drop_last = _flag("drop_last", drop_last)
        self.prefetch = _whole("prefetch", prefetch, 0)
        self.collate = collate
        self.transform = transform
        self._transform_draws = transform is not None and draws(transform)
        self._seed = int(generator().integers(2**63)) if seed is None else _whole("seed", seed, 0, math.inf)
        self._epoch = self._position = 0
        self._goes_on = False  # the next iterator does not begin an epoch, but goes on with a loaded one
        self._newest: object = None  # the iterator that the state follows

    @property
    def seed(self) -> int:
        """What all orders and draws follow from."""
        return self._seed

    @property
    def epoch(self) -> int:
        """The number of the epoch, from 0, that is in progress or, between epochs, comes next."""
        return self._epoch

    @property
    def position(self) -> int:
        """How many batches of the epoch were handed out."""
        return self._position

    def __len__(self) -> int:
        """How many batches an epoch has."""
        examples = len(self.dataset)
        return examples // self.batch_size if self.drop_last else -(-examples // self.batch_size)

    def __iter__(self) -> Iterator[Batch]:
        if self._position and not self._goes_on:
            self._epoch, self._position = self._epoch + 1, 0
        self._goes_on = False
        this = self._newest = object()
        epoch = self._epoch
        with closing(
            self._batches(epoch, self._position)
        ) as batches:  # closed at once also where nothing counts references
            for number, batch in batches:
                if self._newest is this:
                    self._position = number + 1
                yield batch
        if self._newest is this:
            self._epoch, self._position = epoch + 1, 0

    def _batches(self, epoch: int, start: int) -> Any:
        """Batches with their numbers, from number `start` of an epoch to its end."""
        order = self._order(epoch)
        load = partial(self._load, order, epoch)
        numbers = range(start, len(self))
        return ahead(load, numbers, self.prefetch) if self.prefetch else (load(number) for number in numbers)

    def _order(self, epoch: int) -> NDArray[np.int64]:
        examples = len(self.dataset)
        return self._generator(epoch).permutation(examples) if self.shuffle else np.arange(examples)

    def _generator(self, *path: int) -> np.random.Generator:
        """The generator of an epoch, or of a batch in it: independent of all others, and the same each time."""
        return np.random.default_rng(np.random.SeedSequence(self._seed, spawn_key=path))

    def _load(self, order: NDArray[np.int64], epoch: int, number: int) -> tuple[int, Batch]:
        indices = order[number * self.batch_size : (number + 1) * self.batch_size]
        if self.collate is None:
            batch = self.dataset.take(indices)
        else:
            batch = self.collate([self.dataset[i] for i in indices.tolist()])
            if not isinstance(batch, tuple):
                raise TypeError(f"DataLoader: `collate` gave a {type(batch).__name__}; a batch is a tuple of arrays")
        if self.transform is not None:
            rng = {"rng": self._generator(epoch, number)} if self._transform_draws else {}
            batch = (self.transform(batch[0], **rng), *batch[1:])
        return number, batch

    # State

    def state_dict(self) -> dict[str, Any]:
        """The place in the data, and the settings that the order follows from, as plain values."""
        return {
            "seed": self._seed,
            "epoch": self._epoch,
            "position": self._position,
            "length": len(self.dataset),
            "batch_size": self.batch_size,
            "shuffle": self.shuffle,
            "drop_last": self.drop_last,
        }

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Go to the place that a state tells. The next iterator gives the batches of its epoch that were left.

        Iterators that were begun before go on, but the state does not follow them any more.

        Raises:
            ValueError: that lists all faults: what is missing or wrong and, for a state in the middle of an epoch, which
                settings are not this loader's. Nothing is changed then.
        """
        self._prepare_load(state_dict)()

    def _prepare_load(self, state_dict: Any) -> Callable[[], None]:
        seed, epoch, position = _read(state_dict, self)

        def load() -> None:
            self._seed, self._epoch, self._position = seed, epoch, position
            self._goes_on = True
            self._newest = None

        return load


def _read(state: Any, loader: DataLoader) -> list[int]:
    faults, values = [], {}
    if not isinstance(state, Mapping):
        faults, state = [f"the state is a {type(state).__name__}; it must be a dict"], {}
    else:
        faults += [f"'{name}' is missing" for name in _CHECKS if name not in state]
        faults += [f"'{name}' is unexpected" for name in state if name not in _CHECKS]
    for name in _CHECKS.keys() & state.keys():
        try:
            values[name] = _CHECKS[name](name, state[name])
        except (TypeError, ValueError) as error:
            faults.append(str(error).removeprefix("DataLoader: "))
    if not faults and values["position"]:
        mine = loader.state_dict()
        faults += [
            f"'{name}' is {value!r}; it must be the loader's {mine[name]!r}, as the state is in the middle of an epoch"
            for name, value in values.items()
            if name not in _COUNTS and value != mine[name]
        ]
        if not faults and values["position"] > len(loader):
            faults.append(f"'position' is {values['position']}; an epoch has {len(loader)} batches")
    if faults:
        lines = "\n".join(f"- {fault}" for fault in sorted(faults))
        raise ValueError(f"DataLoader.load_state_dict: nothing was loaded:\n{lines}")
    return [values[name] for name in _COUNTS]


def _whole(name: str, value: Any, least: int, most: float = 2**63) -> int:
    rule = f"it must be a whole number of at least {least}"
    try:
        if isinstance(value, bool | np.bool):
            raise TypeError
        number = index(value)
    except TypeError:
        raise TypeError(f"DataLoader: `{name}` is {shown(value)}; {rule}") from None
    if not least <= number < most:
        raise ValueError(f"DataLoader: `{name}` is {shown(value)}; {rule}{' and below 2^63' * (number >= most)}")
    return number


def _flag(name: str, value: Any) -> bool:
    if not isinstance(value, bool | np.bool):
        raise TypeError(f"DataLoader: `{name}` is {shown(value)}; it must be True or False")
    return bool(value)


_CHECKS: dict[str, Callable[[str, Any], Any]] = {
    "seed": partial(_whole, least=0, most=math.inf),
    "epoch": partial(_whole, least=0),
    "position": partial(_whole, least=0),
    "length": partial(_whole, least=0),
    "batch_size": partial(_whole, least=1),
    "shuffle": _flag,
    "drop_last": _flag,
}
"""What a state has."""
