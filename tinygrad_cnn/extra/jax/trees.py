"""Arguments that hold :class:`~.array.Array`, in lists, tuples and dicts."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import jax

from .array import Array


def plain(tree: Any) -> Any:
    """Arguments with the arrays of JAX or NumPy in the place of every :class:`Array`."""
    if isinstance(tree, Array):
        return tree.value
    if isinstance(tree, tuple | list) and not hasattr(tree, "_fields"):
        return type(tree)(plain(part) for part in tree)
    if isinstance(tree, dict):
        return {name: plain(part) for name, part in tree.items()}
    return tree


def arrays_in(tree: Any) -> Iterator[Array]:
    """Every :class:`Array` in arguments."""
    if isinstance(tree, Array):
        yield tree
    elif isinstance(tree, tuple | list | dict):
        for part in tree.values() if isinstance(tree, dict) else tree:
            yield from arrays_in(part)


def has_arrays(tree: Any) -> bool:
    """Whether there is an :class:`Array` in arguments."""
    return next(arrays_in(tree), None) is not None


def is_jax(tree: Any) -> bool:
    """Whether there is an array of JAX in arguments."""
    return any(isinstance(array.value, jax.Array) for array in arrays_in(tree))
