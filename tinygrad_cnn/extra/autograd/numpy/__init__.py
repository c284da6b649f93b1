"""NumPy, whose functions record what is being differentiated: ``import tinygrad_cnn.extra.autograd.numpy as np``.

With arrays, each function is NumPy's. With Tensors it is the op of the library for it, or a TypeError that says why there is
none. A list that holds Tensors is stacked.
"""

from __future__ import annotations

import sys as _sys
from typing import Any as _Any

import numpy as _np

from ....core.operands import gather as _gather
from ....ops.elementwise import copy as _copy
from ....ops.shape import broadcast_to as _broadcast_to
from ....tensor import Tensor as _Tensor
from ..wrapping import recording as _recording
from ..wrapping import wrapped as _wrapped

globals().update(_wrapped({name: getattr(_np, name) for name in dir(_np)}, __name__))


def _array(
    object: _Any, dtype: _Any = None, *, copy: bool | None = True, order: str = "K", subok: bool = False, ndmin: int = 0,
    like: _Any = None,
) -> _Any:  # fmt: skip
    x = _gather(object, "array")
    if isinstance(x, tuple | list | _np.ndarray):
        return _np.array(x, dtype)
    if x is object and copy:
        x = _copy(x)
    if dtype is not None and _np.dtype(dtype) != x.dtype:
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

for _old, _new in {"trapz": "trapezoid", "in1d": "isin", "row_stack": "vstack"}.items():  # names that NumPy 2 dropped
    globals().setdefault(_old, globals()[_new])

from . import fft, linalg, numpy_boxes, numpy_vjps, numpy_vspaces, random  # noqa: E402 - they replace NumPy's modules

numpy_wrapper = _sys.modules[__name__]
_sys.modules[f"{__name__}.numpy_wrapper"] = numpy_wrapper

__all__ = [name for name in globals() if not name.startswith("_") and name != "annotations"]  # noqa: PLE0604
