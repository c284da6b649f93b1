"""Arrays from the data that users pass, the default dtype, and what the array API standard asks of a Tensor itself."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
from numpy.typing import DTypeLike, NDArray

from ..core.registry import above
from .real import dtype_of

if TYPE_CHECKING:
    from ..tensor import Tensor

TensorLike: TypeAlias = "Tensor | NDArray[Any] | complex | Sequence[Any]"
"""What functions take for a Tensor."""

_default_dtype: np.dtype[Any] = np.dtype(np.float32)


def set_default_dtype(dtype: DTypeLike) -> None:
    """Set the floating-point dtype of Tensors made from Python numbers and lists; initially float32.

    Raises:
        TypeError: if `dtype` is not a floating-point dtype.
    """
    global _default_dtype
    wanted = dtype_of("set_default_dtype", dtype)
    if wanted.kind != "f":
        raise TypeError(f"set_default_dtype: `dtype` is {wanted}; it must be a floating-point dtype such as float32")
    _default_dtype = wanted


def get_default_dtype() -> np.dtype[Any]:
    """The floating-point dtype of Tensors made from Python numbers and lists."""
    return _default_dtype


def plain(value: Any, name: str = "Tensor") -> Any:
    """An array as one of NumPy's own class, in the machine's byte order: what may be an operand.

    An array in the other byte order is copied. TypeError, beginning with `name`, for a masked array. Anything else is returned
    as it is.
    """
    return native(of_numpy(value, name)) if isinstance(value, np.ndarray) else value


def of_numpy(array: NDArray[Any], name: str) -> NDArray[Any]:
    """The array as one of NumPy's own class: a subclass, such as np.matrix, may give operators another meaning.

    TypeError, beginning with `name`, for a masked array, whose mask would be lost.
    """
    if array.__class__ is np.ndarray:
        return array
    if isinstance(array, np.ma.MaskedArray):
        raise TypeError(
            f"{name}: there is a masked array, whose mask would be lost; give a.filled(0), or a.data, and where the mask is to "
            "count, tinygrad_cnn.where(a.mask, 0, x)"
        )
    return array.view(np.ndarray)


def native(array: NDArray[Any]) -> NDArray[Any]:
    """The array, or a copy if it is in the other byte order."""
    return array if array.dtype.isnative else array.astype(array.dtype.newbyteorder("="))


def to_array(data: Any, dtype: DTypeLike | None = None, python: DTypeLike | None = None) -> NDArray[Any]:
    """A new array from an array, numbers or nested lists: arrays keep their dtype, Python numbers get the default one.

    It is in the machine's byte order, whatever order the array has.

    Args:
        dtype: of the result, whatever `data` is.
        python: for Python numbers, instead of the default dtype.

    Raises:
        TypeError: if `data` holds anything but numbers or Booleans.
        ValueError: if a nested list is ragged.
    """
    array = _copied(data, dtype, python or _default_dtype)
    if array.dtype.kind not in "biufc":
        raise TypeError(f"Tensor: `data` has dtype {array.dtype}; it must hold numbers or Booleans")
    return native(array)


def _copied(data: Any, dtype: DTypeLike | None, python: DTypeLike) -> NDArray[Any]:
    try:
        array = np.array(data, dtype=dtype, copy=True)
    except ValueError as error:
        raise ValueError(f"Tensor: `data` is not a full array of numbers: {error}") from None
    pythonic = isinstance(data, int | float | list | tuple | range) and not isinstance(data, np.generic)
    if dtype is None and pythonic and array.dtype.kind in "iuf":
        return array.astype(python)
    return array


def to_device(x: Tensor, device: Any, /, *, stream: Any = None) -> Tensor:
    """This Tensor. ValueError for another device than "cpu"."""
    if device != "cpu" or stream is not None:
        raise ValueError(f"to_device: the device is {device!r}, the stream {stream!r}; there is one device, 'cpu'")
    return x


def array_namespace(x: Tensor, *, api_version: str | None = None) -> Any:
    """The functions of Python's array API standard for Tensors: the module :mod:`tinygrad_cnn.extra.array_api`.

    ValueError for a version of the standard other than those from 2021.12 to 2024.12.
    """
    return above.array_namespace(api_version)


def to_complex(x: Tensor) -> complex:
    """The value of a Tensor with one element, as Python's complex number."""
    return complex(x._number("complex"))
