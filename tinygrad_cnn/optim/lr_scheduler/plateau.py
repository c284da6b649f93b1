"""A schedule that reduces the learning rate when training stops improving."""

import math
from collections.abc import Sequence
from typing import Annotated, ClassVar, SupportsFloat

from ...checks import non_negative, number, one_of, shown, whole
from ..hyperparameters import Fraction, NonNegative
from ..optimizer import Optimizer
from .base import Checks, LRScheduler, PerGroup


class ReduceLROnPlateau(LRScheduler):
    """lr = max(factor lr, min_lr) when a metric has not improved for more than `patience` steps.

    An improvement is a value below best (1 - threshold) with "rel", or below best - threshold with "abs"; in mode "max", a
    value above best (1 + threshold), or above best + threshold.

    Args:
        optimizer: the optimizer whose learning rates are written.
        mode: "min" if small values are good, "max" if large values are.
        factor: the factor of a reduction, at least 0 and less than 1.
        patience: how many steps without an improvement are allowed; the next one reduces the rate.
        threshold: the smallest improvement that counts.
        threshold_mode: "rel" or "abs".
        cooldown: the number of steps after a reduction that do not count.
        min_lr: the lowest rate; or a list, one for each parameter group.
        eps: a reduction of at most this much is not made.

    >>> import tinygrad_cnn as tg
    >>> optimizer = tg.optim.SGD([tg.ones(2, requires_grad=True)], lr=0.5)
    >>> schedule = tg.optim.ReduceLROnPlateau(optimizer, factor=0.5, patience=1)
    >>> for loss in [3.0, 2.0, 2.0, 2.0]:
    ...     schedule.step(loss)  # after an epoch, with the validation loss
    >>> optimizer.param_groups[0]["lr"]
    0.25
    """

    kept: ClassVar[Checks] = {
        **LRScheduler.kept, "best": number("a number", lambda x: not math.isnan(x)), "num_bad_epochs": whole(0),
        "cooldown_counter": whole(0),
    }  # fmt: skip

    def __init__(
        self, optimizer: Optimizer, mode: Annotated[str, one_of("min", "max")] = "min", factor: Fraction = 0.1,
        patience: Annotated[int, whole(0)] = 10, threshold: NonNegative = 1e-4,
        threshold_mode: Annotated[str, one_of("rel", "abs")] = "rel", cooldown: Annotated[int, whole(0)] = 0,
        min_lr: Annotated[float | Sequence[float], PerGroup(non_negative)] = 0, eps: NonNegative = 1e-8,
    ) -> None:  # fmt: skip
        super().__init__(optimizer, locals())
        self.best: float = math.inf if mode == "min" else -math.inf
        self.num_bad_epochs = self.cooldown_counter = 0

    def step(self, metrics: SupportsFloat) -> None:
        """Note the metric of an epoch, and reduce the learning rates if it is time. NaN is never an improvement.

        Raises:
            TypeError, ValueError: if `metrics` is not one number.
        """
        try:
            if isinstance(metrics, str | bytes):
                raise TypeError
            measure = float(metrics)
        except (TypeError, ValueError, OverflowError) as error:
            kind = TypeError if isinstance(error, TypeError) else ValueError
            raise kind(f"{self._name}.step: `metrics` is {shown(metrics)}; it must be one number") from None
        groups = self._groups()
        if self._better(measure):
            self.best, self.num_bad_epochs = measure, 0
        else:
            self.num_bad_epochs += 1
        if self.cooldown_counter > 0:
            self.cooldown_counter -= 1
            self.num_bad_epochs = 0
        if self.num_bad_epochs > self.patience:
            for group, least in zip(groups, self.min_lr, strict=True):
                lr = max(group["lr"] * self.factor, least)
                if group["lr"] - lr > self.eps:
                    group["lr"] = lr
            self.cooldown_counter, self.num_bad_epochs = self.cooldown, 0
        self._last_lr = self._rates()
        self.last_epoch += 1

    def _better(self, measure: float) -> bool:
        sign = 1 if self.mode == "max" else -1
        if self.threshold_mode == "rel":
            return sign * measure > sign * self.best * (1 + sign * float(self.threshold))
        return sign * measure > sign * self.best + float(self.threshold)
