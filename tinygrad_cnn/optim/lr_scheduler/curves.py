"""Schedules whose learning rate is the initial one times a function of the number of steps."""

import copy
import math
from abc import abstractmethod
from bisect import bisect_right
from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Annotated, Any, ClassVar

from ...checks import Options, finite, non_negative, number, whole
from ..hyperparameters import INITIAL_LR, Count, NonNegative, Share
from ..optimizer import Optimizer
from .base import Checks, PerGroup, Timed
from .chain import hidden_or_none

__all__ = [
    "ConstantLR", "CosineAnnealingLR", "CosineAnnealingWarmRestarts", "Curve", "ExponentialLR", "LinearLR", "MultiStepLR",
    "PolynomialLR", "StepLR",
]  # fmt: skip


class Curve(Timed):
    """The base of schedules with lr = floor + (initial_lr - floor) at(n) after n steps.

    A subclass defines the function :meth:`at` of the number of steps. Schedules of one optimizer multiply. If lr was changed
    elsewhere, the ratio of lr - floor is kept, also through a rate of 0. A step with an unchanged factor leaves lr alone.

    Args:
        optimizer: the optimizer whose learning rates are written.
        options: the value of every option. Other names are ignored.
        last_epoch: -1 to start. To continue without a saved schedule, the number of earlier steps less one; the groups
            must have an "initial_lr" then.

    Attributes:
        base_lrs: the initial learning rate of each group.
        scales: the ratio by which lr - floor was changed elsewhere, for each group.

    Raises:
        TypeError, ValueError: if an option has the wrong type or is out of range.

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

    kept: ClassVar[Checks] = {**Timed.kept, "base_lrs": PerGroup(non_negative), "scales": PerGroup(finite)}
    base_lrs: list[float]
    scales: list[float]
    eta_min: float = 0.0

    @abstractmethod
    def at(self, n: float) -> float:
        """The factor after n steps."""

    @property
    def floor(self) -> float:
        """The rate where the factor is 0."""
        return self.eta_min

    def begin(self) -> None:
        self.base_lrs = [float(group[INITIAL_LR]) for group in self.optimizer.param_groups]
        self.scales = [1.0] * len(self.base_lrs)
        self._last_lr = list(self.base_lrs)
        self._move(1.0, 0)

    def step(self) -> None:
        self._move(self.at(self.last_epoch), self.last_epoch + 1)

    def _move(self, before: float, n: float) -> None:
        """Write the rates after n steps, where `before` is the factor at the last step."""
        self._chain.move(self, before, self.at(n))
        self.last_epoch = int(n)

    def state_dict(self) -> dict[str, Any]:
        hidden = self._chain.hidden(self.optimizer.param_groups)
        return super().state_dict() | ({"zeroed": hidden} if any(hidden) else {})

    def _of_pytorch(self, given: Mapping[str, Any]) -> Options:
        state = super()._of_pytorch(given)
        state.pop("zeroed", None)
        try:  # the scales follow from the rates
            curve = copy.copy(self)
            vars(curve).update({name: state[name] for name in self.options})
            factor, floor = curve.at(state["last_epoch"]), curve.floor
            pairs = zip(state["lr"], state["base_lrs"], strict=True)
            state["scales"] = [(lr - floor) / x if (x := (base - floor) * factor) else 1.0 for lr, base in pairs]
        except (TypeError, ValueError, ArithmeticError):
            pass  # an entry is wrong, as its check will say
        return state

    def _more(self, given: Mapping[str, Any]) -> Checks:
        return {"zeroed": PerGroup(hidden_or_none)} if "zeroed" in given else {}

    def _take(self, values: Options) -> None:
        hidden = values.pop("zeroed", ())
        super()._take(values)
        self._chain.hide(hidden)


class StepLR(Curve):
    """lr = initial_lr gamma^(n // step_size) after n steps.

    Args:
        optimizer, last_epoch: see :class:`Curve`.
        step_size: the number of steps between two changes of the rate.
        gamma: the factor of each change.

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

    def __init__(self, optimizer: Optimizer, step_size: Count, gamma: NonNegative = 0.1, last_epoch: int = -1) -> None:
        super().__init__(optimizer, locals(), last_epoch)

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
        optimizer, last_epoch: see :class:`Curve`.
        milestones: the numbers of steps after which the rate changes; a number that is listed twice counts twice.
        gamma: the factor of each change.
    """

    def __init__(
        self, optimizer: Optimizer, milestones: Annotated[Iterable[int], _milestones], gamma: NonNegative = 0.1,
        last_epoch: int = -1,
    ) -> None:  # fmt: skip
        super().__init__(optimizer, locals(), last_epoch)

    def _of_pytorch(self, given: Mapping[str, Any]) -> Options:
        counted = given.get("milestones")
        return super()._of_pytorch(
            {**given, "milestones": sorted(counted.elements())} if isinstance(counted, Counter) else given
        )

    def at(self, n: float) -> float:
        return math.pow(self.gamma, bisect_right(self.milestones, n))


class ConstantLR(Curve):
    """lr = initial_lr factor for the first total_iters steps, then initial_lr: a warm-up in one jump.

    Args:
        optimizer, last_epoch: see :class:`Curve`.
        factor: from 0 to 1.
        total_iters: the number of steps with the reduced rate. With 0 the rate is never reduced, as PyTorch's
            documentation says; PyTorch itself reduces it for good.
    """

    def __init__(
        self, optimizer: Optimizer, factor: Share = 1 / 3, total_iters: Annotated[int, whole(0)] = 5,
        last_epoch: int = -1,
    ) -> None:  # fmt: skip
        super().__init__(optimizer, locals(), last_epoch)

    def at(self, n: float) -> float:
        return self.factor if n < self.total_iters else 1.0


class LinearLR(Curve):
    """lr = initial_lr (start_factor + (end_factor - start_factor) n / total_iters) up to n = total_iters, then constant.

    The defaults make a warm-up; start_factor=1 and end_factor=0 make a linear decay to 0.

    Args:
        optimizer, last_epoch: see :class:`Curve`.
        start_factor: above 0, at most 1.
        end_factor: from 0 to 1.
        total_iters: the number of steps from one factor to the other.

    >>> import tinygrad_cnn as tg
    >>> optimizer = tg.optim.Adam([tg.ones(2, requires_grad=True)], lr=0.5)
    >>> schedule = tg.optim.LinearLR(optimizer, start_factor=0.25, total_iters=3)
    >>> [0.5 * schedule.at(n) for n in range(5)]
    [0.125, 0.25, 0.375, 0.5, 0.5]
    """

    def __init__(
        self, optimizer: Optimizer,
        start_factor: Annotated[float, number("a number above 0 and at most 1", lambda x: 0 < x <= 1)] = 1 / 3,
        end_factor: Share = 1.0, total_iters: Count = 5, last_epoch: int = -1,
    ) -> None:  # fmt: skip
        super().__init__(optimizer, locals(), last_epoch)

    def at(self, n: float) -> float:
        start, end, total = float(self.start_factor), float(self.end_factor), int(self.total_iters)
        return start + (end - start) * min(n, total) / total


class PolynomialLR(Curve):
    """lr = initial_lr (1 - n / total_iters)^power up to n = total_iters, then constant.

    Args:
        optimizer, last_epoch: see :class:`Curve`.
        total_iters: the number of steps in which the rate falls to 0.
        power: of the polynomial, at least 0: with 1 the rate falls along a line.

    >>> import tinygrad_cnn as tg
    >>> optimizer = tg.optim.SGD([tg.ones(2, requires_grad=True)], lr=0.5)
    >>> schedule = tg.optim.PolynomialLR(optimizer, total_iters=4, power=2)
    >>> [0.5 * schedule.at(n) for n in range(6)]
    [0.5, 0.28125, 0.125, 0.03125, 0.0, 0.0]
    """

    def __init__(
        self, optimizer: Optimizer, total_iters: Count = 5, power: NonNegative = 1.0, last_epoch: int = -1
    ) -> None:
        super().__init__(optimizer, locals(), last_epoch)

    def at(self, n: float) -> float:
        return math.pow(1 - min(n, self.total_iters) / self.total_iters, self.power)


class ExponentialLR(Curve):
    """lr = initial_lr gamma^n after n steps.

    Args:
        optimizer, last_epoch: see :class:`Curve`.
        gamma: the factor of each step.
    """

    def __init__(self, optimizer: Optimizer, gamma: NonNegative, last_epoch: int = -1) -> None:
        super().__init__(optimizer, locals(), last_epoch)

    def at(self, n: float) -> float:
        return math.pow(self.gamma, n)


class CosineAnnealingLR(Curve):
    """lr = eta_min + (initial_lr - eta_min) (1 + cos(pi n / T_max)) / 2 after n steps.

    Beyond T_max steps the rate rises again.

    Reference: Loshchilov and Hutter, "SGDR: stochastic gradient descent with warm restarts", arXiv:1608.03983, without
    the restarts.

    Args:
        optimizer, last_epoch: see :class:`Curve`.
        T_max: the number of steps from the initial rate to the lowest.
        eta_min: the lowest rate.

    >>> import tinygrad_cnn as tg
    >>> optimizer = tg.optim.SGD([tg.ones(2, requires_grad=True)], lr=0.5)
    >>> schedule = tg.optim.CosineAnnealingLR(optimizer, T_max=2, eta_min=0.25)
    >>> [0.25 + (0.5 - 0.25) * schedule.at(n) for n in range(3)]
    [0.5, 0.375, 0.25]
    """

    def __init__(self, optimizer: Optimizer, T_max: Count, eta_min: NonNegative = 0.0, last_epoch: int = -1) -> None:
        super().__init__(optimizer, locals(), last_epoch)

    def at(self, n: float) -> float:
        return (1 + math.cos(math.pi * n / self.T_max)) / 2


class CosineAnnealingWarmRestarts(Curve):
    """lr = eta_min + (initial_lr - eta_min) (1 + cos(pi t / T)) / 2, at the t-th step of a cycle of T steps.

    The first cycle takes T_0 steps, and each further cycle T_mult times as many as the one before. As in PyTorch, the rate
    is overwritten: it does not multiply with other schedules.

    Reference: Loshchilov and Hutter, "SGDR: stochastic gradient descent with warm restarts", arXiv:1608.03983.

    Args:
        optimizer, last_epoch: see :class:`Curve`.
        T_0: the number of steps in the first cycle.
        T_mult: how many times longer each further cycle is.
        eta_min: the lowest rate.
    """

    kept: ClassVar[Checks] = {**Curve.kept, "_position": non_negative}

    def __init__(
        self, optimizer: Optimizer, T_0: Count, T_mult: Count = 1, eta_min: NonNegative = 0.0, last_epoch: int = -1
    ) -> None:
        super().__init__(optimizer, locals(), last_epoch)

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

    def _of_pytorch(self, given: Mapping[str, Any]) -> Options:
        position = max(given["last_epoch"], 0) + given.get("T_cur", 0.0) % 1  # -1: a part of a SequentialLR, not begun
        return {**super()._of_pytorch(given), "scales": [1.0] * len(self.scales), "_position": float(position)}

    def _move(self, before: float, n: float) -> None:
        for i, group in enumerate(self._groups()):
            self._last_lr[i] = self.floor + (self.base_lrs[i] - self.floor) * self.at(n)
            self._chain.overwrite(i, group, self._last_lr[i])
        self.last_epoch, self._position = int(n), float(n)

    def at(self, n: float) -> float:
        length = self.T_0
        while self.T_mult > 1 and n >= length:
            n -= length
            length *= self.T_mult
        return (1 + math.cos(math.pi * (n % length) / length)) / 2
