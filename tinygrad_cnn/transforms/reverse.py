"""Reverse mode for n incoming gradients at once, along a new first axis: a Jacobian in one backward walk.

The rule of an elementwise op broadcasts, and ``batching.PULLS`` has rules of other ops. A graph with any other op is left to
:func:`batch`, which follows a walk with one gradient and repeats it for n: that serves every op, and takes twice as long.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import nullcontext
from functools import lru_cache
from typing import Any

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
from ..ops.shape import reshape, sum_to
from ..tensor.tensor import Tensor
from .batched_call import Sample
from .batching import PULLS, Pull


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
    grads: dict[Any, Array] = {root: rows if tensors else rows._array}
    with enable_grad() if create else no_grad() if tensors else nullcontext():
        for node in order:
            if (g := grads.pop(node, None)) is None:
                continue
            if g.size >= LARGE:
                above.keep_freed_memory()
            parents = tuple([parent if parent in useful else None for parent in node.parents])
            pulled = _pulled(node, g, parents, tensors, n)
            if pulled is None:
                return None
            if create:
                check_recorded(node.op, pulled, parents)
            for parent, r in zip(parents, pulled, strict=True):
                if parent is None:
                    continue
                fitted = _fitted(r, parent, n)
                if fitted is None:
                    return None
                grads[parent] = grads[parent] + fitted if parent in grads else fitted
    return [grads.get(place) for place in wanted]


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
