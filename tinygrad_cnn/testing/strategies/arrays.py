"""Strategies for arrays and Tensors: few and round values, odd shapes, odd places in memory."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.typing import DTypeLike, NDArray

from ...tensor import Tensor
from ...tensor.creation import from_numpy
from ..cases import Arg
from ..layouts import LAYOUTS
from .cases import Drawn

__all__ = ["arrays", "shapes", "tensors"]


def shapes(
    max_dims: int = 3, max_side: int = 3, min_dims: int = 0, min_side: int = 0
) -> st.SearchStrategy[tuple[int, ...]]:
    """Shapes, 0-d and empty ones included; the simplest is ()."""
    return hnp.array_shapes(min_dims=min_dims, max_dims=max_dims, min_side=min_side, max_side=max_side)


@st.composite
def arrays(
    draw: Any,
    shape: tuple[int, ...] | st.SearchStrategy[tuple[int, ...]] | None = None,
    dtype: DTypeLike = np.float64,
    *,
    low: float = -2.0,
    high: float = 2.0,
    away: Sequence[float] = (),
    distinct: bool = False,
    layouts: Sequence[str] = tuple(LAYOUTS),
) -> NDArray[Any]:
    """Arrays of numbers from a grid that every floating-point dtype holds exactly, the simplest of them 0.

    Args:
        shape: a shape or a strategy for one; by default any of up to three axes, sizes 0 to 3.
        dtype: a floating-point, integer or Boolean dtype.
        low, high: the range of the values.
        away: points, such as kinks and poles, from which values keep a distance of 1/8.
        distinct: whether all values keep a distance of 1/8 from each other; the range then grows as needed, and `away` is
            not to be given.
        layouts: names from ``testing.layouts.LAYOUTS``: "plain", "transposed", "backward", "skipping", "readonly" and
            "strided", which is all at once.

    Raises:
        ValueError: if no value is left between `low` and `high`, `away` is given with `distinct`, or a layout has no such
            name.

    >>> import numpy as np
    >>> from hypothesis import find
    >>> from tinygrad_cnn.testing.strategies import arrays
    >>> find(arrays(low=0.5), lambda a: a.ndim == 1 and a.size == 2)
    array([0.5, 0.5])
    """
    wanted = np.dtype(dtype)
    kind = {"f": "float", "b": "bool"}.get(wanted.kind, "int")
    if wanted.kind == "u":
        low = max(low, 0)
    arg = Arg(low=low, high=high, away=tuple(away), distinct=distinct, kind=kind)
    if not all(name in LAYOUTS for name in layouts):
        raise ValueError(f"arrays: `layouts` is {layouts!r}; its names must be among {', '.join(map(repr, LAYOUTS))}")
    if distinct and away:
        raise ValueError(
            f"arrays: `away` is {tuple(away)} beside `distinct`; distinct values go where there is room: drop one"
        )
    if not arg.possible():
        raise ValueError(f"arrays: no value lies between `low` {low} and `high` {high} and away from {tuple(away)}")
    size = shape if isinstance(shape, tuple) else draw(shapes() if shape is None else shape)
    values = arg.draw(Drawn(draw), size).astype(wanted)
    return LAYOUTS[draw(st.sampled_from(layouts))](values)


def tensors(*args: Any, requires_grad: bool = False, **options: Any) -> st.SearchStrategy[Tensor]:
    """Tensors that share the memory of :func:`arrays`, which takes the same arguments."""
    return arrays(*args, **options).map(lambda array: from_numpy(array, requires_grad=requires_grad))
