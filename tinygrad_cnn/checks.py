"""Checks of arguments and saved states. A check returns a value as a plain Python object, or raises an error with the rule.

The same object is returned if it is plain already. What is wrong is raised as a TypeError or ValueError. A saved state is
checked as a whole: all its faults are listed, and nothing is changed.
"""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Mapping, Sequence
from operator import index
from typing import Any, TypeAlias, TypeVar

import numpy as np
from numpy.typing import NDArray

Options: TypeAlias = dict[str, Any]
Check: TypeAlias = Callable[[Any], Any]
Faults: TypeAlias = list[TypeError | ValueError]
T = TypeVar("T")


def check_path(name: str, path: Any, label: str = "path") -> None:
    """TypeError unless `path` is a path."""
    if not isinstance(path, str | os.PathLike):
        raise TypeError(f"{name}: `{label}` is {path!r:.80}; it must be a path, such as 'runs/digits.npz'")


def _check(kinds: tuple[type, ...], convert: Callable[[Any], Any], rule: str, holds: Callable[[Any], bool]) -> Check:
    """A check for a value of these types whose conversion satisfies `holds`; `rule` says in words what that is."""

    def check(value: Any) -> Any:
        if isinstance(value, np.ndarray) and not value.ndim:
            value = value[()]
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


def whole(least: int, most: float = 2**63) -> Check:
    """A check for an integer of at least `least` and below `most`, by default what a NumPy integer can hold."""

    def check(value: Any) -> int:
        rule = f"it must be a whole number of at least {least}"
        try:
            if isinstance(value, bool | np.bool):
                raise TypeError
            plain = index(value)
        except TypeError:
            raise TypeError(rule) from None
        if not least <= plain < most:
            limit = "2^63" if most == 2**63 else f"{most}"
            raise ValueError(rule + f" and below {limit}" * (plain >= most))
        return plain

    return check


def one_of(*names: str) -> Check:
    """A check for one of these strings."""

    def check(value: Any) -> str:
        if not isinstance(value, str) or value not in names:
            raise ValueError(f"it must be {' or '.join(map(repr, names))}")
        return str(value)

    return check


finite = number("a finite number", math.isfinite)
non_negative = number("a finite number of at least 0", lambda x: 0 <= x < math.inf)
any_number = number("a number", lambda x: True)
flag = _check((bool, np.bool), bool, "True or False", lambda x: True)


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


class Loadable:
    """The base of classes with a state: ``_prepare_load`` checks a saved one and returns a function that writes it."""

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Load a copy of what ``state_dict()`` returned.

        Raises:
            ValueError: if the state does not fit: all faults are listed and nothing is changed.
        """
        self._prepare_load(state_dict)()

    def _prepare_load(self, state_dict: Any) -> Callable[[], object]:
        raise NotImplementedError


def only_to_none(name: str, set_to_none: bool) -> None:
    """Check the argument of PyTorch's ``zero_grad``: gradients become None here, not zero."""
    if not set_to_none:
        raise ValueError(
            f"{name}.zero_grad: `set_to_none` is {set_to_none!r}; it must be True: gradients become None, and the next "
            "backward pass makes new ones"
        )


def copied(value: Any) -> NDArray[Any]:
    """A copy of the values of an array of any library, such as a PyTorch tensor that requires a gradient.

    Raises:
        ValueError: if `value` is not an array, or NumPy cannot read it.
    """
    if not hasattr(value, "__array__") and not hasattr(value, "__dlpack__"):
        raise ValueError(f"a {type(value).__name__}; it must be an array")
    if isinstance(value, np.ma.MaskedArray):
        raise ValueError("a masked array, whose mask would be lost; give a.filled(0), or a.data")
    try:
        value = value.detach() if hasattr(value, "detach") else value
        array = np.asarray(value) if hasattr(value, "__array__") else np.from_dlpack(value)
        return array.copy("K")
    except Exception as error:  # each library raises its own class
        raise ValueError(f"a {type(value).__name__} that NumPy cannot read: {error}") from None


def shown(value: Any) -> str:
    """The beginning of the value's ``repr``, for an error message."""
    try:
        text = repr(value)
    except ValueError:  # Python does not write out integers of more than 4,300 digits
        text = f"a {type(value).__name__}"
    return text if len(text) <= 500 else f"{text[:500]}..."
