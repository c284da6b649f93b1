"""NumPy, whose functions record what is being differentiated: ``import tinygrad_cnn.extra.autograd.numpy as np``.

With arrays, each function is NumPy's. With Tensors it is the op of the library for it, or a TypeError that says why there is
none. A list that holds Tensors is stacked.
"""

from __future__ import annotations

import builtins as _builtins
import functools as _functools
import sys as _sys
from typing import Any as _Any

import numpy as _np

from ....ops.elementwise import copy as _copy
from ....ops.lists import gather as _gather
from ....ops.shape import broadcast_to as _broadcast_to
from .. import builtins as builtins
from ..trees import holds as _holds
from ..wrapping import recording as _recording
from ..wrapping import wrapped as _wrapped

_OWN = ("fft", "linalg", "random")  # modules of this folder
globals().update(_wrapped({name: value for name, value in vars(_np).items() if name not in _OWN}, __name__))


def __getattr__(name: str) -> _Any:
    """What NumPy itself imports when it is first used."""
    if name.startswith("__") or name in _OWN:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(_np, name)
    globals()[name] = value
    return value


_OBJECTS = _np.dtype(object)
"""With HIPS/autograd an array of this dtype holds what is being differentiated. Here that is one Tensor, of its own dtype."""


def _array(
    object: _Any, dtype: _Any = None, *, copy: bool | None = True, order: str = "K", subok: bool = False, ndmin: int = 0,
    like: _Any = None,
) -> _Any:  # fmt: skip
    x = _gather(object, "array")
    if isinstance(x, tuple | list | _np.ndarray):
        return _np.array(x, dtype)
    if x is object and copy:
        x = _copy(x)
    if dtype is not None and _np.dtype(dtype) not in (x.dtype, _OBJECTS):
        x = x.astype(dtype)
    return x.reshape((1,) * (ndmin - x.ndim) + x.shape) if ndmin > x.ndim else x


def _as_array(a: _Any, dtype: _Any = None, order: _Any = None, **_: _Any) -> _Any:
    return _array(a, dtype, copy=False)


def _full(shape: _Any, fill_value: _Any, dtype: _Any = None, order: str = "C", **_: _Any) -> _Any:
    sizes = (int(shape),) if not isinstance(shape, tuple | list) else tuple(map(int, shape))
    return _broadcast_to(_array(fill_value, dtype), shape=sizes)


array = _recording(_np.array, __name__, _array)
asarray = _recording(_np.asarray, __name__, _as_array)
asanyarray = _recording(_np.asanyarray, __name__, _as_array)
ascontiguousarray = _recording(_np.ascontiguousarray, __name__, _as_array)
full = _recording(_np.full, __name__, _full)
_where_positional = globals()["where"]


def where(condition: _Any, x: _Any = None, y: _Any = None) -> _Any:
    """x where the condition is true and y elsewhere; without both, the indices where it is true.

    Of Python's numbers and lists alone, it gives Python's numbers and lists, as HIPS/autograd does.
    """
    if x is None and y is None:
        return _where_positional(condition)
    found = _where_positional(condition, x, y)
    plain = not _builtins.any(hasattr(v, "dtype") for v in (condition, x, y)) and not _holds((condition, x, y))
    return found.tolist() if plain else found


_original_where = _where_positional


def make_diagonal(D: _Any, offset: int = 0, axis1: int = 0, axis2: int = 1) -> _Any:
    """The matrices with the last axis of D as their diagonal, along the last two axes."""
    if not (offset == 0 and axis1 == -1 and axis2 == -2):
        raise NotImplementedError("make_diagonal: give offset=0, axis1=-1 and axis2=-2")
    return expand_dims(D, -1) * eye(shape(D)[-1])  # type: ignore[name-defined]  # noqa: F821


class _Joined:
    """``np.r_`` and ``np.c_``, which join arrays and slices along an axis."""

    def __init__(self, numpys: _Any, columns: bool) -> None:
        self._numpys = numpys
        self._columns = columns

    def __getitem__(self, key: _Any) -> _Any:
        parts = key if isinstance(key, tuple) else (key,)
        if not _holds(parts):
            return self._numpys[key]
        if isinstance(parts[0], str):
            raise TypeError(f"np.r_: {parts[0]!r} is refused beside a Tensor; use np.concatenate")
        arrays = [self._numpys[part] if isinstance(part, slice) else asarray(part) for part in parts]
        if self._columns:
            arrays = [a if a.ndim > 1 else a.reshape(-1, 1) for a in arrays]
        else:
            arrays = [atleast_1d(a) for a in arrays]  # type: ignore[name-defined]  # noqa: F821
        return concatenate(arrays, axis=-1 if self._columns else 0)  # type: ignore[name-defined]  # noqa: F821


r_, c_ = _Joined(_np.r_, columns=False), _Joined(_np.c_, columns=True)


def _of_iterators(function: _Any) -> _Any:
    """The function, which takes any iterable of arrays, such as the values of a dict, where NumPy wants a sequence."""

    @_functools.wraps(function)
    def called(arrays: _Any, *args: _Any, **kwargs: _Any) -> _Any:
        return function(arrays if hasattr(arrays, "__getitem__") else _builtins.list(arrays), *args, **kwargs)

    return called


for _name in ("concatenate", "stack", "vstack", "hstack", "dstack", "column_stack"):
    globals()[_name] = _of_iterators(globals()[_name])

for _old, _new in {"trapz": "trapezoid", "in1d": "isin", "row_stack": "vstack"}.items():  # names that NumPy 2 dropped
    globals().setdefault(_old, globals()[_new])

from . import fft, linalg, numpy_boxes, numpy_vjps, numpy_vspaces, random  # noqa: E402, F401 - they replace NumPy's modules

numpy_wrapper = _sys.modules[__name__]
_sys.modules[f"{__name__}.numpy_wrapper"] = numpy_wrapper

__all__ = [name for name in globals() if not name.startswith("_") and name != "annotations"]
