"""The steps of `fit` with several shards."""

from __future__ import annotations

import os
import struct
import zlib
from collections.abc import Callable, Iterator
from contextlib import suppress
from itertools import islice
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from ...data.loader import DataLoader, Shards, shards_of
from ...io import load
from ...nn import Module
from ...tensor import Tensor
from ...training.batches import Keys, in_order, tensors
from ...training.checkpoint import Checkpoint
from ...training.interrupt import Interrupt
from ...training.measure import Means, checked_loss, measured, modes
from ...training.steps import Steps, wrapped
from ...training.weights import ClassWeighted
from . import digest
from .communicator import DistributedError, gather
from .gradient_hook import GradientHook
from .step import Step, backward_of_share, check_alike

if TYPE_CHECKING:
    from ...training.run import Run
    from .world import World


class DistributedSteps(Steps):
    """Steps over the shards of this rank: one function runs a shard forward and backward, and one updates the parameters."""

    def __init__(self, world: World, run: Run, compile: bool) -> None:
        super().__init__(run, compile)
        self._world = world
        moved = [p for group in run.optimizer.param_groups for p in group["params"]]
        self._parameters: list[Tensor] = [*{id(p): p for p in (*run.model.parameters(), *moved)}.values()]
        self._hook = GradientHook()
        together = self._world.sync_batch_norm
        if together and compile:
            run.how = "steps run as written, since shards wait for each other in synchronized batch norm"
        self._shard = wrapped(self._forward_and_backward(), compile and not together)
        self._learned: list[Tensor] = []
        self._step: Step | None = None
        self._modules = [m for m in (run.model, run.loss) if isinstance(m, Module)]

    # The two functions that are compiled

    def _forward_and_backward(self) -> Callable[..., tuple[Tensor, ...]]:
        model, loss, parameters, hook = self.run.model, self.run.loss, self._parameters, self._hook
        metrics = self.run.means.metrics

        def shard(share: Tensor, *batch: Tensor) -> tuple[Tensor, ...]:
            *inputs, target = batch
            output = model(*inputs)
            value = checked_loss(loss(output, target))
            results = measured(value, output, target, metrics)
            backward_of_share(value, share, parameters, hook)
            return results

        return shard

    def _update_of(self, learned: list[Tensor]) -> Callable[..., tuple[Tensor, ...]]:
        optimizer, before_update = self.run.optimizer, self._before_update

        def update(*gradients: Tensor) -> tuple[Tensor, ...]:
            for p, g in zip(learned, gradients, strict=True):
                p.grad = g
            if before_update is not None:
                before_update()
            optimizer.step()
            return ()

        return update

    # Start and end

    def start(self, resume: str | os.PathLike[str] | None) -> None:
        """Compare the ranks, and give all of them the state of rank 0, which reads the checkpoint."""
        run, world = self.run, self._world
        if kept := [metric.name for metric in run.means.metrics if metric.joins]:
            raise ValueError(
                f"World: the metric '{kept[0]}' keeps all scores, which shards cannot add up; give it `thresholds`, as in "
                "tg.metrics.AUROC(thresholds=200)"
            )
        checkpoint = next((c for c in run.callbacks if isinstance(c, Checkpoint)), None)
        if world.comm.failures is None and checkpoint is not None:
            world.comm.failures = checkpoint.path.with_name(f"{checkpoint.path.stem}.failures.txt")
        if world.rank == 0 and world.comm.failures is not None:
            with suppress(OSError):
                world.comm.failures.unlink()
        parts = ("model", "optimizer", "loader", "validate", "epochs", "scheduler", "loss")
        world.restart()
        with world.guarded("at the start"):
            names = ", ".join(metric.name for metric in run.means.metrics)
            weights = str(run.loss.weights) if isinstance(run.loss, ClassWeighted) else None
            keys = None if run.keys is None else ", ".join(run.keys)
            others = {"metrics": names, "class_weight": weights, "keys": keys, "compile": self._compile}
            others |= {"clip_norm": None if run.clip_norm is None else str(run.clip_norm)}
            world.compare({**{name: getattr(run, name) for name in parts}, **others})

            def first() -> Any:
                if resume is not None:
                    self._restore(load(resume), resume)
                return run.snapshot()

            state = world.from_first(first)
            if world.rank != 0:
                run.restore(state)
            world.comm.start_monitor()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: object, error: BaseException | None, traceback: object) -> None:
        """Report an error to the other ranks. Without one, wait until all ranks are here and rank 0 has saved."""
        try:
            if error is not None:
                self._world.comm.fail(error)
            else:
                self._world.any(False)
        finally:
            self._world.comm.stop_monitor()

    def end(self, interrupt: Interrupt) -> bool:
        """Whether any rank wants to end."""
        run, world = self.run, self._world
        if not world.any(interrupt.asked or bool(run.stopped)):
            return False
        wishes = [data.decode() for data in gather(world.comm, f"{interrupt.asked:d}{run.stopped or ''}".encode())]
        self.interrupted = any(wish[0] == "1" for wish in wishes)
        run.stopped = run.stopped or next((wish[1:] for wish in wishes if wish[1:]), None)
        return True

    # Steps

    def batches(self) -> Iterator[Any]:
        """This rank's shards of the remaining batches of the epoch."""
        if not self.run.trained:
            yield from batches(self._world, self.run.loader, self.run.rest, self._world.mine, self.run.keys)

    def train(self, batch: Shards) -> None:
        """Take one step and count its measured values."""
        world = self._world
        world.comm.at = f"at step {self.run.step + 1}"
        learned = [p for p in self._parameters if p.requires_grad]
        same = [*map(id, learned)] == [*map(id, self._learned)]
        if self._step is None or not same or self._step.buffers.replaced():
            self._learned = learned
            # A callback may keep the gradients.
            self._step = Step(
                world, learned, self._modules, self._hook, reuse=self._before_update is None,
                totals=self.run.means.totals_of,
            )  # fmt: skip
            self._update = wrapped(self._update_of(learned), self._compile)
        loss, totals, gradients = self._step(lambda share, *parts: self._shard(share, *tensors(parts)), batch)
        self.run.parts = tensors(batch.parts[world.mine[0]])
        self._tell(self._shard)
        self._update(*gradients)
        world.steps += 1
        self.run.means.count(loss.item(), sum(batch.sizes), totals)

    def _measured(self, loader: Any, interrupt: Interrupt) -> Means | None:
        world, model = self._world, self.run.model
        world.comm.at = f"at the validation after step {self.run.step}"
        rows: dict[tuple[int, int], list[float]] = {}
        means, checksum = Means(self.run.metrics), 0
        shards = range(world.shards) if self._watching else world.mine  # a callback is given all outputs
        with modes(model):
            model.eval()
            for number, batch in enumerate(
                batches(world, loader, lambda: iter(loader), shards, self.run.validate_keys)
            ):
                if interrupt.asked:
                    break
                checksum = zlib.crc32(str(batch.digest).encode(), checksum)
                for s, part in batch.parts.items():
                    parts = tensors(part)
                    with world.stream(world.steps, number, s):
                        loss, *values = self._tested(*parts)
                    totals = means.totals_of(values, parts[-1])
                    rows[number, s] = [loss.item(), batch.sizes[s], *(n for t in totals for n in (len(t), *t))]
        own = np.array([n for place, row in rows.items() for n in (*place, len(row), *row)], np.float64)
        everyone = gather(world.comm, struct.pack("=?I", interrupt.asked, checksum) + own.tobytes())
        if any(data[0] for data in everyone):
            return None
        check_alike(world.comm.at, [data[:5] for data in everyone])
        for data in everyone:
            numbers = iter(np.frombuffer(data[5:], np.float64).tolist())
            for number in numbers:
                place = int(number), int(next(numbers))
                rows[place] = list(islice(numbers, int(next(numbers))))
        for _, (mean, size, *rest) in sorted(rows.items()):
            left = iter(rest)
            means.count(mean, int(size), [list(islice(left, int(length))) for length in left])
        return means

    def agreed_seconds(self, seconds: float) -> float:
        """The seconds of rank 0. With them, the ranks exchange and compare a hash of the model's values.

        Raises:
            DistributedError: if the ranks have different values.
        """
        buffers = [b for module in self._modules for b in module.buffers()]
        values = digest.of_values([*self._parameters, *buffers])
        everyone = gather(self._world.comm, values + struct.pack("d", seconds))
        different = [str(rank) for rank, data in enumerate(everyone) if data[:-8] != everyone[0][:-8]]
        if different:
            raise DistributedError(
                f"the model has other values on rank {', '.join(different)} than on rank 0 after step {self.run.step}; a "
                "callback, a loss or the model depends on the rank: for example, it draws from its own generator"
            )
        (first,) = struct.unpack("d", everyone[0][-8:])
        return float(first)


def batches(
    world: World, loader: Any, rest: Callable[[], Iterator[Any]], which: range, keys: Keys | None
) -> Iterator[Shards]:
    """The shards `which` of each batch. A DataLoader reads only these."""
    if isinstance(loader, DataLoader) and type(loader).__iter__ is DataLoader.__iter__:
        for shards in loader.shards(world.shards, which):
            yield shards.with_parts({s: in_order(part, keys) for s, part in shards.parts.items()})
    else:
        for batch in rest():
            yield shards_of(tensors(batch, keys), world.shards, which)
