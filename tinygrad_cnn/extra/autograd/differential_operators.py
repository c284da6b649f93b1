"""The derivatives of functions, by HIPS/autograd's names: ``grad``, ``jacobian``, ``hessian`` and so on.

Each takes a function, and the position or positions of the arguments to differentiate by. The function's arguments may be
floats, arrays, and nested tuples, lists and dicts of them; results are NumPy's floats, arrays, and the same structures.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from typing import Any

import numpy as np

from ...ops.lists import gather
from ...ops.matmul import tensordot
from ...tensor import Tensor
from ...transforms.checkpoint import checkpoint as recomputed
from ...transforms.pytree import leaves, rebuild
from ...transforms.recorded_call import Run, is_differentiable
from ...transforms.values import as_tensor
from .core import Recorded, detached, pulled, vspace
from .core import make_jvp as _make_jvp
from .core import make_vjp as _make_vjp
from .trees import recorded
from .wrap_util import unary_to_nary

__all__ = [
    "checkpoint", "deriv", "elementwise_grad", "grad", "grad_and_aux", "grad_named", "hessian", "hessian_tensor_product",
    "hessian_vector_product", "holomorphic_grad", "jacobian", "make_ggnvp", "make_hvp", "make_jvp", "make_jvp_reversemode",
    "make_vjp", "multigrad_dict", "tensor_jacobian_product", "value_and_grad", "vector_jacobian_product", "vspace",
]  # fmt: skip

make_vjp = unary_to_nary(_make_vjp)
make_jvp = unary_to_nary(_make_jvp)


def _scalar(run: Run, result: Any) -> Tensor:
    """The result as a Tensor, which must have one floating-point element."""
    if recorded(result) and result._array.size == 1:
        return result  # type: ignore[no-any-return]
    if not is_differentiable(result):
        raise TypeError(f"{run.name}: the function returned {result!r:.60}; it must return a floating-point number")
    y = as_tensor(result)
    if y.size != 1:
        raise TypeError(
            f"{run.name}: the function returned shape {y.shape}, and only a single number has a gradient; reduce it with "
            "np.sum, or use jacobian or elementwise_grad"
        )
    return y


def _with_gradient(name: str, fun: Callable[[Any], Any], x: Any, aux: bool = False) -> tuple[Run, Any]:
    """The recorded call, and the gradient of its result."""
    run = Recorded(name, fun, x)
    if aux and not (isinstance(run.result, tuple) and len(run.result) == 2):
        raise TypeError(f"{name}: the function returned {run.result!r:.60}; it must return (result, more)")
    y = _scalar(run, run.result[0] if aux else run.result)
    return run, run.slopes([(y, None)], retain=run.open)


@unary_to_nary
def grad(fun: Callable[[Any], Any], x: Any) -> Any:
    """The function that returns the gradient of `fun`, whose result is one number, in the structure of the argument.

    Raises:
        TypeError: when called, if the result is not one floating-point number, or the argument has none.

    >>> import tinygrad_cnn.extra.autograd.numpy as np
    >>> from tinygrad_cnn.extra.autograd import grad
    >>> grad(lambda x: np.sum(np.sin(x)))(np.zeros(2))
    array([1., 1.])
    """
    return _with_gradient("grad", fun, x)[1]


@unary_to_nary
def value_and_grad(fun: Callable[[Any], Any], x: Any) -> tuple[Any, Any]:
    """The function that returns (fun's result, its gradient)."""
    run, slopes = _with_gradient("value_and_grad", fun, x)
    return detached(run, run.result), slopes


@unary_to_nary
def grad_and_aux(fun: Callable[[Any], Any], x: Any) -> tuple[Any, Any]:
    """The function that returns (gradient of the result, more), where `fun` returns (result, more)."""
    run, slopes = _with_gradient("grad_and_aux", fun, x, aux=True)
    return slopes, detached(run, run.result[1])


@unary_to_nary
def elementwise_grad(fun: Callable[[Any], Any], x: Any) -> Any:
    """The function that returns the gradient of the sum of the result: where `fun` works by element, its derivative."""
    run = Recorded("elementwise_grad", fun, x)
    return pulled(run, rebuild(run.result, [np.ones(np.shape(leaf)) for _, leaf in leaves(run.result)]))


@unary_to_nary
def deriv(fun: Callable[[Any], Any], x: Any) -> Any:
    """The function that returns the derivative along ones, in forward mode: of a function of a number, its derivative."""
    return _make_jvp(fun, x)(vspace(x).ones())[1]


@unary_to_nary
def holomorphic_grad(fun: Callable[[Any], Any], x: Any) -> Any:
    """The derivative f'(x) of a holomorphic function with one complex result."""
    pull, y = _make_vjp(fun, x)
    if np.asarray(y).dtype.kind != "c":
        raise TypeError(
            f"holomorphic_grad: the function returned {y!r:.60}; it must be complex: use grad for real functions"
        )
    return pull(np.ones(np.shape(y), np.asarray(y).dtype))


@unary_to_nary
def jacobian(fun: Callable[[Any], Any], x: Any) -> Any:
    """The function that returns the array of dy_i/dx_j, of the result's shape + the argument's shape.

    A list or tuple as the result is stacked. For nested arguments, there is one such array for each of their arrays. The
    derivative of a number by a number is an array without axes.

    >>> import tinygrad_cnn.extra.autograd.numpy as np
    >>> from tinygrad_cnn.extra.autograd import jacobian
    >>> jacobian(lambda x: x**2)(np.array([1.0, 2.0])).tolist()
    [[2.0, 0.0], [0.0, 4.0]]
    """
    return _jacobian("jacobian", fun, x)


def _jacobian(name: str, fun: Callable[[Any], Any], x: Any) -> Any:
    run = Recorded(name, lambda x: _stacked(name, fun(x)), x)
    found = detached(run, run.jacobian(run.result))
    return rebuild(found, [np.asarray(leaf) if isinstance(leaf, np.generic) else leaf for _, leaf in leaves(found)])


def _stacked(name: str, result: Any) -> Any:
    """The result as one array or Tensor of floating-point numbers."""
    if isinstance(result, dict):
        raise TypeError(f"{name}: the function returned a dict; it must return an array, a number or a list of them")
    y = gather(result, name) if isinstance(result, list | tuple) else result
    y = y if isinstance(y, Tensor) else np.asarray(y)
    if y.dtype.kind != "f":
        raise TypeError(f"{name}: the function returned {result!r:.60}; it must return floating-point numbers")
    return y


@unary_to_nary
def hessian(fun: Callable[[Any], Any], x: Any) -> Any:
    """The function that returns the second derivatives, of the result's shape + the argument's shape, twice.

    It is the Jacobian of the Jacobian: one backward walk for each element of the first one, over its recorded walk.
    """
    return _jacobian("hessian", lambda x: _jacobian("hessian", fun, x), x)


@unary_to_nary
def make_hvp(fun: Callable[[Any], Any], x: Any) -> tuple[Callable[[Any], Any], Any]:
    """The function that returns (v -> Hessian of `fun` times v, the gradient) at its arguments."""
    return _make_vjp(lambda x: _with_gradient("make_hvp", fun, x)[1], x)


def hessian_tensor_product(fun: Callable[..., Any], argnum: int = 0) -> Callable[..., Any]:
    """The function of fun's arguments and, last, a vector, that returns the Hessian times the vector."""
    slope = grad(fun, argnum)

    def product(*args: Any, **kwargs: Any) -> Any:
        *given, vector = args
        return make_jvp(slope, argnum)(*given, **kwargs)(vector)[1]

    return product


hessian_vector_product = hessian_tensor_product


def tensor_jacobian_product(fun: Callable[..., Any], argnum: int = 0) -> Callable[..., Any]:
    """The function of fun's arguments and, last, a tensor, that returns the tensor times the Jacobian.

    The products are summed over the axes of the tensor, which are the first ones of the result. For a tensor of the result's
    shape, this is one backward pass.
    """

    def product(*args: Any, **kwargs: Any) -> Any:
        *given, tensor = args
        axes = np.ndim(tensor)
        return jacobian(lambda *args, **kwargs: tensordot(tensor, fun(*args, **kwargs), axes), argnum)(*given, **kwargs)

    return product


vector_jacobian_product = tensor_jacobian_product


@unary_to_nary
def make_jvp_reversemode(fun: Callable[[Any], Any], x: Any) -> Callable[[Any], Any]:
    """The function v -> Jacobian times v."""
    return lambda v: _make_jvp(fun, x)(v)[1]


def make_ggnvp(
    f: Callable[..., Any], g: Callable[[Any], Any] | None = None, f_argnum: int = 0
) -> Callable[..., Callable[[Any], Any]]:
    """The function v -> J^T H J v at f's arguments: the generalized Gauss-Newton matrix of g(f(x)) times v.

    J is the Jacobian of f, and H the Hessian of g, which is half the sum of squares by default.
    """
    g = g or (lambda y: 0.5 * (y * y).sum())

    def at(*args: Any, **kwargs: Any) -> Callable[[Any], Any]:
        pull, y = make_vjp(f, f_argnum)(*args, **kwargs)
        push = make_jvp(f, f_argnum)(*args, **kwargs)
        curve = make_jvp(grad(g))(y)
        return lambda v: pull(curve(push(v)[1])[1])

    return at


def _bound(fun: Callable[..., Any], args: Any, kwargs: Any) -> inspect.BoundArguments:
    bound = inspect.signature(fun).bind(*args, **kwargs)
    bound.apply_defaults()
    return bound


def grad_named(fun: Callable[..., Any], argname: str) -> Callable[..., Any]:
    """The function that returns the gradient with respect to the argument of this name."""

    def gradient(*args: Any, **kwargs: Any) -> Any:
        bound = _bound(fun, args, kwargs)
        if argname not in bound.arguments:
            raise TypeError(f"grad_named: `argname` is {argname!r}; it must be one of {', '.join(bound.arguments)}")

        def of_one(x: Any) -> Any:
            bound.arguments[argname] = x
            return fun(*bound.args, **bound.kwargs)

        return _with_gradient("grad_named", of_one, bound.arguments[argname])[1]

    return gradient


def multigrad_dict(fun: Callable[..., Any]) -> Callable[..., dict[str, Any]]:
    """The function that returns the gradients with respect to all arguments, as a dict by their names."""

    def gradients(*args: Any, **kwargs: Any) -> dict[str, Any]:
        bound = _bound(fun, args, kwargs)

        def of_all(arguments: dict[str, Any]) -> Any:
            bound.arguments.update(arguments)
            return fun(*bound.args, **bound.kwargs)

        return dict(_with_gradient("multigrad_dict", of_all, dict(bound.arguments))[1])

    return gradients


def checkpoint(fun: Callable[..., Any]) -> Callable[..., Any]:
    """The function itself, which computes its values again in the backward pass instead of keeping them."""

    @functools.wraps(fun)
    def again(*args: Any, **kwargs: Any) -> Any:
        return recomputed(fun, *args, **kwargs)

    return again
