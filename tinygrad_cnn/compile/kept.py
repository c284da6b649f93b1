"""Tensors and nodes of small values that stay from one call to the next, while nobody else holds them.

After each call, reference counts tell whether somebody does: the references that the course and these objects have to each
other are known. What is held goes to its holder, and its step makes new objects from then on.
"""

from __future__ import annotations

from collections.abc import Callable
from operator import attrgetter
from sys import getrefcount
from typing import Any
from weakref import getweakrefcount

import numpy as np

from ..core.node import Node, hooked
from ..tensor import Tensor
from .blocks import Block
from .slots import Slot, Step

(LISTED,) = map(getrefcount, [object()])
"""What `map` counts for an object that only a list refers to."""

_sole = Slot(None)
_sole.array = object()
ONE = getrefcount(_sole.array)
"""What Python counts for an object that only an attribute refers to."""


class Kept:
    """The steps of a course that return the same Tensor in every call."""

    def __init__(self, link: Callable[[Step | None], None]) -> None:
        self._link = link  # see `Course.link`
        self._steps: dict[Step, None] = {}
        self._objects: list[Any] = []
        self._counts: list[int] = []
        self._tensors: list[Tensor] = []
        self.unsure = False  # whether a call was interrupted before its check

    def keep(self, step: Step, array: np.ndarray) -> None:
        """Make the Tensor of a step, on this array, with its node."""
        slot = step.output
        t = Tensor._of(array)
        if step.parents is not None:
            t._node = n = Node()
            n.op, n.params, n.shape, n.strides, n.dtype = step.op, step.recorded, slot.shape, slot.strides, slot.dtype
            n.parents = n.saved = None
        self._forget_counts()
        self._steps[step] = None
        slot.tensor, slot.array, slot.node = t, array, t._node
        if step.block is not None:
            step.block.limit += 1

    def drop(self, step: Step) -> None:
        """A step keeps its Tensor no more. Its code, which returns it, is not used again."""
        slot, block = step.output, step.block
        if slot.tensor is None:
            return
        step.take = None
        self._link(step.previous)
        self._forget_counts()
        if block is not None:
            block.limit -= 1
        if step.is_view:
            step.block = None
        slot.tensor = slot.array = slot.node = None
        self._steps.pop(step, None)

    def check(self) -> None:
        """After a call: drop what somebody else holds."""
        if not self._objects:
            self._list()
        if (
            any(map(getweakrefcount, self._tensors))
            or (hooked and any(getweakrefcount(t._node) for t in self._tensors))  # as hooks refer to nodes
            or list(map(getrefcount, self._objects)) != self._counts
        ):
            self._forget_counts()
            for step in sorted(self._steps, key=attrgetter("position"), reverse=True):
                if is_held(step):
                    step.keeps = False
                    self.drop(step)
        self.unsure = False

    def _forget_counts(self) -> None:
        self._objects.clear()
        self._tensors.clear()

    def _list(self) -> None:
        """List the objects of all steps, and how many references to each are known."""
        blocks: dict[Block, None] = {}
        counts = self._counts
        counts.clear()
        self._tensors = [step.output.tensor for step in self._steps if step.output.tensor is not None]
        for step in self._steps:
            slot = step.output
            self._objects += [slot.tensor, slot.array]
            counts += [LISTED + 3, LISTED + 2]
            if slot.node is not None:
                self._objects.append(slot.node)
                counts.append(LISTED + 3)
            if step.block is not None:
                blocks[step.block] = None
        for block in blocks:
            self._objects.append(block.raw)
            counts.append(block.limit + 1)


def is_held(step: Step) -> bool:
    """Whether somebody else has the Tensor of a step, its node, its array, or the memory. Steps after it were looked at before.

    The slot and the step's code refer to the Tensor and its node, the slot to its array, and the Tensor to both. So no local
    name may refer to them here.
    """
    slot = step.output
    if slot.tensor._array is not slot.array or slot.tensor._node is not slot.node:  # type: ignore[union-attr]
        return True
    if getrefcount(slot.tensor) > ONE + 1 or getweakrefcount(slot.tensor):
        return True
    if slot.node is not None:
        if getrefcount(slot.node) > ONE + 2 or getweakrefcount(slot.node):
            return True
        slot.node.parents = slot.node.saved = None
    if getrefcount(slot.array) > ONE + 1:
        return True
    return step.block is not None and not step.block.is_free()
