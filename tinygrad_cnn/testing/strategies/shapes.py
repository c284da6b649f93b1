"""Strategies for shapes, for shapes that go together, and for axes."""

from typing import Any

from hypothesis import strategies as st

Shape = tuple[int, ...]

FORMS = ("plain",) * 12 + ("empty",) * 3 + ("long",) * 2 + ("square",) * 17
"""What is done to a shape; samples, since Hypothesis also tries the integers that it drew for each other."""


@st.composite
def shapes(
    draw: Any, max_dims: int | None = None, max_side: int | None = None, min_dims: int = 0, min_side: int = 0
) -> Shape:
    """Shapes, 0-d and empty ones included; the simplest is ().

    Of those with several axes, three in four have two of equal length, which a rule may confuse. One in thirteen is empty.

    Args:
        max_dims: the most axes; None is 3, and now and then 4.
        max_side: the largest size; None is 3, and for one axis of a shape in twenty up to 13.
        min_dims, min_side: the fewest axes, and the smallest size.
    """
    most = max(3, min_dims) if max_dims is None else max_dims
    middle, more = [(min_dims + most + 1) // 2] * 2, [most + 1] * (max_dims is None)
    ndim = draw(st.sampled_from([*range(min_dims, most + 1), *middle, *more]))
    largest = max(3, min_side) if max_side is None else max_side
    sides = [draw(st.integers(min(max(1, min_side), largest), largest)) for _ in range(ndim)]
    form, first, step = draw(st.sampled_from(FORMS)), draw(st.integers(0, 11)), draw(st.integers(0, 11))
    if ndim > 1 and form == "square":
        first %= ndim
        second = (first + 1 + step % (ndim - 1)) % ndim
        sides[first] = sides[second] = max(sides[first], sides[second], min(2, largest))
    if ndim and form == "empty" and not min_side:
        sides[first % ndim] = 0
    if ndim and form == "long" and max_side is None:
        sides[first % ndim] = largest + 1 + step % 4 * 3
    return tuple(sides)


@st.composite
def broadcastable(
    draw: Any, count: int = 2, max_dims: int | None = None, max_side: int | None = None, min_side: int = 0
) -> tuple[Shape, ...]:
    """`count` shapes that broadcast with each other: axes missing at the left, of size 1, or equal. The simplest are ().

    Of nine draws of two shapes, four have equal ones; in two, one has the shape of the result; in two, there are two axes,
    and each is longer than 1 in one of the shapes only, as in an outer product. For bounds see :func:`shapes`.
    """
    whole = draw(shapes(max_dims, max_side, min_side=min_side))
    ndim = len(whole)
    kept = draw(st.sampled_from((*(None,) * (count + 2), -1, "outer", "outer", *range(count))))
    if kept is None:
        return (whole,) * count
    if kept == "outer":
        first = draw(st.integers(0, count - 1))
        sides = list(enumerate(whole[-2:]))
        return tuple(tuple(n if (first + axis) % count == i else 1 for axis, n in sides) for i in range(count))
    codes = [divmod(draw(st.integers(0, (ndim + 1) * 2**ndim - 1)), ndim + 1) for _ in range(count)]
    return tuple(
        whole if i == kept else tuple(1 if ones >> axis & 1 else whole[axis] for axis in range(left, ndim))
        for i, (ones, left) in enumerate(codes)
    )


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
    inner, left, right = draw(shapes(3, max_side, 3, min_side))
    stacks = draw(broadcastable(2, max_dims - 2, max_side, min_side))
    a = (*stacks[0], left, inner) if draw(st.booleans()) else (inner,)
    b = (*stacks[1], inner, right) if draw(st.booleans()) else (inner,)
    return a, b
