"""Audits: a second captured run must do the same steps as the first one, whose constants are baked into the program."""

from __future__ import annotations

from itertools import zip_longest
from typing import Any, NoReturn

from .same import alike
from .steps import CaptureError, Step, Value, flat
from .trace import Capture


class Record:
    """The steps and results of a run, to be compared with those of another run."""

    def __init__(self, capture: Capture, results: list[Any]) -> None:
        self._steps, self._results = capture.steps, [*results, capture.gradients]

    def difference(self, other: Record) -> str | None:
        """The first difference from the other run, in words; None if there is none.

        Raises:
            CaptureError: if a step with equal inputs made arrays of other shapes.
        """
        for mine, its in zip_longest(self._steps, other._steps):
            if mine is None or its is None or not alike(_action(mine), _action(its)):
                names = [f"`{step.name}`" if step else "nothing" for step in (mine, its)]
                return f"{_at(its or mine)} did {names[0]} when it was captured, and {names[1]} now"
            given = [(step.inputs, step.params) for step in (mine, its)]
            if not alike(*given):
                return f"`{its.name}` at {_at(its)} was given {_unlike(*given)}"
            shapes = [[value and value.array.shape for value in step.outputs] for step in (mine, its)]
            if shapes[0] != shapes[1]:
                misfit(its.name, shapes[1][0], shapes[0][0])
        if not alike(self._results, other._results):
            return f"it returned {_unlike(self._results, other._results)}"
        return None


def misfit(name: str, found: Any, expected: Any) -> NoReturn:
    """Raise a CaptureError: the shape of a step's result depends on values."""
    raise CaptureError(
        f"compile: `{name}` made an array of shape {found} where the captured run made {expected}; shapes that depend on "
        "values, as with a Boolean index, cannot be compiled: use tinygrad_cnn.where, or leave this part uncompiled"
    )


def _action(step: Step) -> Any:
    return step.name, step.op or step.call


def _unlike(mine: Any, its: Any) -> str:
    """The first pair of leaves in which two trees differ, in words."""
    pairs = ((a, b) for a, b in zip_longest(flat(mine), flat(its)) if not alike(a, b))
    a, b = next(pairs, (mine, its))
    return f"{_shown(a)} when it was captured, and {_shown(b)} now"


def _shown(leaf: Any) -> str:
    if isinstance(leaf, Value) and leaf.origin != "outside":
        return f"argument {leaf.number}" if leaf.origin == "argument" else f"the result of a step, number {leaf.number}"
    return f"{leaf.array if isinstance(leaf, Value) else leaf!r:.60}".replace("\n", " ")


def _at(step: Step) -> str:
    return f"{step.line[0]}:{step.line[1]}"
