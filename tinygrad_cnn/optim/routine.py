"""A step as it was done last, so that the next one need not look everything up again."""

from __future__ import annotations

from collections.abc import Callable
from operator import is_
from typing import TYPE_CHECKING, Any, NamedTuple

from ..tensor import Tensor
from .options import Array

if TYPE_CHECKING:
    from .optimizer import Optimizer


class Entry(NamedTuple):
    """One parameter with a gradient: where it stands among all, its memory and state, and what an optimizer does to them with
    a gradient."""

    place: int
    parameter: Tensor
    data: Array
    state: dict[str, Any]
    update: Callable[[Optimizer, Array], object]


class Routine(NamedTuple):
    """It can be done in the same way again as long as all this is as it was."""

    params: list[Tensor]
    sizes: list[int]  # how many of them each group has
    given: list[bool]  # which of them had a gradient
    known: list[Any]  # each group as it was examined
    entries: list[Entry]
    states: list[tuple[Tensor, dict[str, Any]]]  # of those entries for which something is kept
    mark: Callable[[], None]

    def holds(self, optimizer: Optimizer, gradients: tuple[Array | None, ...]) -> bool:
        """Whether it is: the parameters, their groups, whether they may be written, options, state, and who has a gradient."""
        params, groups = optimizer._params(), optimizer.param_groups
        if len(params) != len(self.params) or len(groups) != len(self.known) or not all(map(is_, params, self.params)):
            return False
        if len(groups) > 1 and [len(group["params"]) for group in groups] != self.sizes:
            return False
        if [g is not None for g in gradients] != self.given:
            return False
        for number, group in enumerate(groups):
            if optimizer._current(number, group) is not self.known[number]:
                return False
        for entry in self.entries:
            if not entry[2].flags.writeable:
                return False
        return not self.states or all(optimizer.state.get(p) is state for p, state in self.states)
