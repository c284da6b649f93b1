"""The 1cycle schedule of the learning rate and momentum."""

import math
from typing import Annotated

from ...checks import checked, one_of, whole
from ..hyperparameters import Flag, Positive, Share
from ..optimizer import Optimizer
from .cycle import Cycle, Momentums, Rates


class OneCycleLR(Cycle):
    """The rate rises from max_lr / div_factor to max_lr and falls to a very low one, while the momentum falls and rises.

    With three_phase the rate first falls to its first value, in as many steps as it rose, and then to the lowest. From a to
    b it is b + (a - b) (1 + cos(pi t)) / 2, or linear, for t from 0 to 1. As in PyTorch, the rate is overwritten: it does
    not multiply with other schedules.

    The last of total_steps rates is the lowest, and the step after it leaves rate and momentum there. PyTorch extrapolates in
    that step, to negative rates and momentums above 1; a training loop takes it after its last batch.

    Reference: Smith and Topin, "Super-convergence: very fast training of neural networks using large learning rates",
    arXiv:1708.07120.

    Args:
        optimizer, last_epoch: see :class:`Curve`.
        max_lr: the highest rate; or a list, one for each parameter group.
        total_steps: the number of steps in the cycle.
        epochs, steps_per_epoch: two numbers whose product is the number of steps, in place of total_steps.
        pct_start: the share of the steps in which the rate rises.
        anneal_strategy: "cos" or "linear".
        cycle_momentum: whether to write the momentum too: the first of "betas" of the groups, or "momentum".
        base_momentum, max_momentum: the lowest and the highest momentum; or lists.
        div_factor: the first rate is max_lr divided by this.
        final_div_factor: the last rate is the first divided by this.
        three_phase: whether the rate falls in two phases.

    Raises:
        TypeError, ValueError: if an option has the wrong type or is out of range, or the optimizer has no momentum to cycle.

    >>> import tinygrad_cnn as tg
    >>> optimizer = tg.optim.SGD([tg.ones(2, requires_grad=True)], momentum=0.9)
    >>> schedule = tg.optim.OneCycleLR(optimizer, max_lr=1.0, total_steps=5, pct_start=0.6, div_factor=4)
    >>> rates = schedule.get_last_lr()
    >>> for batch in range(4):
    ...     schedule.step()  # after a step of the optimizer
    ...     rates += schedule.get_last_lr()
    >>> [round(lr, 3) for lr in rates]
    [0.25, 0.625, 1.0, 0.5, 0.0]
    """

    def __init__(
        self, optimizer: Optimizer, max_lr: Rates, total_steps: Annotated[int | None, whole(1)] = None,
        epochs: int | None = None, steps_per_epoch: int | None = None, pct_start: Share = 0.3,
        anneal_strategy: Annotated[str, one_of("cos", "linear")] = "cos", cycle_momentum: Flag = True,
        base_momentum: Momentums = 0.85, max_momentum: Momentums = 0.95, div_factor: Positive = 25.0,
        final_div_factor: Positive = 1e4, three_phase: Flag = False, last_epoch: int = -1,
    ) -> None:  # fmt: skip
        if total_steps is None:
            if epochs is None or steps_per_epoch is None:
                raise ValueError("OneCycleLR: `total_steps` is missing; give it, or `epochs` and `steps_per_epoch`")
            given = {"epochs": epochs, "steps_per_epoch": steps_per_epoch}
            total_steps = math.prod(checked("OneCycleLR", dict.fromkeys(given, whole(1)), given).values())
        super().__init__(optimizer, locals(), last_epoch)

    def at(self, n: int, i: int) -> tuple[float, float]:
        if n > self.total_steps:
            raise ValueError(
                f"{self._name}: step {n} is beyond `total_steps` {self.total_steps}; make a longer schedule"
            )
        k, t = self._phase(n)
        top, low, high = self.max_lr[i], self.base_momentum[i], self.max_momentum[i]
        start = top / self.div_factor
        rates = [start, top, *[start] * self.three_phase, start / self.final_div_factor]
        momentums = [high, low, *[high] * self.three_phase, high]
        return self._between(rates[k], rates[k + 1], t), self._between(momentums[k], momentums[k + 1], t)

    def _phase(self, n: int) -> tuple[int, float]:
        """The index of the phase of step n, and the share of the phase that is over."""
        rise, last = self.pct_start * self.total_steps - 1, self.total_steps - 1
        ends = [rise, 2 * rise, last] if self.three_phase else [rise, last]
        k = next((k for k, end in enumerate(ends) if n <= end), len(ends) - 1)
        start = ends[k - 1] if k else 0.0
        return k, min((n - start) / (ends[k] - start), 1.0) if ends[k] > start else 1.0

    def _between(self, a: float, b: float, t: float) -> float:
        if self.anneal_strategy == "linear":
            return (b - a) * t + a
        return b + (a - b) / 2 * (math.cos(math.pi * t) + 1)
