"""A hook on the gradients of leaves, which the backward pass calls as soon as each gradient is complete."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeAlias

import numpy as np

from ...tensor import Tensor

Callback: TypeAlias = Callable[[Tensor, np.ndarray], None]


class GradientHook:
    """Passes each leaf's gradient to the current callback, in eager and in compiled backward passes.

    Attributes:
        enabled: whether backward passes call this hook. It must be set before they are compiled.
    """

    def __init__(self) -> None:
        self.enabled = False
        self._callback: Callback | None = None

    @contextmanager
    def calling(self, callback: Callback | None) -> Iterator[None]:
        """Pass gradients of backward passes in this block to `callback`."""
        self._callback = callback
        try:
            yield
        finally:
            self._callback = None

    def on_gradient(self, leaf: Any, g: Any) -> None:
        """Pass on the gradient of a leaf."""
        tensor = leaf.tensor()
        if tensor is not None and self._callback is not None:
            self._callback(tensor, g)
