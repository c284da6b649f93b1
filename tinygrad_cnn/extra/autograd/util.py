"""Small functions, by HIPS/autograd's names."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np

from .differential_operators import grad

__all__ = ["quick_grad_check", "subval", "subvals"]


def subvals(x: Sequence[Any], ivs: Iterable[tuple[int, Any]]) -> tuple[Any, ...]:
    """x as a tuple, with the value v at each position i of the pairs (i, v)."""
    found = list(x)
    for i, v in ivs:
        found[i] = v
    return tuple(found)


def subval(x: Sequence[Any], i: int, v: Any) -> tuple[Any, ...]:
    """x as a tuple, with v at position i."""
    return subvals(x, [(i, v)])


def quick_grad_check(
    fun: Callable[..., Any], arg0: Any, extra_args: Sequence[Any] = (), kwargs: dict[str, Any] | None = None,
    verbose: bool = True, eps: float = 1e-4, rtol: float = 1e-4, atol: float = 1e-6, rs: Any = None,
) -> None:  # fmt: skip
    """AssertionError if the gradient along a random direction differs from a central difference."""
    given = kwargs or {}
    direction = (rs or np.random.RandomState()).standard_normal(np.shape(arg0))
    step = eps * direction / np.sqrt(np.vdot(direction, direction))
    ends = [fun(arg0 + sign * step / 2, *extra_args, **given) for sign in (1, -1)]
    numeric = (ends[0] - ends[1]) / eps
    analytic = np.sum(grad(fun)(arg0, *extra_args, **given) * step) / eps
    assert np.allclose(numeric, analytic, rtol=rtol, atol=atol), (
        f"the derivative is {analytic}; differences give {numeric}"
    )
    if verbose:
        print(f"the derivative {analytic} agrees with differences, {numeric}")
