"""Derivatives of a function of one argument at a point, by HIPS/autograd's names: ``make_vjp`` and ``make_jvp``.

The argument and the result are arrays, floats, or nested tuples, lists and dicts of them. Inside the function they are Tensors.
"""

from __future__ import annotations

import functools
import warnings
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from typing import Any

import numpy as np

from ...core.backward import outside, pull_back
from ...core.grad_mode import enable_grad, is_grad_enabled
from ...core.node import Argument
from ...core.versions import tick
from ...ops.real import kind
from ...tensor import Tensor
from ...tensor.tensor import incoming
from ...transforms.batched_call import as_tensor
from ...transforms.pytree import leaves, matched, rebuild
from ...transforms.recorded_call import Run, directions, fresh, is_differentiable, shaped
from .extend import defjvp, defjvp_argnum, defjvp_argnums, defvjp, defvjp_argnum, defvjp_argnums, primitive
from .trees import NESTED, as_recordable, plain, recorded, refuse_complex
from .vspaces import VSpace, vspace

__all__ = [
    "VSpace", "defjvp", "defjvp_argnum", "defjvp_argnums", "defvjp", "defvjp_argnum", "defvjp_argnums", "make_jvp", "make_vjp",
    "primitive", "run_of", "vspace",
]  # fmt: skip


class _Recorded(Run):
    """A recorded call of a function of one argument."""

    def __init__(self, name: str, fun: Callable[[Any], Any], x: Any) -> None:
        self.name, self.single, self.recorded, self.since = name, True, is_grad_enabled(), tick()
        self.selected = (x,)
        nested = isinstance(x, NESTED)
        placed = [as_recordable(leaf) for _, leaf in leaves(x)] if nested else [as_recordable(x)]
        self.differentiable = [is_differentiable(leaf) for leaf in placed]
        if not all(self.differentiable):
            refuse_complex(name, x)
            if not any(self.differentiable):
                raise TypeError(
                    f"{name}: the argument is {kind(placed[0])}, which has no derivative; give floating-point numbers"
                )
            placed = [_argument(leaf) if free else leaf for leaf, free in zip(placed, self.differentiable, strict=True)]
            self.inputs = [leaf for leaf, free in zip(placed, self.differentiable, strict=True) if free]
        else:
            placed = self.inputs = [_argument(leaf) for leaf in placed]
        given = [rebuild(x, placed)] if nested else placed
        with nullcontext() if self.recorded else enable_grad():
            self.result = self._call(fun, given, {}, self.inputs)

    @functools.cached_property
    def open(self) -> bool:
        y = self.result
        if not isinstance(y, Tensor):
            return self.recorded and self._reaches_out(leaf for _, leaf in leaves(y))
        return self.recorded and y._node is not None and bool(outside([y._node], self.since))

    def pull(self, roots: Sequence[tuple[Tensor, Tensor | None]], *, create: bool, retain: bool) -> list[Tensor]:
        if len(self.inputs) != 1:
            return super().pull(roots, create=create, retain=retain)
        starts = [incoming(self.name, y, u, create) for y, u in roots if y._node is not None]
        x = self.inputs[0]
        assert x._node is not None
        g = pull_back(starts, {x._node}, retain=retain, create=create).get(x._node) if starts else None
        if g is None:
            g = np.zeros(x.shape, x.dtype)
        return [g if isinstance(g, Tensor) else Tensor._of(g)]


def _argument(leaf: Any) -> Tensor:
    """A Tensor with a new node for an argument that is differentiated, in memory of its own."""
    if leaf.__class__ is not np.ndarray:
        return fresh(leaf)
    argument = Tensor._of(np.array(leaf))
    argument._node = Argument(argument)
    return argument


def run_of(name: str, fun: Callable[[Any], Any], x: Any) -> Run:
    """The recorded call fun(x).

    Raises:
        TypeError: if x has no floating-point number, or x or the result has a complex one.
    """
    run = _Recorded(name, fun, x)
    if not recorded(run.result):
        refuse_complex(name, run.result)
        if not any(recorded(leaf) for _, leaf in leaves(run.result)):
            warnings.warn("Output seems independent of input.", stacklevel=4)
    return run


def detached(run: Run, tree: Any) -> Any:
    """Results of a run as arrays and floats; those stay Tensors that another derivative records."""
    if not isinstance(tree, NESTED):
        if isinstance(tree, Tensor) and tree._node is None:
            return plain(tree)
        return plain(run._detached(tree) if isinstance(tree, Tensor) else tree)
    return plain(rebuild(tree, [run._detached(v) if isinstance(v, Tensor) else v for _, v in leaves(tree)]))


def pulled(run: Run, cotangent: Any) -> Any:
    """The product of a cotangent, in the structure of the run's result, and the Jacobian."""
    roots = []
    for path, y, u in matched(run.name, "the cotangent", cotangent, run.result):
        if isinstance(y, Tensor) and y._node is not None and u is not None:
            roots.append((y, shaped(run.name, f"the cotangent{path}", as_recordable(u), y.shape, y.dtype)))
    asked = is_grad_enabled() and any(u.requires_grad for _, u in roots)
    found = run.like_arguments(run.pull(roots, create=asked or (is_grad_enabled() and run.open), retain=True))
    return plain(found) if asked else detached(run, found)


def make_vjp(fun: Callable[[Any], Any], x: Any) -> tuple[Callable[[Any], Any], Any]:
    """The function u -> u^T dfun/dx, which may be called any number of times, and fun(x).

    u has the structure and shapes of the result.

    >>> from tinygrad_cnn.extra.autograd.core import make_vjp
    >>> pull, y = make_vjp(lambda x: x**3, 2.0)
    >>> float(y), float(pull(1.0))
    (8.0, 12.0)
    """
    run = run_of("make_vjp", fun, x)
    return lambda g: pulled(run, g), detached(run, run.result)


def make_jvp(fun: Callable[[Any], Any], x: Any) -> Callable[[Any], tuple[Any, Any]]:
    """The function v -> (fun(x), dfun/dx v). It calls `fun` each time, and v has the structure and shapes of x.

    >>> from tinygrad_cnn.extra.autograd.core import make_jvp
    >>> y, t = make_jvp(lambda x: x**3, 2.0)(0.5)
    >>> float(y), float(t)
    (8.0, 6.0)
    """

    def jvp(v: Any) -> tuple[Any, Any]:
        run = run_of("make_jvp", fun, x)
        primal, along = (rebuild(tree, [as_recordable(leaf) for _, leaf in leaves(tree)]) for tree in (x, v))
        steps = directions("make_jvp", (primal,), (along,))
        found = iter(run.push(steps, [as_tensor(y) for _, y in leaves(run.result) if is_differentiable(y)]))
        tangents = [next(found) if is_differentiable(y) else np.zeros(()) for _, y in leaves(run.result)]
        return detached(run, run.result), detached(run, rebuild(run.result, tangents))

    return jvp


def getval(x: Any) -> Any:
    """The value of what is being differentiated, as an array or a float; anything else unchanged."""
    return x.numpy()[()] if isinstance(x, Tensor) else x


def isbox(x: Any) -> bool:
    """Whether x is being differentiated."""
    return isinstance(x, Tensor) and x._node is not None


Box = Tensor
primitive_vjps: dict[
    Callable[..., Any], Any
] = {}  # of which some programs ask for members; the rules are the primitives' own
