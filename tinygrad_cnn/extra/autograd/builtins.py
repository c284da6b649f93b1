"""``isinstance`` and ``type`` that take what is being differentiated for what it stands for: an array, or a float."""

from __future__ import annotations

import builtins as _builtins
from typing import Any

import numpy as np

from ...tensor import Tensor

__all__ = ["DictBox", "SequenceBox", "dict", "isinstance", "list", "tuple", "type"]

dict, list, tuple = _builtins.dict, _builtins.list, _builtins.tuple


class SequenceBox:
    """Nothing is one: lists and tuples are Python's."""


class DictBox:
    """Nothing is one: dicts are Python's."""


def type(value: Any, *more: Any) -> Any:
    """Python's ``type``, which gives float or np.ndarray for a Tensor."""
    if _builtins.isinstance(value, Tensor) and not more:
        return np.ndarray if value.ndim else float
    return _builtins.type(value, *more)


def isinstance(value: Any, cls: Any) -> bool:
    """Python's ``isinstance``, which takes a Tensor for a float, an array or a Tensor."""
    if _builtins.isinstance(value, Tensor):
        return issubclass(type(value), cls) or issubclass(np.ndarray, cls) or _builtins.isinstance(value, cls)
    return _builtins.isinstance(value, cls)
