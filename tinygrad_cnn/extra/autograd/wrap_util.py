"""``unary_to_nary``: an operator on functions of one argument becomes one on functions of several; and their names."""

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

            unary_function.__name__ = get_name(fun)
            return unary_operator(unary_function, x, *options, **more)

        functools.update_wrapper(nary_function, fun, updated=())
        wrap_nary_f(fun, unary_operator, argnum)(nary_function)
        return nary_function

    return nary_operator


def wrap_nary_f(fun: Callable[..., Any], op: Callable[..., Any], argnum: Any) -> Callable[[Any], Any]:
    """A decorator that names a function after the operator `op`, the function `fun` that it is applied to, and the argument."""
    namestr, docstr = (
        "{op}_of_{fun}_wrt_argnum_{argnum}",
        "    {op} of function {fun} with respect to argument number {argnum}",
    )
    return wraps(fun, namestr, docstr, op=get_name(op), argnum=argnum)


def wraps(fun: Any, namestr: str = "{fun}", docstr: str = "{doc}", **kwargs: Any) -> Callable[[Any], Any]:
    """A decorator that gives a function a name and a docstring, formats of ``fun``, the name of `fun`, ``doc`` and `kwargs`."""

    def named(f: Any) -> Any:
        f.__name__ = namestr.format(fun=get_name(fun), **kwargs)
        f.__doc__ = docstr.format(fun=get_name(fun), doc=get_doc(fun), **kwargs)
        return f

    return named


def get_name(f: Any) -> str:
    """The name of a function; "[unknown name]" of one without."""
    return getattr(f, "__name__", "[unknown name]")


def get_doc(f: Any) -> str:
    """The docstring of a function, or ""."""
    return getattr(f, "__doc__", None) or ""
