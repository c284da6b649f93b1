"""Gradients that are taken over as soon as they are complete, while the backward pass goes on."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeAlias

import numpy as np

from ..core import tracing
from ..tensor import Tensor

Taker: TypeAlias = Callable[[Tensor, np.ndarray], None]


class Handover:
    """Where backward passes hand gradients over, as written and compiled.

    A compiled function refers to it for ever, so it lives as long as the function: the taker may change.

    Attributes:
        wanted: whether it is worth while. It decides what is compiled.
    """

    def __init__(self) -> None:
        self.wanted = False
        self._taker: Taker | None = None
        self._givers: dict[int, Callable[[np.ndarray], None]] = {}

    @contextmanager
    def to(self, taker: Taker | None) -> Iterator[None]:
        """Hand the gradients of this block to `taker`."""
        self._taker = taker
        try:
            yield
        finally:
            self._taker = None

    def finished(self, place: Any, g: Any) -> None:
        """Hand over the gradient of a leaf. A capture may fail and run again: it only notes what its replays hand over."""
        tensor = place.tensor()
        if tensor is None:
            return
        if not tracing.tracer().captures:
            self._give(tensor, g)
            return
        with self.to(None):
            tracing.tracer().effect(self._giver(tensor), g._array)

    def _give(self, tensor: Tensor, g: np.ndarray) -> None:
        if self._taker is not None:
            self._taker(tensor, g)

    def _giver(self, tensor: Tensor) -> Callable[[np.ndarray], None]:
        """The function that hands over the gradient of a Tensor: always the same one, by which captures are compared."""

        def give(g: np.ndarray) -> None:
            self._give(tensor, g)

        return self._givers.setdefault(id(tensor), give)
