"""Strategies for indices, and for the subscripts of einsum."""

from typing import Any

import numpy as np
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp


@st.composite
def indices(draw: Any, shape: tuple[int, ...]) -> Any:
    """Any index that NumPy takes for an array of `shape`: basic, integer arrays, a Boolean mask, or a mixture."""
    kinds: list[st.SearchStrategy[Any]] = [
        hnp.basic_indices(shape, allow_newaxis=True, allow_ellipsis=True),
        hnp.arrays(np.bool_, shape),
        _mixtures(shape),
    ]
    if shape and all(shape):
        result = hnp.array_shapes(min_dims=0, max_dims=2, max_side=3)
        kinds.append(hnp.integer_array_indices(shape, result_shape=result))
    return draw(st.one_of(kinds))


@st.composite
def _mixtures(draw: Any, shape: tuple[int, ...]) -> tuple[Any, ...]:
    """For each axis an integer, a slice, an integer array or a mask; "..." for some axes in a row; and new axes between.

    All arrays broadcast to one shape, as NumPy requires.
    """
    common = draw(hnp.array_shapes(min_dims=0, max_dims=2, min_side=0, max_side=3))
    parts = [draw(_part(n, common)) for n in shape]
    if draw(st.booleans()):
        start = draw(st.integers(0, len(shape)))
        parts[start : draw(st.integers(start, len(shape)))] = [...]
    for _ in range(draw(st.integers(0, 2))):
        parts.insert(draw(st.integers(0, len(parts))), None)
    return tuple(parts)


def _part(n: int, common: tuple[int, ...]) -> st.SearchStrategy[Any]:
    if not n:
        return st.slices(n)
    places = st.integers(-n, n - 1)
    shapes = st.integers(0, len(common)).map(lambda start: common[start:])
    arrays = shapes.flatmap(lambda shape: hnp.arrays(np.int64, shape, elements=places))
    count = common[-1] if common else 1
    masks = st.permutations(range(n)).map(lambda order: np.asarray(order) < count)
    return st.one_of(places, st.slices(n), arrays, *([masks] if count <= n else []))


@st.composite
def einsum_subscripts(draw: Any, max_operands: int = 3) -> tuple[str, tuple[tuple[int, ...], ...]]:
    """Subscripts that einsum takes, and shapes of operands that fit them.

    Letters may repeat within an operand, be in one operand only, or be summed. Axes may have size 1 where those of other
    operands are longer. Operands may have "...", and the output may be explicit.
    """
    letters = "abcd"
    sizes = {c: draw(st.integers(1, 3)) for c in letters}
    hidden = draw(st.lists(st.integers(1, 2), max_size=2))  # what "..." stands for
    dotted = draw(st.booleans())
    terms, shapes = [], []
    for _ in range(draw(st.integers(1, max_operands))):
        term = draw(st.text(letters, max_size=3))
        shape = [1 if term.count(c) == 1 and draw(st.integers(0, 5)) == 5 else sizes[c] for c in term]
        if dotted and draw(st.booleans()):
            tail = hidden[draw(st.integers(0, len(hidden))) :]
            place = draw(st.integers(0, len(term)))
            term = f"{term[:place]}...{term[place:]}"
            shape[place:place] = [draw(st.sampled_from([1, n])) for n in tail]
        terms.append(term)
        shapes.append(tuple(shape))
    subscripts = ",".join(terms)
    if draw(st.booleans()):
        out = draw(st.permutations(sorted({*subscripts} - {*".,"})))
        out = out[: draw(st.integers(0, len(out)))]
        if "..." in subscripts:
            out.insert(draw(st.integers(0, len(out))), "...")
        subscripts += "->" + "".join(out)
    return subscripts, tuple(shapes)
