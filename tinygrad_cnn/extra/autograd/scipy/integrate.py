"""``odeint``, whose gradients come from the adjoint equation, solved backward in time (Chen et al., 2018)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from scipy import integrate as _integrate

from .. import numpy as np
from ..core import make_vjp
from ..extend import defvjp_argnums, primitive
from ..misc.flatten import flatten

__all__ = ["odeint"]


@primitive
def odeint(func: Callable[..., Any], y0: Any, t: Any, func_args: Any = (), **options: Any) -> Any:
    """The values y (len(t), len(y0)) at the times t of the solution of dy/dt = func(y, t, *func_args) with y(t_0) = y0.

    With respect to y0, t and `func_args`, the gradient is that of the adjoint equation da/dt = -a^T df/dy, solved backward
    from each time to the one before, to the tolerance of SciPy's solver. `options` are SciPy's.
    """
    return _integrate.odeint(func, y0, t, args=tuple(func_args), **options)


def _rule(argnums: tuple[int, ...], ys: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Callable[[Any], Any]:
    func, y0, t, *rest = args
    func_args = tuple(rest[0]) if rest else tuple(kwargs.get("func_args", ()))
    options = {name: value for name, value in kwargs.items() if name != "func_args"}
    flat_args, unflatten = flatten(func_args)
    count, size = len(y0), len(flat_args)

    def flat(y: Any, time: Any, parameters: Any) -> Any:
        return np.asarray(func(y, time, *unflatten(parameters)))

    def backward(state: Any, time: Any, parameters: Any) -> Any:
        """The motion of y, its adjoint a, and the gradients of time and parameters, with time reversed."""
        y, a = state[:count], state[count : 2 * count]
        pull, moved = make_vjp(lambda x: flat(*x), (y, -time, parameters))
        by_y, by_time, by_parameters = pull(-a)
        return np.concatenate([-moved, -by_y, [-by_time], -by_parameters])

    def vjp(g: Any) -> list[Any]:
        a, by_parameters = g[-1], np.zeros(size)
        time_slopes: list[Any] = []
        total = 0.0
        for i in range(len(t) - 1, 0, -1):
            moved = flat(ys[i], t[i], flat_args)
            slope = np.dot(moved, g[i])
            time_slopes.append(slope)
            total = total - slope
            state = np.concatenate([ys[i], a, [total], by_parameters])
            state = odeint(backward, state, np.array([-t[i], -t[i - 1]]), (flat_args,), **options)[1]
            a, total, by_parameters = state[count : 2 * count] + g[i - 1], state[2 * count], state[2 * count + 1 :]
        time_slopes.append(total)
        found = {1: a, 2: np.array(time_slopes[::-1]), 3: unflatten(by_parameters)}
        return [found[i] for i in argnums]

    return vjp


defvjp_argnums(odeint, _rule)
