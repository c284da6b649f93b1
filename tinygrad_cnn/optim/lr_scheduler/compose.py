"""Schedules composed of schedules: one after another, or several at once."""

from bisect import bisect_right
from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any

from ...checks import Options, whole
from ..hyperparameters import INITIAL_LR
from ..optimizer import Optimizer
from .base import Checks, LRScheduler, Timed
from .plateau import ReduceLROnPlateau


def _listed(value: Any) -> list[Any]:
    if not isinstance(value, list | tuple):
        raise TypeError("it must be a list")
    return list(value)


class _Composed(Timed):
    """The base of schedules that are composed of schedules."""

    _schedulers: list[Timed]

    @property
    def counts_batches(self) -> bool:  # type: ignore[override]
        """Whether one of the schedules does."""
        return any(part.counts_batches for part in self._schedulers)

    def _compose(self, optimizer: Optimizer | None, schedulers: Sequence[Timed]) -> Optimizer:
        """Check and keep the schedules, and return their optimizer."""
        name = type(self).__name__
        if not isinstance(schedulers, Sequence):
            raise TypeError(f"{name}: `schedulers` is a {type(schedulers).__name__}; it must be a list of schedules")
        if not schedulers:
            raise ValueError(f"{name}: `schedulers` is empty; give at least one")
        self._schedulers = list(schedulers)
        for i, part in enumerate(self._schedulers):
            which = f"{name}: scheduler {i} is a {type(part).__name__}"
            if isinstance(part, ReduceLROnPlateau):
                raise ValueError(f"{which}, whose step needs a metric; step it beside this one")
            if not isinstance(part, Timed):
                raise TypeError(f"{which}; it must be a schedule")
            if part.optimizer is not (optimizer or schedulers[0].optimizer):
                raise ValueError(f"{which} of another optimizer; all must have the same")
            if any(part is other for other in self._schedulers[:i]):
                raise ValueError(f"{which} that was given before; each must be its own")
            part._groups()
        return schedulers[0].optimizer

    def state_dict(self) -> dict[str, Any]:
        return {**super().state_dict(), "_schedulers": [part.state_dict() for part in self._schedulers]}

    def _of_pytorch(self, given: Mapping[str, Any]) -> Options:
        parts = given.get("_schedulers")
        first = parts[0] if isinstance(parts, list) and parts and isinstance(parts[0], Mapping) else {}
        return super()._of_pytorch({"last_epoch": first.get("last_epoch"), **given})

    def _more(self, given: Mapping[str, Any]) -> Checks:
        return {"_schedulers": _listed}

    def _read(self, given: Any) -> tuple[Options, list[str]]:
        values, faults = super()._read(given)
        saved = values.get("_schedulers", [])
        if "_schedulers" in values and len(saved) != len(self._schedulers):
            faults.append(f"{self._name} has {len(self._schedulers)} schedulers; there are {len(saved)}")
        parts = [part._read(state) for part, state in zip(self._schedulers, saved, strict=False)]
        values["_schedulers"] = [loaded for loaded, _ in parts]
        return values, faults + [f"scheduler {i}: {fault}" for i, (_, wrong) in enumerate(parts) for fault in wrong]

    def _take(self, values: Options) -> None:
        for part, loaded in zip(self._schedulers, values.pop("_schedulers"), strict=True):
            part._take(loaded)
        super()._take(values)


class SequentialLR(_Composed):
    """One schedule after another; each begins at the initial learning rate.

    Args:
        optimizer, last_epoch: see :class:`Curve`.
        schedulers: the schedules, created for the same optimizer.
        milestones: the numbers of steps after which the second schedule begins, the third and so on.

    Raises:
        TypeError, ValueError: if there is no schedule, one cannot be composed, or the milestones do not increase or are not one
            fewer than the schedules.

    >>> import tinygrad_cnn as tg
    >>> optimizer = tg.optim.SGD([tg.ones(2, requires_grad=True)], lr=0.5)
    >>> warm_up = tg.optim.LinearLR(optimizer, start_factor=0.5, total_iters=2)
    >>> decay = tg.optim.ExponentialLR(optimizer, gamma=0.5)
    >>> schedule = tg.optim.SequentialLR(optimizer, [warm_up, decay], milestones=[2])
    >>> rates = schedule.get_last_lr()
    >>> for epoch in range(4):
    ...     schedule.step()  # after an epoch of the optimizer's steps
    ...     rates += schedule.get_last_lr()
    >>> rates
    [0.25, 0.375, 0.5, 0.25, 0.125]
    """

    def __init__(
        self, optimizer: Optimizer, schedulers: Sequence[Timed], milestones: Sequence[int], last_epoch: int = -1
    ) -> None:
        self._compose(optimizer, schedulers)
        self._milestones = list(milestones)
        rule = f"it must be {len(schedulers) - 1} increasing numbers of steps: one fewer than schedulers"
        try:
            ends = [-1, *map(whole(0), self._milestones)]
        except (TypeError, ValueError) as error:
            raise type(error)(f"SequentialLR: `milestones` is {milestones!r}; {rule}") from None
        if len(ends) != len(schedulers) or any(a >= b for a, b in pairwise(ends)):
            raise ValueError(f"SequentialLR: `milestones` is {milestones!r}; {rule}")
        for group in optimizer.param_groups:
            group["lr"] = group[INITIAL_LR]  # each part has written its first rate; the first part writes it again
        super().__init__(optimizer, {}, last_epoch)

    def begin(self) -> None:
        self.last_epoch = 0
        self._schedulers[bisect_right(self._milestones, 0)].begin()
        self._last_lr = self._rates()

    def step(self) -> None:
        groups, n = self._groups(), self.last_epoch + 1
        part = bisect_right(self._milestones, n)
        if part and self._milestones[part - 1] == n:
            for i, group in enumerate(groups):
                self._chain.overwrite(i, group, group[INITIAL_LR])
            self._schedulers[part].begin()
        else:
            self._schedulers[part].step()
        self._last_lr, self.last_epoch = self._rates(), n


class ChainedScheduler(_Composed):
    """Several schedules at once: each step is a step of all of them in turn, so their factors multiply.

    Each schedule continues from the state that it has.

    Args:
        schedulers: the schedules, created for the same optimizer.
        optimizer: their optimizer; by default that of the schedules.

    Raises:
        TypeError, ValueError: if there is no schedule, or one cannot be composed.

    >>> import tinygrad_cnn as tg
    >>> optimizer = tg.optim.SGD([tg.ones(2, requires_grad=True)], lr=0.5)
    >>> warm_up = tg.optim.ConstantLR(optimizer, factor=0.25, total_iters=2)
    >>> decay = tg.optim.ExponentialLR(optimizer, gamma=0.5)
    >>> schedule = tg.optim.ChainedScheduler([warm_up, decay])
    >>> rates = schedule.get_last_lr()
    >>> for epoch in range(3):
    ...     schedule.step()  # after an epoch of the optimizer's steps
    ...     rates += schedule.get_last_lr()
    >>> rates
    [0.125, 0.0625, 0.125, 0.0625]
    """

    def __init__(self, schedulers: Sequence[Timed], optimizer: Optimizer | None = None) -> None:
        # Not Timed's constructor, which calls begin(): each part continues from its state.
        LRScheduler.__init__(self, self._compose(optimizer, schedulers), {})

    def begin(self) -> None:
        self.last_epoch = 0
        for part in self._schedulers:
            part.begin()
        self._last_lr = self._rates()

    def step(self) -> None:
        for part in self._schedulers:
            part.step()
        self._last_lr = self._rates()
        self.last_epoch += 1
