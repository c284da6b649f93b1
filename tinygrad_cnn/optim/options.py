"""The words in which optimizers and schedules declare their options, and checks of what options may be.

A check gives the value in plain Python, which is the value itself where it is plain already, or raises a TypeError or
ValueError that says what it must be.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from ..tensor.interop import shown

Array: TypeAlias = NDArray[Any]
Options: TypeAlias = dict[str, Any]
Check: TypeAlias = Callable[[Any], Any]

INITIAL_LR = "initial_lr"
"""The entry of a group that keeps the learning rate its schedules start from. A group without a schedule has none."""


def number(rule: str, holds: Callable[[float], bool]) -> Check:
    """A check for a real number of which `holds` is true; `rule` says so in words."""

    def check(value: Any) -> float:
        if isinstance(value, bool) or not isinstance(value, int | float | np.integer | np.floating):
            raise TypeError(f"it must be {rule}")
        try:
            plain = float(value)
        except OverflowError:
            plain = math.nan
        if not holds(plain):
            raise ValueError(f"it must be {rule}")
        return plain

    return check


finite = number("a finite number", math.isfinite)
non_negative = number("a finite number of at least 0", lambda x: 0 <= x < math.inf)
positive = number("a finite number above 0", lambda x: 0 < x < math.inf)
any_number = number("a number", lambda x: True)
fraction = number("a number in [0, 1)", lambda x: 0 <= x < 1)
share = number("a number in [0, 1]", lambda x: 0 <= x <= 1)


def whole(least: int) -> Check:
    """A check for a whole number of at least `least`."""

    def check(value: Any) -> int:
        rule = f"it must be a whole number of at least {least}"
        if isinstance(value, bool) or not isinstance(value, int | np.integer):
            raise TypeError(rule)
        if not least <= value < 2**63:  # which a float and a NumPy integer can hold
            raise ValueError(rule)
        return int(value)

    return check


def one_of(*names: str) -> Check:
    """A check for one of these strings."""

    def check(value: Any) -> str:
        if not isinstance(value, str) or value not in names:
            raise ValueError(f"it must be {' or '.join(map(repr, names))}")
        return str(value)

    return check


def flag(value: Any) -> bool:
    """True or False."""
    if not isinstance(value, bool | np.bool):
        raise TypeError("it must be True or False")
    return bool(value)


def fractions(value: Any) -> tuple[float, float]:
    """A pair of numbers in [0, 1)."""
    rule = "it must be a pair of numbers in [0, 1)"
    if not isinstance(value, tuple | list):
        raise TypeError(rule)
    if len(value) != 2:
        raise ValueError(rule)
    try:
        pair = fraction(value[0]), fraction(value[1])
    except (TypeError, ValueError) as error:
        raise type(error)(rule) from None
    return value if type(value) is tuple and value[0] is pair[0] and value[1] is pair[1] else pair


def examined(
    table: Mapping[str, Check], given: Mapping[str, Any], where: str = ""
) -> tuple[Options, list[TypeError | ValueError]]:
    """The values of every name in `table` in plain Python, and what is wrong; `where` completes the messages."""
    values: Options = {}
    faults: list[TypeError | ValueError] = []
    for name, check in table.items():
        if name not in given:
            faults.append(ValueError(f"`{name}`{where} is missing"))
            continue
        try:
            values[name] = check(given[name])
        except (TypeError, ValueError) as error:
            faults.append(type(error)(f"`{name}`{where} is {shown(given[name])}; {error}"))
    return values, faults


def read(owner: str, state: Any, table: Mapping[str, Check]) -> Options:
    """The values in a saved state that has just the names in `table`.

    Raises:
        ValueError: that lists all that is wrong.
    """
    if not isinstance(state, Mapping):
        raise refusal(owner, [f"the state is a {type(state).__name__}; it must be a dict"])
    values, faults = examined(table, state)
    if faults or state.keys() - table.keys():
        raise refusal(owner, [*map(str, faults), *(f"`{name}` is unexpected" for name in state if name not in table)])
    return values


def refusal(owner: str, faults: Iterable[str]) -> ValueError:
    """What ``load_state_dict`` raises for a state with these faults, before anything has changed."""
    return ValueError(f"{owner}.load_state_dict: nothing was loaded:\n" + "\n".join(f"- {fault}" for fault in faults))
