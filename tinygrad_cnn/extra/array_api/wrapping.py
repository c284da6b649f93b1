"""NumPy's function called on Tensors, with its result as Tensors.

NumPy asks each Tensor what a function is (``numpy_api/dispatch.py``). A function with an op is recorded. Of another one NumPy
computes the values, and it is an error if a Tensor requires a gradient.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable
from typing import Any

import numpy as np

from ...ops.data import plain
from ...ops.lists import gather
from ...tensor import Tensor

_X = inspect.Parameter("x", inspect.Parameter.POSITIONAL_ONLY)
UNARY = inspect.Signature([_X])
BINARY = inspect.Signature([_X.replace(name="x1"), _X.replace(name="x2")])


def tensors(found: Any) -> Any:
    """A result with Tensors in place of arrays and NumPy scalars, in tuples and lists too."""
    if isinstance(found, np.ndarray | np.generic):
        return Tensor._of(np.asarray(plain(found)))
    if isinstance(found, tuple) and hasattr(found, "_make"):
        return found._make(map(tensors, found))
    return type(found)(map(tensors, found)) if isinstance(found, tuple | list) else found


def tensor(x: Any) -> Tensor:
    """An operand as a Tensor, so that NumPy asks it; arrays are shared."""
    x = gather(x, "array_api")
    return x if isinstance(x, Tensor) else Tensor._of(np.asarray(x))


def on_tensors(function: Callable[..., Any], signature: inspect.Signature) -> Callable[..., Any]:
    """NumPy's function of one or two arrays, by position, with Tensors for its result."""

    def call(*arrays: Any) -> Any:
        bound = signature.bind(*arrays).args
        return tensors(function(*bound) if any(isinstance(x, Tensor) for x in bound) else function(*map(tensor, bound)))

    summary, *_ = re.split(r"\n *(?:Notes|Examples)\n", function.__doc__ or "")  # examples are of NumPy itself
    call.__doc__ = summary
    return call


def check_device(device: Any) -> None:
    """ValueError unless it is None or "cpu"."""
    if device not in (None, "cpu"):
        raise ValueError(f"array_api: the device is {device!r}; there is one, 'cpu'")
