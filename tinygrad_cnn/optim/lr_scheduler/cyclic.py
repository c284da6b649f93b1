"""The cyclical schedule of the learning rate and momentum."""

import math
from collections.abc import Callable, Mapping
from typing import Annotated, Any

from ...checks import Options, non_negative, one_of, shown, whole
from ..hyperparameters import Count, Flag, NonNegative, fraction
from ..optimizer import Optimizer
from .cycle import Cycle, Momentums, Rates


class CyclicLR(Cycle):
    """The rate rises from base_lr to max_lr and falls again, in cycles, while the momentum falls and rises.

    With a share t of the way up, it is base_lr + (max_lr - base_lr) t s, and the momentum is max_momentum - (max_momentum -
    base_momentum) t s. The scale s is 1 with "triangular", 1 / 2^(c - 1) in cycle c = 1, 2, ... with "triangular2", and
    gamma^n after n steps with "exp_range". As in PyTorch, the rate is overwritten: it does not multiply with other schedules.

    Reference: Smith, "Cyclical learning rates for training neural networks", arXiv:1506.01186.

    Args:
        optimizer, last_epoch: see :class:`Curve`.
        base_lr, max_lr: the lowest and the highest rate; or lists, with one for each parameter group.
        step_size_up: the number of steps in which the rate rises.
        step_size_down: the number of steps in which it falls; step_size_up by default.
        mode: "triangular", "triangular2" or "exp_range".
        gamma: the factor of "exp_range".
        scale_fn: a function that gives the scale, in place of `mode`. It is not saved; the schedule that loads a state keeps
            its own.
        scale_mode: what `scale_fn` is given: the number of the cycle with "cycle", of the steps with "iterations".
        cycle_momentum: whether to write the momentum too: the first of "betas" of the groups, or "momentum".
        base_momentum, max_momentum: the lowest and the highest momentum; or lists.

    Raises:
        TypeError, ValueError: if an option has the wrong type or is out of range, the optimizer has no momentum to cycle, or
            a scale makes a rate negative or moves a momentum out of [0, 1).

    >>> import tinygrad_cnn as tg
    >>> optimizer = tg.optim.SGD([tg.ones(2, requires_grad=True)], momentum=0.9)
    >>> schedule = tg.optim.CyclicLR(optimizer, base_lr=0.25, max_lr=1.25, step_size_up=2, mode="triangular2")
    >>> rates = schedule.get_last_lr()
    >>> for batch in range(6):
    ...     schedule.step()  # after a step of the optimizer
    ...     rates += schedule.get_last_lr()
    >>> rates
    [0.25, 0.75, 1.25, 0.75, 0.25, 0.5, 0.75]
    """

    def __init__(
        self, optimizer: Optimizer, base_lr: Rates, max_lr: Rates, step_size_up: Count = 2000,
        step_size_down: Annotated[int | None, whole(0)] = None,
        mode: Annotated[str, one_of("triangular", "triangular2", "exp_range")] = "triangular", gamma: NonNegative = 1.0,
        scale_fn: Callable[[float], float] | None = None,
        scale_mode: Annotated[str, one_of("cycle", "iterations")] = "cycle", cycle_momentum: Flag = True,
        base_momentum: Momentums = 0.8, max_momentum: Momentums = 0.9, last_epoch: int = -1,
    ) -> None:  # fmt: skip
        if scale_fn is not None and not callable(scale_fn):
            raise TypeError(f"CyclicLR: `scale_fn` is {shown(scale_fn)}; it must be a function of a number, or None")
        self.scale_fn = scale_fn
        if step_size_down is None:
            step_size_down = step_size_up
        super().__init__(optimizer, locals(), last_epoch)

    def at(self, n: int, i: int) -> tuple[float, float]:
        length = self.step_size_up + self.step_size_down
        cycle, up = math.floor(1 + n / length), self.step_size_up / length
        x = 1 + n / length - cycle
        scale = self._scale(cycle, n) * (x / up if x <= up else (x - 1) / (up - 1))
        low, high = self.base_momentum[i], self.max_momentum[i]
        rate, momentum = self.base_lr[i] + (self.max_lr[i] - self.base_lr[i]) * scale, high - (high - low) * scale
        for name, value, check in [("rate", rate, non_negative), ("momentum", momentum, fraction)]:
            try:
                check(value if name == "rate" or self.cycle_momentum else 0.0)
            except ValueError as error:
                raise ValueError(
                    f"{self._name}: the scale after {n} steps makes the {name} of group {i} {value!r}; {error}"
                ) from None
        return rate, momentum

    def _scale(self, cycle: int, n: int) -> float:
        if self.scale_fn is not None:
            value = self.scale_fn(cycle if self.scale_mode == "cycle" else n)
            try:
                return float(value)
            except (TypeError, ValueError):
                raise TypeError(
                    f"{self._name}: `scale_fn` gave {shown(value)} after {n} steps; it must be a number"
                ) from None
        if self.mode == "exp_range":
            return math.pow(self.gamma, n)
        return 0.5 ** (cycle - 1) if self.mode == "triangular2" else 1.0

    def _of_pytorch(self, given: Mapping[str, Any]) -> Options:
        kept = dict(given)
        if {"total_size", "step_ratio"} <= kept.keys():
            length, up = kept.pop("total_size"), kept.pop("step_ratio")
            kept["step_size_up"] = round(length * up)
            kept["step_size_down"] = round(length) - kept["step_size_up"]
        for theirs, ours in PYTORCHS_LISTS.items():
            if theirs in kept:
                kept[ours] = kept[theirs] if theirs == "base_lrs" else kept.pop(theirs)
        kept.pop("_scale_fn_custom", None)
        return super()._of_pytorch(kept)


PYTORCHS_LISTS = {
    "base_lrs": "base_lr", "max_lrs": "max_lr", "base_momentums": "base_momentum", "max_momentums": "max_momentum",
}  # fmt: skip
"""Entries of PyTorch's states, and the options here."""
