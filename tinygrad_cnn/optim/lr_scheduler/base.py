"""The base of schedules: their options, the groups whose learning rates they write, and their state.

A schedule writes ``group["lr"]`` of every parameter group when it is created and at each step. The rate before that becomes
``group["initial_lr"]``, for further schedules of the same optimizer; this entry is saved with the group.
"""

import copy
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar, TypeAlias

from ...checks import Check, Loadable, Options, checked, entries, loadable, non_negative, whole
from ...core.tracing import deferred
from ..hyperparameters import INITIAL_LR, declared
from ..optimizer import Optimizer
from .chain import chain_of, join


@dataclass(frozen=True)
class PerGroup:
    """Checks a list with one value for each parameter group; a single value stands for all groups."""

    check: Check

    def __call__(self, value: Any, groups: int) -> list[Any]:
        values = list(value) if isinstance(value, list | tuple) else [value] * groups
        if len(values) != groups:
            raise ValueError(f"it must be one value, or {groups}: one for each parameter group")
        return [self.check(v) for v in values]


Checks: TypeAlias = Mapping[str, Check | PerGroup]

PYTORCHS = frozenset({
    "_step_count", "_is_initial", "_get_lr_called_within_step", "_initial_step", "verbose", "T_i", "T_cur", "_schedule_phases",
    "_anneal_func_type", "anneal_func", "use_beta1", "default_min_lr", "min_lrs", "mode_worse", "_milestones",
})  # fmt: skip
"""Entries that only PyTorch's schedules save. They follow from the others, and are ignored."""

CHAINED = {"_last_lr", "_schedulers"}
"""The entries of PyTorch's ChainedScheduler."""


def per_group(table: Checks, optimizer: Optimizer) -> dict[str, Check]:
    """The checks, given how many groups the optimizer has."""
    groups = len(optimizer.param_groups)
    return {
        name: partial(check, groups=groups) if isinstance(check, PerGroup) else check for name, check in table.items()
    }


class LRScheduler(Loadable):
    """The base of schedules.

    A subclass declares its options by annotating the parameters of its constructor with checks, or in ``options``. Every
    option becomes an attribute. ``kept`` has checks for further attributes that are saved. Loading a state writes its
    learning rates to the optimizer, whose own state may be loaded before or after.

    Args:
        optimizer: the optimizer whose learning rates are written.
        options: the value of every option. Other names are ignored.

    Attributes:
        optimizer: the optimizer.
        last_epoch: how many steps were taken.

    Raises:
        TypeError, ValueError: if an option has the wrong type or is out of range.
    """

    counts_batches: ClassVar[bool] = False
    """Whether the schedule is made to be stepped once a batch, not once an epoch."""

    options: ClassVar[Checks] = {}
    kept: ClassVar[Checks] = {"last_epoch": whole(0), "_last_lr": PerGroup(non_negative)}
    last_epoch: int
    _last_lr: list[float]

    if TYPE_CHECKING:

        def __getattr__(self, name: str) -> Any: ...  # the options, which the constructor declares

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if "options" not in vars(cls):
            cls.options = declared(cls)
        if "step" in vars(cls):
            cls.step = deferred(vars(cls)["step"])  # type: ignore[attr-defined]

    def __init__(self, optimizer: Optimizer, options: Mapping[str, Any]) -> None:
        self._name = type(self).__name__
        if not isinstance(optimizer, Optimizer):
            raise TypeError(f"{self._name}: `optimizer` is a {type(optimizer).__name__}; it must be an Optimizer")
        if not isinstance(options, Mapping):
            raise TypeError(
                f"{self._name}: `options` is {options!r:.60}; it must be a mapping of the schedule's options; a schedule that "
                "computes rates from the number of steps is LambdaLR(optimizer, f), and get_lr is not called"
            )
        self.optimizer, self._chain = optimizer, chain_of(optimizer)
        vars(self).update(checked(self._name, self._checks(self.options), options))
        self.last_epoch = 0
        self._last_lr = self._rates()

    def __setstate__(self, state: dict[str, Any]) -> None:
        vars(self).update(state)
        join(self.optimizer, self._chain)

    def get_last_lr(self) -> list[float]:
        """The learning rate of each group after the last step."""
        return list(self._last_lr)

    def _rates(self) -> list[float]:
        return [float(group["lr"]) for group in self.optimizer.param_groups]

    def _groups(self) -> list[Options]:
        groups = self.optimizer.param_groups
        if len(groups) != len(self._last_lr):
            raise ValueError(
                f"{self._name}: the optimizer has {len(groups)} parameter groups but had {len(self._last_lr)} when the "
                "schedule was made; add groups first, or make a new schedule"
            )
        return groups

    def state_dict(self) -> dict[str, Any]:
        """A copy of the options, the saved attributes and the current learning rates, in plain Python."""
        names = (*self.options, *self.kept)
        return {"lr": self._rates(), **{name: copy.deepcopy(getattr(self, name)) for name in names}}

    def _prepare_load(self, state_dict: Any) -> Callable[[], None]:
        return partial(self._take, loadable(self._name, *self._read(state_dict)))

    def _read(self, given: Any) -> tuple[Options, list[str]]:
        """The checked entries of a saved state, and its faults."""
        if isinstance(given, Mapping) and "lr" not in given and (PYTORCHS & given.keys() or given.keys() == CHAINED):
            given = self._of_pytorch(given)
        more = self._more(given) if isinstance(given, Mapping) else {}
        table = self._checks({"lr": PerGroup(non_negative), **self.options, **self.kept, **more})
        return entries(given, table, f"the state of {self._name}", f" of {self._name}")

    def _of_pytorch(self, given: Mapping[str, Any]) -> Options:
        """A state that PyTorch's schedule saved, as ours. Entries that PyTorch does not save keep their values."""
        ignored = PYTORCHS | ({"base_lrs"} - self.kept.keys())
        kept = {name: value for name, value in given.items() if name not in ignored}
        state = {**self.state_dict(), **kept, "lr": given.get("_last_lr")}
        if state["last_epoch"] == -1:  # a part of a SequentialLR that has not begun
            state["last_epoch"] = 0
        return state

    def _more(self, given: Mapping[str, Any]) -> Checks:
        """Checks of further entries of a saved state."""
        return {}

    def _take(self, values: Options) -> None:
        """Write the entries of a saved state to the optimizer and the schedule."""
        for group, lr in zip(self.optimizer.param_groups, values.pop("lr"), strict=True):
            group["lr"] = lr
        vars(self).update(values)

    def _checks(self, table: Checks) -> dict[str, Check]:
        return per_group(table, self.optimizer)

    def __repr__(self) -> str:
        options = [f"{name}={getattr(self, name)!r}" for name in self.options]
        return f"{self._name}({', '.join([*options, f'last_epoch={self.last_epoch}'])})"


class Timed(LRScheduler, ABC):
    """A schedule that depends only on the number of its steps. A :class:`SequentialLR` may begin it at any time."""

    def __init__(self, optimizer: Optimizer, options: Mapping[str, Any], last_epoch: int = -1) -> None:
        super().__init__(optimizer, options)
        steps = 1 + checked(self._name, {"last_epoch": whole(-1)}, {"last_epoch": last_epoch})["last_epoch"]
        for i, group in enumerate(optimizer.param_groups):
            if steps and INITIAL_LR not in group:
                raise ValueError(
                    f"{self._name}: `last_epoch` is {last_epoch} but group {i} has no '{INITIAL_LR}' to continue from; load "
                    "the optimizer's state first, or leave last_epoch out"
                )
            initial = group.setdefault(INITIAL_LR, float(group["lr"]))
            if steps:
                group["lr"] = initial
        self.begin()
        for _ in range(steps):
            self.step()

    @abstractmethod
    def begin(self) -> None:
        """Write the first learning rates."""

    @abstractmethod
    def step(self) -> None:
        """Write the next learning rates. Call it once an epoch or once a batch, after the optimizer's steps."""
