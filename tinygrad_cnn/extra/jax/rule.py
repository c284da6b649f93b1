"""The rule of an optimizer in a training on JAX's devices: its arrays are there, its numbers and options here."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import numpy as np

from ...checks import accepted
from ...core.versions import mark_written
from ...nn import Module
from ...optim import Optimizer
from .functions import to_jax
from .optimizers import members, option, updated

Options = dict[str, Any]


class Rule:
    """An optimizer, whose rule is applied to arrays of JAX.

    Attributes:
        members: by name, the parameters, and the numbers of their groups.
        key: what the compiled rule depends on.
    """

    def __init__(self, optimizer: Optimizer, model: Module) -> None:
        self._optimizer = optimizer
        numbers = {id(group): number for number, group in enumerate(optimizer.param_groups)}
        self.members = {name: (p, numbers[id(group)]) for name, p, group in members(optimizer, model)}
        self._moving = {"lr"}  # options that may change from step to step: arguments of what is compiled
        self._seen: list[Options] = []
        self._new: frozenset[str] = frozenset()
        self._asks = False  # whether the rule asks if slots are new
        self.key: Any = None

    def trained(self) -> tuple[str, ...]:
        """The names of the parameters that require a gradient."""
        return tuple([name for name, (p, _) in self.members.items() if p.requires_grad])

    def slots(self) -> dict[str, dict[str, Any]]:
        """The arrays that the optimizer keeps for each parameter, as arrays of JAX."""
        kept = {name: self._optimizer.state.get(p, {}) for name, (p, _) in self.members.items()}
        return {name: _arrays(each) for name, each in kept.items()}

    def load(self, slots: Mapping[str, Mapping[str, Any]]) -> None:
        """Write them into the optimizer."""
        for name, arrays in slots.items():
            for slot, array in arrays.items():
                target = self._optimizer.state[self.members[name][0]][slot]
                np.copyto(target, np.asarray(array))
                mark_written(target)

    @contextmanager
    def stepping(
        self, used: frozenset[str], slots: Mapping[str, Any], put: Callable[[Any], Any]
    ) -> Iterator[tuple[Any, Any, Any]]:
        """For one step of these parameters: the arrays, the numbers, and the options that may change.

        The numbers have moved on when the block ends; not if it raises.
        """
        optimizer, options = self._optimizer, self._checked()
        missing = {n: optimizer._missing(p, options[at]) for n, (p, at) in self.members.items() if n in used}
        self._new = frozenset(name for name, made in missing.items() if made)
        own = {name: {**slots[name], **put(_arrays(missing.get(name, {})))} for name in slots}
        numbers = {}
        for name in missing:
            p, number = self.members[name]
            kept = {**optimizer.state.get(p, {}), **missing[name]}
            numbers[name] = {slot: value for slot, value in kept.items() if not isinstance(value, np.ndarray)}
            optimizer.advance(numbers[name], options[number])
        fixed = [{n: value for n, value in group.items() if n not in self._moving} for group in options]
        self._fixed = fixed
        moving = [{n: group[n] for n in sorted(self._moving) if n in group} for group in options]
        self._moved = moving
        truth = repr([{n: _truth(value) for n, value in group.items()} for group in moving])
        self.key = (repr(fixed), truth, self._new if self._asks else None)
        yield own, numbers, moving
        for name, each in numbers.items():
            p, number = self.members[name]
            optimizer.conclude(each, options[number])
            if each or missing[name]:
                optimizer.state.setdefault(p, {}).update({**missing[name], **each})

    def update(self, params: Any, slots: Any, numbers: Any, options: Any, grads: Mapping[str, Any]) -> tuple[Any, Any]:
        """The parameters and the arrays after a step along these gradients."""
        params, slots = dict(params), dict(slots)
        for name, g in grads.items():
            number = self.members[name][1]
            moving = {n: option(value, self._moved[number][n]) for n, value in options[number].items()}
            group, new = {**self._fixed[number], **moving}, _Asked(self, name in self._new)
            own = {**slots[name], **numbers[name]}
            params[name], slots[name] = updated(self._optimizer, params[name], g, own, group, new)
        return params, slots

    def _checked(self) -> list[Options]:
        """The options of the groups. One that has changed since the last step becomes an argument of what is compiled."""
        now = [
            {n: v for n, v in group.items() if n not in ("params", "initial_lr")}
            for group in self._optimizer.param_groups
        ]
        if now != self._seen:
            groups = enumerate(self._optimizer.param_groups)
            for before, group in zip(self._seen, now, strict=False):
                self._moving |= {n for n, value in group.items() if before.get(n) != value and _is_number(value)}
            self._seen = [
                accepted(self._optimizer._name, *self._optimizer.examined(g, f" of group {n}")) for n, g in groups
            ]
            self._seen = [{n: v for n, v in group.items() if n not in ("params", "initial_lr")} for group in self._seen]
        return self._seen


class _Asked:
    """Whether slots are new, and a note that the rule depends on it."""

    def __init__(self, rule: Rule, value: bool) -> None:
        self._rule, self._value = rule, value

    def __bool__(self) -> bool:
        self._rule._asks = True
        return self._value


def _truth(value: Any) -> Any:
    """What a rule may ask of an option that changes: whether it is 0."""
    return tuple(map(_truth, value)) if isinstance(value, tuple) else bool(value)


def _is_number(value: Any) -> bool:
    if isinstance(value, tuple):
        return all(map(_is_number, value))
    return isinstance(value, int | float) and not isinstance(value, bool)


def _arrays(slots: Mapping[str, Any]) -> dict[str, Any]:
    return {name: to_jax(value, f"slot '{name}'") for name, value in slots.items() if isinstance(value, np.ndarray)}
