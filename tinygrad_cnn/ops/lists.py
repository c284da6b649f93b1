"""What holds Tensors, a list, tuple or object array, becomes one Tensor, as by ``stack``, so that the gradient reaches each.

NumPy alone would read the values, and the graph would end there.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np

from ..core.operands import FINE, NUMPY_NUMBERS
from .data import get_default_dtype, native, plain, to_array

OBJECT = np.dtype(object)

_item = {kind: kind.item for kind in NUMPY_NUMBERS}
_tensor: Any = ()
_stack: Any = None


def register(tensor: type, stack: Callable[..., Any]) -> None:
    """Register the Tensor class, and the op that stacks Tensors."""
    global _tensor, _stack
    _tensor, _stack = tensor, stack


def tensor(array: np.ndarray) -> Any:
    """A Tensor that shares the memory of an array."""
    return _tensor._of(array)


def adapt(value: Any, name: str = "Tensor", beside: Sequence[Any] = ()) -> Any:
    """An operand that is combined with a Tensor: a NumPy scalar becomes a Python number.

    A list of numbers gets the default dtype, or a larger one that a floating-point operand beside it has.
    """
    item = _item.get(value.__class__)
    if item is not None:
        return item(value)
    value = gather(value, name)
    if not isinstance(value, list | tuple):
        return value
    dtypes = [x.dtype for x in beside if isinstance(x, _tensor | np.ndarray) and x.dtype.kind == "f"]
    return to_array(value, python=np.result_type(get_default_dtype(), *dtypes))


def gather(value: Any, name: str = "Tensor", *, arrays: bool = False) -> Any:
    """`value`, unless it is a list, tuple or object array that holds Tensors: then the Tensor stacked from it.

    An array of a subclass becomes one of NumPy's own class. With `arrays`, a list or tuple of numbers becomes an array.

    NumPy's promotion of the Tensors and arrays in it gives the dtype; Python and NumPy scalars do not promote.

    Raises:
        TypeError: beginning with `name`, for an object array that holds no Tensor, and for a masked array.
        ValueError: for a ragged list.
    """
    if isinstance(value, _tensor):
        return value
    holds_tensor = _holds_tensor(value)
    if not holds_tensor and getattr(value, "dtype", None) == OBJECT:
        raise TypeError(f"{name}: {_NO_OPERAND}")
    if not holds_tensor and not (arrays and isinstance(value, list | tuple)):
        return plain(value, name)
    try:
        return _joined(value, _common(value)) if holds_tensor else native(np.asarray(value))
    except ValueError as error:
        kind = "a list that holds Tensors" if holds_tensor else "a list"
        raise ValueError(f"{name}: {kind} must be full, with parts of one shape: {error}") from None


def members(values: Iterable[Any]) -> list[Any]:
    """`values`, to be joined: if one is a Tensor, the arrays, scalars and lists become Tensors too, as in :func:`gather`."""
    found = list(values)
    if all(value.__class__ is _tensor for value in found) or not _holds_tensor(found):
        return found
    dtype = _common(found)
    return [_joined(value, dtype) for value in found]


_NO_OPERAND = "an array of dtype object is not a valid operand; give numbers, with astype(np.float32), or Tensors"


def _holds_tensor(value: Any) -> bool:
    if isinstance(value, list | tuple):
        return not FINE.issuperset(map(type, value)) and any(map(_holds_tensor, value))
    if isinstance(value, np.ndarray):
        return value.dtype == OBJECT and any(map(_holds_tensor, value.flat))
    return isinstance(value, _tensor)


def _parts(value: Any) -> Any:
    """The elements of a list, tuple or object array; None for anything else."""
    if isinstance(value, np.ndarray) and value.dtype == OBJECT:
        return value if value.ndim else [value.item()]
    return value if isinstance(value, list | tuple) else None


_PYTHON = {"b": bool, "i": int, "u": int, "f": float, "c": complex}


def _kinds(value: Any) -> set[Any]:
    """The dtypes of the Tensors and arrays in a nested list, and Python's class for each kind of scalar."""
    parts = _parts(value)
    if isinstance(value, np.ndarray) and parts is not None and not _holds_tensor(value):
        raise TypeError(f"Tensor: {_NO_OPERAND}")
    if parts is not None:
        return set().union(*map(_kinds, parts))
    if isinstance(value, _tensor):
        return {value.dtype}
    array = np.asarray(value)
    if array.dtype.kind not in _PYTHON:
        raise TypeError(f"Tensor: a list that holds Tensors holds {value!r:.60}; it must hold numbers or Booleans")
    return {array.dtype if array.ndim or isinstance(value, np.ndarray) else _PYTHON[array.dtype.kind]}


def _common(value: Any) -> np.dtype[Any]:
    return np.result_type(*(kind(0) if isinstance(kind, type) else kind for kind in _kinds(value)))


def _joined(value: Any, dtype: np.dtype[Any]) -> Any:
    if isinstance(value, _tensor):
        return value
    if not _holds_tensor(value):
        return _tensor._of(plain(value) if isinstance(value, np.ndarray) else to_array(value, dtype))
    joined = _stack([_joined(part, dtype) for part in _parts(value)])
    return joined[0] if isinstance(value, np.ndarray) and not value.ndim else joined
