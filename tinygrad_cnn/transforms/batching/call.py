"""Batching rules: how an op is computed for a batch of samples at once.

A rule takes a :class:`Call`: the call of an op on one sample, with the values of its inputs for the whole batch. A batched
value has the samples along a new first axis, and so has the output that the rule returns. One rule serves a family of ops:
ops that work element by element, along an axis, on images, on matrices.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

from ...core.graph import Array, Op
from ...frames import warn_user
from ...ops import shape

Shape: TypeAlias = tuple[int, ...]


@dataclass(slots=True, eq=False)
class Call:
    """The call of an op on one sample, with the values of its inputs for n samples.

    Attributes:
        op: the op.
        values: its inputs. Batched inputs have the samples along their first axis.
        batched: for each input whether it is batched.
        shapes: the shapes of the inputs for one sample.
        params: the parameters of the call.
        out: the shape of the output for one sample.
        n: the number of samples.
    """

    op: Op
    values: list[Any]
    batched: list[bool]
    shapes: list[Shape]
    params: dict[str, Any]
    out: Shape
    n: int

    def run(self, *values: Any, **params: Any) -> Any:
        """The op on these values, with the parameters of the call, some of them replaced by `params`."""
        given = [list(values)] if self.op.signature.variadic else values
        return self.op.function(*given, **{**self.params, **params})

    def aligned(self, i: int, ndim: int) -> Any:
        """Input i with axes of size 1 after the first axis, so that it broadcasts like an input with `ndim` axes per sample."""
        value, own = self.values[i], self.shapes[i]
        if not self.batched[i] or len(own) == ndim:
            return value
        return shape.reshape(value, shape=(self.n, *(1,) * (ndim - len(own)), *own))

    def full(self, i: int, sizes: Shape | None = None) -> Any:
        """Input i with all samples, of its own shape or broadcast to `sizes`."""
        sizes = self.shapes[i] if sizes is None else sizes
        if self.batched[i] and self.shapes[i] == sizes:
            return self.values[i]
        return shape.broadcast_to(self.aligned(i, len(sizes)), shape=(self.n, *sizes))

    def only(self, *inputs: int) -> bool:
        """Whether exactly these inputs are batched."""
        return all(is_batched == (i in inputs) for i, is_batched in enumerate(self.batched))


Rule: TypeAlias = Callable[[Call], Any]

RULES: dict[Op, Rule] = {}


def rule(*functions: Any) -> Callable[[Rule], Rule]:
    """A decorator that registers the rule of these ops."""

    def register(rule: Rule) -> Rule:
        RULES.update({function.op: rule for function in functions})
        return rule

    return register


TOGETHER: dict[Op, Callable[[Any, Mapping[str, Any], Shape, int], Any]] = {}
"""Forward rules of ops for n tangents, each with them along a first axis: given the tangents, the values of the node, the shape
of its output, and n. Without one, the rule for one tangent is recorded and repeated, which takes longer than a small op."""


def elementwise_rule(call: Call) -> Any:
    """The op on inputs that broadcast within each sample."""
    ndims = {*map(len, call.shapes)}
    if len(ndims) > 1:
        ndim = max(ndims)
        return call.run(*[call.aligned(i, ndim) for i in range(len(call.values))])
    return call.op.function(*call.values, **call.params)


def looped(call: Call) -> Any:
    """The op on one sample after the other, stacked."""
    samples = []
    for i in range(call.n):
        own = (
            value[i, ...] if is_batched else value for value, is_batched in zip(call.values, call.batched, strict=True)
        )
        samples.append(call.run(*own))
    return shape.stack(samples)


def rule_of(op: Op) -> Rule | None:
    """The batching rule of an op; None if it has none."""
    return RULES.get(op) or (elementwise_rule if op.elementwise else None)


def answer(call: Call) -> Any:
    """The output for the batch: by the op's batching rule, or one sample after the other, with a warning."""
    own = rule_of(call.op)
    if own is None:
        warn_user(f"vmap: {call.op.name} has no batching rule, so it runs once for each sample", RuntimeWarning)
    return (own or looped)(call)


def moved(axis: Any, ndim: int) -> Any:
    """The axes of the batch that correspond to axes of one sample."""
    if isinstance(axis, Sequence):
        return tuple(a % max(ndim, 1) + 1 for a in axis) if ndim else ()
    return int(axis) % ndim + 1 if ndim else ()


def flat(x: Array) -> Any:
    """(n, ...) as (n, size of a sample). NumPy cannot infer -1 if there are no elements."""
    return shape.reshape(x, shape=(x.shape[0], math.prod(x.shape[1:])))
