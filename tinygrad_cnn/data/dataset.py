"""Datasets: numbered examples, read one at a time or as a batch."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from ..tensor import Tensor, get_default_dtype

Array: TypeAlias = NDArray[Any]
Batch: TypeAlias = tuple[Array, ...]


class Dataset(ABC):
    """Examples numbered from 0. A subclass defines ``__len__`` and ``__getitem__``.

    An example is a tuple of fields, such as image and label, or one field by itself. A field is an array, a number or
    anything that ``np.asarray`` takes. Override :meth:`take` if a whole batch can be read faster than single examples.

    >>> import tinygrad_cnn as tg
    >>> class Squares(tg.data.Dataset):
    ...     def __len__(self):
    ...         return 100
    ...     def __getitem__(self, index):
    ...         return index, index**2
    >>> next(iter(tg.data.DataLoader(Squares(), batch_size=4)))
    (array([0, 1, 2, 3]), array([0, 1, 4, 9]))
    """

    @abstractmethod
    def __len__(self) -> int:
        """The number of examples."""

    @abstractmethod
    def __getitem__(self, index: int) -> Any:
        """Example `index`, from 0 to len(self) - 1."""

    def take(self, indices: NDArray[np.intp]) -> Batch:
        """The examples at `indices` as one batch: for each field an array with the examples along its first axis."""
        return collate([self[index] for index in indices.tolist()])


class TensorDataset(Dataset):
    """Examples along the first axis of arrays, which are shared and not copied.

    Args:
        arrays: arrays or Tensors of the same length, such as images and labels.

    Raises:
        ValueError: if there is no array, or the lengths differ.
        TypeError: if an array does not hold numbers or is a single number.

    >>> import tinygrad_cnn as tg
    >>> digits = tg.data.TensorDataset(*tg.data.digits())
    >>> image, label = digits[3]
    >>> len(digits), image.shape, int(label)
    (1797, (8, 8), 3)
    """

    def __init__(self, *arrays: Any) -> None:
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

    def __getitem__(self, index: Any) -> Batch:
        """The rows at `index`: an integer, or any other index of the first axis."""
        return tuple(array[index] for array in self.arrays)

    def take(self, indices: NDArray[np.intp]) -> Batch:
        """Copies of the rows at `indices`."""
        return tuple(array.take(indices, axis=0) for array in self.arrays)


class Subset(Dataset):
    """The examples of `dataset` at `indices`, in their order; an index may occur more than once.

    Raises:
        TypeError: if `indices` are not integers.
        IndexError: if an index is not from 0 to len(dataset) - 1.
    """

    def __init__(self, dataset: Dataset | Sequence[Any] | Array | Tensor, indices: Sequence[int] | Array) -> None:
        self.dataset = as_dataset(dataset)
        self.indices = _integers(indices)
        wrong = (self.indices < 0) | (self.indices >= len(self.dataset))
        if wrong.any():
            at, length = wrong.argmax(), len(self.dataset)
            raise IndexError(f"Subset: `indices` holds {self.indices[at]} at {at}; it must be from 0 to {length - 1}")

    def __len__(self) -> int:
        return len(self.indices)

    def __getitem__(self, index: int) -> Any:
        return self.dataset[int(self.indices[index])]

    def take(self, indices: NDArray[np.intp]) -> Batch:
        return self.dataset.take(self.indices[indices])


class _Items(Dataset):
    """A plain sequence of examples."""

    def __init__(self, items: Any) -> None:
        self.items = items

    def __len__(self) -> int:
        return len(self.items)

    def __getitem__(self, index: int) -> Any:
        return self.items[index]


def as_dataset(data: Any) -> Dataset:
    """`data` if it is a Dataset; a dataset of an array or Tensor by its first axis, or of a sequence by its items."""
    if isinstance(data, Dataset):
        return data
    if isinstance(data, np.ndarray | Tensor):
        return TensorDataset(data)
    if hasattr(data, "__len__") and hasattr(data, "__getitem__") and not isinstance(data, dict | str | bytes):
        return _Items(data)
    raise TypeError(f"`dataset` is a {type(data).__name__}; it must be a Dataset, an array or a sequence with len()")


def as_array(value: Any) -> Array:
    """`value` as an array, which shares its memory if possible. Python floats get the default dtype, integers int64."""
    if isinstance(value, Tensor):
        return value.detach().numpy()
    array = np.asarray(value)
    if array.dtype.kind in "OV":
        raise TypeError(f"a field of an example is a {type(value).__name__}; it must be a number or an array of them")
    if array.dtype == np.float64 and not hasattr(value, "dtype"):
        return array.astype(get_default_dtype())
    return array


def collate(items: Sequence[Any]) -> Batch:
    """Examples as one batch: each field stacked along a new first axis. Python floats get the default dtype.

    Raises:
        ValueError: if there are no examples, or they differ in their number of fields or in the shape of a field.
        TypeError: if a field is not a number or an array.

    >>> import numpy as np, tinygrad_cnn as tg
    >>> images, labels = tg.data.collate([(np.zeros((28, 28)), 3), (np.ones((28, 28)), 5)])
    >>> images.shape, labels
    ((2, 28, 28), array([3, 5]))
    """
    rows = [item if isinstance(item, tuple | list) else (item,) for item in items]
    counts = sorted({len(row) for row in rows})
    if len(counts) != 1:
        raise ValueError(f"collate: the examples have {counts or 'no'} fields; all must have the same number")
    return tuple(_stacked(number, column) for number, column in enumerate(zip(*rows, strict=True)))


def _stacked(number: int, column: tuple[Any, ...]) -> Array:
    fields = [as_array(field) for field in column]
    shapes = list(dict.fromkeys(field.shape for field in fields))
    if len(shapes) > 1:
        raise ValueError(
            f"collate: field {number} has shape {shapes[0]} in one example and {shapes[1]} in another; crop or pad them "
            "to one shape, or write a `collate`. For arrays with an example in each row, use TensorDataset(...)"
        )
    return np.stack(fields)


def _integers(indices: Any) -> NDArray[np.intp]:
    array = np.asarray(indices)
    if array.ndim != 1 or (array.size and array.dtype.kind not in "iu"):
        raise TypeError(f"Subset: `indices` is {array.dtype} {array.shape}; it must be a row of integers")
    return array.astype(np.intp)
