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
        self._blocks: list[Block] = []

    @property
    def nbytes(self) -> int:
        """The size of all blocks."""
        return sum(block.size for block in self._blocks)

    def take(self, step: Step, nbytes: int) -> Block:
        """A block for the value of a step: one whose other values are not alive at the same time, or a new one.

        A value that is copied out has a block alone, since no reference count tells whether a later task needs it.
        """
        best = None
        for block in () if step.escapes else self._blocks:
            fits = nbytes <= block.size <= 2 * nbytes + ALIGNMENT and (best is None or block.size < best.size)
            if fits and not any(user.escapes or _meet(user, step) for user in block.users):
                best = block
        if best is None:
            best = Block(math.ceil(nbytes / ALIGNMENT) * ALIGNMENT)
            self._blocks.append(best)
        best.users.append(step)
        return best

    def give_up(self, step: Step) -> None:
        """A step uses its block no more."""
        block = step.block
        block.users.remove(step)
        block.limit -= not step.escapes
        if not block.users:
            self._blocks.remove(block)


def _meet(a: Step, b: Step) -> bool:
    """Whether the values of two steps were alive at the same time in a call that took both."""
    first, second = (a, b) if a.position < b.position else (b, a)
    if first.output.last is not None and first.output.last <= second.position:
        return False
    above: Step | None = second
    while above is not None and above.position > first.position:
        above = above.previous
    return above is first
