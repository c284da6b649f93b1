"""``check_grads``: compare derivatives with central differences."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import product
from typing import Any

from . import core
from .vspaces import vspace
from .wrap_util import unary_to_nary

__all__ = [
    "check_equivalent",
    "check_grads",
    "check_jvp",
    "check_vjp",
    "combo_check",
    "make_numerical_jvp",
    "scalar_close",
]

TOL, RTOL, EPS = 1e-6, 1e-6, 1e-6


def scalar_close(a: float, b: float) -> bool:
    """Whether two numbers differ by at most a relative and absolute error of 1e-6."""
    return bool(abs(a - b) < TOL or abs(a - b) / abs(a + b) < RTOL)


def make_numerical_jvp(f: Callable[[Any], Any], x: Any) -> Callable[[Any], Any]:
    """The function v -> (f(x + eps v / 2) - f(x - eps v / 2)) / eps."""
    space, y = vspace(x), f(x)
    out = vspace(y)

    def jvp(v: Any) -> Any:
        ends = [f(space.add(x, space.scalar_mul(v, sign * EPS / 2))) for sign in (1, -1)]
        return out.scalar_mul(out.add(ends[0], out.scalar_mul(ends[1], -1.0)), 1 / EPS)

    return jvp


def _name(f: Any) -> str:
    return getattr(f, "__name__", type(f).__name__)


def check_vjp(f: Callable[[Any], Any], x: Any) -> None:
    """AssertionError if the backward derivative differs from a central difference, along random directions."""
    pull, y = core.make_vjp(f, x)
    space, out = vspace(x), vspace(y)
    v, u = space.randn(), out.randn()
    found = pull(out.covector(u))
    assert vspace(found) == space, f"the gradient of {_name(f)} is in {vspace(found)}, and its argument in {space}"
    numeric = out.inner_prod(u, make_numerical_jvp(f, x)(v))
    analytic = space.inner_prod(v, space.covector(found))
    assert scalar_close(numeric, analytic), (
        f"Derivative (VJP) check of {_name(f)} failed with arg {x}: analytic {analytic}, numeric {numeric}"
    )


def check_jvp(f: Callable[[Any], Any], x: Any) -> None:
    """AssertionError if the forward derivative differs from a central difference, along random directions."""
    v = vspace(x).randn()
    y, t = core.make_jvp(f, x)(v)
    out = vspace(y)
    u = out.randn()
    numeric, analytic = out.inner_prod(u, make_numerical_jvp(f, x)(v)), out.inner_prod(u, t)
    assert scalar_close(numeric, analytic), (
        f"Derivative (JVP) check of {_name(f)} failed with arg {x}: analytic {analytic}, numeric {numeric}"
    )


def check_equivalent(x: Any, y: Any) -> None:
    """AssertionError if two values are in different spaces, or differ."""
    assert vspace(x) == vspace(y), f"{vspace(x)} and {vspace(y)} are different spaces"
    u = vspace(x).randn()
    assert scalar_close(vspace(x).inner_prod(x, u), vspace(y).inner_prod(y, u)), f"{x} and {y} differ"


@unary_to_nary
def check_grads(f: Callable[[Any], Any], x: Any, modes: Sequence[str] = ("fwd", "rev"), order: int = 2) -> None:
    """AssertionError if a derivative up to `order` differs from central differences, forward ("fwd") or backward ("rev")."""
    if not modes or not set(modes) <= {"fwd", "rev"}:
        raise ValueError(f"check_grads: `modes` is {modes!r}; it must name 'fwd', 'rev' or both")
    if "fwd" in modes:
        check_jvp(f, x)
        if order > 1:
            _again(f, "jvp", lambda x, v: core.make_jvp(f, x)(v)[1], (x, vspace(x).randn()), modes, order)
    if "rev" in modes:
        check_vjp(f, x)
        if order > 1:
            _again(f, "vjp", lambda x, u: core.make_vjp(f, x)[0](u), (x, vspace(f(x)).randn()), modes, order)


def _again(
    f: Callable[[Any], Any], name: str, derivative: Callable[[Any, Any], Any], at: tuple[Any, Any], modes: Sequence[str],
    order: int,
) -> None:  # fmt: skip
    """Check the derivatives of a derivative of f by the point and by the vector, in which it is linear."""
    derivative.__name__ = f"{name}_{_name(f)}"
    check_grads(derivative, (0, 1), modes, order - 1)(*at)


def combo_check(fun: Callable[..., Any], *args: Any, **kwargs: Any) -> Callable[..., None]:
    """Check the gradients for every combination of the arguments that are listed for each position."""
    check = check_grads(fun, *args, **kwargs)

    def checked(*lists: Sequence[Any], **options: Sequence[Any]) -> None:
        for given in product(*lists):
            for chosen in product(*options.values()):
                check(*given, **dict(zip(options, chosen, strict=True)))

    return checked
