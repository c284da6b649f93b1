"""Arguments that share memory with what a program writes: eager code would see those writes, a program's copies do not."""

from __future__ import annotations

from collections.abc import Container, Sequence

import numpy as np

from ..core.versions import owner


class _Any:
    def __contains__(self, _: object) -> bool:
        return True


class Written:
    """What a program writes that its callers can reach: arrays from outside, and some of its arguments."""

    __slots__ = ("_arguments", "_arrays", "_foreign", "_own", "roots")

    def __init__(self, arrays: Sequence[np.ndarray], arguments: Sequence[int]) -> None:
        self._arrays, self._arguments = arrays, arguments
        roots = [owner(array) for array in arrays]
        self._foreign = any(_is_foreign(root) for root in roots)
        self._own = frozenset(map(id, roots))
        self.roots: Container[int] = _Any() if self._foreign or arguments else self._own
        """By identity, arrays for which, as for views, :meth:`is_among` is worth the question."""

    def is_among(self, given: Sequence[np.ndarray]) -> bool:
        """Whether one of the arguments shares memory with an outside array that is written, or with another that is."""
        if self._own and any(map(self._is_outside, given)):
            return True
        pairs = ((given[i], a) for i in self._arguments for j, a in enumerate(given) if i != j)
        return any(np.may_share_memory(a, b) for a, b in pairs)

    def _is_outside(self, array: np.ndarray) -> bool:
        root = array if array.base is None else owner(array)
        if id(root) not in self._own and not self._foreign and not _is_foreign(root):
            return False
        return any(np.may_share_memory(array, written) for written in self._arrays)


def _is_foreign(root: np.ndarray) -> bool:
    """Whether the memory belongs to something else than an array, which others may look at through arrays of their own."""
    return root.base is not None or not root.flags.owndata
