"""Schedules that multiply the initial learning rate by a function of the number of steps."""

from __future__ import annotations

import math
from abc import abstractmethod
from bisect import bisect_right
from collections.abc import Iterable
from typing import Any, ClassVar

from ..optimizer import Optimizer
from ..options import INITIAL_LR, Options, finite, non_negative, number, share, whole
from .frame import Each, Table, Timed


def _rate_and_zeros(value: Any) -> tuple[float, int] | None:
    if value is None:
        return None
    if not isinstance(value, list | tuple) or len(value) != 2:
        raise TypeError("it must be None, or a learning rate and how many factors of it are 0")
    return finite(value[0]), whole(1)(value[1])


class Curve(Timed):
    """The base of these: lr = floor + (initial_lr - floor) at(n) after n steps.

    Schedules of one optimizer multiply: if the rate is not what this schedule wrote last, because another one or the
    user has changed it, then the excess over the floor has been scaled and stays scaled. Where the factor does not
    change, the rate is left alone. A rate of 0 does not tell the other factors, so the optimizer keeps their product
    until the factor that is 0 has changed.

    Args:
        optimizer: the optimizer whose learning rates are written.
        options: the value of every option.
        last_epoch: -1 to start; to go on without a saved schedule, the number of steps taken before, less one: the
            groups must then hold their "initial_lr".

    Attributes:
        base_lrs: the initial learning rate of each group.
        scales: by how much others have scaled the excess of each group's rate.

    >>> import tinygrad_cnn as tg
    >>> class InverseLR(tg.optim.lr_scheduler.Curve):
    ...     def __init__(self, optimizer):
    ...         super().__init__(optimizer, {})
    ...     def at(self, n):
    ...         return 1 / (1 + n)
    >>> optimizer = tg.optim.SGD([tg.ones(2, requires_grad=True)], lr=0.5)
    >>> schedule = InverseLR(optimizer)
    >>> schedule.step()
    >>> optimizer.param_groups[0]["lr"]
    0.25
    """

    kept: ClassVar[Table] = {**Timed.kept, "base_lrs": Each(non_negative), "scales": Each(finite)}
    optional: ClassVar[Table] = {"zeroed": Each(_rate_and_zeros)}
    chains: ClassVar[bool] = True

    base_lrs: list[float]
    scales: list[float]

    @abstractmethod
    def at(self, n: float) -> float:
        """The factor after n steps."""

    @property
    def floor(self) -> float:
        """What the rates approach where the factor goes to 0."""
        return 0.0

    def begin(self) -> None:
        self.base_lrs = [float(group[INITIAL_LR]) for group in self.optimizer.param_groups]
        self.scales = [1.0] * len(self.base_lrs)
        self._last_lr = list(self.base_lrs)
        self._move(1.0, 0)

    def step(self) -> None:
        self._move(self.at(self.last_epoch), self.last_epoch + 1)

    def _move(self, before: float, n: float) -> None:
        """Write the rates after n steps; the factor has been `before`."""
        now, floor, zeroed = self.at(n), self.floor, self.optimizer._zeroed
        for i, group in enumerate(self._groups()):
            found, written, kept = float(group["lr"]), self._last_lr[i], zeroed.pop(i, None)
            # The rate without the factors that are 0, and how many these are.
            rate, zeros = kept if kept and not found else (found, 0)
            if not written and (zeros or before):
                written = self._without_zero(i, before)
            if self.chains and rate != written and written:
                self.scales[i] *= rate / written if written == floor else (rate - floor) / (written - floor)
            if now != before or not self.chains:
                rate = self._without_zero(i, now) if self.chains else floor + (self.base_lrs[i] - floor) * now
                zeros = max(0, zeros - (before == floor == 0)) + (now == floor == 0) if self.chains else 0
                group["lr"] = 0.0 if zeros else rate
            if zeros:
                zeroed[i] = rate, zeros
            self._last_lr[i] = float(group["lr"])
        self.last_epoch = int(n)

    def _without_zero(self, i: int, factor: float) -> float:
        """The rate of a group where the factor, if it makes the rate 0, is left out."""
        floor = self.floor
        return floor + (self.base_lrs[i] - floor) * self.scales[i] * (factor if factor or floor else 1.0)

    # State

    def state_dict(self) -> dict[str, Any]:
        state, zeroed = super().state_dict(), self.optimizer._zeroed
        kept = [zeroed.get(i) if lr == 0 else None for i, lr in enumerate(state["lr"])]
        return {**state, "zeroed": kept} if any(kept) else state

    def _take(self, values: Options) -> None:
        kept = values.pop("zeroed", ())
        super()._take(values)
        self.optimizer._zeroed = {i: pair for i, pair in enumerate(kept) if pair is not None}


class StepLR(Curve):
    """lr = initial_lr gamma^(n // step_size) after n steps.

    Args:
        optimizer: the optimizer whose learning rates are written.
        step_size: how many steps the rate stays.
        gamma: what it is multiplied by then.
        last_epoch: see :class:`Curve`.

    Raises:
        TypeError, ValueError: if an option is not what it must be.

    >>> import tinygrad_cnn as tg
    >>> optimizer = tg.optim.SGD([tg.ones(2, requires_grad=True)], lr=0.8)
    >>> schedule = tg.optim.StepLR(optimizer, step_size=2, gamma=0.5)
    >>> rates = schedule.get_last_lr()
    >>> for epoch in range(5):
    ...     schedule.step()  # after an epoch of the optimizer's steps
    ...     rates += schedule.get_last_lr()
    >>> rates
    [0.8, 0.8, 0.4, 0.4, 0.2, 0.2]
    """

    options: ClassVar[Table] = {"step_size": whole(1), "gamma": non_negative}
    step_size: int
    gamma: float

    def __init__(self, optimizer: Optimizer, step_size: int, gamma: float = 0.1, last_epoch: int = -1) -> None:
        super().__init__(optimizer, {"step_size": step_size, "gamma": gamma}, last_epoch)

    def at(self, n: float) -> float:
        return math.pow(self.gamma, n // self.step_size)


def _milestones(value: Any) -> list[int]:
    if isinstance(value, str) or not isinstance(value, Iterable):
        raise TypeError("it must be a list of whole numbers of steps")
    try:
        return sorted(whole(0)(n) for n in value)
    except (TypeError, ValueError) as error:
        raise type(error)("it must be a list of whole numbers of steps") from None


class MultiStepLR(Curve):
    """lr = initial_lr gamma^k after n steps, where k of the milestones are at most n.

    Args:
        optimizer: the optimizer whose learning rates are written.
        milestones: after how many steps the rate is multiplied by gamma; one that is listed twice counts twice.
        gamma: what it is multiplied by.
        last_epoch: see :class:`Curve`.

    Raises:
        TypeError, ValueError: if an option is not what it must be.
    """

    options: ClassVar[Table] = {"milestones": _milestones, "gamma": non_negative}
    milestones: list[int]
    gamma: float

    def __init__(
        self, optimizer: Optimizer, milestones: Iterable[int], gamma: float = 0.1, last_epoch: int = -1
    ) -> None:
        super().__init__(optimizer, {"milestones": milestones, "gamma": gamma}, last_epoch)

    def at(self, n: float) -> float:
        return math.pow(self.gamma, bisect_right(self.milestones, n))


class ConstantLR(Curve):
    """lr = initial_lr factor for the first total_iters steps, then initial_lr: a warm-up in one leap.

    Args:
        optimizer: the optimizer whose learning rates are written.
        factor: from 0 to 1.
        total_iters: how many steps the rate stays reduced.
        last_epoch: see :class:`Curve`.

    Raises:
        TypeError, ValueError: if an option is not what it must be.
    """

    options: ClassVar[Table] = {"factor": share, "total_iters": whole(1)}
    factor: float
    total_iters: int

    def __init__(self, optimizer: Optimizer, factor: float = 1 / 3, total_iters: int = 5, last_epoch: int = -1) -> None:
        super().__init__(optimizer, {"factor": factor, "total_iters": total_iters}, last_epoch)

    def at(self, n: float) -> float:
        return self.factor if n < self.total_iters else 1.0


class LinearLR(Curve):
    """lr = initial_lr (start_factor + (end_factor - start_factor) n / total_iters) up to n = total_iters, then as there.

    With the defaults a warm-up; with start_factor=1 and end_factor=0 a straight way down to nothing.

    Args:
        optimizer: the optimizer whose learning rates are written.
        start_factor: above 0, at most 1.
        end_factor: from 0 to 1.
        total_iters: how many steps the way takes.
        last_epoch: see :class:`Curve`.

    Raises:
        TypeError, ValueError: if an option is not what it must be.

    >>> import tinygrad_cnn as tg
    >>> optimizer = tg.optim.Adam([tg.ones(2, requires_grad=True)], lr=0.5)
    >>> schedule = tg.optim.LinearLR(optimizer, start_factor=0.25, total_iters=3)
    >>> rates = schedule.get_last_lr()
    >>> for batch in range(4):
    ...     schedule.step()  # after a step of the optimizer
    ...     rates += schedule.get_last_lr()
    >>> rates
    [0.125, 0.25, 0.375, 0.5, 0.5]
    """

    options: ClassVar[Table] = {
        "start_factor": number("a number above 0 and at most 1", lambda x: 0 < x <= 1),
        "end_factor": share,
        "total_iters": whole(1),
    }
    start_factor: float
    end_factor: float
    total_iters: int

    def __init__(
        self, optimizer: Optimizer, start_factor: float = 1 / 3, end_factor: float = 1.0, total_iters: int = 5,
        last_epoch: int = -1,
    ) -> None:  # fmt: skip
        super().__init__(
            optimizer,
            {"start_factor": start_factor, "end_factor": end_factor, "total_iters": total_iters},
            last_epoch,
        )

    def at(self, n: float) -> float:
        return self.start_factor + (self.end_factor - self.start_factor) * min(n, self.total_iters) / self.total_iters


class ExponentialLR(Curve):
    """lr = initial_lr gamma^n after n steps.

    Args:
        optimizer: the optimizer whose learning rates are written.
        gamma: what the rate is multiplied by at each step.
        last_epoch: see :class:`Curve`.

    Raises:
        TypeError, ValueError: if an option is not what it must be.
    """

    options: ClassVar[Table] = {"gamma": non_negative}
    gamma: float

    def __init__(self, optimizer: Optimizer, gamma: float, last_epoch: int = -1) -> None:
        super().__init__(optimizer, {"gamma": gamma}, last_epoch)

    def at(self, n: float) -> float:
        return math.pow(self.gamma, n)


class _Cosine(Curve):
    """A curve that falls to a smallest learning rate, `eta_min`."""

    eta_min: float

    @property
    def floor(self) -> float:
        return self.eta_min


class CosineAnnealingLR(_Cosine):
    """lr = eta_min + (initial_lr - eta_min) (1 + cos(pi n / T_max)) / 2 after n steps.

    Beyond T_max steps the rate climbs back as it fell.

    Reference: Loshchilov and Hutter, "SGDR: stochastic gradient descent with warm restarts", arXiv:1608.03983, without
    the restarts.

    Args:
        optimizer: the optimizer whose learning rates are written.
        T_max: how many steps the way down takes.
        eta_min: the rate at its end.
        last_epoch: see :class:`Curve`.

    Raises:
        TypeError, ValueError: if an option is not what it must be.

    >>> import tinygrad_cnn as tg
    >>> optimizer = tg.optim.SGD([tg.ones(2, requires_grad=True)], lr=0.5)
    >>> schedule = tg.optim.CosineAnnealingLR(optimizer, T_max=2, eta_min=0.25)
    >>> rates = schedule.get_last_lr()
    >>> for epoch in range(2):
    ...     schedule.step()  # after an epoch of the optimizer's steps
    ...     rates += schedule.get_last_lr()
    >>> rates
    [0.5, 0.375, 0.25]
    """

    options: ClassVar[Table] = {"T_max": whole(1), "eta_min": non_negative}
    T_max: int

    def __init__(self, optimizer: Optimizer, T_max: int, eta_min: float = 0.0, last_epoch: int = -1) -> None:
        super().__init__(optimizer, {"T_max": T_max, "eta_min": eta_min}, last_epoch)

    def at(self, n: float) -> float:
        return (1 + math.cos(math.pi * n / self.T_max)) / 2


class CosineAnnealingWarmRestarts(_Cosine):
    """lr = eta_min + (initial_lr - eta_min) (1 + cos(pi t / T)) / 2, at the t-th step of a cycle of T steps.

    The first cycle takes T_0 steps, each further one T_mult times as many. The rate is set outright: as in PyTorch, it
    does not multiply with other schedules.

    Reference: Loshchilov and Hutter, "SGDR: stochastic gradient descent with warm restarts", arXiv:1608.03983.

    Args:
        optimizer: the optimizer whose learning rates are written.
        T_0: how many steps the first cycle takes.
        T_mult: how many times longer each further cycle is.
        eta_min: the rate that a cycle falls to.
        last_epoch: see :class:`Curve`.

    Raises:
        TypeError, ValueError: if an option is not what it must be.
    """

    options: ClassVar[Table] = {"T_0": whole(1), "T_mult": whole(1), "eta_min": non_negative}
    kept: ClassVar[Table] = {**Curve.kept, "_position": non_negative}
    chains: ClassVar[bool] = False
    T_0: int
    T_mult: int

    def __init__(
        self, optimizer: Optimizer, T_0: int, T_mult: int = 1, eta_min: float = 0.0, last_epoch: int = -1
    ) -> None:
        super().__init__(optimizer, {"T_0": T_0, "T_mult": T_mult, "eta_min": eta_min}, last_epoch)

    def step(self, epoch: float | None = None) -> None:
        """Write the next learning rates, or those after `epoch` steps, which may be a fraction: epoch + batch / batches.

        Raises:
            TypeError, ValueError: if `epoch` is not a finite number of at least 0.
        """
        try:
            n = self._position + 1 if epoch is None else non_negative(epoch)
        except (TypeError, ValueError) as error:
            raise type(error)(f"{self._name}.step: `epoch` is {epoch!r}; {error}") from None
        self._move(math.nan, n)

    def _move(self, before: float, n: float) -> None:
        super()._move(before, n)
        self._position = float(n)

    def at(self, n: float) -> float:
        length = self.T_0
        while self.T_mult > 1 and n >= length:
            n -= length
            length *= self.T_mult
        return (1 + math.cos(math.pi * (n % length) / length)) / 2
