"""``isinstance`` and ``type`` that take what is being differentiated for what it stands for: an array, or a float.

``list``, ``tuple`` and ``dict`` make Python's own, and each of Python's is an instance of them. They are classes of their own,
so that a program may register them beside Python's, with JAX for one.
"""

from __future__ import annotations

import builtins as _builtins
from typing import Any

import numpy as np

from ...tensor import Tensor

__all__ = ["DictBox", "SequenceBox", "dict", "isinstance", "list", "tuple", "type"]


class _OfPythons(_builtins.type):
    """The class of ``list``, ``tuple`` and ``dict``."""

    _python: _builtins.type

    def __call__(cls, *args: Any, **kwargs: Any) -> Any:
        return cls._python(*args, **kwargs)

    def __instancecheck__(cls, instance: object) -> bool:
        return _builtins.isinstance(instance, cls._python)


class list(_builtins.list, metaclass=_OfPythons):  # type: ignore[type-arg]
    """Python's ``list``."""

    _python = _builtins.list


class tuple(_builtins.tuple, metaclass=_OfPythons):  # type: ignore[type-arg]
    """Python's ``tuple``."""

    _python = _builtins.tuple


class dict(_builtins.dict, metaclass=_OfPythons):  # type: ignore[type-arg]
    """Python's ``dict``."""

    _python = _builtins.dict


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
