"""Nested values as one vector, and back."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from ....tensor import Tensor
from ....transforms.pytree import leaves, rebuild
from ....transforms.ravel import raveled
from ..trees import NESTED

__all__ = ["flatten", "flatten_func"]


def flatten(value: Any) -> tuple[Any, Callable[[Any], Any]]:
    """A vector with the elements of all numbers and arrays in `value`, and the function from such a vector to such a value.

    The elements are in order, those of dicts in that of the sorted keys. Both may be differentiated.

    >>> import numpy as np
    >>> from tinygrad_cnn.extra.autograd.misc import flatten
    >>> vector, unflatten = flatten({"w": np.ones((2, 2)), "b": 3.0})
    >>> vector.tolist(), unflatten(2 * vector)["w"].tolist()
    ([3.0, 1.0, 1.0, 1.0, 1.0], [[2.0, 2.0], [2.0, 2.0]])
    """
    order = list(_sorted(rebuild(value, range(sum(1 for _ in leaves(value))))))
    vector, unravel = raveled("flatten", [_floating(leaf) for leaf in _sorted(value)])

    def unflatten(values: Any) -> Any:
        found = dict(zip(order, unravel(values), strict=True))
        return rebuild(value, [leaf if isinstance(leaf, Tensor) else leaf[()] for _, leaf in sorted(found.items())])

    return vector, unflatten


def _sorted(tree: Any) -> Iterator[Any]:
    """The leaves, those of dicts in the order of the sorted keys."""
    if isinstance(tree, NESTED):
        for part in [tree[key] for key in sorted(tree)] if isinstance(tree, dict) else tree:
            yield from _sorted(part)
    else:
        yield tree


def _floating(leaf: Any) -> Any:
    """A whole number, or an array of them, in float64."""
    if isinstance(leaf, Tensor) or np.asarray(leaf).dtype.kind not in "iub":
        return leaf
    return np.asarray(leaf, np.float64)


def flatten_func(func: Callable[..., Any], example: Any) -> tuple[Callable[..., Any], Callable[[Any], Any], Any]:
    """`func` as a function from the vector of its first argument to the vector of its result; `unflatten`; and the vector."""
    vector, unflatten = flatten(example)

    def flat(x: Any, *args: Any, **kwargs: Any) -> Any:
        return flatten(func(unflatten(x), *args, **kwargs))[0]

    return flat, unflatten, vector
