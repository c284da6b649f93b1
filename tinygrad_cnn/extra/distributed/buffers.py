"""The buffers of modules in a step: each shard begins with the values from before the step, and their changes are averaged."""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from ...core.versions import marking
from ...nn import Module
from ...ops.replaced import come_back
from ...tensor import Tensor


class Buffers:
    """All buffers of modules.

    Attributes:
        floats: the memory of those that are averaged.
    """

    def __init__(self, modules: Iterable[Module]) -> None:
        all_modules = {id(m): m for module in modules for m in module.modules()}.values()
        self._slots = [(m, name, b) for m in all_modules for name, b in m.named_buffers(recurse=False)]
        self._memory = [b._array for _, _, b in self._slots]
        arrays = [*{id(b): b._array for _, _, b in self._slots}.values()]
        self.floats = [a for a in arrays if a.dtype.kind in "fc"]
        self._integers = [a for a in arrays if a.dtype.kind not in "fc"]
        self._arrays = [*self.floats, *self._integers]
        self._before = [np.empty_like(a) for a in self._arrays]
        self._bases: list[np.ndarray] = []
        self._mark = marking(*self._arrays)

    def replaced(self) -> list[tuple[Module, str, Tensor]]:
        """Where a module has another Tensor now, or its Tensor other memory, and the Tensor that it had."""
        pairs = zip(self._slots, self._memory, strict=True)
        return [(m, name, b) for (m, name, b), a in pairs if vars(m).get(name) is not b or b._array is not a]

    def check(self) -> None:
        """ValueError if the step has replaced a buffer, whose old Tensor the module is given again."""
        if found := self.replaced():
            for (module, name, buffer), array in zip(self._slots, self._memory, strict=True):
                if buffer._array is not array:
                    buffer._array, buffer._node = array, None
                    come_back(buffer)
                setattr(module, name, buffer)
            module, name, _ = found[0]
            raise ValueError(
                f"World: the step replaces the buffer `{name}` of {type(module).__name__} by another Tensor, so that it would "
                f"depend on how many shards a rank computes; write into it: self.{name}.copy_(...) instead of "
                f"self.{name} = ..., += or self.{name}[i] = ..."
            )

    def keep(self) -> None:
        """Keep the values from before the step."""
        for kept, array in zip(self._before, self._arrays, strict=True):
            np.copyto(kept, array)
        # What is not finite has no difference to other values, and is averaged itself.
        self._bases = [np.where(np.isfinite(a), a, a.dtype.type(0)) for a in self.floats]

    def put_back(self) -> None:
        """Give all buffers their values from before the step."""
        for kept, array in zip(self._before, self._arrays, strict=True):
            np.copyto(array, kept)
        self._mark()

    def copies(self) -> list[np.ndarray]:
        """Copies of the current values."""
        return [array.copy() for array in self._arrays]

    def put(self, values: Sequence[np.ndarray]) -> None:
        """Give all buffers such values."""
        for array, value in zip(self._arrays, values, strict=True):
            np.copyto(array, value)

    def changes(self, share: float) -> list[Any]:
        """How a shard has changed the floating-point buffers, times its share. What it left alone is exactly zero."""
        return [(a - base) * a.dtype.type(share) for a, base in zip(self.floats, self._bases, strict=True)]

    def change(self, total: Sequence[np.ndarray]) -> None:
        """Add the sum of the changes of all shards. A value that no shard has changed keeps its bits."""
        for array, kept, base, change in zip(self.floats, self._before, self._bases, total, strict=False):
            value = base + change
            np.copyto(array, kept)
            np.copyto(array, value, where=value != kept)
        self._mark()

    def integers(self) -> int:
        """A checksum of the buffers that are not floating-point, which must be alike after every shard."""
        return zlib.crc32(b"".join(a.tobytes() for a in self._integers))
