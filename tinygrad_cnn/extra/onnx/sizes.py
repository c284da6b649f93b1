"""Sizes that are only known when the file runs. They are found by comparing traces, and written as nodes that compute them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from fractions import Fraction
from typing import Any

from .trace import Trace
from .value import Dimension, Value

FIXED = "; pass dynamic_axes={} for a file of fixed sizes"


class Sizes:
    """The part of a writer that computes sizes."""

    node: Callable[..., Any]
    ints: Callable[[Iterable[int]], Value]
    refuse_size: Callable[[Any, str], None]
    opset: int
    traces: Sequence[Trace]

    def __init__(self) -> None:
        self.dimensions: list[Dimension] = []
        self._sizes: dict[Any, Value] = {}

    def size(self, sizes: tuple[int, ...]) -> Value:
        """A dynamic size as a 1-D value with one element: a multiple of a dynamic axis, plus a number."""
        found = self._known_size(sizes)
        self.refuse_size(
            found is None,
            f"has a size, here {sizes[1 % len(sizes)]}, that depends on a dynamic axis in a way that cannot be written",
        )
        assert found is not None
        return found

    def _known_size(self, sizes: tuple[int, ...]) -> Value | None:
        if len(set(sizes)) == 1:
            return self.ints(sizes[:1])
        if sizes in self._sizes:
            return self._sizes[sizes]
        for dimension in self.dimensions:
            ours = dimension.value.sizes(dimension.axis)
            slope = Fraction(sizes[0] - sizes[1], ours[0] - ours[1])
            if slope.denominator != 1 or any(
                slope * (n - ours[0]) != m - sizes[0] for n, m in zip(ours, sizes, strict=True)
            ):
                continue
            found = self.size_of(dimension.value, dimension.axis)
            if slope != 1:
                found = self.node("Mul", found, self.ints([int(slope)]))
            if rest := sizes[0] - slope * ours[0]:
                found = self.node("Add", found, self.ints([int(rest)]))
            self._sizes[sizes] = found
            return found
        return None

    def size_of(self, value: Value, axis: int) -> Value:
        """The size of an axis of a value."""
        key = value.name, axis
        if key not in self._sizes:
            self._sizes[key] = self.node("Gather", self.node("Shape", value), self.ints([axis]))
        return self._sizes[key]

    def shape(self, value: Value, instead: Mapping[int, int] | None = None) -> Value:
        """The shape of a value as a 1-D value, with other numbers for some axes."""
        found: list[tuple[int, ...]] = [value.sizes(i) for i in range(len(value.shape))]
        for axis, n in (instead or {}).items():
            found[axis] = (n,) * len(self.traces)
        if all(len(set(sizes)) == 1 for sizes in found):
            return self.ints(sizes[0] for sizes in found)
        return self.node("Concat", *map(self.size, found), axis=0)  # type: ignore[no-any-return]

    def reshape(self, x: Value, out: Value) -> Value:
        """x in the shape of `out`. A dynamic axis that stays is written as 0, another one as -1."""
        target: list[Any] = []  # numbers, and the sizes of an axis in all traces
        for i in range(len(out.shape)):
            sizes = out.sizes(i)
            if len(set(sizes)) == 1:
                target.append(sizes[0])
            else:
                target.append(0 if i < len(x.shape) and x.sizes(i) == sizes else sizes)
        moving = [t for t in target if isinstance(t, tuple)]
        if len(moving) == 1 and 0 not in out.shape:
            target[target.index(moving[0])] = -1
        elif moving:
            found = [self._size_for(x, out.sizes(i)) for i in range(len(out.shape))]
            unknown = [out.sizes(i) for i, part in enumerate(found) if part is None]
            if len(unknown) > 1 or (unknown and 0 in out.shape):
                self.size(unknown[0])  # raises
            parts = [self.ints([-1]) if part is None else part for part in found]
            return self.node("Reshape", x, self.node("Concat", *parts, axis=0))  # type: ignore[no-any-return]
        empty = any(n == 0 for n in out.shape)
        self.refuse_size(empty and out.varies, "has a size of 0 beside a dynamic one")
        more = {"allowzero": 1} if empty and self.opset >= 14 else {}
        return self.node("Reshape", x, self.ints(target), **more)  # type: ignore[no-any-return]

    def _size_for(self, x: Value, sizes: tuple[int, ...]) -> Value | None:
        """A size, as that of an axis of x if it varies and x has one of the same sizes in all traces; None if it is unknown."""
        same = [i for i in range(len(x.shape)) if x.sizes(i) == sizes]
        if same and len(set(sizes)) > 1:
            return self.size_of(x, same[0])
        return self._known_size(sizes)
