"""Nested values as one vector, and back."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from ....core.operands import gather
from ....ops.shape import concatenate
from ....tensor import Tensor
from ....transforms.pytree import leaves, rebuild

__all__ = ["flatten", "flatten_func"]


def flatten(value: Any) -> tuple[Any, Callable[[Any], Any]]:
    """A vector with the elements of all numbers and arrays in `value`, and the function from such a vector to such a value.

    Both may be differentiated.

    >>> import numpy as np
    >>> from tinygrad_cnn.extra.autograd.misc import flatten
    >>> vector, unflatten = flatten({"w": np.ones((2, 2)), "b": 3.0})
    >>> vector.tolist(), unflatten(2 * vector)["w"].tolist()
    ([1.0, 1.0, 1.0, 1.0, 3.0], [[2.0, 2.0], [2.0, 2.0]])
    """
    parts = [leaf if isinstance(leaf, Tensor) else np.asarray(leaf) for _, leaf in leaves(value)]
    if wrong := [part.dtype for part in parts if part.dtype.kind not in "fiub"]:
        raise TypeError(f"flatten: `value` holds {wrong[0]}; it must hold real numbers and arrays")
    shapes = [part.shape for part in parts]
    dtypes = [part.dtype if part.dtype.kind == "f" else np.dtype(np.float64) for part in parts]

    def unflatten(vector: Any) -> Any:
        vector = gather(vector, "unflatten")
        vector = vector if isinstance(vector, Tensor) else np.asarray(vector)
        count = sum(int(np.prod(shape)) for shape in shapes)
        if vector.shape != (count,):
            raise ValueError(f"unflatten: the vector has shape {vector.shape}; it must have shape {(count,)}")
        found, start = [], 0
        for shape, dtype in zip(shapes, dtypes, strict=True):
            stop = start + int(np.prod(shape))
            found.append(vector[start:stop].reshape(shape).astype(dtype)[()])
            start = stop
        return rebuild(value, found)

    rows = [part.reshape(-1) for part in parts]
    if not rows:
        return np.zeros(0), unflatten
    joined = concatenate(rows) if any(isinstance(row, Tensor) for row in rows) else np.concatenate(rows)
    return joined, unflatten


def flatten_func(func: Callable[..., Any], example: Any) -> tuple[Callable[..., Any], Callable[[Any], Any], Any]:
    """`func` as a function from the vector of its first argument to the vector of its result; `unflatten`; and the vector."""
    vector, unflatten = flatten(example)

    def flat(x: Any, *args: Any, **kwargs: Any) -> Any:
        return flatten(func(unflatten(x), *args, **kwargs))[0]

    return flat, unflatten, vector
