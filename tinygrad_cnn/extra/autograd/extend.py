"""Primitives: functions with derivatives of their own, by HIPS/autograd's names.

A primitive computes with arrays. Where an argument is being differentiated, its call is recorded as one op. The rules are
functions of the result and the arguments, which are arrays, or Tensors where the derivative is differentiated in turn.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import Any

import numpy as np

from ...transforms.pytree import leaves, rebuild
from .boxes import Box, VJPNode
from .recording import Function, Rules
from .trees import holds, values
from .vspaces import VSpace, vspace

__all__ = [
    "Box", "VJPNode", "VSpace", "def_linear", "defjvp", "defjvp_argnum", "defjvp_argnums", "defvjp", "defvjp_argnum",
    "defvjp_argnums", "notrace_primitive", "primitive", "register_notrace", "vspace",
]  # fmt: skip


def primitive(fun: Function) -> Function:
    """A function that computes with arrays, and whose derivatives :func:`defvjp` and :func:`defjvp` define.

    >>> import tinygrad_cnn.extra.autograd.numpy as np
    >>> from tinygrad_cnn.extra.autograd import grad
    >>> from tinygrad_cnn.extra.autograd.extend import defvjp, primitive
    >>> @primitive
    ... def cube(x):
    ...     return x**3
    >>> defvjp(cube, lambda ans, x: lambda g: g * 3 * x**2)
    >>> float(grad(grad(cube))(2.0))
    12.0
    """
    rules = Rules(fun)

    def called(*args: Any, **kwargs: Any) -> Any:
        return rules.record(args, kwargs) if holds(args) else fun(*args, **kwargs)

    functools.update_wrapper(called, fun, updated=())
    called.fun = fun  # type: ignore[attr-defined]
    called.rules = rules  # type: ignore[attr-defined]
    return called


def rules_of(name: str, fun: Any) -> Rules:
    """The rules of a primitive; TypeError if it is none."""
    found = getattr(fun, "rules", None)
    if not isinstance(found, Rules):
        raise TypeError(f"{name}: `fun` is {fun!r:.60}; it must be a function that @primitive returned")
    return found


def _by_position(name: str, rules: Rules, makers: Sequence[Any], argnums: Sequence[int] | None) -> dict[int, Any]:
    positions = range(len(makers)) if argnums is None else argnums
    if len(positions) != len(makers):
        raise TypeError(
            f"{name}: {len(makers)} rules of {rules.name} for {len(positions)} `argnums`; give one for each"
        )
    return dict(zip(positions, makers, strict=True))


def _missing(rules: Rules, i: int, name: str) -> NotImplementedError:
    return NotImplementedError(f"{rules.name}: no rule gives its derivative by argument {i}; define one with {name}")


def defvjp(fun: Function, *vjpmakers: Function | None, argnums: Sequence[int] | None = None) -> None:
    """Define the gradients of a primitive: ``maker(ans, *args, **kwargs)`` returns the function from g to the gradient.

    There is one for each argument, or for each of `argnums`; None means that the gradient is zero.
    """
    rules = rules_of("defvjp", fun)
    makers = _by_position("defvjp", rules, vjpmakers, argnums)

    def pull(wanted: tuple[int, ...], ans: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Function:
        if len(wanted) == 1 and (maker := makers.get(wanted[0])) is not None:
            only = maker(ans, *args, **kwargs)
            return lambda g: (only(g),)
        found = []
        for i in wanted:
            if i not in makers:
                raise _missing(rules, i, "defvjp")
            found.append(None if makers[i] is None else makers[i](ans, *args, **kwargs))
        return lambda g: [None if vjp is None else vjp(g) for vjp in found]

    rules.pull = pull
    rules.changed()


def defvjp_argnums(fun: Function, vjpmaker: Function) -> None:
    """Define all gradients at once: ``vjpmaker(argnums, ans, args, kwargs)`` returns the function from g to a tuple of them."""
    rules = rules_of("defvjp_argnums", fun)
    rules.pull = vjpmaker
    rules.changed()


def defvjp_argnum(fun: Function, vjpmaker: Function) -> None:
    """Define the gradients: ``vjpmaker(argnum, ans, args, kwargs)`` returns the function from g to the gradient."""

    def pull(wanted: tuple[int, ...], *rest: Any) -> Function:
        found = [vjpmaker(i, *rest) for i in wanted]
        return lambda g: [vjp(g) for vjp in found]

    defvjp_argnums(fun, pull)


def defjvp(fun: Function, *jvpfuns: Function | str | None, argnums: Sequence[int] | None = None) -> None:
    """Define the forward derivatives of a primitive: ``jvpfun(g, ans, *args, **kwargs)`` is the tangent of the result.

    "same" means that the primitive is linear in that argument, and None that the tangent is zero. Without this, the forward
    derivative is that of :func:`defvjp`, transposed.
    """
    rules = rules_of("defjvp", fun)
    makers = _by_position("defjvp", rules, jvpfuns, argnums)

    def one(i: int, g: Any, ans: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        maker = makers[i]
        if maker == "same":
            return fun(*args[:i], g, *args[i + 1 :], **kwargs)
        if maker is None:
            return rebuild(ans, [np.zeros(np.shape(leaf)) for _, leaf in leaves(ans)])
        return maker(g, ans, *args, **kwargs)

    _define_push(rules, one)
    rules.pushed = frozenset(makers)


def _define_push(rules: Rules, one: Function) -> None:
    def push(argnums: tuple[int, ...], gs: Sequence[Any], ans: Any, args: Any, kwargs: Any) -> Any:
        total: Any = None
        for i, g in zip(argnums, gs, strict=True):
            t = one(i, g, ans, args, kwargs)
            total = t if total is None else vspace(ans).add(total, t)
        return total

    rules.push, rules.pushed = push, None
    rules.changed()


def defjvp_argnum(fun: Function, jvpmaker: Function) -> None:
    """Define the forward derivatives: ``jvpmaker(argnum, g, ans, args, kwargs)`` is the tangent of the result."""
    _define_push(rules_of("defjvp_argnum", fun), jvpmaker)


def defjvp_argnums(fun: Function, jvpmaker: Function) -> None:
    """Define the forward derivative: ``jvpmaker(argnums, gs, ans, args, kwargs)`` is the tangent of the result."""
    rules = rules_of("defjvp_argnums", fun)
    rules.push, rules.pushed = jvpmaker, None
    rules.changed()


def def_linear(fun: Function) -> None:
    """Say that a primitive is linear in each of its arguments: its forward derivative is itself."""
    defjvp_argnum(fun, lambda i, g, ans, args, kwargs: fun(*args[:i], g, *args[i + 1 :], **kwargs))


def notrace_primitive(fun: Function) -> Function:
    """A function that computes with arrays. Its result is a constant, until ``defvjp`` gives it a rule."""
    rules = Rules(fun)

    @functools.wraps(fun)
    def called(*args: Any, **kwargs: Any) -> Any:
        if rules.pull is not None or rules.push is not None:
            return rules.record(args, kwargs)
        return fun(*values(args), **values(kwargs))

    called.fun = fun  # type: ignore[attr-defined]
    called.rules = rules  # type: ignore[attr-defined]
    return called


def register_notrace(trace_type: object, fun: Function) -> None:
    """Say that the derivatives of a primitive are zero."""
    defvjp_argnums(fun, lambda argnums, ans, args, kwargs: lambda g: [None] * len(argnums))
    defjvp_argnums(
        fun, lambda argnums, gs, ans, args, kwargs: rebuild(ans, [np.zeros(np.shape(leaf)) for _, leaf in leaves(ans)])
    )
