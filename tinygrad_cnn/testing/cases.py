"""Rows of a table of ops: for each op the inputs on which it is smooth, and a reference for its value.

A row has the ranges of its inputs, not their values. It serves fixed examples, random ones, and the strategy
``case_inputs``, with which Hypothesis shrinks a failure to a small one::

    row = Case(cube, (Arg(),), lambda a: a**3)
    assert_gradients(row, *row.draw(Draws(np.random.default_rng(0))), order=row.order)
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..scope import errors
from .report import called

_strict = errors(all="raise", under="ignore")

GAP = 1 / 8
"""The distance that most values keep from kinks and, where they must be distinct, all from each other."""
NEAR = (GAP / 64, GAP / 16)
"""The distances of the values close to a kink: a branch that is wrong only there must show."""
WIDE = 512.0
"""The largest scale of values: those from -2 to 2 become as large as 1024."""

LARGEST = 4e6
"""The largest value, that of 2 x^2 up to 1024 and a little more, beside which smaller ones still have digits to check."""


class Draws:
    """The source of a case's choices: a NumPy generator, whether shapes are square, and the scale of unbounded values."""

    def __init__(self, rng: np.random.Generator, square: bool = False, scale: float = 1.0) -> None:
        self.rng, self._square, self._scale = rng, square, scale

    def scale(self) -> float:
        """The scale of values without bounds: a power of two, from 1 to WIDE."""
        return self._scale

    def near(self) -> bool:
        """Whether about half of the values of an array lie NEAR a point of :attr:`Arg.away`."""
        return False

    def tied(self) -> bool:
        """Whether an array has few different values, and its last one is its first."""
        return False

    def square(self) -> bool:
        """Whether a case takes its :attr:`Case.square` shapes."""
        return self._square

    def integers(self, low: int, high: int, shape: tuple[int, ...]) -> NDArray[np.int64]:
        """Integers from low to high, both included."""
        return np.asarray(self.rng.integers(low, high, shape, endpoint=True))

    def part(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        """A shape that broadcasts to this square one: itself."""
        return shape

    def broadcastable(self, count: int) -> Sequence[tuple[int, ...]]:
        """The whole shape (2, 3) for the first input, and for the others with axes of size 1 or missing."""
        shapes = [(2, 3), (3,), (2, 1), ()]
        return [shapes[i % len(shapes)] for i in range(count)]


@dataclass(frozen=True)
class Arg:
    """An array input: its shape and the range of its values.

    Args:
        shape: None for any shape that broadcasts with those of the other inputs that have None.
        low, high: the range of the values. None is -2 or 2, times the scale that a case draws: at times values up to 1024.
        away: points such as kinks and poles: most values keep GAP from them, a few lie NEAR them, and none is one of them.
        distinct: whether all values keep GAP from each other, in a range that grows as needed.
        offset: shifts the grid of values: inputs with offsets 0 and GAP keep GAP from each other.
        ties: draw from two values instead of `distinct` and `offset`, so that many elements are equal.
        kind: "float", "int" or "bool".
    """

    shape: tuple[int, ...] | None = None
    low: float | None = None
    high: float | None = None
    away: tuple[float, ...] = ()
    distinct: bool = False
    offset: float | None = None
    kind: str = "float"
    ties: bool = False

    def draw(self, source: Draws, shape: tuple[int, ...], scale: float = 1.0) -> NDArray[Any]:
        """An array of float64, int64 or bool."""
        if self.kind == "bool":
            return source.integers(0, 1, shape).astype(bool)
        if self.kind == "int":
            low, high = map(int, self.bounds())
            return np.asarray(source.integers(low, high, shape))
        if self.distinct and not self.ties:
            keys = source.integers(0, 1 << 16, shape)
            ranks = np.argsort(np.argsort(keys, axis=None, kind="stable"), kind="stable").reshape(shape)
            return np.asarray((ranks - keys.size // 2) * (2 * GAP) + GAP / 2) * scale
        grid, tied = self._grid(scale), not self.ties and source.tied()
        ranks = source.integers(0, len(grid) - 1, shape)
        if tied:
            ranks -= ranks % max(1, len(grid) // 8)  # few values, which other arrays have, too
        values = grid[ranks]
        near = self._near(scale) if self.away and source.near() else grid[:0]
        if len(near):
            chosen = near[source.integers(0, len(near) - 1, shape)]
            values = np.where(source.integers(0, 1, shape) == 1, chosen, values)
        if tied:
            values.reshape(-1)[-1:] = values.reshape(-1)[:1]
        return np.asarray(values)

    def bounds(self, scale: float = 1.0) -> tuple[float, float]:
        """The range of the values."""
        return (-2 * scale if self.low is None else self.low), (2 * scale if self.high is None else self.high)

    @property
    def unbounded(self) -> bool:
        """Whether values may be larger than 2."""
        return self.kind == "float" and (self.low is None or self.high is None)

    def possible(self) -> bool:
        """Whether there is a value to draw."""
        low, high = self.bounds()
        if self.kind == "float":
            return self.distinct or len(self._grid()) > 0
        return self.kind == "bool" or int(low) <= int(high)

    def _grid(self, scale: float = 1.0) -> NDArray[np.float64]:
        """The values to choose from, those near zero first, to which Hypothesis shrinks."""
        if self.ties and (self.distinct or self.offset is not None):
            return np.array([-0.75, 1.25])
        step, offset = (GAP / 8, 0.0) if self.offset is None else (2 * GAP, self.offset)
        low, high = self.bounds(scale)
        grid = (np.arange(np.ceil(low / scale / step), np.floor(high / scale / step) + 1) * step + offset) * scale
        for point in self.away:
            grid = grid[np.abs(grid - point) >= GAP]
        return grid[np.argsort(np.abs(grid), kind="stable")]

    def _near(self, scale: float) -> NDArray[np.float64]:
        """Values NEAR the points of `away`, which float16 holds exactly, too."""
        low, high = self.bounds(scale)
        found = [float(np.float16(p + side * d)) for p in self.away for d in NEAR for side in (1, -1)]
        return np.array([v for v in found if low <= v <= high and min(abs(v - p) for p in self.away) >= NEAR[0] / 2])


@dataclass(frozen=True)
class Case:
    """A row: a function of arrays or Tensors, its inputs and parameters, and a reference for its value.

    Args:
        function: the op or composite under test, called as ``function(*arrays, **params)``.
        args: its array inputs.
        reference: a NumPy function that is called with the same arguments.
        params: keyword arguments.
        order: the derivatives that are checked: 0 for an op without a gradient, 3 where it is smooth.
        sequence: whether the arrays are passed as one sequence, as to concatenate.
        fixed: whether the parameters fix the shapes, so that :attr:`square` is None.
        via: a wrapper of `function` and `reference`, for calls with other arguments first or several results:
            ``lambda f: lambda a: f("ij->i", a)``.
    """

    function: Callable[..., Any]
    args: tuple[Arg, ...]
    reference: Callable[..., Any]
    params: Mapping[str, Any] = field(default_factory=dict)
    order: int = 3
    sequence: bool = False
    fixed: bool = False
    via: Callable[[Callable[..., Any]], Callable[..., Any]] = lambda f: f

    @property
    def name(self) -> str:
        """The function's name and the parameters, for a test's id."""
        shown = ",".join(f"{key}={value!r:.40}" for key, value in self.params.items())
        shapes = "" if all(arg.shape is None for arg in self.args) else "x".join(str(a.shape) for a in self.args)
        return f"{self.function.__name__}-{shapes}-{shown}".replace(" ", "").strip("-")

    def draw(self, source: Draws) -> tuple[NDArray[Any], ...]:
        """Arrays for the inputs."""
        scale = source.scale()
        if scale > 1 and not self.wide:
            scale = 1.0
        if source.square() and self.square is not None:
            several = sum(arg.shape is None for arg in self.args) > 1
            shapes = [
                source.part(s) if several and a.shape is None else s
                for a, s in zip(self.args, self.square, strict=True)
            ]
            return tuple(arg.draw(source, shape, scale) for arg, shape in zip(self.args, shapes, strict=True))
        free = iter(source.broadcastable(sum(arg.shape is None for arg in self.args)))
        return tuple(arg.draw(source, next(free) if arg.shape is None else arg.shape, scale) for arg in self.args)

    @cached_property
    def wide(self) -> bool:
        """Whether values without bounds may be as large as 1024: where the reference is at most LARGEST, f has to be right."""
        if not any(arg.unbounded for arg in self.args):
            return False
        narrow = replace(self)
        vars(narrow)["wide"] = True
        try:
            with _strict:  # a reference that warns would fail a test
                found = [
                    narrow.expected(*narrow.draw(Draws(np.random.default_rng(seed), scale=scale)))
                    for seed in range(2) for scale in (16.0, WIDE)
                ]  # fmt: skip
                return all((np.abs(y) <= LARGEST).all() for y in found)
        except (ValueError, IndexError, ArithmeticError, RuntimeWarning):
            return False

    @cached_property
    def square(self) -> tuple[tuple[int, ...], ...] | None:
        """Shapes in which all axes longer than 1 have one size, so that exchanged axes change values and not shapes.

        None if no input has two such axes, or the function does not accept such shapes with these parameters.
        """
        for n in (3, 4, 2) if not self.fixed else ():
            shapes = [
                (n, n) if a.shape is None else tuple(n if size > 1 else size for size in a.shape) for a in self.args
            ]
            args = tuple(replace(arg, shape=shape) for arg, shape in zip(self.args, shapes, strict=True))
            if any(shape.count(n) > 1 for shape in shapes) and _accepted(replace(self, args=args)):
                return tuple(shapes)
        return None

    @property
    def selects(self) -> bool:
        """Whether the function chooses among elements, which are drawn apart, and may be drawn equal by :meth:`tied`."""
        return any(arg.distinct or arg.offset is not None for arg in self.args)

    def tied(self) -> Case:
        """The same case with inputs in which many elements are equal."""
        return replace(self, args=tuple(replace(arg, ties=True) for arg in self.args))

    def call(self, *arrays: Any) -> Any:
        """The function on arrays or Tensors."""
        return self._call(self.function, arrays)

    __call__ = call

    def python(self) -> tuple[set[str], str]:
        """Imports and an expression for the call, for the reproducer of a failure."""
        if self.via is not type(self).via:
            return set(), f"...  # put the function here: {' '.join(self.name.split())}, as its row calls it"
        return called(self.function, self.params, self.sequence)

    def expected(self, *arrays: NDArray[Any]) -> Any:
        """The reference on arrays."""
        return self._call(self.reference, arrays)

    def _call(self, f: Callable[..., Any], arrays: tuple[Any, ...]) -> Any:
        f = self.via(f)
        return f(list(arrays), **self.params) if self.sequence else f(*arrays, **self.params)


def _accepted(case: Case) -> bool:
    """Whether the reference and the function accept such arrays, for any values of indices."""
    try:
        for seed in range(8):
            arrays = case.draw(Draws(np.random.default_rng(seed)))
            case.expected(*arrays)
            case.call(*arrays)
    except (ValueError, IndexError, ZeroDivisionError):
        return False
    return True
