"""Strategies for shapes, for shapes that go together, and for axes."""

from typing import Any

from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

Shape = tuple[int, ...]


def shapes(max_dims: int = 3, max_side: int = 3, min_dims: int = 0, min_side: int = 0) -> st.SearchStrategy[Shape]:
    """Shapes, 0-d and empty ones included; the simplest is ()."""
    return hnp.array_shapes(min_dims=min_dims, max_dims=max_dims, min_side=min_side, max_side=max_side)


def broadcastable(
    count: int = 2, max_dims: int = 3, max_side: int = 3, min_side: int = 0
) -> st.SearchStrategy[tuple[Shape, ...]]:
    """`count` shapes that broadcast with each other: axes missing at the left, of size 1, or equal. The simplest are ()."""
    found = hnp.mutually_broadcastable_shapes(num_shapes=count, min_side=min_side, max_dims=max_dims, max_side=max_side)
    return found.map(lambda shapes: shapes.input_shapes)


@st.composite
def axes(draw: Any, ndim: int, none: bool = True) -> int | Shape | None:
    """An ``axis`` argument for an array of `ndim` axes: None if allowed, an int, or a tuple without repeats; also negative."""
    kinds: list[st.SearchStrategy[Any]] = [st.none()] if none else []
    if ndim:
        kinds.append(st.integers(-ndim, ndim - 1))
    if draw(st.sampled_from(range(len(kinds) + 1))) < len(kinds):
        return draw(st.one_of(kinds))  # type: ignore[no-any-return]
    order = draw(st.permutations(range(ndim)))
    return _signed(draw, order[: draw(st.integers(0, ndim))], ndim)


@st.composite
def permutations(draw: Any, ndim: int) -> Shape:
    """All of `ndim` axes in any order, some counted from the end; the simplest is their own order."""
    return _signed(draw, draw(st.permutations(range(ndim))), ndim)


def _signed(draw: Any, order: list[int], ndim: int) -> Shape:
    return tuple(axis - ndim if draw(st.booleans()) else axis for axis in order)


@st.composite
def matmul_shapes(draw: Any, max_side: int = 3, min_side: int = 0, max_dims: int = 4) -> tuple[Shape, Shape]:
    """Shapes of two operands of ``@``: vectors, matrices, and stacks whose leading axes broadcast.

    The simplest are two vectors.

    Args:
        max_side, min_side: bounds of every size.
        max_dims: the most axes of an operand.
    """
    side = st.integers(min_side, max_side)
    inner = draw(side)
    left = draw(st.lists(side, max_size=1))
    right = draw(st.lists(side, max_size=1))
    stacks = draw(broadcastable(2, max_dims - 2, max_side, min_side))
    a = (*stacks[0], *left, inner) if left else (inner,)
    b = (*stacks[1], inner, *right) if right else (inner,)
    return a, b
