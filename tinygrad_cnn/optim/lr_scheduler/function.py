"""Schedules whose factors the user's functions return."""

from abc import abstractmethod
from collections.abc import Callable, Mapping, Sequence
from typing import Any, ClassVar

from ...checks import Options, checked, non_negative, shown
from ..hyperparameters import INITIAL_LR
from ..optimizer import Optimizer
from .base import Checks, PerGroup, Timed, per_group


def _function(value: Any) -> Callable[[int], float]:
    if not callable(value):
        raise TypeError("it must be a function of the number of steps, or a list with one for each parameter group")
    function: Callable[[int], float] = value
    return function


class _ByFunction(Timed):
    """The base of schedules whose factors the user's functions return."""

    first: ClassVar[int] = 0
    """The first number of steps that the functions are given."""

    lr_lambdas: list[Callable[[int], float]]

    def __init__(
        self, optimizer: Optimizer, lr_lambda: Callable[[int], float] | Sequence[Callable[[int], float]],
        last_epoch: int = -1,
    ) -> None:  # fmt: skip
        if isinstance(optimizer, Optimizer):
            table = {"lr_lambda": PerGroup(_function)}
            self.lr_lambdas = checked(type(self).__name__, per_group(table, optimizer), locals())["lr_lambda"]
            self._factors(self.first)  # raises before anything is written
        super().__init__(optimizer, {}, last_epoch)

    def step(self) -> None:
        self._write(self.last_epoch + 1)

    @abstractmethod
    def _write(self, n: int) -> None:
        """Write the rates after n steps."""

    def _of_pytorch(self, given: Mapping[str, Any]) -> Options:
        functions = given.get("lr_lambdas")
        if isinstance(functions, list) and not any(functions):  # None for each function without attributes
            given = {name: value for name, value in given.items() if name != "lr_lambdas"}
        return super()._of_pytorch(given)

    def _factors(self, n: int) -> list[float]:
        factors = []
        for i, function in enumerate(self.lr_lambdas):
            value = function(n)
            try:
                factors.append(non_negative(value))
            except (TypeError, ValueError) as error:
                raise type(error)(
                    f"{type(self).__name__}: `lr_lambda` gave {shown(value)} after {n} steps for group {i}; {error}"
                ) from None
        return factors


class LambdaLR(_ByFunction):
    """lr = initial_lr lr_lambda(n) after n steps.

    As in PyTorch, the rate is overwritten: it does not multiply with other schedules. A saved state does not contain the
    functions; the schedule that loads it keeps its own.

    Args:
        optimizer, last_epoch: see :class:`Curve`.
        lr_lambda: a function from the number of steps to a factor of at least 0; or a list with one for each parameter group.

    Raises:
        TypeError, ValueError: as :class:`Curve`, and if a factor is not a finite number of at least 0.

    >>> import tinygrad_cnn as tg
    >>> optimizer = tg.optim.SGD([tg.ones(2, requires_grad=True)], lr=0.5)
    >>> schedule = tg.optim.LambdaLR(optimizer, lambda n: 1 / (1 + n))
    >>> schedule.step()
    >>> optimizer.param_groups[0]["lr"]
    0.25
    """

    kept: ClassVar[Checks] = {**Timed.kept, "base_lrs": PerGroup(non_negative)}
    base_lrs: list[float]

    def begin(self) -> None:
        self.base_lrs = [float(group[INITIAL_LR]) for group in self.optimizer.param_groups]
        self._write(0)

    def _write(self, n: int) -> None:
        groups, factors = self._groups(), self._factors(n)
        for i, (group, factor) in enumerate(zip(groups, factors, strict=True)):
            self._chain.overwrite(i, group, self.base_lrs[i] * factor)
        self._last_lr, self.last_epoch = self._rates(), n


class MultiplicativeLR(_ByFunction):
    """lr = lr lr_lambda(n) in step n = 1, 2, ..., so that changes made elsewhere stay.

    A saved state does not contain the functions; the schedule that loads it keeps its own. In a :class:`SequentialLR` it begins
    at the initial rate, as every schedule does; in PyTorch's it goes on from the rate before.

    Args:
        optimizer, last_epoch: see :class:`Curve`.
        lr_lambda: a function from the number of steps to a factor of at least 0; or a list with one for each parameter group.

    Raises:
        TypeError, ValueError: as :class:`Curve`, and if a factor is not a finite number of at least 0.

    >>> import tinygrad_cnn as tg
    >>> optimizer = tg.optim.SGD([tg.ones(2, requires_grad=True)], lr=0.5)
    >>> schedule = tg.optim.MultiplicativeLR(optimizer, lambda n: 0.5 if n < 3 else 1)
    >>> for epoch in range(4):
    ...     schedule.step()  # after an epoch of the optimizer's steps
    >>> optimizer.param_groups[0]["lr"]
    0.125
    """

    first: ClassVar[int] = 1

    def begin(self) -> None:
        self._last_lr, self.last_epoch = self._rates(), 0

    def _write(self, n: int) -> None:
        groups, factors = self._groups(), self._factors(n)
        for i, (group, factor) in enumerate(zip(groups, factors, strict=True)):
            self._chain.scale(i, group, factor)
        self._last_lr, self.last_epoch = self._rates(), n
