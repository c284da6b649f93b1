"""Strategies for arrays, Tensors and the inputs of a case: round values, unusual shapes and memory layouts."""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from hypothesis import strategies as st
from numpy.typing import DTypeLike, NDArray

from ...numpy_api.creation import from_numpy
from ...tensor import Tensor
from ..cases import Arg, Case, Draws
from ..layouts import LAYOUTS
from .shapes import broadcastable, shapes

SCALES = (1.0,) * 36 + tuple(2.0**k for k in range(1, 10))


class Drawn(Draws):
    """Choices that Hypothesis makes and shrinks."""

    def __init__(self, draw: Any) -> None:
        self.draw = draw

    def square(self) -> bool:
        """Half of the time."""
        return self.draw(st.booleans())  # type: ignore[no-any-return]

    def scale(self) -> float:
        """1, or one time in five a power of two up to 512."""
        return self.draw(st.sampled_from(SCALES))  # type: ignore[no-any-return]

    def near(self) -> bool:
        """A quarter of the time."""
        return self.draw(st.sampled_from((False, False, False, True)))  # type: ignore[no-any-return]

    def tied(self) -> bool:
        """Half of the time."""
        return self.draw(st.sampled_from((False, True)))  # type: ignore[no-any-return]

    def integers(self, low: int, high: int, shape: tuple[int, ...]) -> NDArray[np.int64]:
        """Integers from low to high, both included; the simplest is the one nearest to 0.

        They are drawn as one string of bytes, which Hypothesis makes and shrinks much sooner than as many numbers. A rank
        up to 510 is one byte plus a share of another, so that each byte can be made smaller by itself.
        """
        count, n = math.prod(shape), high - low + 1
        size = 1 if n <= 256 else 2 if n <= 1 << 16 else 8
        memory = self.draw(st.binary(min_size=count * size, max_size=count * size))
        if 256 < n < 512:
            more, ranks = np.frombuffer(memory, np.uint8).reshape(count, 2).T.astype(np.int64)
            ranks = ranks + more * (n - 256) // 255
        else:
            ranks = (np.frombuffer(memory, f">u{size}").astype(np.uint64) % np.uint64(n)).astype(np.int64)
        return nearest(ranks, low, high).reshape(shape)

    def part(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        """A shape that broadcasts to this square one, itself two times in five."""
        rest = shape[1:]
        return self.draw(st.sampled_from((shape, shape, rest, (1, *rest), (*rest, 1))))  # type: ignore[no-any-return]

    def broadcastable(self, count: int) -> Sequence[tuple[int, ...]]:
        """`count` shapes of up to three axes, sizes 0 to 3, that broadcast with each other."""
        return self.draw(broadcastable(count)) if count else ()


def nearest(ranks: NDArray[np.int64], low: int, high: int) -> NDArray[np.int64]:
    """Of the integers from low to high those that have these ranks in the order 0, 1, -1, 2, -2, ..."""
    both = 2 * max(0, min(-low, high))  # ranks up to here alternate between the signs
    alternating = np.where(ranks % 2, (ranks + 1) // 2, -(ranks // 2))
    beyond = ranks - both // 2 if high > -low else both // 2 - ranks
    start = low if low > 0 else high if high < 0 else 0
    return np.asarray(np.where(ranks <= both, alternating, beyond) + start)


@st.composite
def case_inputs(draw: Any, case: Case) -> tuple[NDArray[Any], ...]:
    """Inputs for a case."""
    return case.draw(Drawn(draw))


def floating_dtypes() -> st.SearchStrategy[np.dtype[Any]]:
    """float64, float32 or float16: a rule may be wrong in one of them only, or for inputs of several.

    >>> from tinygrad_cnn.testing.strategies import arrays, floating_dtypes
    >>> numbers = arrays((2, 3), floating_dtypes())
    """
    return st.sampled_from([np.dtype(np.float64), np.dtype(np.float32), np.dtype(np.float16)])


def complex_dtypes() -> st.SearchStrategy[np.dtype[Any]]:
    """complex128 or complex64.

    >>> from tinygrad_cnn.testing.strategies import arrays, complex_dtypes
    >>> numbers = arrays((2, 3), complex_dtypes())
    """
    return st.sampled_from([np.dtype(np.complex128), np.dtype(np.complex64)])


@st.composite
def arrays(
    draw: Any, shape: tuple[int, ...] | st.SearchStrategy[tuple[int, ...]] | None = None,
    dtype: DTypeLike | st.SearchStrategy[Any] = np.float64, *,
    low: float | None = None, high: float | None = None, away: Sequence[float] = (), distinct: bool = False,
    layouts: Sequence[str] = tuple(LAYOUTS),
) -> NDArray[Any]:  # fmt: skip
    """Arrays of numbers that every floating-point dtype holds exactly, the simplest of them 0.

    A third of the arrays have equal elements. Half of those with more than one axis have two axes of equal length.

    Args:
        shape: a shape or a strategy for one; by default any of up to three axes, sizes 0 to 3.
        dtype: a floating-point, complex, integer or Boolean dtype, or a strategy for one, such as :func:`floating_dtypes`. The
            other arguments are about the real and about the imaginary parts of complex numbers.
        low, high: the range of the values; None is -2 or 2, and in one array of five a number up to 1024.
        away: points such as kinks and poles, which are not drawn. Values keep a distance of 1/8, but in a quarter of the arrays
            every second value has one of 1/128 or 1/512.
        distinct: whether all values keep a distance of 1/8 from each other, in a range that grows as needed; without `away`.
        layouts: some of "plain", "transposed", "backward", "skipping", "readonly" and "strided", which combines them.

    Raises:
        ValueError: if no value is left between `low` and `high`, `away` is given with `distinct`, or a layout is unknown.

    >>> import numpy as np
    >>> from hypothesis import find
    >>> from tinygrad_cnn.testing.strategies import arrays
    >>> find(arrays(low=0.5), lambda a: a.ndim == 1 and a.size == 2)
    array([0.5, 0.5])
    """
    wanted: np.dtype[Any] = np.dtype(draw(dtype) if isinstance(dtype, st.SearchStrategy) else dtype)
    kind = {"f": "float", "c": "float", "b": "bool"}.get(wanted.kind, "int")
    if wanted.kind == "u":
        low = max(low or 0, 0)
    arg = Arg(low=low, high=high, away=tuple(away), distinct=distinct, kind=kind)
    if not all(name in LAYOUTS for name in layouts):
        raise ValueError(f"arrays: `layouts` is {layouts!r}; its names must be among {', '.join(map(repr, LAYOUTS))}")
    if distinct and away:
        raise ValueError(f"arrays: `away` is {tuple(away)} beside `distinct`, whose values take any place; drop one")
    if not arg.possible():
        low, high = arg.bounds()
        raise ValueError(f"arrays: no value lies between `low` {low} and `high` {high} and away from {tuple(away)}")
    size = shape if isinstance(shape, tuple) else draw(shapes() if shape is None else shape)
    source = Drawn(draw)
    scale = source.scale() if arg.unbounded else 1.0
    values = arg.draw(source, size, scale)
    if wanted.kind == "c":
        values = values + arg.draw(source, size, scale) * 1j
    values = values.astype(wanted)
    return LAYOUTS[draw(st.sampled_from(layouts))](values)


def tensors(*args: Any, requires_grad: bool = False, **options: Any) -> st.SearchStrategy[Tensor]:
    """Tensors that share the memory of :func:`arrays`, which takes the same arguments."""
    return arrays(*args, **options).map(lambda array: from_numpy(array, requires_grad=requires_grad))
