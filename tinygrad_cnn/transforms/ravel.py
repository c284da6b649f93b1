"""Nested parameters as one vector, and back."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from ..core.remedies import publish
from ..ops.lists import gather
from ..ops.shape import concatenate
from ..tensor.tensor import Tensor
from .pytree import leaves, rebuild
from .values import as_tensor

__all__ = ["ravel_pytree"]


def ravel_pytree(tree: Any) -> tuple[Tensor, Callable[[Any], Any]]:
    """The vector of all elements of nested lists, tuples and dicts of arrays and numbers, and the function that undoes it.

    Both are recorded. The vector has the common dtype of the leaves; the function gives each leaf its own dtype again, and
    real leaves the real parts of a complex vector.

    Raises:
        TypeError: if a leaf is not numeric.
        ValueError: from the function, if it is given another shape.

    >>> import tinygrad_cnn as tg
    >>> vector, unravel = tg.ravel_pytree({"w": tg.ones(2, 2), "b": tg.Tensor(3.0)})
    >>> vector.tolist()
    [1.0, 1.0, 1.0, 1.0, 3.0]
    >>> unravel(2 * vector)["b"].item()
    6.0
    """
    vector, unravel = raveled("ravel_pytree", tree)

    def unraveled(values: Any) -> Any:
        found = unravel(values)
        return rebuild(found, [as_tensor(leaf) for _, leaf in leaves(found)])

    return as_tensor(vector), unraveled


def raveled(name: str, tree: Any) -> tuple[Any, Callable[[Any], Any]]:
    """The vector and the function that undoes it, of arrays where no leaf, or vector, is a Tensor."""
    parts = [leaf if isinstance(leaf, Tensor) else np.asarray(leaf) for _, leaf in leaves(tree)]
    if wrong := [part.dtype for part in parts if part.dtype.kind not in "fiubc"]:
        raise TypeError(f"{name}: a leaf is {wrong[0]}; all must be numbers and arrays")
    forms = [(part.shape, part.dtype) for part in parts]

    def unravel(values: Any) -> Any:
        values = gather(values, name)
        values = values if isinstance(values, Tensor) else np.asarray(values)
        count = sum(math.prod(shape) for shape, _ in forms)
        if values.shape != (count,):
            raise ValueError(f"{name}: the vector has shape {values.shape}; it must have shape {(count,)}")
        found, start = [], 0
        for shape, dtype in forms:
            stop = start + math.prod(shape)
            part = values[start:stop].reshape(shape)
            part = np.real(part) if dtype.kind != "c" and part.dtype.kind == "c" else part  # beside complex leaves
            found.append(part if part.dtype == dtype else part.astype(dtype))
            start = stop
        return rebuild(tree, found)

    rows = [part.reshape(-1) for part in parts]
    return concatenate(rows) if rows else np.zeros(0), unravel


publish(globals())
