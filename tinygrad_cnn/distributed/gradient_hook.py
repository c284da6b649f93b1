"""A hook on the gradients of leaves, which the backward pass calls as soon as each gradient is complete."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeAlias

import numpy as np

from ..core import tracing
from ..tensor import Tensor

Callback: TypeAlias = Callable[[Tensor, np.ndarray], None]


class GradientHook:
    """Passes each leaf's gradient to the current callback, in eager and in compiled backward passes.

    A compiled function keeps a reference to its hook. So the hook stays the same, and the callback changes.

    Attributes:
        enabled: whether backward passes call this hook. It must be set before they are compiled.
    """

    def __init__(self) -> None:
        self.enabled = False
        self._callback: Callback | None = None
        self._replayed: dict[int, Callable[[np.ndarray], None]] = {}

    @contextmanager
    def calling(self, callback: Callback | None) -> Iterator[None]:
        """Pass gradients of backward passes in this block to `callback`."""
        self._callback = callback
        try:
            yield
        finally:
            self._callback = None

    def on_gradient(self, leaf: Any, g: Any) -> None:
        """Pass on the gradient of a leaf. A capture may fail and run again, so it only records the call for its replays."""
        tensor = leaf.tensor()
        if tensor is None:
            return
        if not tracing.tracer().captures:
            self._call(tensor, g)
            return
        with self.calling(None):
            tracing.tracer().effect(self._call_for(tensor), g._array)

    def _call(self, tensor: Tensor, g: np.ndarray) -> None:
        if self._callback is not None:
            self._callback(tensor, g)

    def _call_for(self, tensor: Tensor) -> Callable[[np.ndarray], None]:
        """The function that replays call for a leaf. Audits compare steps by identity, so it is created once."""

        def call(g: np.ndarray) -> None:
            self._call(tensor, g)

        return self._replayed.setdefault(id(tensor), call)
