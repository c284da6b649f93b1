"""The limit of an iteration, and its gradient by the implicit function theorem."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ..core import make_vjp
from ..extend import defvjp, primitive
from ..vspaces import vspace

__all__ = ["fixed_point"]


@primitive
def fixed_point(
    f: Callable[[Any], Callable[[Any], Any]], a: Any, x0: Any, distance: Callable[[Any, Any], float], tol: float
) -> Any:
    """The x with x = f(a)(x), by iteration from x0 until ``distance(x, f(a)(x))`` is at most `tol`.

    Its gradient with respect to a is (I - df/dx)^-T g through df/da, where the inverse is found by iteration, too. Nothing
    depends on x0.
    """
    step = f(a)
    x, before = step(x0), x0
    while distance(x, before) > tol:
        x, before = step(x), x
    return x


def _by_a(ans: Any, f: Any, a: Any, x0: Any, distance: Any, tol: float) -> Callable[[Any], Any]:
    def adjoint(known: Any) -> Callable[[Any], Any]:
        g, a, x = known  # arguments, and no variables from outside: so the gradient reaches them
        by_x, _ = make_vjp(f(a), x)
        return lambda w: vspace(w).add(g, by_x(w))

    def vjp(g: Any) -> Any:
        by_a, _ = make_vjp(lambda a: f(a)(ans), a)
        return by_a(fixed_point(adjoint, (g, a, ans), vspace(g).zeros(), distance, tol))

    return vjp


defvjp(fixed_point, None, _by_a, None)
