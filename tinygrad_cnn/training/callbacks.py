"""Callbacks, whose methods a training calls at its events, and those that stop it or step its schedules."""

from __future__ import annotations

import inspect
import math
import re
from collections.abc import Callable, Mapping, Sequence
from difflib import get_close_matches
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from ..checks import Loadable, any_number, checked, flag, read, whole
from ..core.remedies import replacement
from ..optim import LRScheduler, ReduceLROnPlateau
from .state import prepared

if TYPE_CHECKING:
    from ..nn import Module
    from ..tensor import Tensor
    from .run import Run


class Callback:
    """The base of callbacks: every method may be overridden, and does nothing by itself.

    A method gets the :class:`Run`, with the model, the optimizer, the history and so on, and may change it.
    ``run.stop(reason)`` ends the training after the current step.

    >>> import tinygrad_cnn as tg
    >>> class Weights(tg.training.Callback):
    ...     def on_epoch_end(self, run):
    ...         run.history.note(weight=max(abs(p.numpy()).max() for p in run.model.parameters()))
    """

    on_first_rank_only: ClassVar[bool] = False
    """Where several processes share a training: whether only rank 0 calls this callback, because it writes or shows."""

    def on_fit_begin(self, run: Run) -> None:
        """Before the first step, and after a state was restored."""

    def on_epoch_begin(self, run: Run) -> None:
        """Before the first step of an epoch, but not when a run is resumed in the middle of one."""

    def on_gradients(self, run: Run) -> None:
        """In each step, between backward and the optimizer's step, for example to clip gradients."""

    def on_step_end(self, run: Run) -> None:
        """After each step of the optimizer."""

    def on_validation_begin(self, run: Run) -> None:
        """Before a validation, with the weights that were trained."""

    def on_validation_batch(self, run: Run, parts: Sequence[Tensor], output: Any) -> None:
        """After each batch of a validation, with its parts, the target last, and the output of the model."""

    def on_validation_end(self, run: Run) -> None:
        """After a validation, also after an error in it. Callbacks are called in reverse order, as exits of contexts are."""

    def on_epoch_end(self, run: Run) -> None:
        """After an epoch and its validation, with the epoch in ``run.history``."""

    def on_fit_end(self, run: Run) -> None:
        """At the end, with its cause in ``run.status``. Callbacks are called in reverse order, as exits of contexts are."""

    def state_dict(self) -> dict[str, Any]:
        """A copy of the state that a resumed run needs. Empty by default."""
        return {}

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Load a copy of what :meth:`state_dict` returned."""


EVENTS = {name: method for name, method in vars(Callback).items() if name.startswith("on_") and callable(method)}
"""The hooks, by name."""


def check_hooks(callback: Callback, values: frozenset[str]) -> None:
    """TypeError if a method would never be called though it looks like a hook, or cannot be called as its hook is.

    Args:
        callback: the callback.
        values: the names of what a Run holds. A hook with a first parameter of such a name expects that instead of the Run.
    """
    kind = type(callback).__name__
    for name in dir(callback):
        if name in EVENTS:
            if inspect.getattr_static(callback, name) is not EVENTS[name]:
                _check_signature(kind, name, getattr(callback, name), values)
        elif (ours := _meant(name)) is not None and callable(inspect.getattr_static(callback, name)):
            use = f"; use {_call(ours)}" if ours else ""
            raise TypeError(
                f"fit: `callbacks` has a {kind} with a method {name}, which no event calls{use}. The hooks are "
                f"{', '.join(EVENTS)}; a method of another purpose needs a name that does not look like one"
            )
    saved, loaded = (getattr(type(callback), name) for name in ("state_dict", "load_state_dict"))
    if saved is not Callback.state_dict and loaded is Callback.load_state_dict:
        raise TypeError(
            f"fit: `callbacks` has a {kind} with state_dict, but without load_state_dict, so that a resumed training would "
            "lose its state; define both"
        )


def _call(event: str) -> str:
    """How a hook is called, in words."""
    return f"{event}({', '.join([*inspect.signature(EVENTS[event]).parameters][1:])})"


def _meant(name: str) -> str | None:
    """The hook that a method was probably meant to be; "" if it looks like another hook; None if it looks like none."""
    plain = re.sub(r"(?<=[a-z])(?=[A-Z])", "_", name).lower()
    for known in (plain, f"on_{plain}"):
        if theirs := replacement("tinygrad_cnn.training.Callback", known):
            return theirs
        if known in EVENTS and known.count("_") > 1:
            return known
    return next(iter(get_close_matches(plain, EVENTS, 1)), "") if plain.startswith("on_") else None


def _check_signature(kind: str, name: str, hook: Any, values: frozenset[str]) -> None:
    """TypeError unless `hook` can be called as the hook `name` is."""
    own = [*inspect.signature(EVENTS[name]).parameters][1:]
    fault = None
    if not callable(hook):
        fault = f"is {hook!r:.60} and no method"
    elif inspect.iscoroutinefunction(hook) or inspect.isgeneratorfunction(hook) or inspect.isasyncgenfunction(hook):
        fault = "is a coroutine or a generator, whose body would not run"
    else:
        try:
            signature = inspect.signature(hook)
        except ValueError:  # a method without parameters, not even self; or a builtin one
            signature = inspect.signature(getattr(hook, "__func__", lambda *_: None))
        try:
            signature.bind(*own)
        except TypeError as error:
            fault = f"takes {signature} ({error})"
        else:
            first = next(iter(signature.parameters))
            if first in values and first not in own:
                fault = f"takes {signature}, but its `{first}` would be the run; that is run.{first}"
            elif "logs" in signature.parameters:
                fault = f"takes {signature}, but there are no `logs`; run.history.last and run.means.result() have the measures"
    if fault:
        raise TypeError(f"fit: `callbacks` has a {kind} whose {name} {fault}; it is called as {_call(name)}")


UPWARDS = re.compile(
    r"(accuracy|cosine|r2|top\d+|(precision|recall|specificity|f1|iou|dice|auroc)(_macro|_micro|_weighted)?(\.\d+)?)$"
)
"""The names of metrics that are better the higher they are."""


class Best(Loadable):
    """The best value of a measure so far.

    Args:
        metric: the measure, by its name in the history.
        min_delta: by how much a value must be better to count.
        mode: "min" if a small value is good, "max" if a large one is; None takes "max" for the names of metrics
            that are better the higher they are, such as "val_accuracy", and "min" for all others.

    Attributes:
        value: the best so far; NaN before there is one.
        epoch: the epoch in which it was reached, from 1; 0 before there is one.
    """

    def __init__(self, metric: str, min_delta: float = 0.0, mode: str | None = None) -> None:
        if not isinstance(metric, str):
            raise TypeError(f"`metric` is {metric!r:.60}; it must be the name of a measure, such as 'val_loss'")
        if mode not in (None, "min", "max"):
            raise ValueError(f"`mode` is {mode!r}; it must be 'min', 'max' or None")
        if isinstance(min_delta, str) or min_delta is None or not 0 <= min_delta < math.inf:
            raise ValueError(f"`min_delta` is {min_delta!r}; it must be a finite number of at least 0")
        self.metric = metric
        self.min_delta = min_delta
        self.mode = mode or ("max" if UPWARDS.search(metric) else "min")
        self.value = math.nan
        self.epoch = 0

    def begin(self, run: Run) -> None:
        """ValueError, before anything is computed, for a measure of the validation if there is none."""
        measures = [f"val_{name}" for name in ("loss", *(metric.name for metric in run.means.metrics))]
        if run.validate is None and self.metric in measures and self.metric not in run.history:
            raise ValueError(
                f"`metric` is {self.metric!r}, which needs `validate`; give fit some data for it, or another metric"
            )

    def update(self, run: Run) -> bool:
        """Whether the last epoch was the best so far. NaN is never better.

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

    def _prepare_load(self, state_dict: Any) -> Callable[[], None]:
        return partial(vars(self).update, read("Best", state_dict, {"value": any_number, "epoch": whole(0)}))


class EarlyStopping(Loadable, Callback):
    """Ends a training when a measure has not become better for `patience` epochs in a row.

    Args:
        patience: how many epochs in a row without a better value end the training: at least 1.
        metric, min_delta: the measure, by its name in the history, and by how much a value must be better to count.
        restore_best: whether to put the weights of the best epoch into the model at the end. (A checkpoint keeps the last.)
        mode: "min", "max", or None to take it from the name: "max" for accuracies.

    Raises:
        ValueError: if an argument is out of range; in training, if the history has no such measure.

    >>> import tinygrad_cnn as tg
    >>> stopping = tg.training.EarlyStopping(patience=3, metric="val_accuracy", min_delta=0.001)
    """

    def __init__(
        self, patience: int = 5, metric: str = "val_loss", min_delta: float = 0.0, restore_best: bool = True,
        mode: str | None = None,
    ) -> None:  # fmt: skip
        if isinstance(patience, bool) or not isinstance(patience, int) or patience < 1:
            raise ValueError(f"EarlyStopping: `patience` is {patience!r}; it must be a whole number of at least 1")
        checked("EarlyStopping", {"restore_best": flag}, locals())
        self.patience = patience
        self.restore_best = restore_best
        self.best = Best(metric, min_delta, mode)
        self.model: Module | None = None  # which restored weights must fit, if it is known
        self._weights: dict[str, Any] = {}

    def on_fit_begin(self, run: Run) -> None:
        """Stop at once if the run that is resumed had been stopped."""
        self.best.begin(run)
        self._judge(run)

    def on_epoch_end(self, run: Run) -> None:
        """Compare the measure with its best value."""
        if self.best.update(run) and self.restore_best:
            self._weights = run.model.state_dict()
        self._judge(run)

    def on_fit_end(self, run: Run) -> None:
        """Put the best weights back, unless the training was interrupted or failed."""
        if self._weights and run.status in ("finished", "stopped"):
            run.model.load_state_dict(self._weights)

    def _judge(self, run: Run) -> None:
        if run.epoch - self.best.epoch >= self.patience:
            best, epoch = self.best.value, self.best.epoch
            found = f"not better than {best:.4f}, of epoch {epoch}," if epoch else "NaN"
            run.stop(f"{self.best.metric} was {found} for {self.patience} epoch{'s' * (self.patience > 1)}")

    def state_dict(self) -> dict[str, Any]:
        """A copy of the best value, its epoch and the weights."""
        return {"best": self.best.state_dict(), "weights": {k: v.copy() for k, v in self._weights.items()}}

    def _prepare_load(self, state_dict: Any) -> Callable[[], None]:
        values = read("EarlyStopping", state_dict, {"best": self.best._prepare_load, "weights": _arrays})
        if values["weights"] and self.model is not None:
            prepared(self.model, values["weights"])

        def load() -> None:
            values["best"]()
            self._weights = values["weights"]

        return load


class _Stepping(Callback):
    def __init__(self, scheduler: LRScheduler) -> None:
        if not isinstance(scheduler, LRScheduler):
            raise TypeError(
                f"{type(self).__name__}: `scheduler` is {scheduler!r:.80}; it must be a schedule, such as "
                "tg.optim.StepLR(optimizer, step_size=10)"
            )
        self.scheduler = scheduler

    def state_dict(self) -> dict[str, Any]:
        return self.scheduler.state_dict()

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        self.scheduler.load_state_dict(state_dict)

    def _prepare_load(self, state_dict: Any) -> Callable[[], object] | None:
        return prepared(self.scheduler, state_dict)


class EachEpoch(_Stepping):
    """Steps a schedule after each epoch. ``fit(..., scheduler=schedule)`` is short for this.

    Args:
        scheduler: the schedule.
        metric: the measure for a :class:`~tinygrad_cnn.optim.ReduceLROnPlateau`, by its name in the history; None for the
            validation loss, or without validation the training loss.
    """

    def __init__(self, scheduler: LRScheduler, metric: str | None = None) -> None:
        super().__init__(scheduler)
        if metric is not None and not (isinstance(metric, str) and isinstance(scheduler, ReduceLROnPlateau)):
            raise TypeError(
                f"EachEpoch: `metric` is {metric!r:.60}; it must be a name, and the schedule a ReduceLROnPlateau"
            )
        self.metric = metric

    def on_epoch_end(self, run: Run) -> None:
        """Step the schedule."""
        if not isinstance(self.scheduler, ReduceLROnPlateau):
            self.scheduler.step()
            return
        metric = self.metric or ("val_loss" if "val_loss" in run.history else "loss")
        if metric not in run.history:
            raise ValueError(f"EachEpoch: `metric` is {metric!r}, but the history has {', '.join(run.history)}")
        self.scheduler.step(run.history.last[metric])


class EachStep(_Stepping):
    """Steps a schedule after each step of the optimizer: ``fit(..., scheduler=EachStep(OneCycleLR(...)))``.

    >>> import tinygrad_cnn as tg
    >>> optimizer = tg.optim.SGD([tg.ones(2, requires_grad=True)], lr=0.1)
    >>> schedule = tg.training.EachStep(tg.optim.CosineAnnealingLR(optimizer, T_max=500))
    """

    def __init__(self, scheduler: LRScheduler) -> None:
        if isinstance(scheduler, ReduceLROnPlateau):
            raise TypeError("EachStep: ReduceLROnPlateau needs the loss of an epoch; give it to fit as `scheduler`")
        super().__init__(scheduler)

    def on_step_end(self, run: Run) -> None:
        """Step the schedule."""
        self.scheduler.step()


def _arrays(saved: Any) -> dict[str, Any]:
    if not isinstance(saved, Mapping) or not all(isinstance(array, np.ndarray) for array in saved.values()):
        raise ValueError("it must be a dict of arrays by name")
    return {name: array.copy() for name, array in saved.items()}
