"""Whether a second run of a function, traced like the first, did the same steps: what a capture took for constant must be."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import zip_longest
from typing import Any, NamedTuple

from .same import Held, alike
from .steps import Place, Step, Value
from .trace import Capture


class _Made(NamedTuple):
    """A value by what made it: an argument (step -1) or an output of a step, by their numbers."""

    step: int
    output: int


@dataclass(frozen=True, slots=True)
class _Noted:
    """A step without the arrays that it made."""

    name: str
    does: Any  # the op, or the function that is called
    given: Any  # inputs and parameters
    makes: tuple[Any, ...]  # the shapes of its outputs
    line: tuple[str, int]


class Record:
    """What a run did, in a form that another run can be compared with, and that keeps no activations alive."""

    def __init__(self, capture: Capture, results: Iterable[Any]) -> None:
        known: dict[Any, Any] = {value: _Made(-1, i) for i, value in enumerate(capture.arguments)}
        known |= {place: _Made(-1, i) for i, place in enumerate(capture.argument_places)}
        self._steps = []
        for i, step in enumerate(capture.steps):
            given = _encoded((step.inputs, step.params), known)
            for j, value in enumerate(step.outputs):
                if value is not None and value.origin == "step":
                    known.setdefault(value, _Made(i, j))
            self._steps.append(_Noted(step.name, _encoded(_action(step), known), given, _shapes(step), step.line))
        self._results = _encoded([list(results), list(capture.gradients)], known)

    def misfit(self, other: Record) -> tuple[str, Any, Any] | None:
        """A step that made arrays of other shapes though it was given the same: its name and both shapes."""
        for mine, its in zip(self._steps, other._steps, strict=False):
            if mine.name != its.name or not alike(mine.given, its.given):
                return None
            if mine.makes != its.makes:
                return mine.name, mine.makes[0], its.makes[0]
        return None

    def difference(self, other: Record) -> str | None:
        """Where the other run first did something else, in words; None if it did the same."""
        for mine, its in zip_longest(self._steps, other._steps):
            if mine is None or its is None or not alike((mine.name, mine.does), (its.name, its.does)):
                step = its or mine
                names = [f"`{step.name}`" if step else "nothing" for step in (mine, its)]
                return f"{_at(step)} did {names[0]} when it was captured, and {names[1]} now"
            if not alike(mine.given, its.given):
                return f"`{its.name}` at {_at(its)} was given {_unlike(mine.given, its.given)}"
        if not alike(self._results, other._results):
            return f"it returned {_unlike(self._results, other._results)}"
        return None


def _encoded(tree: Any, known: dict[Any, Any]) -> Any:
    """`tree` with values and places by what they are to the run, and arrays from outside as they are."""
    if isinstance(tree, Value):
        return known.get(tree, tree.array)
    if isinstance(tree, Place):
        return known.get(tree, Held(tree.tensor))
    if type(tree) in (tuple, list):
        return type(tree)(_encoded(part, known) for part in tree)
    if type(tree) is dict:
        return {key: _encoded(part, known) for key, part in tree.items()}
    if isinstance(tree, slice):
        return slice(*(_encoded(part, known) for part in (tree.start, tree.stop, tree.step)))
    return tree


def _action(step: Step) -> Any:
    """What a step does, without what differs between two runs by nature."""
    function = step.call if step.op is None else step.op
    parts = getattr(function, "func", None), getattr(function, "args", ())
    return parts if step.op is None and parts[0] is not None and not getattr(function, "keywords", {}) else function


def _shapes(step: Step) -> tuple[Any, ...]:
    return tuple([value and value.array.shape for value in step.outputs])


def _unlike(mine: Any, its: Any) -> str:
    """The first two parts of two trees that differ."""
    if (
        type(mine) is type(its)
        and isinstance(mine, list | tuple)
        and not isinstance(mine, _Made)
        and len(mine) == len(its)
    ):
        for a, b in zip(mine, its, strict=True):
            if not alike(a, b):
                return _unlike(a, b)
    if type(mine) is type(its) and isinstance(mine, dict) and mine.keys() == its.keys():
        return next((_unlike(mine[key], its[key]) for key in mine if not alike(mine[key], its[key])), "another dict")
    return f"{_shown(mine)} when it was captured, and {_shown(its)} now"


def _shown(value: Any) -> str:
    if isinstance(value, _Made):
        return f"argument {value.output}" if value.step < 0 else f"the result of step {value.step}"
    return f"{value!r:.60}".replace("\n", " ")


def _at(step: _Noted | None) -> str:
    return "the function" if step is None else f"{step.line[0]}:{step.line[1]}"
