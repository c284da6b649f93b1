"""Classes, constants and namespaces of ``torch`` that stand for something here."""

from __future__ import annotations

import math
from types import SimpleNamespace
from typing import Any, Final

import numpy as np


class _Dtypes(type):
    """The type of a class whose instances are all dtypes, also those that are classes of numbers, such as ``np.float32``."""

    def __instancecheck__(cls, x: Any) -> bool:
        return isinstance(x, np.dtype) or (isinstance(x, type) and issubclass(x, np.generic))


class dtype(metaclass=_Dtypes):
    """`np.dtype`, or a class of numbers such as `np.float32`"""


class InterpolationMode:
    """`"nearest"`, `"bilinear"` and others: interpolations are strings"""

    NEAREST, NEAREST_EXACT, BILINEAR, BICUBIC = "nearest", "nearest-exact", "bilinear", "bicubic"


class _Jit(SimpleNamespace):
    """a namespace in which is_scripting() is False; `tg.compile` compiles"""

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        raise AttributeError(f"torch.jit has {name!r}; use tg.compile(function), which runs its Python in every call")


def _marked(function: Any = None, *args: Any, **named: Any) -> Any:
    """The function itself, by a decorator with or without arguments."""
    return function if callable(function) else lambda function: function


_jit = _Jit(
    is_scripting=lambda: False, is_tracing=lambda: False, ignore=_marked, unused=_marked, export=_marked, Final=Final,
    annotate=lambda kind, value: value,
)  # fmt: skip

TABLE: dict[str, Any] = {
    "Size": tuple, "dtype": dtype, "finfo": np.finfo, "iinfo": np.iinfo, "pi": math.pi, "inf": math.inf, "nan": math.nan,
    "e": math.e, "jit": _jit,
}  # fmt: skip
TRANSFORMS: dict[str, Any] = {"InterpolationMode": InterpolationMode}
