"""Backward rules for n incoming gradients at once, each with them along a new first axis.

The rules of elementwise ops broadcast, so they serve as they are. Here are those of ops that look at shapes or axes, for the
calls that functions of a few numbers consist of. A rule returns None for a call that it does not serve.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

from ...core.graph import Array, Op
from ...core.node import Node
from ...ops import index, matmul, reduce, shape, softmax
from ...ops.elementwise import copy
from . import units
from .call import moved


@dataclass(slots=True, eq=False)
class Pull:
    """A node, and n gradients of its output.

    Attributes:
        node: the node.
        parents: its parents, or None where no gradient is wanted.
        values: what the node saved and the parameters of its call, by name.
        g: the incoming gradients, of shape (n, \\*the output's shape).
        n: how many there are.
    """

    node: Node
    parents: tuple[Any, ...]
    values: dict[str, Any]
    g: Array
    n: int

    @property
    def sizes(self) -> tuple[int, ...]:
        """The shape of the gradients of the first parent."""
        return (self.n, *self.parents[0].shape)


Rule: TypeAlias = Callable[[Pull], Sequence[Any] | None]

PULLS: dict[Op, Rule] = {}
"""The rules, by op. Each returns gradients for the parents, or None."""


def _rule(function: Any) -> Callable[[Rule], Rule]:
    def register(rule: Rule) -> Rule:
        PULLS[function.op] = rule
        return rule

    return register


@_rule(shape.reshape)
def _reshape(pull: Pull) -> Any:
    return (shape.reshape(pull.g, shape=pull.sizes),)


@_rule(shape.transpose)
def _transpose(pull: Pull) -> Any:
    ndim, axes = len(pull.node.shape), pull.values["axes"]
    order = [*range(ndim)][::-1] if axes is None else [int(i) % ndim for i in axes]
    return (shape.transpose(pull.g, axes=(0, *(order.index(i) + 1 for i in range(ndim)))),)


@_rule(shape.broadcast_to)
def _broadcast_to(pull: Pull) -> Any:
    return (_summed(pull.g, pull.sizes),)


@_rule(shape.sum_to)
def _sum_to(pull: Pull) -> Any:
    return (_spread(pull, pull.g),)


def _summed(g: Array, sizes: tuple[int, ...]) -> Any:
    """Gradients summed over the axes along which an input of a smaller shape was broadcast."""
    ones = (1,) * (g.ndim - len(sizes))
    return shape.reshape(shape.sum_to(g, shape=(sizes[0], *ones, *sizes[1:])), shape=sizes)


def _spread(pull: Pull, g: Array) -> Any:
    """Gradients of a result with fewer axes, or with some of size 1, repeated to the shape of the input."""
    ones = (1,) * (len(pull.sizes) - g.ndim)
    return shape.broadcast_to(shape.reshape(g, shape=(pull.n, *ones, *g.shape[1:])), shape=pull.sizes)


@_rule(reduce.sum)
def _sum(pull: Pull) -> Any:
    return (shape.broadcast_to(_restored(pull, pull.g), shape=pull.sizes),)


@_rule(reduce.mean)
def _mean(pull: Pull) -> Any:
    whole = pull.parents[0].shape
    count = math.prod(whole[i] for i in reduce.reduced_axes(pull.values["axis"], len(whole)))
    g = pull.g / (count or 1) if count < 1 << 16 else pull.g * (1 / count)
    return (shape.broadcast_to(_restored(pull, g), shape=pull.sizes),)


@_rule(reduce.logsumexp)
def _logsumexp(pull: Pull) -> Any:
    a, y, axis, keepdims = (pull.values[name] for name in ("a", "y", "axis", "keepdims"))
    return (_restored(pull, pull.g) * reduce.exp_gap(a, reduce.restore(y, a.shape, axis, keepdims)),)


def _restored(pull: Pull, g: Array) -> Any:
    """Gradients with the axes that were reduced as axes of size 1."""
    whole, axis = pull.parents[0].shape, pull.values["axis"]
    axes = reduce.reduced_axes(axis, len(whole))
    sizes = (pull.n, *(1 if i in axes else size for i, size in enumerate(whole)))
    return g if g.shape == sizes else shape.reshape(g, shape=sizes)


@_rule(softmax.softmax)
def _softmax(pull: Pull) -> Any:
    return (_along(pull, softmax.softmax_pull, pull.values["y"]),)


@_rule(softmax.log_softmax)
def _log_softmax(pull: Pull) -> Any:
    if pull.node.dtype.itemsize < 4:
        return None  # the sum may need float64
    return (_along(pull, softmax.log_softmax_pull, pull.values["y"]),)


def _along(pull: Pull, op: Any, y: Array) -> Any:
    axis = pull.values["axis"]
    return op(pull.g, shape.broadcast_to(y, shape=pull.g.shape), axis=moved(axis, pull.g.ndim - 1))


def is_basic(where: Any) -> bool:
    """Whether an index selects no element twice, since it holds no array."""
    parts = where if isinstance(where, tuple) else (where,)
    return all(part is None or part is Ellipsis or isinstance(part, int | slice) for part in parts)


@_rule(index.getitem)
def _getitem(pull: Pull) -> Any:
    where = pull.values["index"]
    if not is_basic(where):
        return None
    parts = where if isinstance(where, tuple) else (where,)
    return (index.add_at_zeros(pull.g, index=(slice(None), *parts), shape=pull.sizes),)


@_rule(index.add_at_zeros)
def _add_at_zeros(pull: Pull) -> Any:
    where = pull.values["index"]
    if not is_basic(where):
        return None
    return (index.getitem(pull.g, index=(slice(None), *(where if isinstance(where, tuple) else (where,)))),)


@_rule(shape.concatenate)
def _concatenate(pull: Pull) -> Any:
    axis, ends = pull.values["axis"], pull.values["ends"]
    if axis is None:
        return None
    at, found = moved(axis, len(pull.node.shape)), []
    for parent, start, stop in zip(pull.parents, ends, ends[1:], strict=False):
        found.append(None if parent is None else shape.slice_axis(pull.g, start, stop, at))
    return found


@_rule(matmul.matmul)
def _matmul(pull: Pull) -> Any:
    """Vectors, matrices, and stacks of matrices with the same leading axes."""
    a, b, (to_a, to_b) = pull.values["a"], pull.values["b"], pull.parents
    left, right = (
        (x if place is None else place).shape for x, place in zip((a, b), pull.node.parents or (), strict=True)
    )
    if max(len(left), len(right)) > 2 and (len(left) != len(right) or left[:-2] != right[:-2]):
        return None
    by_a = by_b = None
    if to_a is not None:
        if len(right) == 1:
            by_a = _column(pull.g) * b
        else:
            by_a = _product(pull, shape.swapaxes(b, -1, -2))
    if to_b is not None:
        if len(left) == 1:
            by_b = _column(pull.g) * a if len(right) == 1 else _column(a) * _row(pull.g)
        elif len(right) == 1:
            by_b = _product(pull, a)
        else:
            by_b = matmul.matmul(shape.swapaxes(a, -1, -2), pull.g)
    return by_a, by_b


@_rule(matmul.linear)
def _linear(pull: Pull) -> Any:
    x, w, (to_x, to_w, to_b), g = pull.values["x"], pull.values["w"], pull.parents, pull.g
    by_w = None
    if to_w is not None and g.ndim == 2:
        by_w = _column(g) * x
    elif to_w is not None:
        several = shape.reshape(g, shape=(pull.n, math.prod(g.shape[1:-1]), g.shape[-1]))
        by_w = matmul.matmul(shape.swapaxes(several, 1, 2), shape.reshape(x, shape=(several.shape[1], x.shape[-1])))
    return (
        None if to_x is None else _product(pull, w),
        by_w,
        None if to_b is None else reduce.sum(g, axis=tuple(range(1, g.ndim - 1))) if g.ndim > 2 else g,
    )


def _product(pull: Pull, matrix: Array) -> Any:
    """g matrix, as one product if the matrix is one; rows of it if the gradients are unit vectors."""
    g = pull.g
    if g.ndim == 2 and (start := units.first(g)) is not None:
        return copy(index.getitem(matrix, index=slice(start, start + pull.n)), order="C")
    if g.ndim == 2 or matrix.ndim > 2:
        return matmul.matmul(g, matrix)
    lines = shape.reshape(g, shape=(math.prod(g.shape[:-1]), g.shape[-1]))
    return shape.reshape(matmul.matmul(lines, matrix), shape=(*g.shape[:-1], matrix.shape[-1]))


def _column(x: Array) -> Any:
    return shape.reshape(x, shape=(*x.shape, 1))


def _row(x: Array) -> Any:
    return shape.reshape(x, shape=(*x.shape[:-1], 1, x.shape[-1]))
