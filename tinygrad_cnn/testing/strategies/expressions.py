"""A strategy for small programs of ops."""

from typing import Any

from hypothesis import strategies as st

from ..expressions import OPERATIONS, SMOOTH, Expression, arity

CONSTANTS = (1.0, 2.0, -1.0, 0.5, -1.5, 0.0)


@st.composite
def expressions(draw: Any, inputs: int = 2, max_steps: int = 6, smooth: bool = True) -> Expression:
    """Programs in which values are used many times or never, with constants; the simplest is ``return -x0``.

    They are defined for any numbers, and stay within moderate ones.

    Args:
        inputs: how many inputs a program has.
        max_steps: the most operations.
        smooth: whether to leave out the operations that have kinks: abs, relu, maximum and minimum.
    """
    steps: list[tuple[Any, ...]] = []
    for number in range(inputs, inputs + draw(st.integers(1, max_steps))):
        name = draw(st.sampled_from(list(SMOOTH if smooth else OPERATIONS)))
        values = st.integers(0, number - 1)
        others = [draw(values | st.sampled_from(CONSTANTS)) for _ in range(arity(name) - 1)]
        steps.append((name, draw(values), *others))
    return Expression(inputs, tuple(steps))
