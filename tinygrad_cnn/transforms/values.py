"""The values of ops that ``vmap`` handles: their arrays, shapes and nodes, with samples, for a sample, and without any."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Any

import numpy as np

from ..core.graph import Op
from ..core.node import Node
from ..core.signature import OUTPUT
from ..core.tracing import Args
from ..core.versions import tick
from ..ops.elementwise import astype
from ..ops.shape import concatenate, reshape
from ..tensor.tensor import Tensor
from .batching.call import rule_of


def arrays_in(tree: Any) -> list[np.ndarray]:
    """The arrays in nested tuples and lists, such as those of an index."""
    if isinstance(tree, np.ndarray):
        return [tree]
    if not isinstance(tree, list | tuple):
        return []
    return [a for branch in tree if branch.__class__ not in _NUMBERS for a in arrays_in(branch)]


_NUMBERS = frozenset({int, bool, type(None), float, str, slice})


def with_arrays(tree: Any, new: Callable[[np.ndarray], Any]) -> Any:
    """Nested tuples and lists with each array replaced by `new(array)`."""
    if isinstance(tree, np.ndarray):
        return new(tree)
    if isinstance(tree, tuple) and hasattr(tree, "_make"):
        return tree
    return type(tree)(with_arrays(branch, new) for branch in tree) if isinstance(tree, list | tuple) else tree


def shape_of(value: Any) -> tuple[int, ...]:
    """The shape of an input of an op; () for None."""
    if value is None:
        return ()
    return value._array.shape if isinstance(value, Tensor) else np.shape(value)


def identity(value: Any) -> int:
    """The id of the array of an input: a Tensor and its array have the same."""
    return id(value._array if isinstance(value, Tensor) else value)


def has_node(value: Any) -> bool:
    """Whether this is a Tensor in a recorded graph."""
    return isinstance(value, Tensor) and value._node is not None


@lru_cache(maxsize=1024)
def _is_simple(op: Op, rules: Any) -> bool:
    """Whether every input of an op has a rule, and nothing else is kept for the rules."""
    sig = op.signature
    return not (sig.variadic or sig.residuals or sig.served != sig.inputs) and rule_of(op) is not None


def is_plain(op: Op) -> bool:
    """Whether a node of the op can be made from its inputs and output alone: it has rules, and is simple."""
    return bool(op.rules) and _is_simple(op, op.signature.saved)


def aligned(value: np.ndarray, n: int, ndim: int) -> np.ndarray:
    """Values of n samples, with axes of size 1 behind the first one, so that a sample has `ndim` axes."""
    return value.reshape(n, *(1,) * (ndim + 1 - value.ndim), *value.shape[1:])


def node_of(op: Op, inputs: Sequence[Any], params: Args, parents: Sequence[Any], y: np.ndarray) -> Node:
    """The node of a call whose output was computed without recording it."""
    sig, node = op.signature, Node()
    node.op, node.number, node.parents, node.params = op, tick(), tuple(parents), params
    node.saved = tuple([y if name == OUTPUT else inputs[sig.inputs.index(name)] for name in sig.saved])
    node.shape, node.strides, node.dtype = y.shape, y.strides, y.dtype
    return node


def nothing(inputs: Sequence[Any], one: np.ndarray) -> Any:
    """The output for no samples: it has no elements, and its gradients are zero. `one` is the output of a sample."""
    parts = [reshape(x, shape=(-1,))[:0] for x in inputs if isinstance(x, Tensor | np.ndarray) and x.dtype.kind in "fc"]
    y = concatenate(parts) if parts else np.zeros(0, one.dtype)
    return astype(as_tensor(reshape(y, shape=(0, *one.shape))), one.dtype)


def array_of(value: Any) -> Any:
    """The array of a Tensor; anything else as it is."""
    return value._array if isinstance(value, Tensor) else value


def as_tensor(value: Any) -> Tensor:
    """The value itself if it is a Tensor, else a Tensor of it; a Python float keeps all its digits."""
    if isinstance(value, Tensor):
        return value
    return Tensor(value, dtype=np.float64 if type(value) is float else None)


def stand_in(shape: tuple[int, ...], dtype: np.dtype[Any]) -> np.ndarray:
    """A sample where there is none, which functions can take: numbers from 0 to 1 that differ, their square matrices positive
    definite; or integers that are 0, since they may be indices."""
    if dtype.kind not in "fc" or 0 in shape:
        return np.zeros(shape, dtype)
    size = math.prod(shape)
    numbers = np.arange(1, size + 1).reshape(shape) / (size + 1) / (shape or (1,))[-1]
    return np.asarray((numbers + np.eye(shape[-2], shape[-1])) / 2 if len(shape) > 1 else numbers, dtype)
