"""Recording by hand, by HIPS/autograd's names.

``new_box(x, trace, node)`` starts to record at x, and ``backward_pass(g, y._node)`` gives the gradient there.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

from ...core.backward import pull_back
from ...core.grad_mode import is_grad_enabled
from ...tensor import Tensor
from ...transforms.recorded_call import is_differentiable
from .boxes import ArrayBox, Box, SequenceBox, VJPNode, ends, getval, isbox, levels
from .extend import notrace_primitive, primitive, register_notrace
from .trees import plain

__all__ = [
    "ArrayBox", "Box", "TraceStack", "VJPNode", "backward_pass", "box_type_mappings", "box_types", "getval", "isbox", "new_box",
    "notrace_primitive", "primitive", "register_notrace", "trace_stack",
]  # fmt: skip


def new_box(value: Any, trace: int, node: VJPNode | None) -> Any:
    """The Tensor of a value, an array or a number, at which recording begins; for a list or tuple a tuple of them."""
    if isinstance(value, list | tuple):
        boxes = SequenceBox([new_box(part, trace, None) if is_differentiable(part) else part for part in value])
        boxes._trace = trace
        return boxes
    return Box.type_mappings.get(type(value), Box)(value, trace, node)


class TraceStack:
    """The levels of ``new_box``."""

    top = -1

    @contextmanager
    def new_trace(self) -> Iterator[int]:
        """A block with a new level, its number."""
        self.top += 1
        try:
            yield self.top
        finally:
            self.top -= 1


trace_stack = TraceStack()
box_types, box_type_mappings = Box.types, Box.type_mappings


def backward_pass(g: Any, end_node: Any) -> Any:
    """The gradient of sum <y, g> where recording began, for the ``_node`` of y, if that is one place.

    Raises:
        ValueError: for another shape of g, or if y was computed from several boxes.
    """
    places = [end for end in ends(end_node) if end in levels]
    if len(places) != 1:
        raise ValueError(f"backward_pass: the result was computed from {len(places)} boxes; it must be one")
    if np.shape(g) != end_node.shape:
        raise ValueError(f"backward_pass: `g` has shape {np.shape(g)}; it must be that of the result, {end_node.shape}")
    create = is_grad_enabled() and isinstance(g, Tensor) and g._node is not None
    given = g if create else np.asarray(getval(g), end_node.dtype)
    (place,) = places
    found = pull_back([(end_node, given)], {place}, retain=True, create=create).get(place)
    return np.zeros(place.shape, place.dtype) if found is None else plain(found)
