"""Keywords of another library: generated functions declare them, to understand them or to raise an error that names ours.

Which keywords, and what to do, is attached from outside; see ``names/keywords.py``.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from typing import Any, NoReturn, TypeAlias

Foreign: TypeAlias = Callable[[str, Collection[str]], list[str]]
Answer: TypeAlias = Callable[[Callable[..., Any], Collection[str], Mapping[str, Any]], Any]

_attached: list[tuple[Foreign, Answer]] = []


def attach(foreign: Foreign, answer: Answer) -> None:
    """Set what :func:`foreign` and :func:`answer` return."""
    _attached[:] = [(foreign, answer)]


def foreign(function: str, names: Collection[str]) -> list[str]:
    """The foreign keywords that a function with the parameters `names` declares."""
    return [keyword for known, _ in _attached for keyword in known(function, names)]


def answer(again: Callable[..., Any], names: Collection[str], given: Mapping[str, Any]) -> Any:
    """What the function `again` returns or raises for the arguments `given`, some of which are not in `names`."""
    there = {name: value for name, value in given.items() if type(value) is not Missing}
    return next(known(again, names, there) for _, known in _attached)


class Missing:
    """The default of a required parameter, where a foreign keyword may be given instead: every use of it raises.

    With no default, Python would name the parameter and not the keyword. A comparison with a default in each call would
    make the functions slower.
    """

    def __init__(self, function: str, name: str) -> None:
        self.text = f"{function}: the argument `{name}` is missing"

    def __getattribute__(self, name: str) -> Any:
        if name.startswith("__"):  # which `isinstance` and `compile` read, of any object
            return object.__getattribute__(self, name)
        _refuse(self)


def _refuse(self: Missing, *_: Any) -> NoReturn:
    raise TypeError(object.__getattribute__(self, "text"))


_OPERATORS = "add sub mul truediv floordiv mod pow matmul and or xor lshift rshift"
_USES = """
    array array_function array_ufunc bool call contains eq float format ge getitem gt hash index int invert iter le len lt ne
    neg repr setitem str"""
for _name in (*_USES.split(), *_OPERATORS.split(), *(f"r{name}" for name in _OPERATORS.split())):
    setattr(Missing, f"__{_name}__", _refuse)
