"""Data types: those of the standard, and functions of them."""

from __future__ import annotations

from typing import Any

import numpy as np

from ...tensor import Tensor
from .wrapping import check_device

_NAMES = "bool int8 int16 int32 int64 uint8 uint16 uint32 uint64 float32 float64 complex64 complex128"
DTYPES = {name: np.dtype(name) for name in _NAMES.split()}

_KINDS = {
    "bool": "b", "signed integer": "i", "unsigned integer": "u", "integral": "iu", "real floating": "f",
    "complex floating": "c", "numeric": "iufc",
}  # fmt: skip


def _dtype(x: Any) -> Any:
    """What NumPy promotes: the dtype of an array, a dtype, or a Python number."""
    return x.dtype if isinstance(x, Tensor) else x


def astype(x: Any, dtype: Any, /, *, copy: bool = True, device: Any = None) -> Tensor:
    """x in another dtype; without `copy`, x itself if it has the dtype. Recorded between floating-point dtypes."""
    check_device(device)
    found: Tensor = x.astype(dtype) if x.dtype != dtype else x.copy() if copy else x
    return found


def can_cast(from_: Any, to: Any, /) -> bool:
    """Whether every value of one dtype, or of the dtype of an array, is one of the other."""
    return np.can_cast(_dtype(from_), to)


def finfo(type: Any, /) -> Any:
    """The limits of a floating-point dtype, or of the dtype of an array; of its parts, if it is complex."""
    limits = np.finfo(_dtype(type))
    return _Limits(limits, "bits eps max min smallest_normal", limits.dtype)


def iinfo(type: Any, /) -> Any:
    """The limits of an integer dtype, or of the dtype of an array."""
    return _Limits(np.iinfo(_dtype(type)), "bits max min", np.dtype(_dtype(type)))


class _Limits:
    """Limits as Python numbers."""

    def __init__(self, limits: Any, names: str, dtype: np.dtype[Any]) -> None:
        for name in names.split():
            value = getattr(limits, name)
            setattr(self, name, value.item() if isinstance(value, np.generic) else value)
        self.dtype = dtype


def isdtype(dtype: Any, kind: Any) -> bool:
    """Whether a dtype is, or is one of, those given: dtypes, and kinds such as "real floating" or "integral".

    Raises:
        ValueError: for an unknown kind.
    """
    if isinstance(kind, tuple):
        return any(isdtype(dtype, each) for each in kind)
    if isinstance(kind, str):
        if kind not in _KINDS:
            raise ValueError(
                f"isdtype: `kind` is {kind!r}; it must be a dtype or one of {', '.join(map(repr, _KINDS))}"
            )
        return np.dtype(dtype).kind in _KINDS[kind]
    return bool(np.dtype(dtype) == np.dtype(kind))


def result_type(*arrays_and_dtypes: Any) -> np.dtype[Any]:
    """The dtype of arrays, dtypes and Python numbers combined, of which the last do not promote."""
    return np.result_type(*map(_dtype, arrays_and_dtypes))


class Info:
    """What ``__array_namespace_info__()`` returns."""

    def capabilities(self) -> dict[str, Any]:
        """Shapes may depend on data: Boolean indexing, `nonzero`, `unique_values`. An array has at most 64 axes."""
        return {"boolean indexing": True, "data-dependent shapes": True, "max dimensions": 64}

    def default_device(self) -> str:
        """The only device, "cpu"."""
        return "cpu"

    def default_dtypes(self, *, device: Any = None) -> dict[str, np.dtype[Any]]:
        """The dtypes of new arrays without `dtype`: NumPy's."""
        check_device(device)
        kinds = {"real floating": "float64", "complex floating": "complex128", "integral": "int", "indexing": "int"}
        return {kind: np.dtype(name) for kind, name in kinds.items()}

    def devices(self) -> list[str]:
        """The only device, "cpu"."""
        return ["cpu"]

    def dtypes(self, *, device: Any = None, kind: Any = None) -> dict[str, np.dtype[Any]]:
        """The dtypes by name, all or those of a kind."""
        check_device(device)
        return {name: dtype for name, dtype in DTYPES.items() if kind is None or isdtype(dtype, kind)}
