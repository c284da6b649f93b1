"""``unary_to_nary``: an operator on functions of one argument becomes one on functions of several."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any


def unary_to_nary(unary_operator: Callable[..., Any]) -> Callable[..., Any]:
    """The operator (fun, argnum, ...) -> (*args) -> unary_operator(fun of that argument alone, the argument, ...).

    If `argnum` is a tuple or list, the argument is the tuple of those arguments.
    """

    @functools.wraps(unary_operator)
    def nary_operator(fun: Callable[..., Any], argnum: Any = 0, *options: Any, **more: Any) -> Callable[..., Any]:
        if not callable(fun):
            raise TypeError(f"{unary_operator.__name__}: `fun` is {fun!r:.60}; it must be a function")
        single = isinstance(argnum, int) and not isinstance(argnum, bool)
        if not single and not (isinstance(argnum, tuple | list) and all(isinstance(i, int) for i in argnum)):
            raise TypeError(
                f"{unary_operator.__name__}: `argnum` is {argnum!r:.60}; it must be the position of an argument, or a tuple"
            )
        positions = (argnum,) if single else tuple(argnum)
        name = getattr(fun, "__name__", type(fun).__name__)

        def nary_function(*args: Any, **kwargs: Any) -> Any:
            given = list(args)
            try:
                x = args[argnum] if single else tuple([args[i] for i in positions])
            except IndexError:
                wrong = next(i for i in positions if not -len(args) <= i < len(args))
                raise TypeError(
                    f"{unary_operator.__name__}: `argnum` is {wrong}, but the function was called with {len(args)} "
                    "arguments by position; pass it by position"
                ) from None

            def unary_function(x: Any) -> Any:
                if single:
                    given[argnum] = x
                else:
                    for i, value in zip(positions, x, strict=True):
                        given[i] = value
                return fun(*given, **kwargs)

            unary_function.__name__ = name
            return unary_operator(unary_function, x, *options, **more)

        functools.update_wrapper(nary_function, fun, updated=())
        nary_function.__name__ = f"{unary_operator.__name__}_of_{name}_wrt_argnum_{argnum}"
        nary_function.__doc__ = (
            f"    {unary_operator.__name__} of function {name} with respect to argument number {argnum}"
        )
        return nary_function

    return nary_operator
