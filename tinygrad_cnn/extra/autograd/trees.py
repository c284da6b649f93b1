"""Arguments and results: nested tuples, lists and dicts of arrays and numbers, in which Tensors stand for what is recorded."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np

from ...core import tracing
from ...tensor import Tensor
from ...transforms.pytree import leaves, rebuild

NESTED = (list, tuple, dict)
"""What arguments and results may be nested in. (isinstance is sooner done with a tuple than with a union.)"""


def holds(values: Iterable[Any]) -> bool:
    """Whether one of the values is a Tensor, or a nested list, tuple or dict with one."""
    for value in values:
        if isinstance(value, Tensor):
            return True
        if isinstance(value, NESTED) and holds(value.values() if isinstance(value, dict) else value):
            return True
    return False


def recorded(value: Any) -> bool:
    """Whether a value is a Tensor that is being differentiated."""
    return isinstance(value, Tensor) and value._node is not None


def values(tree: Any) -> Any:
    """A tree with the values of its Tensors instead of the Tensors: read-only arrays, and NumPy's floats for numbers."""
    if isinstance(tree, Tensor):
        return tree.numpy()[()] if tree._array.ndim or tracing.watchers else tree._array[()]
    if not isinstance(tree, NESTED):
        return tree
    return rebuild(tree, [leaf.numpy()[()] if isinstance(leaf, Tensor) else leaf for _, leaf in leaves(tree)])


def plain(tree: Any) -> Any:
    """A tree with new arrays, and NumPy's floats, instead of Tensors; those stay that another derivative records."""
    if not isinstance(tree, NESTED):
        return _plain(tree)
    return rebuild(tree, [_plain(leaf) for _, leaf in leaves(tree)])


def _plain(leaf: Any) -> Any:
    if not isinstance(leaf, Tensor) or leaf._node is not None:
        return leaf
    return np.array(leaf.numpy())[()]


def counted(tree: Any) -> Any:
    """A tree with new arrays instead of Tensors of integers and Booleans, which have no derivative.

    Other Tensors stay, recorded or not: they may stand for a whole batch, as in the rows of a Jacobian.
    """
    if isinstance(tree, Tensor):
        return tree if tree._array.dtype.kind in "fc" else _counted(tree)
    if not isinstance(tree, NESTED):
        return tree
    return rebuild(tree, [_counted(leaf) for _, leaf in leaves(tree)])


def _counted(leaf: Any) -> Any:
    return np.array(leaf.numpy())[()] if isinstance(leaf, Tensor) and leaf.dtype.kind not in "fc" else leaf


def as_recordable(leaf: Any) -> Any:
    """A float, or an array of integers, as an array of float64; any other leaf unchanged."""
    if isinstance(leaf, np.ndarray) and leaf.dtype.kind in "iu":
        return leaf.astype(np.float64)
    return np.asarray(leaf) if isinstance(leaf, float | complex) else leaf
