"""A training in progress: what takes part in it, how far it is, and what has been measured."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence, Sized
from itertools import islice
from typing import TYPE_CHECKING, Any

from ..optim import Optimizer
from .callbacks import Callback
from .history import History
from .measure import Batch, Loader, Loss, Means
from .state import Stateful, restore, snapshot

if TYPE_CHECKING:
    from ..nn import Module

_COUNTS = ("epoch", "batch", "step", "lr", "seconds", "train_seconds", "trained")


class Run:
    """What callbacks are given.

    Attributes:
        model, loader, loss, optimizer, validate, epochs: the arguments of ``fit``.
        scheduler: the callback that steps the schedule, or None.
        callbacks: all callbacks, in the order in which they are called.
        history: the epochs that are finished.
        epoch: how many epochs are finished.
        batch: how many steps of the current epoch were taken.
        step: how many steps were taken in all.
        means: mean loss and accuracy of the current epoch so far.
        lr: the learning rate of the first group when the current epoch began.
        seconds: how long the current epoch has taken; train_seconds: without its validation.
        trained: whether the steps of the current epoch are done and only its end is missing.
        status: "running", "finished", "stopped" by a callback, "interrupted" by the user, or "failed" by an exception.
        stopped: the reason that was given to :meth:`stop`, or None.
        how: what was compiled, or why steps run as written, in words; empty before the first step, and with compile=False.
    """

    def __init__(
        self,
        model: Module,
        loader: Loader,
        loss: Loss,
        optimizer: Optimizer,
        *,
        epochs: int,
        validate: Loader | None = None,
        scheduler: Callback | None = None,
        callbacks: Sequence[Callback] = (),
    ) -> None:
        self.model = model
        self.loader = loader
        self.loss = loss
        self.optimizer = optimizer
        self.epochs = epochs
        self.validate = validate
        self.scheduler = scheduler
        self.callbacks = callbacks
        self.history = History()
        self.status = "running"
        self.stopped: str | None = None
        self.how = ""
        self.epoch = self.step = 0
        self.start_epoch()

    def start_epoch(self) -> None:
        """Set what counts within an epoch to its start."""
        self.batch = 0
        self.trained = False
        self.means = Means()
        self.lr = float(self.optimizer.param_groups[0]["lr"])
        self.seconds = self.train_seconds = 0.0

    def stop(self, reason: str) -> None:
        """End the training after the current step, and say why."""
        self.stopped = reason

    def call(self, event: str) -> None:
        """Call a method of every callback, such as "on_step_end"."""
        for callback in self.callbacks:
            getattr(callback, event)(self)

    @property
    def batches(self) -> int | None:
        """How many batches an epoch has, or None if the loader does not know."""
        return len(self.loader) if isinstance(self.loader, Sized) else None

    def rest(self) -> Iterator[Batch]:
        """The batches of the current epoch that were not trained on.

        A loader with a state goes on where it is; of any other, the batches that were taken are skipped.
        """
        if self.trained:
            return iter(())
        return iter(self.loader) if hasattr(self.loader, "state_dict") else islice(self.loader, self.batch, None)

    # State

    def state_dict(self) -> dict[str, Any]:
        """A copy of the counts, the means and the history."""
        counts = {name: getattr(self, name) for name in _COUNTS}
        return {**counts, "means": self.means.state_dict(), "history": {k: list(v) for k, v in self.history.items()}}

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Take over what :meth:`state_dict` gave."""
        for name in _COUNTS:
            setattr(self, name, type(getattr(self, name))(state_dict[name]))
        self.means.load_state_dict(state_dict["means"])
        self.history = History({name: list(map(float, values)) for name, values in state_dict["history"].items()})

    def snapshot(self) -> dict[str, Any]:
        """Everything that a resumed run needs, for :func:`tinygrad_cnn.save`.

        The dict has the model's, the optimizer's, the schedule's and the loader's state under "model", "optimizer",
        "scheduler" and "loader", "callbacks", this run's own under "run", and "rng".
        """
        return snapshot(**self._parts())

    def restore(self, state: Mapping[str, Any]) -> None:
        """Take over a :meth:`snapshot`: all of it, or nothing.

        Raises:
            ValueError: if anything does not fit.
        """
        parts = self._parts()
        if "validate" not in state:  # it may be added when a run is resumed
            parts.pop("validate", None)
        restore(state, **parts)

    def _parts(self) -> dict[str, Stateful]:
        parts: dict[str, Any] = {"model": self.model, "optimizer": self.optimizer, "scheduler": self.scheduler}
        parts |= {name: part for name in ("loader", "validate") if hasattr(part := getattr(self, name), "state_dict")}
        parts |= {"callbacks": _Callbacks(self.callbacks, self.scheduler), "run": self}
        return {name: part for name, part in parts.items() if part is not None}


class _Callbacks:
    """The states of callbacks by the names of their classes, numbered where there are several.

    Callbacks may be added or left out when a run is resumed.
    """

    def __init__(self, callbacks: Sequence[Callback], scheduler: Callback | None) -> None:
        self._named: dict[str, Callback] = {}
        for callback in callbacks:
            if callback is scheduler:
                continue
            name, number = type(callback).__name__, 1
            while (key := name if number == 1 else f"{name}{number}") in self._named:
                number += 1
            self._named[key] = callback

    def state_dict(self) -> dict[str, Any]:
        states = {name: callback.state_dict() for name, callback in self._named.items()}
        return {name: state for name, state in states.items() if state}

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        for name, callback in self._named.items():
            if name in state_dict:
                callback.load_state_dict(state_dict[name])
