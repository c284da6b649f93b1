"""A call of a primitive: its arguments and its result, which may be nested, and which of them are differentiated."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from ...ops.shape import concatenate
from ...tensor import Tensor
from ...transforms.pytree import leaves, rebuild
from .trees import NESTED

if TYPE_CHECKING:
    from .recording import Rules

Slot: TypeAlias = tuple[int, int]


class Call:
    """A call of a primitive: its arguments, and the slots in them that are differentiated.

    A slot is the position of an argument, and that of a leaf in it, 0 if it is not nested. Here no argument with a slot is
    nested, nor is the result; `value` is the result as an array of its own, or None if it has no derivative.
    """

    __slots__ = ("args", "kwargs", "rules", "slots", "value")
    nested: Sequence[int] = ()

    def __init__(
        self,
        rules: Rules,
        args: list[Any],
        kwargs: dict[str, Any],
        slots: Sequence[Slot],
        nested: Sequence[int],
        result: Any,
    ) -> None:
        self.rules, self.args, self.kwargs, self.slots = rules, args, kwargs, slots
        self._take(nested, result)

    def _take(self, nested: Sequence[int], result: Any) -> None:
        """Keep what is needed of the arguments with slots, and the result."""
        for i, _ in self.slots:
            self.args[i] = None
        value = np.array(result)
        self.value = value if self._floating(value) else None

    def _floating(self, array: np.ndarray) -> bool:
        """Whether a result has a derivative."""
        return array.dtype.kind in "fc"

    @property
    def argnums(self) -> tuple[int, ...]:
        """The positions of the arguments that are differentiated."""
        return tuple(dict.fromkeys([i for i, _ in self.slots]))

    def tree(self, whole: Any) -> Any:
        """The result, a cotangent or a tangent, of which `whole` is the array, in the structure of the result."""
        return number(whole)

    def joined(self, tree: Any) -> Any:
        """The inverse of :meth:`tree`."""
        return tree

    def arguments(self, inputs: Sequence[Any]) -> tuple[Any, ...]:
        """All arguments, with `inputs` in the slots."""
        args = self.args.copy()
        for (i, _), value in zip(self.slots, inputs, strict=True):
            args[i] = number(value)
        return tuple(args)

    def leaves_of(self, i: int, slope: Any) -> Any:
        """The gradient of an argument, by the position of a leaf."""
        return (slope,)

    def directions(self, tangents: Sequence[Any], inputs: Sequence[Any]) -> dict[int, Any]:
        """The tangents of arguments, by position; zero where there is none."""
        moved = {slot: number(t) for slot, t in zip(self.slots, tangents, strict=True) if t is not None}
        found = {}
        for i, argument in enumerate(self.arguments(inputs)):
            if any(at == i for at, _ in moved):
                zeros = [np.zeros(np.shape(leaf)) for _, leaf in leaves(argument)]
                found[i] = rebuild(argument, [moved.get((i, k), zero) for k, zero in enumerate(zeros)])
        return found


class NestedCall(Call):
    """A call with nested arguments or a nested result, whose floating-point leaves are joined into one array."""

    def _take(self, nested: Sequence[int], result: Any) -> None:
        self.nested, args = nested, self.args
        for i in self.argnums:
            args[i] = rebuild(args[i], self._filled(i, args[i], {})) if i in nested else None
        self.result = result if isinstance(result, NESTED) else 0.0
        arrays = [np.asarray(leaf) for _, leaf in leaves(result)]
        self.floating = [self._floating(array) for array in arrays]
        parts = [array for array, floating in zip(arrays, self.floating, strict=True) if floating]
        self.forms = [(part.shape, part.dtype) for part in parts]
        self.value = np.concatenate([part.ravel() for part in parts]) if parts else None

    def tree(self, whole: Any) -> Any:
        """The result, a cotangent or a tangent in the structure of the result."""
        parts, start = [], 0
        for shape, dtype in self.forms:
            stop = start + int(np.prod(shape))
            part = whole[start:stop].reshape(shape)
            part = part.real if part.dtype.kind == "c" != dtype.kind else part  # beside a complex leaf
            parts.append(number(part.astype(dtype)))
            start = stop
        each = iter(parts)
        found = [next(each) if f else leaf for f, (_, leaf) in zip(self.floating, leaves(self.result), strict=True)]
        return rebuild(self.result, found)

    def joined(self, tree: Any) -> Any:
        """The inverse of :meth:`tree`, for the floating-point leaves."""
        found = [leaf for f, (_, leaf) in zip(self.floating, leaves(tree), strict=True) if f]
        flat = [(leaf if isinstance(leaf, Tensor) else np.asarray(leaf)).reshape(-1) for leaf in found]
        return concatenate(flat) if any(isinstance(leaf, Tensor) for leaf in flat) else np.concatenate(flat)

    def _filled(self, i: int, argument: Any, leaf_of: dict[Slot, Any]) -> list[Any]:
        """The leaves of an argument, with others, or None, in its slots."""
        return [leaf_of.get((i, k)) if (i, k) in self.slots else leaf for k, (_, leaf) in enumerate(leaves(argument))]

    def arguments(self, inputs: Sequence[Any]) -> tuple[Any, ...]:
        """All arguments, with `inputs` in the slots."""
        args = self.args.copy()
        found = dict(zip(self.slots, map(number, inputs), strict=True))
        for i in self.argnums:
            args[i] = rebuild(args[i], self._filled(i, args[i], found)) if i in self.nested else found[i, 0]
        return tuple(args)

    def leaves_of(self, i: int, slope: Any) -> Any:
        """The gradient of an argument, by the position of a leaf."""
        return parts(slope, self.args[i]) if i in self.nested else (slope,)


def parts(slope: Any, like: Any) -> list[Any]:
    """The gradient of each leaf of `like`. Where that has a list or tuple, `slope` may have an array of as many rows."""
    if isinstance(like, dict):
        return [part for key, branch in like.items() for part in parts(slope[key], branch)]
    if not isinstance(like, list | tuple):
        return [slope]
    if not like:
        return []  # whatever a rule returns for it
    if len(slope) != len(like):
        raise ValueError(f"a rule of defvjp returned {len(slope)} gradients for a sequence of {len(like)}")
    return [part for own, branch in zip(slope, like, strict=True) for part in parts(own, branch)]


def number(value: Any) -> Any:
    """A number of NumPy's instead of an array without axes."""
    return value[()] if value.__class__ is np.ndarray and not value.ndim else value
