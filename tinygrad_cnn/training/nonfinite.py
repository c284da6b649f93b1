"""How `fit` reports a loss that is not finite: with the step, and the first op that was not finite."""

from __future__ import annotations

import math
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from functools import cache
from types import FrameType
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ..core.grad_mode import no_grad
from ..frames import GENERATED, is_library, warn_user
from ..nn import Module
from ..ops.random import get_rng_state, set_rng_state
from ..scope import Block, errors
from ..tensor import Tensor
from ..transforms.anomaly import AnomalyError, detect_anomaly

if TYPE_CHECKING:
    from .run import Run

EVERY = 64
"""Steps between two copies of the weights. A step that went wrong is repeated with the last copy."""

GROWTH = 10.0
"""If the loss has grown so many times since the last copy, copy in each step, so as to have the weights before it overflows."""


class Watch:
    """Warns of the first loss of a training that is not finite, and stops the training if the user asked for that.

    When the loss of a step is known, the step has written its update, which is not finite either. So Watch repeats the step
    with a copy of earlier weights, under :func:`detect_anomaly`, and then restores the model and the random state.
    """

    def __init__(self, run: Run, stop: bool) -> None:
        self._run, self._stop = run, stop
        modules = [m for m in (run.model, run.loss) if isinstance(m, Module)]
        self._parameters = [p for module in modules for p in module.parameters()]
        parts = (module.named_parameters() for module in modules), (module.named_buffers() for module in modules)
        self._state = [pair for part in parts for pairs in part for pair in pairs]
        self._kept: list[NDArray[Any]] = []
        self._told = False
        self.due = run.step
        """Call :meth:`keep` at this step."""
        self.calm = -math.inf
        """Call :meth:`look` for a loss above this, or one that is not finite."""

    def keep(self) -> None:
        """Copy the weights."""
        self.due, self.calm = self._run.step + EVERY, -math.inf
        self._kept = self._values()

    def look(self, before: Sequence[Tensor]) -> None:
        """Judge a loss that is large or not finite; `before` is the batch of the step before."""
        run, loss = self._run, self._run.means.last
        if math.isfinite(loss):
            if self.calm == -math.inf:
                self.calm = GROWTH * abs(loss)
            elif _finite(values := self._values()):
                self._kept = values
            return
        if run.stopped:  # by a callback that has seen it, such as an LRFinder
            return
        if self._stop:
            run.stop(f"the loss is {loss} in step {run.batch}")
        if self._told or run.rank:
            return
        self._told = True
        cause = self._cause(before)
        warn_user(f"fit: the loss is {loss} in step {run.batch} of epoch {run.epoch + 1}; {cause}", RuntimeWarning)

    def _values(self) -> list[NDArray[Any]]:
        return [tensor.numpy().copy() for _, tensor in self._state]

    @no_grad()
    def _write(self, values: Sequence[NDArray[Any]]) -> None:
        for (_, tensor), value in zip(self._state, values, strict=True):
            tensor.copy_(value)

    def _cause(self, before: Sequence[Tensor]) -> str:
        run = self._run
        for number, part in enumerate(run.parts, start=1):
            array = part.numpy()
            if array.dtype.kind in "fc" and (wrong := np.count_nonzero(~np.isfinite(array))):
                what = "the target" if number == len(run.parts) else f"input {number}"
                return f"{what} has {wrong} of {array.size} values that are not finite, in its batch"
        if run.distributed is not None and run.distributed.shards > 1:
            return "without `distributed`, this warning names the first op that is not finite"
        if broken := [name for (name, _), value in zip(self._state, self._kept, strict=True) if not _finite([value])]:
            names = f"{', '.join(broken[:3])}{' ...' * (len(broken) > 3)}"
            return f"{names} of the model or the loss had values before that are not finite"
        now = self._values()
        with self._unchanged(now):
            for values in ([now] if _finite(now) else []) + [self._kept]:
                for parts in filter(len, (run.parts, before)):
                    self._write(values)
                    if (error := self._anomaly(parts)) is not None:
                        return f"the first op that was not finite is {error}"
        return (
            f"its batch is finite, and so is every op with the weights of at most {EVERY} steps before: the weights have "
            "become too large since; lower the learning rate, or clip the gradients"
        )

    def _anomaly(self, parts: Sequence[Tensor]) -> AnomalyError | None:
        """Repeat a step without its update; return the error of the first op that is not finite."""
        *inputs, target = parts
        try:
            with detect_anomaly():
                self._run.loss(self._run.model(*inputs), target).backward()
        except AnomalyError as error:
            return error
        except Exception:  # a model that cannot run once more is no reason to end the training
            return None
        return None

    @contextmanager
    def _unchanged(self, values: Sequence[NDArray[Any]]) -> Iterator[None]:
        """Put back the values, the gradients and the random state."""
        random = get_rng_state()
        gradients = [p.grad for p in self._parameters]
        try:
            for p in self._parameters:
                p.grad = None
            yield
        finally:
            for p, gradient in zip(self._parameters, gradients, strict=True):
                p.grad = gradient
            self._write(values)
            set_rng_state(random)


def _finite(values: Sequence[NDArray[Any]]) -> bool:
    return all(np.isfinite(array).all() for array in values if array.dtype.kind in "fc")


def numpy_warnings() -> Any:
    """A context in which NumPy's warnings, such as of overflow, name the user's line instead of a generated one."""
    modes = np.geterr()
    if "call" in modes.values():  # the user's own function is called
        return nullcontext()
    return _calling(tuple([kind for kind, mode in modes.items() if mode == "warn"]))


@cache
def _calling(kinds: tuple[str, ...]) -> Block:
    return errors(**dict.fromkeys(kinds, "call"), call=_warn)


def _warn(kind: str, flag: int) -> None:
    frame: FrameType | None = sys._getframe(1)
    while frame is not None and not (generated := GENERATED.fullmatch(frame.f_code.co_filename)):
        frame = frame.f_back if is_library(frame.f_code.co_filename) else None
    warn_user(f"{kind} encountered{f' in {generated[1]}' if frame is not None and generated else ''}", RuntimeWarning)
