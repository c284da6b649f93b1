"""Derivatives of functions: gradients, and products with Jacobians and Hessians.

A transform such as :func:`grad` calls its function on new nodes, one for each floating-point leaf of the arguments, and
walks back from the results to exactly these nodes. So nested derivatives are kept apart: the inner walk does not stop at the
outer variable. If an argument is itself part of a graph, its new node is above the old one, and an outer derivative passes.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Literal, ParamSpec, overload

import numpy as np

from ..core.grad_mode import enable_grad, is_grad_enabled, no_grad
from ..core.remedies import publish
from ..ops.data import TensorLike
from ..ops.real import check_callable, kind
from ..tensor.tensor import Tensor
from .gradients import gradients
from .pytree import leaves, matched, rebuild
from .recorded_call import (
    Argnums,
    Run,
    directed,
    directions,
    is_differentiable,
    named_after,
    shaped,
)
from .values import as_tensor

__all__ = [
    "grad",
    "holomorphic_grad",
    "hvp",
    "jvp",
    "linearize",
    "value_and_grad",
    "vjp",
]

P = ParamSpec("P")


@overload
def grad(f: Callable[P, Any], argnums: Argnums = 0, has_aux: bool = False) -> Callable[P, Any]: ...
@overload
def grad(
    outputs: Tensor | Sequence[Tensor],
    inputs: Tensor | Iterable[Tensor],
    grad_outputs: TensorLike | Sequence[TensorLike | None] | None = None,
    retain_graph: bool | None = None,
    create_graph: bool = False,
    allow_unused: Literal[False] = False,
) -> tuple[Tensor, ...]: ...
@overload
def grad(
    outputs: Tensor | Sequence[Tensor],
    inputs: Tensor | Iterable[Tensor],
    grad_outputs: TensorLike | Sequence[TensorLike | None] | None = None,
    retain_graph: bool | None = None,
    create_graph: bool = False,
    allow_unused: bool = False,
) -> tuple[Tensor | None, ...]: ...
def grad(*args: Any, **kwargs: Any) -> Any:
    """The function that returns the gradient of `f`, a function with one scalar result.

    The gradient is taken with respect to the arguments at `argnums`, and has their structure of lists, tuples and dicts. It
    has a Tensor for every floating-point leaf (a Tensor, an array or a Python float), in its shape and dtype, zero if `f`
    does not depend on it; and None for other leaves. A Python float counts as float64.

    The gradient in a complex z = x + i y is df/dx - i df/dy.

    No ``grad`` is changed. The gradient is part of a graph only if gradients are recorded where it is called, and it depends
    on a Tensor outside that requires a gradient: so ``grad(grad(f))`` works, and no graph is left.

    Called on Tensors instead of a function, as in PyTorch, this is :func:`gradients`.

    Args:
        f: the function, of arrays in nested containers and of anything else.
        argnums: the position, or positions, of the arguments to differentiate by.
        has_aux: `f` returns a pair (result, more), and the new function returns (gradient, more).

    Returns:
        A function with f's arguments: its gradient for an integer `argnums`, a tuple of them for a sequence.

    Raises:
        TypeError: when called, if f's result is not a real floating-point number, or an argument has no floating-point leaf.
        ValueError: when called, if f's result has several elements, or `argnums` does not fit the arguments.

    >>> import tinygrad_cnn as tg
    >>> f = lambda p: (p["w"] * p["w"] * p["b"]).sum()
    >>> tg.grad(f)({"w": tg.Tensor([1.0, 2.0]), "b": 3.0})
    {'w': Tensor([ 6., 12.], dtype=float32), 'b': Tensor(5., dtype=float64)}
    >>> tg.grad(tg.grad(tg.grad(lambda x: x**4)))(2.0).item()
    48.0
    """
    first = args[0] if args else kwargs.get("f", kwargs.get("outputs"))
    if isinstance(first, Tensor | list | tuple):
        return gradients(*args, **kwargs)
    return _grad(*args, **kwargs)


def _grad(f: Callable[P, Any], argnums: Argnums = 0, has_aux: bool = False) -> Callable[P, Any]:
    both = _value_and_grad("grad", f, argnums, has_aux)

    def gradient(*args: P.args, **kwargs: P.kwargs) -> Any:
        value, found = both(*args, **kwargs)
        return (found, value[1]) if has_aux else found

    return named_after(f, gradient)


grad.__signature__ = inspect.signature(_grad)  # type: ignore[attr-defined]


def value_and_grad(
    f: Callable[P, Any], argnums: Argnums = 0, has_aux: bool = False, numpy: bool = False
) -> Callable[P, tuple[Any, Any]]:
    """The function that returns (f's result, its gradient), from one call of `f`. Arguments as for :func:`grad`.

    With `has_aux` it returns ((result, more), gradient).

    With `numpy` it returns a Python float and arrays instead of Tensors, and a float as the gradient of a float, for optimizers
    such as ``scipy.optimize.minimize(value_and_grad(f, numpy=True), x, jac=True)``. Nothing is recorded then.

    >>> import numpy as np, tinygrad_cnn as tg
    >>> y, g = tg.value_and_grad(lambda x: (x * x).sum())(tg.Tensor([1.0, 2.0]))
    >>> y.item(), g.tolist()
    (5.0, [2.0, 4.0])
    >>> tg.value_and_grad(lambda x: (x * x).sum(), numpy=True)(np.array([1.0, 2.0]))
    (5.0, array([2., 4.]))
    """
    both = _value_and_grad("value_and_grad", f, argnums, has_aux)
    if not numpy:
        return both

    def value_and_gradient(*args: P.args, **kwargs: P.kwargs) -> tuple[Any, Any]:
        with no_grad():
            value, found = both(*args, **kwargs)
        result, *more = value if has_aux else (value,)
        given = args[argnums] if isinstance(argnums, int) else tuple(args[i] for i in argnums)
        slopes = [_as_numpy(g, x) for (_, g), (_, x) in zip(leaves(found), leaves(given), strict=True)]
        plain = result.item()
        return ((plain, *rebuild(more, [_as_numpy(leaf) for _, leaf in leaves(more)])) if has_aux else plain), rebuild(
            found, slopes
        )

    return named_after(f, value_and_gradient)


def holomorphic_grad(f: Callable[P, Any], argnums: Argnums = 0) -> Callable[P, Any]:
    """The derivative f'(z) of a holomorphic function with one complex result, by complex arguments, in their structure.

    Nothing checks that f is holomorphic: of another function it is the gradient of the real part of f.

    Raises:
        TypeError: when called, if an argument or the result is not complex.
        ValueError: as :func:`grad`.

    >>> import tinygrad_cnn as tg
    >>> tg.holomorphic_grad(lambda z: z**3)(1.0 + 2.0j).item()  # 3 z^2
    (-9+12j)
    """
    check_callable("holomorphic_grad", f)

    def derivative(*args: P.args, **kwargs: P.kwargs) -> Any:
        run = Run("holomorphic_grad", f, args, kwargs, argnums)
        y = run.scalar(run.result)
        for what, x in (("an argument", run.inputs), ("the result", [y])):
            if wrong := [each for each in x if each.dtype.kind != "c"]:
                raise TypeError(
                    f"holomorphic_grad: {what} is {kind(wrong[0])}; it must be complex; use grad for real ones"
                )
        found = run.pull([(y, np.ones(y.shape, y.dtype))], create=run.open, retain=run.open)
        return run.detached(run.like_arguments(found))

    return named_after(f, derivative)


def _as_numpy(leaf: Any, like: Any = None) -> Any:
    """The values of a leaf that is a Tensor, in an array of their own; a Python float where `like` is one."""
    if not isinstance(leaf, Tensor):
        return leaf
    return leaf.item() if isinstance(like, float) else leaf.numpy().copy()


def _value_and_grad(name: str, f: Callable[P, Any], argnums: Argnums, has_aux: bool) -> Callable[P, tuple[Any, Any]]:
    check_callable(name, f)

    def value_and_gradient(*args: P.args, **kwargs: P.kwargs) -> tuple[Any, Any]:
        run = Run(name, f, args, kwargs, argnums)
        if has_aux and not (isinstance(run.result, tuple) and len(run.result) == 2):
            raise TypeError(f"{name}: f returned {kind(run.result)}; with `has_aux` it must return (result, more)")
        y = run.scalar(run.result[0] if has_aux else run.result)
        found = run.pull([(y, None)], create=run.open, retain=run.open)
        return run.detached(run.result), run.detached(run.like_arguments(found))

    return named_after(f, value_and_gradient)


def vjp(f: Callable[..., Any], *primals: Any) -> tuple[Any, Callable[[Any], tuple[Any, ...]]]:
    """f's result, and the function u -> (u^T df/dx for each primal x), which may be called any number of times.

    u has the structure and shapes of the result; None for a leaf means zero. Leaves of the result that are not floating
    point are ignored. The graph lives as long as the function.

    Raises:
        ValueError: if u differs from the result in structure or shape.

    >>> import tinygrad_cnn as tg
    >>> y, pull = tg.vjp(lambda a, b: a * b, tg.Tensor([1.0, 2.0]), tg.Tensor([3.0, 4.0]))
    >>> pull(tg.Tensor([1.0, 10.0]))
    (Tensor([ 3., 40.], dtype=float32), Tensor([ 1., 20.], dtype=float32))
    """
    check_callable("vjp", f)
    run = Run("vjp", f, primals, {}, None)

    def pull(cotangents: Any) -> tuple[Any, ...]:
        roots = []
        for path, y, u in matched("vjp", "the cotangent", cotangents, run.result):
            if u is not None and is_differentiable(y):
                roots.append((as_tensor(y), shaped("vjp", f"the cotangent{path}", u, np.shape(y), as_tensor(y).dtype)))
        asked = is_grad_enabled() and any(u.requires_grad for _, u in roots)
        found = run.like_arguments(run.pull(roots, create=asked or (is_grad_enabled() and run.open), retain=True))
        return tuple(found if asked else run.detached(found))

    return run.detached(run.result), pull


def jvp(f: Callable[..., Any], primals: Sequence[Any], tangents: Sequence[Any]) -> tuple[Any, Any]:
    """f's result at `primals`, and its derivative along `tangents`: (df/dx) t, in the structure of the result.

    `tangents` has the structure and shapes of `primals`; None for a leaf means zero. The call of f is recorded, and one
    forward walk over its nodes gives the derivative (see :mod:`tinygrad_cnn.transforms.forward`): it costs about as much as f.

    Raises:
        TypeError: if `primals` or `tangents` is not a tuple or list.
        ValueError: if they differ in structure or shape.

    >>> import tinygrad_cnn as tg
    >>> y, t = tg.jvp(lambda x: x**3, (tg.Tensor([1.0, 2.0]),), (tg.Tensor([1.0, 0.5]),))
    >>> y.tolist(), t.tolist()
    ([1.0, 8.0], [3.0, 6.0])
    """
    run, directions = directed("jvp", f, primals, tangents)
    return run.detached(run.result), _pushed(run, directions)


def _pushed(run: Run, directions: Sequence[Tensor | None]) -> Any:
    """The tangent of the result, in its structure."""
    outputs = [as_tensor(leaf) for _, leaf in leaves(run.result) if is_differentiable(leaf)]
    found = iter(run.push(directions, outputs))
    return run.detached(
        rebuild(run.result, [next(found) if is_differentiable(leaf) else None for _, leaf in leaves(run.result)])
    )


def linearize(f: Callable[..., Any], *primals: Any) -> tuple[Any, Callable[..., Any]]:
    """f's result at `primals`, and the function from tangents to (df/dx) t, which calls f no more.

    It takes a tangent for each primal, of its structure and shapes; None for a leaf means zero. The recorded graph lives as
    long as the function.

    Raises:
        ValueError: if a tangent differs from its primal in structure or shape.

    >>> import tinygrad_cnn as tg
    >>> y, push = tg.linearize(lambda x: x * x, tg.Tensor([1.0, 2.0]))
    >>> push(tg.Tensor([1.0, 0.0])).tolist(), push(tg.Tensor([0.0, 1.0])).tolist()
    ([2.0, 0.0], [0.0, 4.0])
    """
    check_callable("linearize", f)
    run = Run("linearize", f, primals, {}, None)

    def push(*tangents: Any) -> Any:
        return _pushed(run, directions("linearize", primals, tangents))

    return run.detached(run.result), push


def hvp(f: Callable[..., Any], primals: Sequence[Any], tangents: Sequence[Any]) -> Any:
    """The Hessian of a scalar function times `tangents`, without the Hessian: the derivative of grad f along t.

    It is computed forward over reverse: the forward walk follows the recorded backward walk. For one primal it is the product,
    in its structure; for several a tuple, with the Hessian over all of them.

    Raises:
        TypeError, ValueError: as :func:`grad` and :func:`jvp`.

    >>> import tinygrad_cnn as tg
    >>> tg.hvp(lambda x: (x**3).sum(), (tg.Tensor([1.0, 2.0]),), (tg.Tensor([1.0, 1.0]),)).tolist()
    [6.0, 12.0]
    """
    run, directions = directed("hvp", f, primals, tangents)
    with enable_grad():
        slopes = run.pull([(run.scalar(run.result), None)], create=True, retain=True)
    products = run.detached(run.like_arguments(run.push(directions, slopes)))
    return products[0] if len(primals) == 1 else products


publish(globals())
