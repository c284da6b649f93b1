"""Memory for the values that a function can see.

A value of a step is computed in the same memory in every call, unless somebody still holds the array of an earlier call: a
Tensor, a view, a graph, a gradient. The reference count of the memory tells, since everybody else gets views of it. It is
exact because the arrays that tasks use reach the memory through another object, and so do not count.

Large values share memory. When a step is prepared, it takes a block that nobody holds at that moment of the call, if there is
one. Whether that is so is asked again in every call.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from pickle import PickleBuffer
from sys import getrefcount
from typing import Any
from weakref import WeakValueDictionary

import numpy as np

from ..ops import replaced

ALIGNMENT = 64


class Block:
    """Bytes for the values of one or several steps."""

    def __init__(self, size: int) -> None:
        self.size = size
        self.raw = np.empty(size + ALIGNMENT, np.uint8)
        self._offset = -self.raw.ctypes.data % ALIGNMENT
        self._hidden: Any = PickleBuffer(self.raw)  # type: ignore[arg-type] # unlike a memoryview, NumPy does not look through it
        self.limit = getrefcount(self.raw)
        self.users = 0
        _by_memory[id(self.raw)] = self

    def inner(self, shape: Sequence[int], dtype: np.dtype[Any], strides: Sequence[int], at: int = 0) -> np.ndarray:
        """An array on the memory for tasks, which nobody else may get."""
        return np.ndarray(shape, dtype, self._hidden, self._offset + at, strides)

    def outer(self, shape: Sequence[int], dtype: np.dtype[Any], strides: Sequence[int], at: int = 0) -> np.ndarray:
        """An array on the memory that the course keeps, and whose views everybody may get."""
        self.limit += 1
        return np.ndarray(shape, dtype, self.raw, self._offset + at, strides)

    def is_free(self) -> bool:
        """Whether nobody outside the course holds an array or view of the memory."""
        return getrefcount(self.raw) <= self.limit


_by_memory: WeakValueDictionary[int, Block] = WeakValueDictionary()


def settled() -> bool:
    """Whether no memory is left that a Tensor had before ``x[i] = v``, but such as nobody uses any more."""
    for key in list(replaced.left):
        block = _by_memory.get(key)
        if block is None or not block.is_free():
            return False
        replaced.forget(key)
    return True


class Blocks:
    """The blocks of a course."""

    def __init__(self) -> None:
        self._blocks: set[Block] = set()
        self._shared: dict[int, list[Block]] = {}  # by the logarithm of the size

    @property
    def nbytes(self) -> int:
        """The size of all blocks."""
        return sum(block.size for block in self._blocks)

    def take(self, nbytes: int, alone: bool) -> Block:
        """A block for the value of a step: alone, or one that nobody holds now, or a new one."""
        size = math.ceil(nbytes / ALIGNMENT) * ALIGNMENT
        alike = [] if alone else self._shared.setdefault(size.bit_length(), [])
        block = next((block for block in alike if block.size >= size and block.is_free()), None)
        if block is None:
            block = Block(size)
            alike.append(block)
            self._blocks.add(block)
        block.users += 1
        return block

    def give_up(self, block: Block) -> None:
        """A step uses its block no more, nor the array on it."""
        block.users -= 1
        block.limit -= 1
        if not block.users:
            self._blocks.discard(block)
            alike = self._shared.get(block.size.bit_length(), [])
            if block in alike:
                alike.remove(block)
