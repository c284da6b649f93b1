"""Memory for the values that a function can see.

A value of a step is computed in the same memory in every call, unless somebody still holds the array of an earlier call: a
Tensor, a view, a graph, a gradient. The reference count of the memory tells, since everybody else gets views of it. It is
exact because the arrays that tasks use reach the memory through another object, and so do not count.

Several steps of a call may use one block one after another, if their values were dead by then in the call that was
recorded.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from heapq import heapify, heappop, heappush
from itertools import count
from pickle import PickleBuffer
from sys import getrefcount
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from .slots import Step

ALIGNMENT = 64


class Block:
    """Bytes for the values of one or several steps."""

    def __init__(self, size: int) -> None:
        self.size = size
        self.raw = np.empty(size + ALIGNMENT, np.uint8)
        self._offset = -self.raw.ctypes.data % ALIGNMENT
        self._hidden: Any = PickleBuffer(self.raw)  # type: ignore[arg-type] # unlike a memoryview, NumPy does not look through it
        self.limit = getrefcount(self.raw)
        self.users: list[Step] = []

    def inner(self, shape: Sequence[int], dtype: np.dtype[Any], strides: Sequence[int], at: int = 0) -> np.ndarray:
        """An array on the memory for tasks, which nobody else may get."""
        return np.ndarray(shape, dtype, self._hidden, self._offset + at, strides)

    def outer(
        self, shape: Sequence[int], dtype: np.dtype[Any], strides: Sequence[int], at: int = 0
    ) -> Callable[[], Any]:
        """A function that makes an array on the memory for everybody, and raises the references to it by one for each."""
        self.limit += 1
        return np.ndarray(shape, dtype, self.raw, self._offset + at, strides).view

    def is_free(self) -> bool:
        """Whether nobody outside the course holds an array or view of the memory."""
        return getrefcount(self.raw) <= self.limit


class Blocks:
    """The blocks of a course."""

    def __init__(self) -> None:
        self._blocks: set[Block] = set()
        self._mortal: dict[int, list[tuple[int, int, Block]]] = {}
        """By the logarithm of the size, a heap of the blocks whose values all died during a call, by where the last one did."""
        self._numbers = count()

    @property
    def nbytes(self) -> int:
        """The size of all blocks."""
        return sum(block.size for block in self._blocks)

    def take(self, step: Step, nbytes: int) -> Block:
        """A block for the value of a step: one whose other values are not alive at the same time, or a new one.

        A value that is copied out has a block alone, since no reference count tells whether a later task needs it.
        """
        size = math.ceil(nbytes / ALIGNMENT) * ALIGNMENT
        mortal = self._mortal.setdefault(size.bit_length(), [])
        block = None
        if not step.escapes and mortal and mortal[0][0] <= step.position and mortal[0][2].size >= size:
            first = mortal[0][2]
            if not any(_meet(user, step) for user in first.users):
                heappop(mortal)
                block = first
        if block is None:
            block = Block(size)
            self._blocks.add(block)
        block.users.append(step)
        if not step.escapes and step.output.last is not None:
            heappush(mortal, (step.output.last, next(self._numbers), block))
        return block

    def give_up(self, step: Step) -> None:
        """A step uses its block no more."""
        block = step.block
        block.users.remove(step)
        block.limit -= not step.escapes
        if not block.users:
            self._blocks.discard(block)
            mortal = self._mortal.get(block.size.bit_length(), [])
            mortal[:] = [entry for entry in mortal if entry[2] is not block]
            heapify(mortal)


def _meet(a: Step, b: Step) -> bool:
    """Whether the values of two steps were alive at the same time in a call that took both."""
    first, second = (a, b) if a.position < b.position else (b, a)
    last = first.output.last
    return second.follows(first) and (last is None or last > second.position)
