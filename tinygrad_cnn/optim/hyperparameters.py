"""Hyperparameters of optimizers and schedules. A constructor annotates its parameters with checks: ``lr: NonNegative``."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Annotated, Any, TypeAlias, get_args, get_origin

from numpy.typing import NDArray

from ..checks import Check, finite, flag, non_negative, number, whole

Array: TypeAlias = NDArray[Any]

INITIAL_LR = "initial_lr"
"""The entry of a group that keeps the learning rate its schedules start from. A group without a schedule has none."""


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


positive = number("a finite number above 0", lambda x: 0 < x < math.inf)
fraction = number("a number in [0, 1)", lambda x: 0 <= x < 1)
share = number("a number in [0, 1]", lambda x: 0 <= x <= 1)
fractions = pair("a pair of numbers in [0, 1)", fraction, fraction)

Finite: TypeAlias = Annotated[float, finite]
NonNegative: TypeAlias = Annotated[float, non_negative]
Positive: TypeAlias = Annotated[float, positive]
Fraction: TypeAlias = Annotated[float, fraction]
Share: TypeAlias = Annotated[float, share]
Fractions: TypeAlias = Annotated[tuple[float, float], fractions]
Flag: TypeAlias = Annotated[bool, flag]
Count: TypeAlias = Annotated[int, whole(1)]


def several(name: str, label: str, values: Any) -> list[Any]:
    """The parameters in an iterable; TypeError if it is none, such as a model."""
    if not isinstance(values, Iterable):
        raise TypeError(f"{name}: `{label}` is {values!r}; the parameters come first, such as model.parameters()")
    return list(values)


def declared(kind: Any) -> dict[str, Check]:
    """The checks in the annotations of a class's constructor, after those in ``options`` of its base class.

    They are taken out of the annotations, which ``help`` shows.
    """
    hints = getattr(kind.__init__, "__annotations__", {})
    found = {name: get_args(hint) for name, hint in hints.items() if get_origin(hint) is Annotated}
    checks = {name: args[1] for name, args in found.items() if callable(args[1])}
    hints.update({name: found[name][0] for name in checks})
    return {**kind.options, **checks}
