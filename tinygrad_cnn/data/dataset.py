"""Datasets: numbered examples, read one at a time or as a batch."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping, Sequence
from operator import index as as_index
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from ..core.grad_mode import is_grad_enabled
from ..ops.data import of_numpy
from ..tensor import Tensor, get_default_dtype

Array: TypeAlias = NDArray[Any]
Batch: TypeAlias = Any
"""A tuple of arrays, or a dict of arrays by name."""


class Dataset(ABC):
    """Examples numbered from 0. A subclass defines ``__len__`` and ``__getitem__``.

    An example is a tuple of fields, such as image and label, a dict of fields by name, or one field by itself. A field is an
    array, a number or anything that ``np.asarray`` takes. Override :meth:`take` if a whole batch can be read faster than
    single examples. The sum of two datasets is their :class:`ConcatDataset`.

    >>> import tinygrad_cnn as tg
    >>> class Squares(tg.data.Dataset):
    ...     def __len__(self):
    ...         return 100
    ...     def __getitem__(self, index):
    ...         return index, index**2
    >>> next(iter(tg.data.DataLoader(Squares(), batch_size=4)))
    (Tensor([0, 1, 2, 3], dtype=int64), Tensor([0, 1, 4, 9], dtype=int64))
    """

    @abstractmethod
    def __len__(self) -> int:
        """The number of examples."""

    @abstractmethod
    def __getitem__(self, index: int) -> Any:
        """Example `index`, from 0 to len(self) - 1."""

    def take(self, indices: NDArray[np.int64]) -> Batch:
        """The examples at `indices` as one batch: for each field an array with the examples along its first axis."""
        return collate([self[index] for index in indices.tolist()])

    def __add__(self, other: Any) -> ConcatDataset:
        return ConcatDataset([self, other])

    def __repr__(self) -> str:
        return f"{type(self).__name__}({len(self)} examples)"


class TensorDataset(Dataset):
    """Examples along the first axis of arrays, which are shared and not copied.

    Args:
        arrays: arrays or Tensors of the same length, such as images and labels.

    Raises:
        ValueError: if there is no array, or the lengths differ.
        TypeError: if an array holds Python objects or records, or is a single number.

    >>> import tinygrad_cnn as tg
    >>> digits = tg.data.TensorDataset(*tg.data.digits())
    >>> image, label = digits[3]
    >>> len(digits), image.shape, int(label)
    (1797, (8, 8), 3)
    """

    def __init__(self, *arrays: Any) -> None:
        if arrays and isinstance(arrays[0], list | tuple) and any(getattr(part, "ndim", 0) for part in arrays[0]):
            raise TypeError("TensorDataset: there is a list of arrays; give them one by one: TensorDataset(x, y)")
        self.arrays = tuple(as_array(array) for array in arrays)
        if not arrays:
            raise ValueError("TensorDataset: there are no arrays; give at least one")
        for array in self.arrays:
            if not array.ndim:
                raise TypeError("TensorDataset: an array is a single number; examples lie along the first axis")
        lengths = [len(array) for array in self.arrays]
        if len(set(lengths)) > 1:
            raise ValueError(f"TensorDataset: the arrays have lengths {lengths}; each example takes one row of each")

    def __len__(self) -> int:
        return len(self.arrays[0])

    def __getitem__(self, index: Any) -> tuple[Array, ...]:
        """The rows at `index`: an integer, or any other index of the first axis."""
        return tuple(array[index] for array in self.arrays)

    def take(self, indices: NDArray[np.int64]) -> tuple[Array, ...]:
        """Copies of the rows at `indices`."""
        places = indices.astype(np.intp, copy=False)  # take refuses int64 where a pointer has 32 bits
        return tuple(array.take(places, axis=0) for array in self.arrays)

    def __repr__(self) -> str:
        fields = ", ".join(f"{array.dtype} {array.shape[1:]}" for array in self.arrays)
        return f"TensorDataset({len(self)} examples of {fields})"


class Subset(Dataset):
    """The examples of `dataset` at `indices`, in their order; an index may occur more than once.

    Raises:
        TypeError: if `indices` are not integers.
        IndexError: if an index is not from 0 to len(dataset) - 1.
    """

    def __init__(self, dataset: Dataset | Sequence[Any] | Array | Tensor, indices: Sequence[int] | Array) -> None:
        self.dataset = as_dataset(dataset)
        self.indices = integers("Subset", "indices", indices)
        wrong = (self.indices < 0) | (self.indices >= len(self.dataset))
        if wrong.any():
            at, length = wrong.argmax(), len(self.dataset)
            raise IndexError(f"Subset: `indices` holds {self.indices[at]} at {at}; it must be from 0 to {length - 1}")

    def __len__(self) -> int:
        return len(self.indices)

    def __getitem__(self, index: int) -> Any:
        return self.dataset[int(self.indices[index])]

    def take(self, indices: NDArray[np.int64]) -> Batch:
        return self.dataset.take(self.indices[indices])

    def __repr__(self) -> str:
        return f"Subset({len(self)} of {self.dataset!r})"


class ConcatDataset(Dataset):
    """The examples of several datasets, one dataset after the other.

    Args:
        datasets: datasets, arrays, Tensors or sequences, whose examples have the same fields.

    Raises:
        ValueError: if there is no dataset, or, when a batch is made, if the fields differ in number, name or shape.
        TypeError: if one is not a dataset.

    >>> import numpy as np, tinygrad_cnn as tg
    >>> both = tg.data.ConcatDataset([np.arange(3), 10 * np.arange(2)])
    >>> len(both), both.take(np.array([3, 0, 4]))
    (5, (array([ 0,  0, 10]),))
    """

    def __init__(self, datasets: Iterable[Dataset | Sequence[Any] | Array | Tensor]) -> None:
        if isinstance(datasets, Dataset | np.ndarray | Tensor) or not isinstance(datasets, Iterable):
            raise TypeError(f"ConcatDataset: `datasets` is a {type(datasets).__name__}; give a list of datasets")
        self.datasets = [as_dataset(dataset) for dataset in datasets]
        if not self.datasets:
            raise ValueError("ConcatDataset: there are no datasets; give at least one")
        self._ends = np.cumsum([len(dataset) for dataset in self.datasets])
        self._starts = self._ends - [len(dataset) for dataset in self.datasets]

    def __len__(self) -> int:
        return int(self._ends[-1])

    def __getitem__(self, index: int) -> Any:
        """Example `index`; a negative one counts from the end. IndexError if it does not exist."""
        place = as_index(index) + (len(self) if index < 0 else 0)
        if not 0 <= place < len(self):
            raise IndexError(f"ConcatDataset: there is no example {index} among {len(self)}")
        which = int(np.searchsorted(self._ends, place, side="right"))
        return self.datasets[which][place - int(self._starts[which])]

    def take(self, indices: NDArray[np.int64]) -> Batch:
        which = np.searchsorted(self._ends, indices, side="right")
        used = np.unique(which)
        batches = [self.datasets[i].take(indices[which == i] - self._starts[i]) for i in used.tolist()]
        if len(used) == 1:
            return batches[0]
        order = np.argsort(np.argsort(which, kind="stable"))  # where each example is in the batches one after the other
        return _merged(batches, lambda name, parts: _joined(name, parts)[order])

    def __repr__(self) -> str:
        return f"ConcatDataset([{', '.join(map(repr, self.datasets))}])"


class _Items(Dataset):
    """A plain sequence of examples."""

    def __init__(self, items: Any) -> None:
        self.items = items

    def __len__(self) -> int:
        return len(self.items)

    def __getitem__(self, index: int) -> Any:
        return self.items[index]

    def __repr__(self) -> str:
        return f"{type(self.items).__name__} of {len(self)} examples"


def as_dataset(data: Any) -> Dataset:
    """`data` if it is a Dataset; a dataset of an array or Tensor by its first axis, or of a sequence by its items."""
    if isinstance(data, Dataset):
        return data
    if isinstance(data, np.ndarray | Tensor):
        return TensorDataset(data)
    if isinstance(data, tuple) and len(data) > 1 and all(getattr(array, "ndim", 0) for array in data):
        raise TypeError("`dataset` is a tuple of arrays; for examples along their first axis, give TensorDataset(x, y)")
    if hasattr(data, "__len__") and hasattr(data, "__getitem__") and not isinstance(data, dict | str | bytes):
        return _Items(data)
    raise TypeError(f"`dataset` is a {type(data).__name__}; it must be a Dataset, an array or a sequence with len()")


def as_array(value: Any) -> Array:
    """`value` as an array, which shares its memory if possible. Python floats get the default dtype, integers int64."""
    if isinstance(value, Tensor):
        if value.requires_grad and is_grad_enabled():
            raise TypeError(
                "a field of an example is a Tensor that requires a gradient, which data would lose; give t.detach()"
            )
        return value.numpy()
    array = of_numpy(np.asanyarray(value), "a field of an example")
    if array.dtype.kind in "OV":
        raise TypeError(
            f"a field of an example is a {type(value).__name__}; it must be a number, a str or an array of them"
        )
    if array.dtype == np.float64 and not hasattr(value, "dtype"):
        return array.astype(get_default_dtype())
    return array


def collate(items: Sequence[Any]) -> Batch:
    """Examples as one batch: each field stacked along a new first axis. Python floats get the default dtype.

    Args:
        items: examples: tuples or lists of fields, dicts of fields by name, or single fields.

    Returns:
        A tuple of arrays; for dicts, a dict of arrays by name.

    Raises:
        ValueError: if there are no examples, or they differ in their number of fields, their names or the shape of a field.
        TypeError: if a field is neither a number, a str, nor an array of them.

    >>> import numpy as np, tinygrad_cnn as tg
    >>> images, labels = tg.data.collate([(np.zeros((28, 28)), 3), (np.ones((28, 28)), 5)])
    >>> images.shape, labels
    ((2, 28, 28), array([3, 5]))
    >>> tg.data.collate([{"x": 1.5, "label": 3}, {"x": 2.5, "label": 5}])
    {'x': array([1.5, 2.5], dtype=float32), 'label': array([3, 5])}
    """
    return _merged([item if isinstance(item, tuple | list | Mapping) else (item,) for item in items], _stacked)


def _merged(rows: Sequence[Any], merge: Callable[[int | str, Sequence[Any]], Array]) -> Batch:
    """One batch of examples or batches, whose fields are merged by number or name."""
    kinds = dict.fromkeys(frozenset(row) if isinstance(row, Mapping) else None for row in rows)
    if kinds.keys() - {None}:
        if len(kinds) > 1:
            found = " and ".join("no names" if kind is None else f"{sorted(kind)}" for kind in [*kinds][:2])
            raise ValueError(f"collate: the fields of the examples have {found}; all must have the same names")
        return {name: merge(name, [row[name] for row in rows]) for name in rows[0]}
    counts = sorted({len(row) for row in rows})
    if len(counts) != 1:
        raise ValueError(f"collate: the examples have {counts or 'no'} fields; all must have the same number")
    return tuple(merge(number, column) for number, column in enumerate(zip(*rows, strict=True)))


def _stacked(field: int | str, values: Sequence[Any]) -> Array:
    arrays = [as_array(value) for value in values]
    _check_shapes(field, [array.shape for array in arrays])
    return np.stack(arrays)


def _joined(field: int | str, parts: Sequence[Array]) -> Array:
    _check_shapes(field, [part.shape[1:] for part in parts])
    return np.concatenate(parts)


def _check_shapes(field: int | str, shapes: Iterable[tuple[int, ...]]) -> None:
    different = list(dict.fromkeys(shapes))
    if len(different) > 1:
        raise ValueError(
            f"collate: field {field!r} has shape {different[0]} in one example and {different[1]} in another; crop or pad "
            "them to one shape, or write a `collate`. For arrays with an example in each row, use TensorDataset(...)"
        )


def integers(owner: str, name: str, values: Any) -> NDArray[np.int64]:
    """A row of integers as a new array; TypeError for anything else."""
    array = np.asarray(values)
    if array.ndim != 1 or (array.size and array.dtype.kind not in "iu"):
        raise TypeError(f"{owner}: `{name}` is {array.dtype} {array.shape}; it must be a row of integers")
    return array.astype(np.intp)
