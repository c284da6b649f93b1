"""Batches of a dataset, epoch after epoch, with a position that can be saved."""

from __future__ import annotations

import math
import zlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import closing
from functools import partial
from itertools import pairwise
from typing import Any, NamedTuple, TypeAlias, TypeVar

import numpy as np
from numpy.typing import NDArray

from ..checks import Loadable, checked, entries, flag, loadable, whole
from ..ops.data import plain
from ..ops.random import generator
from ..ops.replaced import apart
from ..tensor import Tensor
from .dataset import Array, Batch, Dataset, as_dataset, integers
from .prefetch import ahead
from .sampler import Sampler, as_sampler
from .transforms.compose import draws, is_function

Transform: TypeAlias = Callable[..., Any]
Loaded = TypeVar("Loaded")
_SEED = {"seed": whole(0, math.inf)}
_OPTIONS = {"batch_size": whole(1), "shuffle": flag, "drop_last": flag}
_CHECKS = {**_SEED, "epoch": whole(0), "position": whole(0), "length": whole(0), **_OPTIONS}  # of a saved state


class _Shards(NamedTuple):
    sizes: list[int]
    """How many examples each shard of the batch has."""
    parts: dict[int, Any]
    """The shards at hand by their numbers, tuples of arrays or dicts of them, without empty ones."""


class Shards(_Shards):
    """A batch of which only some shards are at hand."""

    digest = 0
    """A checksum of which batch it is, by which processes that share it find out whether all have the same."""

    def with_parts(self, parts: dict[int, Any]) -> Shards:
        """The same batch in another form."""
        shards = Shards(self.sizes, parts)
        shards.digest = self.digest
        return shards


def shard_bounds(examples: int, count: int) -> list[int]:
    """Where the shards of a batch begin, and the last one ends."""
    return [s * examples // count for s in range(count + 1)]


def shards_of(batch: Sequence[Any], count: int, which: Iterable[int]) -> Shards:
    """The shards `which` of a batch that is at hand, as views; ValueError if its arrays have different lengths."""
    lengths = [len(x) for x in batch]
    if len(set(lengths)) > 1:
        raise ValueError(
            f"a batch has arrays of lengths {lengths}; to be cut into shards, each must have the examples along its first axis"
        )
    cuts = shard_bounds(len(batch[-1]), count)
    which = list(which)
    parts = {s: tuple(x[cuts[s] : cuts[s + 1]] for x in batch) for s in which if cuts[s] < cuts[s + 1]}
    shards = Shards([high - low for low, high in pairwise(cuts)], parts)
    if len(which) < count:  # other processes have the others
        for x in batch:
            array = np.ascontiguousarray(x._array if isinstance(x, Tensor) else x)
            shards.digest = zlib.crc32(f"{array.shape} {array.dtype}".encode(), shards.digest)
            shards.digest = zlib.crc32(array.data if array.dtype.kind in "biufc" else b"", shards.digest)
    return shards


def _check_batch(name: str, batch: Any) -> None:
    if not isinstance(batch, tuple | dict):
        raise TypeError(
            f"DataLoader: `{name}` gave a {type(batch).__name__}; a batch is a tuple of arrays, or a dict of them"
        )


def _as_tensors(batch: Any) -> Any:
    """A batch with Tensors that share the memory of its arrays, in place of those that a Tensor can hold."""
    if isinstance(batch, np.ndarray):
        return Tensor._of(apart(plain(batch, "DataLoader"))) if batch.dtype.kind in "biufc" else batch
    if isinstance(batch, dict):
        return {name: _as_tensors(part) for name, part in batch.items()}
    if isinstance(batch, tuple | list):
        parts = [_as_tensors(part) for part in batch]
        return type(batch)(*parts) if hasattr(batch, "_fields") else type(batch)(parts)
    return batch


class DataLoader(Loadable):
    """The batches of one epoch each time it is iterated: tuples of Tensors, which require no gradient.

    If examples are dicts, a batch is a dict of Tensors by name. Arrays that no Tensor can hold, such as those of strings, stay
    arrays. The Tensors share the memory of the arrays that the dataset and the transforms make, so they cost nothing.

    The order of an epoch depends only on `seed` and the number of the epoch, and the draws of a random transform on `seed`
    and the numbers of epoch and batch. So a loader can be stopped and resumed anywhere with the same bits, prefetched or
    not. :meth:`state_dict` counts the batches that the loader has returned, without prefetched ones.

    Each iterator begins a new epoch, except the first after :meth:`load_state_dict`, which gives the batches of the saved
    epoch that were left. Several iterators at once have an epoch each, and the state follows the one that began last;
    loading a state stops following it.
    A state in the middle of an epoch must have this loader's settings.

    Args:
        dataset: a :class:`Dataset`; an array or Tensor, by its first axis; or a sequence of examples.
        batch_size: how many examples a batch has.
        shuffle: draw a new order for each epoch.
        sampler: a :class:`Sampler`, which draws the examples of each epoch; or a sequence of their numbers, the same for each
            epoch. It excludes `shuffle`. A saved state does not contain it.
        drop_last: leave out the last batch of an epoch if it is not full.
        seed: a non-negative integer; None draws one from the library's generator, see ``tg.manual_seed``.
        collate: makes a batch, a tuple or dict of arrays, of a list of examples. Without it ``dataset.take`` makes it.
        transform: applied to the first array of each batch, the images. If it has a parameter `rng`, it is given a
            generator by that name, which it must draw from.
        batch_transform: applied to the whole batch after that, as :class:`MixUp` must be: called with the arrays of the tuple,
            or with the dict, and with `rng` if it has this parameter. It returns the new batch.
        tensors: False gives NumPy arrays instead of Tensors, which you may write to.
        prefetch: how many batches a background thread prepares while one is used; 0 for no thread. Where there are no
            threads, in a browser, it changes nothing.

    Raises:
        TypeError, ValueError: if an argument has the wrong type or is out of range.
        IndexError: at the start of an epoch, if the sampler gives a number that is not from 0 to len(dataset) - 1.

    >>> import tinygrad_cnn as tg
    >>> dataset = tg.data.TensorDataset(*tg.data.digits())
    >>> loader = tg.data.DataLoader(dataset, batch_size=64, shuffle=True, seed=0, transform=tg.data.ToFloat(16))
    >>> for images, labels in loader:
    ...     pass
    >>> len(loader), images.shape, images.dtype, labels.dtype
    (29, (5, 8, 8), dtype('float32'), dtype('int64'))
    >>> type(images).__name__, type(images.numpy()).__name__
    ('Tensor', 'ndarray')
    """

    batch_size: int
    shuffle: bool
    drop_last: bool
    tensors: bool
    prefetch: int

    def __init__(
        self, dataset: Dataset | Sequence[Any] | Array | Tensor, batch_size: int = 1, shuffle: bool = False,
        drop_last: bool = False, *, sampler: Sampler | Sequence[int] | Array | None = None, seed: int | None = None,
        collate: Callable[[list[Any]], Batch] | None = None, transform: Transform | None = None,
        batch_transform: Transform | None = None, tensors: bool = True, prefetch: int = 0,
    ) -> None:  # fmt: skip
        self.dataset = as_dataset(dataset)
        if getattr(batch_size, "ndim", 0):
            raise TypeError("DataLoader: `batch_size` is an array; for inputs and targets, give TensorDataset(x, y)")
        vars(self).update(checked("DataLoader", {**_OPTIONS, "tensors": flag, "prefetch": whole(0)}, locals()))
        if sampler is not None and self.shuffle:
            raise ValueError(
                "DataLoader: `shuffle` is True and there is a `sampler`, which draws the order; leave one out"
            )
        self.sampler = None if sampler is None else as_sampler("DataLoader", sampler)
        functions = {"collate": collate, "transform": transform, "batch_transform": batch_transform}
        for name, function in functions.items():
            if function is not None and not is_function(function):
                raise TypeError(f"DataLoader: `{name}` is {function!r:.60}; it must be a function or an object to call")
        self.collate = collate
        self.transform = transform
        self.batch_transform = batch_transform
        self._draws = [f is not None and draws(f) for f in (transform, batch_transform)]
        seed = int(generator().integers(2**63)) if seed is None else seed
        self._seed: int = checked("DataLoader", _SEED, locals())["seed"]
        self._epoch = self._position = 0
        self._goes_on = False  # the next iterator does not begin an epoch, but goes on with a loaded one
        self._newest: object = None  # the iterator that the state follows

    @property
    def seed(self) -> int:
        """The seed of all orders and draws."""
        return self._seed

    @property
    def epoch(self) -> int:
        """The number, from 0, of the current epoch or, between epochs, of the next one."""
        return self._epoch

    @property
    def position(self) -> int:
        """How many batches of the epoch were handed out."""
        return self._position

    def __len__(self) -> int:
        """How many batches an epoch has."""
        return self._examples // self.batch_size if self.drop_last else -(-self._examples // self.batch_size)

    @property
    def _examples(self) -> int:
        """How many examples an epoch has."""
        return len(self.dataset) if self.sampler is None else len(self.sampler)

    def __iter__(self) -> Iterator[Batch]:
        return self._epoch_of(self._load, _as_tensors if self.tensors else None)

    def shards(self, count: int, which: Iterable[int]) -> Iterator[Shards]:
        """The batches of one epoch as iterating gives them, each cut into `count` shards of which those in `which` are read.

        Shard s of n examples has those from s n / count to (s + 1) n / count, rounded down. A random transform draws for each
        shard by itself, from `seed` and the numbers of epoch, batch and shard; for one shard, as for the whole batch. The state
        moves as it does when the loader is iterated.

        >>> import numpy as np, tinygrad_cnn as tg
        >>> loader = tg.data.DataLoader(np.arange(10), batch_size=5)
        >>> for sizes, parts in loader.shards(2, which=[1]):
        ...     sizes, parts
        ([2, 3], {1: (array([2, 3, 4]),)})
        ([2, 3], {1: (array([7, 8, 9]),)})
        """
        return self._epoch_of(
            partial(
                self._load_shards, checked("DataLoader.shards", {"count": whole(1)}, locals())["count"], list(which)
            )
        )

    def _epoch_of(
        self, load: Callable[[NDArray[np.int64], int, int], Loaded], form: Callable[[Loaded], Loaded] | None = None
    ) -> Iterator[Loaded]:
        if self._position and not self._goes_on:
            self._epoch, self._position = self._epoch + 1, 0
        self._goes_on = False
        this = self._newest = object()
        epoch = self._epoch
        with closing(self._batches(load, epoch, self._position)) as batches:  # Python may have no reference counts
            for number, batch in batches:
                if self._newest is this:
                    self._position = number + 1
                yield batch if form is None else form(batch)
        if self._newest is this:
            self._epoch, self._position = epoch + 1, 0

    def _batches(self, load: Callable[..., Any], epoch: int, start: int) -> Any:
        """What `load` gives for the batches of an epoch, with their numbers, from number `start` to the last."""
        order = self._order(epoch)

        def numbered(number: int) -> tuple[int, Any]:
            return number, load(order[number * self.batch_size : (number + 1) * self.batch_size], epoch, number)

        numbers = range(start, len(self))
        return ahead(numbered, numbers, self.prefetch) if self.prefetch else (numbered(number) for number in numbers)

    def _order(self, epoch: int) -> NDArray[np.int64]:
        examples = len(self.dataset)
        if self.sampler is None:
            return self._generator(epoch).permutation(examples) if self.shuffle else np.arange(examples)
        drawn = integers("DataLoader", "sampler", self.sampler.draw(self._generator(epoch)))
        if len(drawn) != self._examples:
            raise ValueError(f"DataLoader: `sampler` drew {len(drawn)} examples; its length is {self._examples}")
        wrong = (drawn < 0) | (drawn >= examples)
        if wrong.any():
            number = drawn[wrong.argmax()]
            raise IndexError(f"DataLoader: `sampler` gives example {number}; it must be from 0 to {examples - 1}")
        return drawn

    def _generator(self, *path: int) -> np.random.Generator:
        """The generator of an epoch, or of a batch in it: the same each time, and independent of the others."""
        return np.random.default_rng(np.random.SeedSequence(self._seed, spawn_key=path))

    def _load(self, indices: NDArray[np.int64], *path: int) -> Batch:
        """The examples at `indices`; random transforms draw from the generator of `path`, one after the other."""
        if self.collate is None:
            batch = self.dataset.take(indices)
        else:
            batch = self.collate([self.dataset[i] for i in indices.tolist()])
            _check_batch("collate", batch)
        if any(self._draws):
            rng = self._generator(*path)
        given = [{"rng": rng} if needed else {} for needed in self._draws]
        if self.transform is not None:
            if isinstance(batch, dict):
                first = next(iter(batch))
                batch = {**batch, first: self.transform(batch[first], **given[0])}
            else:
                batch = (self.transform(batch[0], **given[0]), *batch[1:])
        if self.batch_transform is not None:
            arguments = (batch,) if isinstance(batch, dict) else batch
            batch = self.batch_transform(*arguments, **given[1])
            _check_batch("batch_transform", batch)
        return batch

    def _load_shards(
        self, count: int, which: Sequence[int], indices: NDArray[np.int64], epoch: int, number: int
    ) -> Shards:
        cuts = shard_bounds(len(indices), count)
        parts = {
            s: self._load(indices[cuts[s] : cuts[s + 1]], epoch, number, *([s] if count > 1 else []))
            for s in which
            if cuts[s] < cuts[s + 1]
        }
        shards = Shards([high - low for low, high in pairwise(cuts)], parts)
        shards.digest = zlib.crc32(indices.tobytes(), zlib.crc32(f"{self._seed} {epoch} {number}".encode()))
        return shards

    # State

    def state_dict(self) -> dict[str, Any]:
        """The position in the data, and the settings on which the order depends, as plain values."""
        options = {name: getattr(self, name) for name in _OPTIONS}
        place = {"seed": self._seed, "epoch": self._epoch, "position": self._position}
        return {**place, "length": self._examples, **options}

    def _prepare_load(self, state_dict: Any) -> Callable[[], None]:
        values, faults = entries(state_dict, _CHECKS, "the state")
        if not faults and values["position"]:
            mine = self.state_dict()
            faults = [
                f"`{name}` is {value!r}; it must be the loader's {mine[name]!r}, as the state is in the middle of an epoch"
                for name, value in values.items()
                if name not in ("seed", "epoch", "position") and value != mine[name]
            ]
            if not faults and values["position"] > len(self):
                faults.append(f"`position` is {values['position']}; an epoch has {len(self)} batches")
        loadable("DataLoader", values, faults)

        def load() -> None:
            self._seed, self._epoch, self._position = values["seed"], values["epoch"], values["position"]
            self._goes_on = True
            self._newest = None

        return load

    def __repr__(self) -> str:
        options = {name: getattr(self, name) for name in ("batch_size", "shuffle", "drop_last", "seed")}
        given = {name: getattr(self, name) for name in ("sampler", "collate", "transform", "batch_transform")}
        options |= {name: value for name, value in given.items() if value is not None}
        options |= {"prefetch": self.prefetch} if self.prefetch else {}
        return f"DataLoader({self.dataset!r}, {', '.join(f'{name}={value!r}' for name, value in options.items())})"
