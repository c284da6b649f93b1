"""Hyperparameters of optimizers and schedules: how they are declared, and checks of their values.

A check returns the value as a plain Python object (the same object if it is plain already), or raises a TypeError or
ValueError that says what the value must be. A constructor annotates its parameters with checks: ``lr: NonNegative = 1e-3``.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Annotated, Any, TypeAlias, TypeVar, get_args, get_origin

import numpy as np
from numpy.typing import NDArray

from ..tensor.interop import shown

Array: TypeAlias = NDArray[Any]
Options: TypeAlias = dict[str, Any]
Check: TypeAlias = Callable[[Any], Any]
Faults: TypeAlias = list[TypeError | ValueError]
T = TypeVar("T")

INITIAL_LR = "initial_lr"
"""The entry of a group that keeps the learning rate its schedules start from. A group without a schedule has none."""


def _check(kinds: tuple[type, ...], convert: Callable[[Any], Any], rule: str, holds: Callable[[Any], bool]) -> Check:
    """A check for a value of these types whose conversion satisfies `holds`; `rule` says in words what that is."""

    def check(value: Any) -> Any:
        if not isinstance(value, kinds) or (isinstance(value, bool) and bool not in kinds):
            raise TypeError(f"it must be {rule}")
        plain = convert(value)
        if not holds(plain):
            raise ValueError(f"it must be {rule}")
        return plain

    return check


def _float(value: Any) -> float:
    try:
        return float(value)
    except OverflowError:
        return math.nan


def number(rule: str, holds: Callable[[float], bool]) -> Check:
    """A check for a real number that satisfies `holds`; `rule` says in words what that is."""
    return _check((int, float, np.integer, np.floating), _float, rule, holds)


def whole(least: int) -> Check:
    """A check for an integer of at least `least` that a NumPy integer can hold."""
    return _check((int, np.integer), int, f"a whole number of at least {least}", lambda n: least <= n < 2**63)


def one_of(*names: str) -> Check:
    """A check for one of these strings."""

    def check(value: Any) -> str:
        if not isinstance(value, str) or value not in names:
            raise ValueError(f"it must be {' or '.join(map(repr, names))}")
        return str(value)

    return check


def pair(rule: str, first: Check, second: Check) -> Check:
    """A check for a tuple or list of two values, with a check for each; `rule` says in words what they must be."""

    def check(value: Any) -> tuple[Any, Any]:
        if not isinstance(value, tuple | list):
            raise TypeError(f"it must be {rule}")
        try:
            a, b = value
            plain = first(a), second(b)
        except (TypeError, ValueError) as error:
            raise type(error)(f"it must be {rule}") from None
        return value if type(value) is tuple and a is plain[0] and b is plain[1] else plain

    return check


finite = number("a finite number", math.isfinite)
non_negative = number("a finite number of at least 0", lambda x: 0 <= x < math.inf)
positive = number("a finite number above 0", lambda x: 0 < x < math.inf)
any_number = number("a number", lambda x: True)
fraction = number("a number in [0, 1)", lambda x: 0 <= x < 1)
share = number("a number in [0, 1]", lambda x: 0 <= x <= 1)
fractions = pair("a pair of numbers in [0, 1)", fraction, fraction)
flag = _check((bool, np.bool), bool, "True or False", lambda x: True)

Finite: TypeAlias = Annotated[float, finite]
NonNegative: TypeAlias = Annotated[float, non_negative]
Positive: TypeAlias = Annotated[float, positive]
Fraction: TypeAlias = Annotated[float, fraction]
Share: TypeAlias = Annotated[float, share]
Fractions: TypeAlias = Annotated[tuple[float, float], fractions]
Flag: TypeAlias = Annotated[bool, flag]
Count: TypeAlias = Annotated[int, whole(1)]


def declared(kind: Any) -> dict[str, Check]:
    """The checks in the annotations of a class's constructor, after those that its base class has in ``options``."""
    hints = getattr(kind.__init__, "__annotations__", {}).items()
    checks = {name: get_args(hint)[1] for name, hint in hints if get_origin(hint) is Annotated}
    return {**kind.options, **{name: check for name, check in checks.items() if callable(check)}}


def examined(table: Mapping[str, Check], given: Mapping[str, Any], where: str = "") -> tuple[Options, Faults]:
    """The checked values of every name in `table`, and the errors; `where` stands behind the name in their messages."""
    values: Options = {}
    faults: Faults = []
    for name, check in table.items():
        if name not in given:
            faults.append(ValueError(f"`{name}`{where} is missing"))
            continue
        try:
            values[name] = check(given[name])
        except (TypeError, ValueError) as error:
            faults.append(type(error)(f"`{name}`{where} is {shown(given[name])}; {error}"))
    return values, faults


def accepted(owner: str, values: Options, faults: Faults) -> Options:
    """The values if there are no errors; else the first one is raised, with `owner` in its message."""
    if faults:
        raise type(faults[0])(f"{owner}: {faults[0]}")
    return values


def checked(owner: str, table: Mapping[str, Check], given: Mapping[str, Any]) -> Options:
    """The checked values of every name in `table`; the first error is raised, with `owner` in its message."""
    return accepted(owner, *examined(table, given))


def entries(state: Any, table: Mapping[str, Check], what: str, where: str = "") -> tuple[Options, list[str]]:
    """The checked values of a saved state that has exactly the names in `table`, and its faults in words."""
    if not isinstance(state, Mapping):
        return {}, [f"{what} is a {type(state).__name__}; it must be a dict"]
    values, faults = examined(table, state, where)
    return values, [*map(str, faults), *(f"`{name}`{where} is unexpected" for name in state if name not in table)]


def loadable(owner: str, values: T, faults: Sequence[str]) -> T:
    """The values of a saved state if it has no faults; else a ValueError is raised that lists them all."""
    if faults:
        raise ValueError("\n- ".join([f"{owner}.load_state_dict: nothing was loaded:", *faults]))
    return values


def read(owner: str, state: Any, table: Mapping[str, Check]) -> Options:
    """The checked values of a saved state that has exactly the names in `table`; a ValueError lists all faults."""
    return loadable(owner, *entries(state, table, "the state"))
