"""Steps of `fit` that take the gradients of several batches."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from itertools import islice
from typing import TYPE_CHECKING, Any

from ..tensor import Tensor
from .batches import tensors
from .measure import BATCH, checked_loss, measured, output_of
from .steps import Steps, wrapped

if TYPE_CHECKING:
    from .run import Run


def groups(batches: Iterator[Any], count: int) -> Iterator[list[Any]]:
    """So many batches together; the last group may have fewer."""
    while group := [*islice(batches, count)]:
        yield group


class AccumulatingSteps(Steps):
    """A step goes through a group of batches, whose losses weigh as many examples as each has, and then updates."""

    def __init__(self, run: Run, compile: bool) -> None:
        super().__init__(run, compile)
        self._train = wrapped(self._forward_and_backward(), compile)

    def _forward_and_backward(self) -> Callable[..., tuple[Tensor, ...]]:
        model, loss, metrics = self.run.model, self.run.loss, self.run.means.metrics

        def step(share: float, *batch: Tensor) -> tuple[Tensor, ...]:
            *inputs, target = batch
            output = output_of(model, inputs, BATCH)
            value = checked_loss(loss(output, target))
            results = measured(value, output, target, metrics)
            (value * share).backward()
            return results

        return step

    def batches(self) -> Iterator[Any]:
        """The rest of the epoch, in groups; the last may have fewer batches."""
        return groups(iter(super().batches()), self.run.accumulate)

    def train(self, batch: Sequence[Any]) -> None:
        """Take one step along the gradients of a group: those of the mean loss over all its examples."""
        run = self.run
        group = [tensors(each, run.keys) for each in batch]
        examples = sum(len(parts[-1]) for parts in group)
        shown = None  # the first batch whose loss is not finite
        run.optimizer.zero_grad()
        for parts in group:
            run.means.add(self._train(len(parts[-1]) / max(1, examples), *parts), parts[-1])
            if shown is None and not math.isfinite(run.means.last):
                shown = parts, run.means.last
        run.parts, run.means.last = shown or (group[-1], run.means.last)
        if self._before_update is not None:
            self._before_update()
        run.optimizer.step()
        self._tell(self._train)
