"""Reverse mode for n incoming gradients at once, along a new first axis: a Jacobian in one backward walk.

The rule of an elementwise op broadcasts, and ``batching.PULLS`` has rules of other ops. A graph with any other op is left to
:func:`batch`, which follows a walk with one gradient and repeats it for n: that serves every op, and takes twice as long.

A Jacobian begins with unit vectors, and behind elementwise ops and slices they are multiples of unit vectors. There the walk
carries the n factors in one array: the Jacobian of an elementwise function costs one gradient.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from contextlib import nullcontext
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np

from ..core.backward import in_tensors, leading_to, reached
from ..core.grad_mode import enable_grad, no_grad
from ..core.gradients import LARGE, check_recorded
from ..core.graph import Array, Op
from ..core.node import Node, Place, hooked
from ..core.registry import above
from ..core.signature import IN_SHAPE
from ..core.tracing import NO_TRACER, tracer
from ..ops import replaced
from ..ops.index import add_at_zeros, getitem
from ..ops.shape import reshape, sum_to
from ..tensor.tensor import Tensor
from .batching import PULLS, Pull
from .batching.pulls import is_basic
from .batching.units import first
from .sample import Sample


def pull_together(root: Place, rows: Tensor, wanted: Sequence[Place], *, create: bool) -> list[Array | None] | None:
    """n gradients at each wanted place, given n at the root along the first axis of `rows`; None where there is none.

    None instead of the list if the graph has a call that has no rule here. The gradients are arrays, or Tensors if
    :func:`in_tensors`, and may share memory with `rows`. Nothing is freed.

    Raises:
        RuntimeError: if a visited node was freed, or a value it saved has been overwritten.
    """
    if replaced.left or hooked or not _follows_ops_alone():
        return None
    nodes, _ = reached([root], min(place.number for place in wanted))
    ends = {*wanted}
    useful = leading_to(ends, nodes)
    order = [node for node in nodes if node in useful and node not in ends]
    if not all(map(_is_served, order)):
        return None
    tensors, n = in_tensors(create), len(rows)
    grads: dict[Any, Any] = {root: _at_the_root(rows, root, tensors)}
    with enable_grad() if create else no_grad() if tensors else nullcontext():
        for node in order:
            if (g := grads.pop(node, None)) is None:
                continue
            parents = tuple([parent if parent in useful else None for parent in node.parents])
            pulled = None
            if isinstance(g, _Multiples):
                pulled = _pulled_multiples(node, g, parents, tensors)
                g = g if pulled else g.spread()
            if pulled is None:
                if g.size >= LARGE:
                    above.keep_freed_memory()
                pulled = _pulled(node, g, parents, tensors, n)
            if pulled is None:
                return None
            if create and not isinstance(g, _Multiples):
                check_recorded(node.op, pulled, parents)
            for parent, r in zip(parents, pulled, strict=True):
                if parent is None:
                    continue
                fitted = r if isinstance(r, _Multiples) else _fitted(r, parent, n)
                if fitted is None:
                    return None
                grads[parent] = _total(grads[parent], fitted) if parent in grads else fitted
    return [g.spread() if isinstance(g := grads.get(place), _Multiples) else g for place in wanted]


class _Multiples(NamedTuple):
    """n gradients, each a multiple of a unit vector: the i-th is 0 but at element first + i step."""

    factors: Array
    """What each gradient is at its element, in the shape of the output. Other elements are not used."""
    first: int
    step: int
    units: Any
    """The gradients at the root."""

    def spread(self) -> Array:
        """The n gradients as an array."""
        factors, first, step, units = self
        if factors is units.ones:
            return units.rows
        n, shape = len(units.rows), factors.shape
        size = math.prod(shape)
        if len(shape) != 1:
            factors = reshape(factors, shape=(size,))
        if n < size:
            factors = getitem(factors, index=slice(first, first + (n - 1) * step + 1, step))
        diagonal = slice(first, first + (n - 1) * (size + step) + 1, size + step)
        return reshape(add_at_zeros(factors, index=diagonal, shape=(n * size,)), shape=(n, *shape))


class _Units(NamedTuple):
    """Unit vectors, and the factors that they are multiples of themselves by."""

    rows: Array
    ones: Array


def _at_the_root(rows: Tensor, root: Place, tensors: bool) -> Any:
    start, given = first(rows), rows if tensors else rows._array
    if start is None:
        return given
    ones = np.ones(root.shape, root.dtype)
    units = _Units(given, Tensor._of(ones) if tensors else ones)
    return _Multiples(units.ones, start, 1, units)


def _pulled_multiples(node: Any, g: _Multiples, parents: tuple[Any, ...], tensors: bool) -> Sequence[Any] | None:
    """The gradients of the parents as multiples of unit vectors; None if they are none, or of another shape or dtype."""
    if node.op is getitem.op:
        return _of_a_slice(node, g, parents[0])
    if node.op is reshape.op:
        return [g._replace(factors=reshape(g.factors, shape=parents[0].shape))]
    if not node.op.elementwise or any(parent is not None and parent.shape != node.shape for parent in parents):
        return None
    found: list[_Multiples | None] = []
    for parent, r in zip(parents, _pulled(node, g.factors, parents, tensors, 0) or (), strict=True):
        if parent is not None and not (
            isinstance(r, Tensor if tensors else np.ndarray) and r.shape == parent.shape and r.dtype == parent.dtype
        ):
            return None
        found.append(None if parent is None else g._replace(factors=r))
    return found


def _of_a_slice(node: Any, g: _Multiples, parent: Any) -> Sequence[_Multiples] | None:
    """Those for an array, if the elements at the index, for each gradient one, are evenly spaced in it."""
    (index,) = node.params
    if not is_basic(index):
        return None
    elements = np.arange(math.prod(parent.shape)).reshape(parent.shape)[index].reshape(-1)
    elements = elements[g.first : g.first + (len(g.units.rows) - 1) * g.step + 1 : g.step]
    step = int(elements[1] - elements[0])
    if step < 1 or not (elements[1:] - elements[:-1] == step).all():
        return None
    factors = add_at_zeros(g.factors, index=index, shape=parent.shape)
    return [_Multiples(factors, int(elements[0]), step, g.units)]


def _total(a: Any, b: Any) -> Any:
    """The sum of two gradients."""
    if isinstance(a, _Multiples) and isinstance(b, _Multiples) and a[1:3] == b[1:3]:
        return a._replace(factors=a.factors + b.factors)
    a, b = (x.spread() if isinstance(x, _Multiples) else x for x in (a, b))
    return a + b


def _follows_ops_alone() -> bool:
    """Whether every tracer is a sample of vmap, which need not be told of rules that consist of ops."""
    active = tracer()
    while active is not NO_TRACER:
        if not isinstance(active, Sample):
            return False
        active = active.outer
    return True


def _is_served(node: Node) -> bool:
    op = node.op
    return node.dtype.kind == "f" and (
        op in PULLS or (op.elementwise and _broadcasts(op, tuple(op.signature.rules.items())))
    )


@lru_cache(maxsize=1024)
def _broadcasts(op: Op, rules: Any) -> bool:
    """Whether an elementwise op has a rule for each input, which needs no shape."""
    return (
        bool(rules)
        and all(len(inputs) == 1 and IN_SHAPE not in names for inputs, names in rules)
        and not op.signature.residuals
    )


def _pulled(node: Any, g: Array, parents: tuple[Any, ...], tensors: bool, n: int) -> Sequence[Any] | None:
    op, sig = node.op, node.op.signature
    saved: Any = node.saved
    if tensors:  # labels too, so that a tracer sees their use
        saved = tuple([Tensor._of(a) if isinstance(a, np.ndarray) else a for a in op.saved_tensors(node)])
    if op.elementwise and node.params:
        return tracer().vjp(node, g, saved, parents)
    if op.elementwise:
        return op.pull(g, saved, (), parents)  # type: ignore[no-any-return]
    values = dict(zip(sig.saved, saved, strict=True))
    values.update(zip(sig.params, node.params, strict=True))
    return PULLS[op](Pull(node, parents, values, g, n))


def _fitted(r: Any, parent: Any, n: int) -> Array | None:
    """n gradients in the shape and dtype of a parent; None if they do not fit."""
    array = r._array if r.__class__ is Tensor else r
    if array.__class__ is np.ndarray and array.dtype is parent.dtype and array.shape == (n, *parent.shape):
        return r
    if not isinstance(r, np.ndarray | Tensor) or r.dtype.kind != "f" or parent.dtype.kind != "f":
        return None
    shape = (n, *parent.shape)
    if r.shape != shape:
        ones = (1,) * (r.ndim - len(shape))
        try:
            r = reshape(sum_to(r, shape=(n, *ones, *parent.shape)), shape=shape)
        except ValueError:
            return None
    if r.dtype == parent.dtype:
        return r
    if parent.op is None and r.dtype.itemsize > parent.dtype.itemsize:  # of which a single walk may warn
        return None
    return r.astype(parent.dtype)
