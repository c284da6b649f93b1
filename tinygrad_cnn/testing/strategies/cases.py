"""Strategies for the inputs of a :class:`~tinygrad_cnn.testing.cases.Case`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.typing import NDArray

from ..cases import Case
from .shapes import broadcastable

__all__ = ["case_inputs"]


class Drawn:
    """A :class:`~tinygrad_cnn.testing.cases.Source` whose choices Hypothesis makes and shrinks."""

    def __init__(self, draw: Any) -> None:
        self.draw = draw

    def integers(self, low: int, high: int, shape: tuple[int, ...]) -> NDArray[np.int64]:
        """Integers from low to high, both included; 0 is the simplest."""
        return self.draw(hnp.arrays(np.int64, shape, elements=st.integers(low, high)))  # type: ignore[no-any-return]

    def broadcastable(self, count: int) -> Sequence[tuple[int, ...]]:
        """`count` shapes of up to three axes, sizes 0 to 3, that broadcast with each other."""
        return self.draw(broadcastable(count)) if count else ()

    def square(self) -> bool:
        """Half of the time."""
        return self.draw(st.booleans())  # type: ignore[no-any-return]


@st.composite
def case_inputs(draw: Any, case: Case) -> tuple[NDArray[Any], ...]:
    """Inputs for a case."""
    return case.draw(Drawn(draw))
