"""The callback that searches for a learning rate."""

from __future__ import annotations

import math
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import numpy as np

from ..checks import checked, number, whole
from .callbacks import Callback
from .history import figure_for
from .state import restore, snapshot

if TYPE_CHECKING:
    from .run import Run

MEMORY = 0.9
"""The decay of the exponential mean of the losses."""

CERTAIN = 4
"""The loss must fall so many times steeper than by chance."""


class LRFinder(Callback):
    """Raises the learning rate from step to step, and finds the rate at which the loss falls fastest.

    ``fit`` stops after `steps` steps, or when the loss has grown to `factor` times its least value. The callback then restores
    the model, the optimizer, the loader and the random state. To train with the rate that was found, call ``fit`` again.

    Args:
        lowest, highest: the rates of the first step and of the last. Between them they grow by the same factor each time.
        steps: how many steps, at least 10. Give ``fit`` enough epochs for them.
        factor: how far the loss may grow: above 1.

    Attributes:
        rates, losses: of each step.

    Raises:
        ValueError: if an argument is out of range; in training, if there is a schedule as well.

    >>> import numpy as np, tinygrad_cnn as tg
    >>> x = np.linspace(-1, 1, 64, dtype=np.float32)[:, None]
    >>> model = tg.nn.Linear(1, 1)
    >>> optimizer = tg.optim.SGD(model.parameters(), lr=0.1)
    >>> finder = tg.training.LRFinder(lowest=1e-4)
    >>> _ = tg.fit(model, (x, 3 * x), tg.mse, optimizer, epochs=100, callbacks=[finder], progress=False)
    >>> 1e-2 < finder.suggestion() < 2
    True
    """

    def __init__(self, lowest: float = 1e-6, highest: float = 10.0, steps: int = 100, factor: float = 4.0) -> None:
        vars(self).update(checked("LRFinder", _CHECKS, locals()))
        if not self.lowest < self.highest:
            raise ValueError(f"LRFinder: `lowest` is {lowest!r} and `highest` {highest!r}; the first must be less")
        self.rates: list[float] = []
        self.losses: list[float] = []
        self._before: dict[str, Any] = {}

    lowest: float
    highest: float
    steps: int
    factor: float

    def on_fit_begin(self, run: Run) -> None:
        """Keep the state, and begin with the lowest rate."""
        if run.scheduler is not None:
            raise ValueError(
                "LRFinder: fit was given a `scheduler`, which sets the learning rate too; leave it out here"
            )
        self.rates, self.losses = [], []
        self._before = snapshot(**self._parts(run))
        self._set(run, self.lowest)

    def on_step_end(self, run: Run) -> None:
        """Record the loss, and set the next rate."""
        self.rates.append(float(run.optimizer.param_groups[0]["lr"]))
        self.losses.append(run.means.last)
        done = len(self.rates)
        if done == self.steps:
            run.stop(f"LRFinder has taken its {done} steps")
        elif not math.isfinite(run.means.last) or self._mean()[-1] > self.factor * min(self._mean()):
            run.stop(f"LRFinder: the loss has grown too large at a rate of {self.rates[-1]:.2g}")
        else:
            self._set(run, self.lowest * (self.highest / self.lowest) ** (done / (self.steps - 1)))

    def on_fit_end(self, run: Run) -> None:
        """Put the state back."""
        if self._before:
            restore(self._before, **self._parts(run))
            self._before = {}

    def suggestion(self) -> float:
        """The rate at which the loss falls fastest by the logarithm of the rate.

        The slope at a step is that of the line of least squares through the losses of a fifth of all steps around it.

        Raises:
            ValueError: if there were fewer than ten steps, or the loss never fell by more than it changes from step to step.
        """
        losses = np.array(self.losses)
        losses = losses[np.isfinite(losses)]
        if len(losses) < 10:
            raise ValueError(
                f"LRFinder.suggestion: there were {len(losses)} steps; it needs at least 10: give fit more epochs, or the "
                "finder a lower `lowest`"
            )
        reach = max(2, len(losses) // 10)
        line = np.arange(-reach, reach + 1.0)
        slopes = np.correlate(losses, line, "valid")  # each times the same number
        changes = np.diff(losses)
        noise = np.median(abs(changes - np.median(changes))) * np.linalg.norm(line)
        if slopes.min() > -CERTAIN * noise or slopes.min() >= 0:
            raise ValueError(
                "LRFinder.suggestion: the loss never fell by more than it changes from step to step; take more `steps`, a "
                "lower `lowest`, or an untrained model, or look at plot()"
            )
        return self.rates[int(slopes.argmin()) + reach]

    def plot(self) -> Any:
        """Draw the loss by rate with matplotlib, with the suggestion; return the figure.

        Raises:
            ImportError: if matplotlib is missing.
        """
        figure = figure_for("LRFinder.plot", 1)
        (axes,) = figure.axes
        axes.plot(self.rates, self.losses, alpha=0.4, label="loss")
        axes.plot(self.rates, self._mean(), label="mean over some steps")
        with suppress(ValueError):  # without a suggestion, the curve can be looked at all the same
            axes.axvline(self.suggestion(), color="grey", linestyle=":", label=f"suggestion: {self.suggestion():.2g}")
        axes.set(xscale="log", xlabel="learning rate", ylabel="loss")
        axes.legend()
        return figure

    def _mean(self) -> np.ndarray:
        """Exponential means of the losses, without the bias towards the start."""
        means, mean = [], 0.0
        for step, loss in enumerate(self.losses, start=1):
            mean = MEMORY * mean + (1 - MEMORY) * loss
            means.append(mean / (1 - MEMORY**step))
        return np.array(means)

    def _set(self, run: Run, rate: float) -> None:
        for group in run.optimizer.param_groups:
            group["lr"] = rate

    def _parts(self, run: Run) -> dict[str, Any]:
        loader: Any = run.loader
        parts = {"model": run.model, "optimizer": run.optimizer}
        return {**parts, "loader": loader} if hasattr(loader, "state_dict") else parts


_CHECKS = {
    "lowest": number("a finite number above 0", lambda x: 0 < x < math.inf),
    "highest": number("a finite number above 0", lambda x: 0 < x < math.inf),
    "steps": whole(10),
    "factor": number("a finite number above 1", lambda x: 1 < x < math.inf),
}
