"""How `fit` takes steps and measures in one process. Several processes override what they do otherwise."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from itertools import takewhile
from typing import TYPE_CHECKING, Any, Protocol, Self

from ..io import CheckpointError, load
from ..optim import clip_grad_norm_
from ..tensor import Tensor
from .batches import tensors
from .callbacks import Callback
from .interrupt import Interrupt
from .measure import Means, Step, eval_step, measure, train_step
from .state import Stateful

if TYPE_CHECKING:
    from .run import Run

try:
    from ..compile import Compiled
    from ..compile import compile as compiled
except ModuleNotFoundError:  # the folder may be absent
    compiled = Compiled = ()  # type: ignore[assignment, misc]


class Engine(Protocol):
    """What ``fit(engine=...)`` needs to know of what takes the steps elsewhere, such as on JAX's devices."""

    def steps_of(self, run: Run, compile: bool) -> Steps:
        """The steps that `fit` takes: a :class:`Steps` that overrides what is done differently there."""


class Distributed(Stateful, Protocol):
    """What ``fit(distributed=...)`` needs to know of the processes that share a training, such as a World's.

    Their state is saved and restored with the training if there are several shards.
    """

    @property
    def rank(self) -> int:
        """The number of this process, from 0. Rank 0 writes files and shows progress."""

    @property
    def shards(self) -> int:
        """The number of parts that each batch is cut into."""

    def steps_of(self, run: Run, compile: bool) -> Steps:
        """The steps that `fit` takes: a :class:`Steps` that overrides what these processes do differently."""


class Steps:
    """The steps of a training in one process; a :class:`Distributed` derives those that processes share.

    Args:
        run: the training.
        compile: whether steps are compiled.

    Attributes:
        interrupted: whether the training ends because of Ctrl-C.
    """

    def __init__(self, run: Run, compile: bool) -> None:
        self.run = run
        self.interrupted = False
        if compile and not callable(compiled):
            run.how = "steps run as written: the folder tinygrad_cnn/compile is absent"
        self._compile = compile
        listening = _overriding("on_gradients", run)
        self._watching = _overriding("on_validation_batch", run)
        if run.clip_norm is not None:
            listening.append(_clipped)
        self._before_update = partial(_each, listening, run) if listening else None
        update = train_step(
            run.model, run.loss, run.optimizer, before_update=self._before_update, metrics=run.metrics
        )  # fmt: skip
        self._train = wrapped(update, compile)
        tested = eval_step(run.model, run.loss, outputs=bool(self._watching), metrics=run.metrics)
        self._test = wrapped(tested, compile)

    def start(self, resume: str | os.PathLike[str] | None) -> None:
        """Adopt the state of a checkpoint."""
        if resume is not None:
            self._restore(load(resume), resume)

    def _restore(self, state: Mapping[str, Any], resume: str | os.PathLike[str]) -> None:
        try:
            self.run.restore(state)
        except ValueError as error:
            raise CheckpointError(f"fit: cannot resume from {os.fspath(resume)}: {error}") from error

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: object, error: BaseException | None, traceback: object) -> None:
        """Report an error to other processes. Without one, all end together."""

    def batches(self) -> Iterator[Any]:
        """The rest of the epoch."""
        return self.run.rest()

    def train(self, batch: Any) -> None:
        """Take one step and count its measured values."""
        parts = tensors(batch, self.run.keys)
        self.run.parts = parts
        self.run.means.add(self._train(*parts), parts[-1])
        self._tell(self._train)

    def _tell(self, step: Step) -> None:
        if not self.run.how and isinstance(step, Compiled):
            self.run.how = "steps are compiled"

    def validated(self, interrupt: Interrupt) -> Means | None:
        """The means over the validation loader. None if Ctrl-C interrupted it; the loader is back at its start then."""
        loader: Any = self.run.validate
        before = loader.state_dict() if hasattr(loader, "state_dict") else None
        means = self._measured(loader, interrupt)
        if means is None and before is not None:
            loader.load_state_dict(before)
        return means

    def _measured(self, loader: Any, interrupt: Interrupt) -> Means | None:
        means = Means(self.run.metrics)
        batches = takewhile(lambda _: not interrupt.asked, loader)
        measure(self.run.model, batches, self._tested, means, self.run.validate_keys)
        return None if interrupt.asked else means

    def _tested(self, *parts: Tensor) -> tuple[Tensor, ...]:
        """The measured values of a validation step. Callbacks with `on_validation_batch` get the output of the model."""
        results = self._test(*parts)
        if not self._watching:
            return results
        for function in self._watching:
            function(self.run, parts, results[-1])
        return results[:-1]

    def end(self, interrupt: Interrupt) -> bool:
        """Whether the training was interrupted or stopped: the same for all processes."""
        self.interrupted = interrupt.asked
        return self.interrupted or bool(self.run.stopped)

    def agreed_seconds(self, seconds: float) -> float:
        """The seconds of an epoch, the same for all processes."""
        return seconds


def _overriding(event: str, run: Run) -> list[Callable[..., None]]:
    """The callbacks' methods for an event, but those that do nothing."""
    methods = [getattr(callback, event) for callback in run.callbacks]
    return [method for method in methods if getattr(method, "__func__", None) is not getattr(Callback, event)]


def _clipped(run: Run) -> None:
    """Clip the gradients of all parameters that the optimizer moves, together."""
    clip_grad_norm_([p for group in run.optimizer.param_groups for p in group["params"]], run.clip_norm or 0.0)


def _each(functions: Sequence[Callable[[Run], None]], run: Run) -> None:
    for function in functions:
        function(run)


def wrapped(step: Step, compile: bool) -> Step:
    """The step, compiled if `compile` is set and the folder exists."""
    return compiled(step) if compile and callable(compiled) else step
