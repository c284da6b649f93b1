"""Derivatives of a function of one argument at a point, by HIPS/autograd's names: ``make_vjp`` and ``make_jvp``.

The argument and the result are arrays, floats, or nested tuples, lists and dicts of them. Inside the function they are Tensors.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Collection, Iterable, Sequence
from typing import Any
from weakref import WeakSet

import numpy as np

from ...core.backward import outside, pull_back
from ...core.grad_mode import differentiating, enable_grad, is_grad_enabled
from ...core.versions import tick
from ...ops.real import kind
from ...ops.replaced import lent
from ...ops.shape import stack
from ...tensor import Tensor
from ...tensor.tensor import incoming
from ...transforms.pytree import leaves, matched, rebuild
from ...transforms.recorded_call import Run, directions, fresh, is_differentiable, shaped
from ...transforms.values import as_tensor
from .boxes import Box, getval, isbox, placed, walked
from .extend import def_linear, defjvp, defjvp_argnum, defjvp_argnums, defvjp, defvjp_argnum, defvjp_argnums, primitive
from .tracer import VJPNode, backward_pass
from .trees import NESTED, as_recordable, plain, recorded
from .vspaces import VSpace, vspace

__all__ = [
    "Box", "Recorded", "VJPNode", "VSpace", "backward_pass", "def_linear", "defjvp", "defjvp_argnum", "defjvp_argnums",
    "defvjp", "defvjp_argnum", "defvjp_argnums", "getval", "isbox", "make_jvp", "make_vjp", "primitive", "vspace",
]  # fmt: skip


FEW = 12
"""A Jacobian of up to FEW rows is computed row by row."""


class Recorded(Run):
    """The recorded call fun(x) of a function of one argument.

    Raises:
        TypeError: if x has no floating-point number.
    """

    def __init__(self, name: str, fun: Callable[[Any], Any], x: Any) -> None:
        self.name, self.single, self.selected = name, True, (x,)
        self.recorded, self.since = is_grad_enabled(), tick()
        if self.recorded:
            y = self._result(fun, x)
        else:
            with enable_grad():
                y = self._result(fun, x)
        self.result = y
        if isinstance(y, Tensor) and y._node is not None:
            self.open = self.recorded and _lives(outside([y._node], self.since))
            return
        found = [leaf for _, leaf in leaves(y) if recorded(leaf)]
        self.open = self.recorded and self._reaches_out(found)
        if not found:
            warnings.warn("Output seems independent of input.", stacklevel=4)

    def _result(self, fun: Callable[[Any], Any], x: Any) -> Any:
        """fun of the argument, whose floating-point leaves have new nodes and become the `inputs`."""
        if isinstance(x, NESTED):
            placed = [_placed(leaf) for _, leaf in leaves(x)]
            given = rebuild(x, placed)
            lendable = [leaf for leaf in placed if isinstance(leaf, Tensor)]
            self.differentiable = [recorded(leaf) for leaf in placed]
            self.inputs = [leaf for leaf in lendable if leaf._node is not None]
        else:
            given = _placed(x)
            placed = lendable = self.inputs = [given]
            self.differentiable = [recorded(given)]
        if True not in self.differentiable and self.differentiable:
            raise TypeError(
                f"{self.name}: the argument is {kind(placed[0])}, which has no derivative; give floating-point numbers"
            )
        with differentiating(self.name), lent(lendable):
            return fun(given)

    def _reaches_out(self, results: Iterable[Any]) -> bool:
        """Whether some results depend on Tensors recorded outside, other than the arguments of calls that are over."""
        return _lives(outside([t._node for t in results if recorded(t)], self.since))

    def slopes(self, roots: Sequence[tuple[Tensor, Any]], *, retain: bool, asked: bool = False) -> Any:
        """Gradients of sum <y, u> for roots (y, u), in the structure of the argument: plain values, or Tensors if recorded.

        They are recorded if the result depends on what another derivative records, or, `asked`, one of the u does.
        """
        values: list[Any] = []
        for g in self._pulled(roots, asked or (self.open and is_grad_enabled()), retain):
            if g.__class__ is np.ndarray:  # in memory of its own
                values.append(g if g.ndim else g[()])
            else:
                values.append(plain(g) if asked else detached(self, g))
        return self.like_arguments(values) if isinstance(self.selected[0], NESTED) else values[0]

    def _pulled(self, roots: Sequence[tuple[Tensor, Any]], create: bool, retain: bool) -> list[Any]:
        """A gradient for each input: an array, or a Tensor if the walk computes with them."""
        starts = [incoming(self.name, y, u, create) for y, u in roots if y._node is not None]
        places: list[Any] = [x._node for x in self.inputs]
        outer = walked.set({*places} if create else ())
        try:
            found = pull_back(starts, {*places}, retain=retain, create=create) if starts else {}
        finally:
            walked.reset(outer)
        return [found[p] if p in found else np.zeros(p.shape, p.dtype) for p in places]

    def jacobian(self, leaf: Any) -> Any:
        """The derivatives of one leaf of the result: rows one by one if they are few, which costs less than a batch of them."""
        y = as_tensor(leaf)
        if not 0 < y.size <= FEW or y.dtype.kind == "c":
            return super().jacobian(leaf)
        units = np.eye(y.size, dtype=y.dtype).reshape(-1, *y.shape)
        rows = [self._pulled([(y, u)], self.open, retain=True) for u in units]
        return self.like_arguments(
            [_joined(g, y.shape + x.shape) for x, g in zip(self.inputs, zip(*rows, strict=True), strict=True)]
        )


_over: WeakSet[Any] = WeakSet()
"""The arguments of calls that are over, and to which :func:`make_vjp` still pulls: nobody can ask for a derivative by them."""


def _lives(places: Collection[Any]) -> bool:
    """Whether some places depend on a leaf other than the arguments of calls that are over."""
    if not places or not _over:
        return bool(places)
    found = [*places]
    seen = {None, *found}
    for node in found:
        if node.parents is None or (node.op is None and node not in _over):
            return True
        for parent in node.parents:
            if parent not in seen:
                seen.add(parent)
                found.append(parent)
    return False


def _joined(rows: Sequence[Any], shape: tuple[int, ...]) -> Any:
    """Rows of a Jacobian, arrays or Tensors, as one of this shape; a number, if it has no axes and is not recorded."""
    if len(rows) > 1:
        whole = stack(rows) if any(isinstance(row, Tensor) for row in rows) else np.array(rows)
    else:
        whole = rows[0]
    whole = whole.reshape(shape) if whole.shape != shape else whole
    return whole[()] if whole.__class__ is np.ndarray and not shape else whole


def _placed(leaf: Any) -> Any:
    """A Tensor with a new node for a floating-point leaf, in memory of its own; an array of integers is one of float64."""
    if isinstance(leaf, Tensor):
        return fresh(leaf) if leaf._array.dtype.kind in "fc" else leaf
    if isinstance(leaf, float | complex) or (leaf.__class__ is np.ndarray and leaf.dtype.kind in "iufc"):
        return placed(leaf)
    if (maker := Box.type_mappings.get(type(leaf))) is not None:
        return maker(leaf, None, None)
    return fresh(leaf) if is_differentiable(leaf) else leaf


def detached(run: Run, tree: Any) -> Any:
    """Results of a run as arrays and floats; those stay Tensors that another derivative records."""
    if isinstance(tree, NESTED):
        return rebuild(tree, [detached(run, leaf) for _, leaf in leaves(tree)])
    if recorded(tree) and not (run.open and run._reaches_out([tree])):
        tree = tree.detach()
    return plain(tree)


def pulled(run: Recorded, cotangent: Any) -> Any:
    """The product of a cotangent, in the structure of the run's result, and the Jacobian."""
    roots = []
    for path, y, u in matched(run.name, "the cotangent", cotangent, run.result):
        if recorded(y) and u is not None:
            roots.append((y, shaped(run.name, f"the cotangent{path}", as_recordable(u), y.shape, y.dtype)))
    asked = is_grad_enabled() and any(u.requires_grad for _, u in roots)
    places = [x._node for x in run.inputs]
    _over.difference_update(places)  # a checkpoint runs again in the walk
    try:
        return run.slopes(roots, retain=True, asked=asked)
    finally:
        _over.update(places)


def make_vjp(fun: Callable[[Any], Any], x: Any) -> tuple[Callable[[Any], Any], Any]:
    """The function u -> u^T dfun/dx, which may be called any number of times, and fun(x).

    u has the structure and shapes of the result.

    >>> from tinygrad_cnn.extra.autograd.core import make_vjp
    >>> pull, y = make_vjp(lambda x: x**3, 2.0)
    >>> float(y), float(pull(1.0))
    (8.0, 12.0)
    """
    run = Recorded("make_vjp", fun, x)
    _over.update([leaf._node for leaf in run.inputs])
    return lambda g: pulled(run, g), detached(run, run.result)


def make_jvp(fun: Callable[[Any], Any], x: Any) -> Callable[[Any], tuple[Any, Any]]:
    """The function v -> (fun(x), dfun/dx v). It calls `fun` each time, and v has the structure and shapes of x.

    >>> from tinygrad_cnn.extra.autograd.core import make_jvp
    >>> y, t = make_jvp(lambda x: x**3, 2.0)(0.5)
    >>> float(y), float(t)
    (8.0, 6.0)
    """

    def jvp(v: Any) -> tuple[Any, Any]:
        run = Recorded("make_jvp", fun, x)
        primal, along = (rebuild(tree, [as_recordable(leaf) for _, leaf in leaves(tree)]) for tree in (x, v))
        steps = directions("make_jvp", (primal,), (along,))
        run.open |= run.recorded and any(recorded(step) for step in steps)
        found = iter(run.push(steps, [as_tensor(y) for _, y in leaves(run.result) if is_differentiable(y)]))
        tangents = [next(found) if is_differentiable(y) else np.zeros(()) for _, y in leaves(run.result)]
        return detached(run, run.result), detached(run, rebuild(run.result, tangents))

    return jvp


primitive_vjps: dict[
    Callable[..., Any], Any
] = {}  # of which some programs ask for members; the rules are the primitives' own
