"""Jacobians and Hessians of functions."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ParamSpec

from ..core.remedies import publish
from ..ops.real import check_callable
from .pytree import leaves, rebuild
from .recorded_call import Argnums, Run, is_differentiable, named_after
from .values import as_tensor

__all__ = ["hessian", "jacfwd", "jacobian", "jacrev"]

P = ParamSpec("P")


def jacobian(f: Callable[P, Any], argnums: Argnums = 0) -> Callable[P, Any]:
    """The function that returns df_i/dx_j, of shape f's shape + x's shape, by one walk for each element of the result.

    The Jacobian has the structure of f's result, and for each leaf the structure of the arguments at `argnums`, with None for
    leaves that are not floating point.

    Raises:
        TypeError: when called, if an argument holds no floating-point number.
        ValueError: when called, if `argnums` does not fit the arguments.

    >>> import tinygrad_cnn as tg
    >>> tg.jacobian(lambda x: x * x)(tg.Tensor([1.0, 2.0])).tolist()
    [[2.0, 0.0], [0.0, 4.0]]
    """
    return _jacobian("jacobian", f, argnums)


def jacrev(f: Callable[P, Any], argnums: Argnums = 0) -> Callable[P, Any]:
    """:func:`jacobian` by its name in JAX and PyTorch: one backward walk for each element of the result."""
    return _jacobian("jacrev", f, argnums)


def jacfwd(f: Callable[P, Any], argnums: Argnums = 0) -> Callable[P, Any]:
    """The function that gives the same as :func:`jacobian`, by one forward walk for each element of the arguments.

    It is the cheaper one where the result has more elements than the arguments.

    Raises:
        TypeError, ValueError: as :func:`jacobian`.

    >>> import tinygrad_cnn as tg
    >>> tg.jacfwd(lambda x: x * x)(tg.Tensor([1.0, 2.0])).tolist()
    [[2.0, 0.0], [0.0, 4.0]]
    """
    check_callable("jacfwd", f)

    def columns(*args: P.args, **kwargs: P.kwargs) -> Any:
        run = Run("jacfwd", f, args, kwargs, argnums)
        found = iter(run.columns([as_tensor(leaf) for _, leaf in leaves(run.result) if is_differentiable(leaf)]))
        return rebuild(
            run.result,
            [
                run.detached(run.like_arguments(next(found))) if is_differentiable(leaf) else None
                for _, leaf in leaves(run.result)
            ],
        )

    return named_after(f, columns)


def hessian(f: Callable[P, Any], argnums: Argnums = 0) -> Callable[P, Any]:
    """The function that returns the second derivatives of `f`, of shape f's shape + x's shape + x's shape.

    It is jacfwd(jacrev(f)): forward over reverse.

    >>> import tinygrad_cnn as tg
    >>> tg.hessian(lambda x: x[0] ** 2 * x[1])(tg.Tensor([3.0, 4.0])).tolist()
    [[8.0, 6.0], [6.0, 0.0]]
    """
    return jacfwd(_jacobian("hessian", f, argnums), argnums)


def _jacobian(name: str, f: Callable[P, Any], argnums: Argnums) -> Callable[P, Any]:
    check_callable(name, f)

    def rows(*args: P.args, **kwargs: P.kwargs) -> Any:
        run = Run(name, f, args, kwargs, argnums)
        return rebuild(run.result, [run.detached(run.jacobian(leaf)) for _, leaf in leaves(run.result)])

    return named_after(f, rows)


publish(globals())
