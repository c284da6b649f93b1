"""Values of a file that is being written."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np


class Value:
    """A value of the file. Its shape is that of the first trace; `shapes` has the shapes in all traces."""

    __slots__ = ("constant", "dtype", "name", "shapes")

    def __init__(
        self, name: str, shapes: Sequence[tuple[int, ...]], dtype: Any, constant: np.ndarray | None = None
    ) -> None:
        self.name, self.shapes, self.constant = name, shapes, constant
        self.dtype = np.dtype(dtype).newbyteorder("=")

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape in the first trace."""
        return self.shapes[0]

    def sizes(self, axis: int) -> tuple[int, ...]:
        """The sizes of an axis in all traces."""
        return tuple(shape[axis] for shape in self.shapes)

    def is_dynamic(self, axis: int) -> bool:
        """Whether the size of an axis varies."""
        return len(set(self.sizes(axis))) > 1

    @property
    def varies(self) -> bool:
        """Whether a size varies."""
        return any(map(self.is_dynamic, range(len(self.shape))))


class Dimension:
    """A dynamic axis: its name, an input that has it, and the number of the axis."""

    def __init__(self, name: str, value: Value, axis: int) -> None:
        self.name, self.value, self.axis = name, value, axis
