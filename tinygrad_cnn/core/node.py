"""The nodes of the graph: recorded calls of ops, and the leaves where gradients are accumulated."""

from __future__ import annotations

import weakref
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from .versions import tick

if TYPE_CHECKING:
    from ..tensor import Tensor
    from .graph import Op


class Node:
    """One recorded application of an op.

    ``number`` grows with every node, so sorting by it orders any graph topologically: inputs are older than outputs.
    A node stores the shape, strides and dtype of its output. It keeps the output itself only if a rule asks for it.
    """

    __slots__ = ("__weakref__", "dtype", "hooks", "number", "op", "params", "parents", "saved", "shape", "strides")

    op: Op
    parents: tuple[Node | Leaf | None, ...] | None
    saved: tuple[Any, ...] | None
    params: tuple[Any, ...]
    shape: tuple[int, ...]
    strides: tuple[int, ...]
    dtype: np.dtype[Any]
    number: int
    hooks: Callable[[Any, bool], Any]  # unset until the first hook


class Leaf:
    """The node of a Tensor that the user made with ``requires_grad=True``: the gradient is accumulated there.

    The reference to the Tensor is weak. With ``create_graph`` the Tensor's gradient refers to a graph that ends at this
    leaf, so a strong reference would make a reference cycle.
    """

    __slots__ = ("__weakref__", "dtype", "hooks", "number", "shape", "strides", "tensor")

    hooks: Callable[[Any, bool], Any]

    op = None
    saved: tuple[()] = ()
    parents: tuple[()] = ()

    def __init__(self, tensor: Tensor) -> None:
        self.tensor = weakref.ref(tensor)
        self.shape, self.strides, self.dtype = tensor.shape, tensor._array.strides, tensor.dtype
        self.number = tick()
        tensor._grad = getattr(tensor, "_grad", None)  # for Tensors without a leaf it may be unset


class Argument(Leaf):
    """The leaf of a function's argument, made by the library: the function must not write to the argument in place."""

    __slots__ = ()


Place: TypeAlias = Node | Leaf
"""Where a gradient arrives. ``place.hooks(g, tensors)`` gives the gradient after its hooks: see ``transforms/hooks.py``."""

hooked: dict[int, object] = {}
"""The places that have hooks, by identity. While it is empty, a walk looks for none."""
