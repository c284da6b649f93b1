"""What Python's array API standard asks of an array itself, beside NumPy's methods. Its functions are in `extra/array_api`."""

from __future__ import annotations

from typing import Any

from ..core.registry import above
from ..tensor import Tensor
from ..tensor.methods import Methods


def _mT(self: Tensor) -> Tensor:  # the standard's name
    """The matrices transposed: the last two axes exchanged."""
    if self.ndim < 2:
        raise ValueError(f"mT: the Tensor has shape {self.shape}; a matrix has two axes at least")
    return self.swapaxes(-1, -2)


def _device(self: Tensor) -> str:
    """Where the memory is: "cpu", the only device, as for NumPy's arrays."""
    return "cpu"


def to_device(self: Tensor, device: Any, /, *, stream: Any = None) -> Tensor:
    """This Tensor. ValueError for another device than "cpu"."""
    if device != "cpu" or stream is not None:
        raise ValueError(f"to_device: the device is {device!r}, the stream {stream!r}; there is one device, 'cpu'")
    return self


def __array_namespace__(self: Tensor, *, api_version: str | None = None) -> Any:
    """The functions of Python's array API standard for Tensors: the module :mod:`tinygrad_cnn.extra.array_api`.

    ValueError for a version of the standard other than those from 2021.12 to 2024.12.
    """
    return above.array_namespace(api_version)


def __complex__(self: Tensor) -> complex:
    return complex(self.__float__())


Methods.mT, Methods.device = property(_mT), property(_device)  # type: ignore[assignment]
for _function in (to_device, __array_namespace__, __complex__):
    setattr(Methods, _function.__name__, _function)
