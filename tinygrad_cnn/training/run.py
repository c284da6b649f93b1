"""A training in progress: its parts, counts and measures."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence, Sized
from dataclasses import KW_ONLY, dataclass, fields
from functools import partial
from itertools import count, islice
from typing import TYPE_CHECKING, Any

from ..checks import Check, Loadable, any_number, flag, non_negative, read, whole
from ..metrics import Metric
from ..optim import Optimizer
from .arguments import Batch, Loader, Loss
from .batches import Keys
from .callbacks import Callback, EarlyStopping
from .history import History
from .measure import Means
from .state import RNG, Stateful, examine, load_all, snapshot

if TYPE_CHECKING:
    from ..nn import Module
    from ..tensor import Tensor
    from .steps import Distributed

_COUNTS: dict[str, Check] = {
    "epoch": whole(0), "batch": whole(0), "step": whole(0), "lr": non_negative, "seconds": non_negative,
    "train_seconds": non_negative, "trained": flag,
}  # fmt: skip


@dataclass(eq=False, repr=False)
class Run(Loadable):
    """A training in progress. ``fit`` makes one and gives it to every callback.

    Attributes:
        model, loss, optimizer, epochs: the arguments of ``fit``.
        loader, validate: the batches: a loader that ``fit`` was given, or one that it made of arrays.
        metrics: the metrics besides the loss.
        keys, validate_keys: for batches that are dicts, the names of the model's arguments and, last, of the target; else None.
        scheduler: the callback that steps the learning-rate schedule, or None.
        callbacks: all callbacks, in the order in which they are called.
        distributed: the processes that share the training, or None.
        history: the epochs that are finished.
        epoch: the number of finished epochs.
        batch: the number of steps in the current epoch.
        step: the number of steps in all.
        parts: the Tensors of the batch of the last step, the target last; empty before the first step.
        means: mean loss and metrics of the current epoch so far.
        lr: the learning rate of the first group when the current epoch began.
        seconds: the time of the current epoch; train_seconds: the same without validation.
        trained: whether the current epoch has taken its steps, but not ended.
        status: "running", "finished", "stopped" by a callback, "interrupted" by the user, or "failed" by an exception.
        stopped: the reason that was given to :meth:`stop`, or None.
        how: how steps run, in words: "" before the first step and with compile=False.
    """

    model: Module
    loader: Loader
    loss: Loss
    optimizer: Optimizer
    _: KW_ONLY
    epochs: int
    validate: Loader | None = None
    scheduler: Callback | None = None
    callbacks: Sequence[Callback] = ()
    distributed: Distributed | None = None
    metrics: Sequence[Metric] | None = None
    keys: Keys | None = None
    validate_keys: Keys | None = None
    clip_norm: float | None = None
    accumulate: int = 1

    def __post_init__(self) -> None:
        self.history = History()
        self.status = "running"
        self.stopped: str | None = None
        self.how = ""
        self.parts: Sequence[Tensor] = ()
        self.epoch = self.step = 0
        self._used = {name: getattr(self, name) for name in ("model", "loss", "optimizer", "metrics", "callbacks")}
        self.start_epoch()

    def start_epoch(self) -> None:
        """Reset the counts and measures of an epoch."""
        self.batch = 0
        self.trained = False
        self.means = Means(self.metrics)
        self.lr = float(self.optimizer.param_groups[0]["lr"])
        self.seconds = self.train_seconds = 0.0

    @property
    def rank(self) -> int:
        """The number of this process among those that share the training; rank 0 writes files."""
        return self.distributed.rank if self.distributed else 0

    def _stop(self, reason: str = "") -> None:
        self.stopped = str(reason) or "a callback has asked for it"

    @property
    def stop(self) -> Callable[..., None]:
        """``run.stop(reason)`` ends the training after the current step, and says why."""
        return self._stop

    @stop.setter
    def stop(self, value: Any) -> None:
        raise AttributeError(
            f"Run: a callback sets stop to {value!r:.60}, which would change nothing; call run.stop(reason)"
        )

    def check_parts(self) -> None:
        """ValueError if a callback replaced the model, the loss or the optimizer, which the steps go on using."""
        for name, part in self._used.items():
            if getattr(self, name) is not part:
                raise ValueError(
                    f"fit: a callback has replaced run.{name}, and the steps use the old one; change it in place, or call "
                    "fit again"
                )

    def call(self, event: str) -> None:
        """Call a method of every callback, such as "on_step_end"."""
        for callback in self.callbacks:
            getattr(callback, event)(self)

    @property
    def batches(self) -> int | None:
        """How many steps an epoch has, or None if the loader does not know."""
        return -(-len(self.loader) // self.accumulate) if isinstance(self.loader, Sized) else None

    def rest(self) -> Iterator[Batch]:
        """The batches of the current epoch that are left.

        A loader with a state gives the batches from its position on; any other has those of the first `batch` steps skipped.
        """
        if self.trained:
            return iter(())
        return (
            iter(self.loader)
            if hasattr(self.loader, "state_dict")
            else islice(self.loader, self.batch * self.accumulate, None)
        )

    # State

    def state_dict(self) -> dict[str, Any]:
        """A copy of the counts, the means and the history."""
        counts = {name: getattr(self, name) for name in _COUNTS}
        return {**counts, "means": self.means.state_dict(), "history": {k: list(v) for k, v in self.history.items()}}

    def _prepare_load(self, state_dict: Any) -> Callable[[], None]:
        return partial(
            vars(self).update, read("Run", state_dict, {**_COUNTS, "means": self.means.prepared, "history": _history})
        )

    def snapshot(self) -> dict[str, Any]:
        """Everything that a resumed run needs, for :func:`tinygrad_cnn.save`.

        The dict has the states of "model", "optimizer", "scheduler", "loader" and "run", that of a training in several shards
        under "distributed", the random state as "rng", and under "callbacks" the states of callbacks by the names of their
        classes, numbered if there are several.
        """
        states = {name: callback.state_dict() for name, callback in self._callbacks().items()}
        return {**snapshot(**self._parts()), "callbacks": {name: state for name, state in states.items() if state}}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Load a :meth:`snapshot`: all of it, or nothing. Callbacks may have been added or left out.

        Raises:
            ValueError: if an entry does not fit.
        """
        parts = self._parts()
        if isinstance(state, Mapping) and "validate" not in state:  # it may be added when a run is resumed
            parts.pop("validate", None)
        if isinstance(state, Mapping) and "distributed" in state and "distributed" not in parts:
            raise ValueError(
                "restore: the state is of a training in several shards; give fit `distributed`, a World of as many"
            )
        examine(state, (*parts, "callbacks", RNG))
        examine(state["callbacks"], (), "the state of 'callbacks'")
        entries = [(f"'{name}'", part, state[name]) for name, part in parts.items()]
        for name, callback in self._callbacks().items():
            if name in state["callbacks"]:
                if isinstance(callback, EarlyStopping):
                    callback.model = self.model
                entries.append((f"'callbacks', '{name}',", callback, state["callbacks"][name]))
        load_all(entries, state[RNG])

    def _parts(self) -> dict[str, Stateful]:
        parts: dict[str, Any] = {"model": self.model, "optimizer": self.optimizer, "scheduler": self.scheduler}
        if self.distributed is not None and self.distributed.shards > 1:  # one shard trains as without
            parts["distributed"] = self.distributed
        parts |= {name: part for name in ("loader", "validate") if hasattr(part := getattr(self, name), "state_dict")}
        return {name: part for name, part in {**parts, "run": self}.items() if part is not None}

    def _callbacks(self) -> dict[str, Callback]:
        """All callbacks but the schedule's, by the names of their classes, numbered if there are several."""
        named: dict[str, Callback] = {}
        for callback in self.callbacks:
            if callback is not self.scheduler:
                name = type(callback).__name__
                numbers = (f"{name}{number}" for number in count(2))
                named[name if name not in named else next(n for n in numbers if n not in named)] = callback
        return named


VALUES = frozenset({*(field.name for field in fields(Run)), "epoch", "batch", "step", "history", "means", "parts"})
"""The names of what a run holds."""


def _history(saved: Any) -> History:
    rule = "it must be a dict of lists of numbers, one for each epoch"
    try:
        history = History({name: [any_number(value) for value in values] for name, values in saved.items()})
    except (TypeError, ValueError, AttributeError):
        raise ValueError(rule) from None
    if not all(isinstance(name, str) for name in history) or len({len(values) for values in history.values()}) > 1:
        raise ValueError(rule)
    return history
