"""Functions that make Tensors. Dtypes without `dtype` are NumPy's: float64 and int64."""

from __future__ import annotations

from typing import Any

import numpy as np

from ...numpy_api import creation, select
from ...ops import rearrange
from ...ops.data import native
from ...ops.lists import gather
from ...tensor import Tensor
from .wrapping import check_device, tensor, tensors

__all__ = [
    "arange", "asarray", "empty", "empty_like", "eye", "from_dlpack", "full", "full_like", "linspace", "meshgrid", "ones",
    "ones_like", "tril", "triu", "zeros", "zeros_like",
]  # fmt: skip


def arange(start: Any, /, stop: Any = None, step: Any = 1, *, dtype: Any = None, device: Any = None) -> Tensor:
    """Numbers from `start`, or 0, up to `stop`, which is left out."""
    check_device(device)
    first, last = (0, start) if stop is None else (start, stop)
    return tensors(np.arange(first, last, step, dtype=dtype))  # type: ignore[no-any-return]


def asarray(obj: Any, /, *, dtype: Any = None, device: Any = None, copy: bool | None = None) -> Tensor:
    """A Tensor of an array, a number, or nested lists of numbers and Tensors. It shares memory unless `copy` or another dtype.

    Raises:
        ValueError: without a copy (`copy=False`), where one is needed.
        TypeError: for what are no numbers.
    """
    check_device(device)
    found = gather(obj, "asarray")
    if isinstance(found, Tensor):
        converts = dtype is not None and found.dtype != dtype
        if copy is False and (converts or found is not obj):
            raise ValueError(f"asarray: {found.dtype} cannot become {dtype} without a copy")
        return found.astype(dtype) if converts else found.copy() if copy and found is obj else found
    array = np.asarray(found, dtype=dtype) if copy is None else np.array(found, dtype=dtype, copy=copy)
    if array.dtype.kind not in "biufc":
        raise TypeError(f"asarray: the data is {array.dtype}; it must be numbers or Booleans")
    return Tensor._of(native(array))


def empty(shape: Any, *, dtype: Any = None, device: Any = None) -> Tensor:
    """A Tensor whose values are not set."""
    check_device(device)
    return tensors(np.empty(shape, dtype=dtype or float))  # type: ignore[no-any-return]


def empty_like(x: Any, /, *, dtype: Any = None, device: Any = None) -> Tensor:
    """:func:`empty` in the shape and dtype of x."""
    return empty(x.shape, dtype=dtype or x.dtype, device=device)


def eye(n_rows: int, n_cols: int | None = None, /, *, k: int = 0, dtype: Any = None, device: Any = None) -> Tensor:
    """Ones on a diagonal, else zeros."""
    check_device(device)
    return tensors(np.eye(n_rows, n_cols, k=k, dtype=dtype or float))  # type: ignore[no-any-return]


def from_dlpack(x: Any, /, *, device: Any = None, copy: bool | None = None) -> Tensor:
    """A Tensor on the memory of an array of another library."""
    check_device(device)
    found = creation.from_dlpack(x)
    return found.copy() if copy else found


def full(shape: Any, fill_value: Any, *, dtype: Any = None, device: Any = None) -> Tensor:
    """A Tensor with one value. Recorded if the value is a Tensor."""
    check_device(device)
    if isinstance(fill_value, Tensor):
        return creation.full(shape, fill_value, dtype)
    return tensors(np.full(shape, fill_value, dtype=dtype))  # type: ignore[no-any-return]


def full_like(x: Any, /, fill_value: Any, *, dtype: Any = None, device: Any = None) -> Tensor:
    """:func:`full` in the shape and dtype of x."""
    return full(x.shape, fill_value, dtype=dtype or x.dtype, device=device)


def linspace(
    start: Any, stop: Any, /, num: int, *, dtype: Any = None, device: Any = None, endpoint: bool = True
) -> Tensor:
    """`num` numbers at equal distances. Recorded if an end is a Tensor."""
    check_device(device)
    if isinstance(start, Tensor) or isinstance(stop, Tensor):
        return creation.linspace(start, stop, num, endpoint, dtype=dtype)  # type: ignore[no-any-return]
    return tensors(np.linspace(start, stop, num, endpoint=endpoint, dtype=dtype or float))  # type: ignore[no-any-return]


def meshgrid(*arrays: Any, indexing: Any = "xy") -> list[Tensor]:
    """The coordinates of a grid."""
    return list(select.meshgrid(*map(tensor, arrays), indexing=indexing)) if arrays else []


def ones(shape: Any, *, dtype: Any = None, device: Any = None) -> Tensor:
    """A Tensor of ones."""
    return full(shape, 1, dtype=dtype or float, device=device)


def ones_like(x: Any, /, *, dtype: Any = None, device: Any = None) -> Tensor:
    """:func:`ones` in the shape and dtype of x."""
    return full(x.shape, 1, dtype=dtype or x.dtype, device=device)


def tril(x: Any, /, *, k: int = 0) -> Tensor:
    """The part of matrices on and below a diagonal, else zeros."""
    return rearrange.tril(tensor(x), k=k)


def triu(x: Any, /, *, k: int = 0) -> Tensor:
    """The part of matrices on and above a diagonal, else zeros."""
    return rearrange.triu(tensor(x), k=k)


def zeros(shape: Any, *, dtype: Any = None, device: Any = None) -> Tensor:
    """A Tensor of zeros."""
    return full(shape, 0, dtype=dtype or float, device=device)


def zeros_like(x: Any, /, *, dtype: Any = None, device: Any = None) -> Tensor:
    """:func:`zeros` in the shape and dtype of x."""
    return full(x.shape, 0, dtype=dtype or x.dtype, device=device)
