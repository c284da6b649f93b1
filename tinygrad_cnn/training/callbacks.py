"""Functions that a training calls at its events, and what of them comes with the library."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from ..optim import LRScheduler, ReduceLROnPlateau
from ..optim.hyperparameters import any_number, read, whole
from .state import prepared

if TYPE_CHECKING:
    from ..nn import Module
    from ..tensor import Tensor
    from .run import Run


class Callback:
    """The base of callbacks: every method may be overridden, and does nothing by itself.

    What it is given, the :class:`Run`, holds the model, the optimizer, the history and so on, and may be changed.
    ``run.stop(reason)`` ends the training after the current step.

    >>> import tinygrad_cnn as tg
    >>> class Weights(tg.training.Callback):
    ...     def on_epoch_end(self, run):
    ...         run.history.note(weight=max(abs(p.numpy()).max() for p in run.model.parameters()))
    """

    def on_fit_begin(self, run: Run) -> None:
        """Before the first step, and after a state was restored."""

    def on_epoch_begin(self, run: Run) -> None:
        """Before the first step of an epoch; not where a run is resumed in the middle of one."""

    def on_gradients(self, run: Run) -> None:
        """In each step, between backward and the optimizer: to clip gradients, say.

        In a compiled training it is part of what is compiled, so it may use ops and what `optim` has, and no values.
        """

    def on_step_end(self, run: Run) -> None:
        """After each step of the optimizer."""

    def on_validation_batch(self, run: Run, parts: Sequence[Tensor], output: Any) -> None:
        """After each batch of a validation, with its parts, the target last, and what the model made of the others."""

    def on_epoch_end(self, run: Run) -> None:
        """After an epoch and its validation, with the epoch in ``run.history``."""

    def on_fit_end(self, run: Run) -> None:
        """At the end, however it came about: ``run.status`` tells. Called in reverse order, as exits of contexts are."""

    def state_dict(self) -> dict[str, Any]:
        """A copy of what has to be saved for a resumed run to go on as if nothing had been. Empty by default."""
        return {}

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Take over what :meth:`state_dict` gave."""


class Best:
    """The best value that a measure has had.

    Args:
        metric: its name in the history.
        min_delta: by how much a value must be better to count.
        mode: "min" if a small value is good, "max" if a large one is; None takes "max" for names that end in
            "accuracy" and "min" for all others.

    Attributes:
        value: the best so far; NaN before there is one.
        epoch: the epoch in which it was reached, from 1; 0 before there is one.
    """

    def __init__(self, metric: str, min_delta: float = 0.0, mode: str | None = None) -> None:
        if mode not in (None, "min", "max"):
            raise ValueError(f"`mode` is {mode!r}; it must be 'min', 'max' or None")
        if not 0 <= min_delta < math.inf:
            raise ValueError(f"`min_delta` is {min_delta!r}; it must be a finite number of at least 0")
        self.metric = metric
        self.min_delta = min_delta
        self.mode = mode or ("max" if metric.endswith("accuracy") else "min")
        self.value = math.nan
        self.epoch = 0

    def update(self, run: Run) -> bool:
        """Whether the last epoch was the best so far. Not a number is never better.

        Raises:
            ValueError: if the history has no such measure.
        """
        if self.metric not in run.history:
            raise ValueError(
                f"`metric` is {self.metric!r}, but the history has {', '.join(run.history)}; "
                "val_loss and val_accuracy need `validate`"
            )
        value = run.history[self.metric][-1]
        ahead = value - self.value if self.mode == "max" else self.value - value
        if not (ahead > self.min_delta or (self.epoch == 0 and not math.isnan(value))):
            return False
        self.value, self.epoch = value, run.epoch
        return True

    def state_dict(self) -> dict[str, Any]:
        """A copy of the best value and its epoch."""
        return {"value": self.value, "epoch": self.epoch}

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Take over what :meth:`state_dict` gave; ValueError for anything else, before anything changes."""
        self._prepare_load(state_dict)()

    def _prepare_load(self, state_dict: Any) -> Callable[[], None]:
        return partial(vars(self).update, read("Best", state_dict, {"value": any_number, "epoch": whole(0)}))


class EarlyStopping(Callback):
    """Ends a training when a measure has not become better for `patience` epochs in a row.

    Args:
        patience: how many epochs without a better value are suffered: at least 1.
        metric: the measure, by its name in the history.
        min_delta: by how much a value must be better to count.
        restore_best: whether to leave the model, at the end, as it was in its best epoch. (A checkpoint keeps the last.)
        mode: "min", "max", or None to take it from the name: "max" for accuracies.

    Raises:
        ValueError: for an argument that is not what it must be; in training, if the history has no such measure.

    >>> import tinygrad_cnn as tg
    >>> stopping = tg.training.EarlyStopping(patience=3, metric="val_accuracy", min_delta=0.001)
    """

    def __init__(
        self,
        patience: int = 5,
        metric: str = "val_loss",
        min_delta: float = 0.0,
        restore_best: bool = True,
        mode: str | None = None,
    ) -> None:
        if isinstance(patience, bool) or not isinstance(patience, int) or patience < 1:
            raise ValueError(f"EarlyStopping: `patience` is {patience!r}; it must be a whole number of at least 1")
        self.patience = patience
        self.restore_best = restore_best
        self.best = Best(metric, min_delta, mode)
        self.model: Module | None = None  # that restored weights must fit, where it is known
        self._weights: dict[str, Any] = {}

    def on_fit_begin(self, run: Run) -> None:
        """Stop at once a run that is resumed where it had stopped."""
        self._judge(run)

    def on_epoch_end(self, run: Run) -> None:
        """Look at the measure."""
        if self.best.update(run) and self.restore_best:
            self._weights = run.model.state_dict()
        self._judge(run)

    def on_fit_end(self, run: Run) -> None:
        """Put the best weights back, unless the training was interrupted or failed."""
        if self._weights and run.status in ("finished", "stopped"):
            run.model.load_state_dict(self._weights)

    def _judge(self, run: Run) -> None:
        if run.epoch - self.best.epoch >= self.patience:
            best = (
                f"not better than {self.best.value:.4f}, of epoch {self.best.epoch},"
                if self.best.epoch
                else "no number"
            )
            run.stop(f"{self.best.metric} was {best} for {self.patience} epoch{'s' * (self.patience > 1)}")

    def state_dict(self) -> dict[str, Any]:
        """A copy of the best value, its epoch and the weights."""
        return {"best": self.best.state_dict(), "weights": {k: v.copy() for k, v in self._weights.items()}}

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Take over what :meth:`state_dict` gave; ValueError for anything else, before anything changes."""
        self._prepare_load(state_dict)()

    def _prepare_load(self, state_dict: Any) -> Callable[[], None]:
        values = read("EarlyStopping", state_dict, {"best": self.best._prepare_load, "weights": _arrays})
        if values["weights"] and self.model is not None:
            prepared(self.model, values["weights"])

        def load() -> None:
            values["best"]()
            self._weights = values["weights"]

        return load


class EachEpoch(Callback):
    """Steps a schedule after each epoch. ``fit(..., scheduler=schedule)`` is short for this.

    :class:`tinygrad_cnn.optim.ReduceLROnPlateau` is given the validation loss, or without validation the training loss.

    Args:
        scheduler: the schedule.
        metric: what ReduceLROnPlateau is given instead, by its name in the history.
    """

    def __init__(self, scheduler: LRScheduler, metric: str | None = None) -> None:
        self.scheduler = scheduler
        self.metric = metric

    def on_epoch_end(self, run: Run) -> None:
        """Step the schedule."""
        if not isinstance(self.scheduler, ReduceLROnPlateau):
            self.scheduler.step()  # type: ignore[attr-defined]
            return
        metric = self.metric or ("val_loss" if "val_loss" in run.history else "loss")
        self.scheduler.step(run.history.last[metric])

    def state_dict(self) -> dict[str, Any]:
        """The state of the schedule."""
        return self.scheduler.state_dict()

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Take over the state of the schedule."""
        self.scheduler.load_state_dict(state_dict)

    def _prepare_load(self, state_dict: Any) -> Callable[[], object] | None:
        return prepared(self.scheduler, state_dict)


class EachStep(Callback):
    """Steps a schedule after each step of the optimizer: ``fit(..., scheduler=EachStep(OneCycleLR(...)))``.

    >>> import tinygrad_cnn as tg
    >>> optimizer = tg.optim.SGD([tg.ones(2, requires_grad=True)], lr=0.1)
    >>> schedule = tg.training.EachStep(tg.optim.CosineAnnealingLR(optimizer, T_max=500))
    """

    def __init__(self, scheduler: LRScheduler) -> None:
        if isinstance(scheduler, ReduceLROnPlateau):
            raise TypeError("EachStep: ReduceLROnPlateau looks at the loss of an epoch; give it to fit as `scheduler`")
        self.scheduler = scheduler

    def on_step_end(self, run: Run) -> None:
        """Step the schedule."""
        self.scheduler.step()  # type: ignore[attr-defined]

    def state_dict(self) -> dict[str, Any]:
        """The state of the schedule."""
        return self.scheduler.state_dict()

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Take over the state of the schedule."""
        self.scheduler.load_state_dict(state_dict)

    def _prepare_load(self, state_dict: Any) -> Callable[[], object] | None:
        return prepared(self.scheduler, state_dict)


def _arrays(saved: Any) -> dict[str, Any]:
    if not isinstance(saved, Mapping) or not all(isinstance(array, np.ndarray) for array in saved.values()):
        raise ValueError("it must be a dict of arrays by name")
    return {name: array.copy() for name, array in saved.items()}
