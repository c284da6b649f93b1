"""One step over the shards of a batch: forward and backward for each, and the sum of gradients, losses and statistics."""

from __future__ import annotations

import random
import threading
from collections.abc import Callable, Sequence
from functools import partial
from itertools import accumulate
from typing import TYPE_CHECKING, Any

import numpy as np

from ...core import tracing
from ...core.backward import pull_back
from ...data.loader import Shards
from ...nn import Module
from ...nn.normalization import batch_norm_function
from ...ops.random import get_rng_state, set_rng_state
from ...tensor import Tensor
from ...tensor.tensor import add_to_grads, incoming
from .buffers import Buffers
from .communicator import DistributedError, gather
from .contribution import AllReduce, Contribution, Exchange, Flat, Layout, folded, several_buckets
from .gradient_hook import GradientHook
from .lockstep import in_lockstep
from .sync_batch_norm import sync_batch_norm
from .tree import Node, computed

if TYPE_CHECKING:
    from .world import World

ShardStep = Callable[..., tuple[Tensor, ...]]
"""A function of a shard's share of its batch and of the shard's arrays. It runs forward, and backward from the share, and
returns the loss and the measured values."""

Totals = Callable[[Sequence[Tensor], Any], list[list[float]]]
"""A function of the values that a shard measured and of its target. It returns numbers that add up over shards."""


class Step:
    """Takes steps for parameters and buffers.

    A contribution has the gradients and the changes of floating-point buffers, both times the shard's share of the batch. In
    float64 it has the loss times the share, the totals of the metrics, which parameters have a gradient, and checksums of
    what must be equal in all shards: the batch and the other buffers.

    Args:
        world: the ranks and shards.
        parameters: whose gradients are added up.
        modules: whose buffers belong to the step.
        hook: is called by the backward passes of shards. The gradients of the last shard of this rank are sent to the
            other ranks during its backward pass.
        reuse: whether the next step may write to the memory of gradients that were returned.
        totals: converts the values that a shard measured besides its loss, and its target, to numbers that add up.
    """

    def __init__(
        self,
        world: World,
        parameters: Sequence[Tensor],
        modules: Sequence[Module],
        hook: GradientHook,
        reuse: bool,
        totals: Totals | None = None,
    ) -> None:
        self._world, self._reuse = world, reuse
        self._totals = totals or (lambda values, target: [])
        self._lengths: list[int] | None = None
        self._parameters = parameters
        # The last parameters are first in flat memory, because their gradients are complete first.
        self._places = {id(p): place for place, p in enumerate(reversed(parameters))}
        self._hook = hook
        full = several_buckets([p._array for p in parameters])
        hook.enabled = world.size > 1 and not world.sync_batch_norm and full
        self.buffers = Buffers(modules)
        self._all_reduce = AllReduce(world.comm, world.shards)
        self._layout = Layout([])
        self._free: list[Flat] = []
        self._lent: Flat | None = None
        self._under_way: Exchange | None = None  # its memory must not be freed, even if the step fails
        self._is_first = True

    def __call__(self, shard: ShardStep, batch: Shards) -> tuple[Tensor, list[list[float]], list[Tensor | None]]:
        """The loss of the batch, the totals of the metrics, and the gradients; buffers are updated.

        Raises:
            ValueError: if a shard is empty, or the step draws from another generator than the library's, or replaces a
                buffer. Buffers are as they were then.
            DistributedError: if ranks were given different batches.
        """
        world, examples = self._world, sum(batch.sizes)
        if not all(batch.sizes):
            raise ValueError(
                f"World: a batch has {examples} examples for {world.shards} shards, so that a shard would be empty; use larger "
                "batches, fewer shards, or a DataLoader with drop_last=True for the last batch of an epoch"
            )
        if self._lent is not None and self._reuse:
            self._free.append(self._lent)
        self._lent = None
        self.buffers.keep()
        self._alike = [batch.digest, 0]
        before = _global_generators() if self._is_first and world.shards > 1 and threading.active_count() == 1 else None
        dtypes: list[np.dtype[Any]] = []
        own: dict[Node, Flat] = {}
        exchanges: list[Exchange | None] = []

        def contribution(s: int, onto: Sequence[Flat] = ()) -> Flat:
            self.buffers.put_back()
            share = batch.sizes[s] / examples
            early = self._begin_exchange(onto, own) if s == world.mine[-1] else None
            with (
                world.stream(world.steps, s),
                self._hook.calling(None if early is None else partial(self._put_gradient, early)),
            ):
                loss, *values = shard(Tensor._of(np.asarray(share)), *batch.parts[s])
            self.buffers.check()
            dtypes.append(loss.dtype)
            self._set_lengths(totals := self._totals(values, batch.parts[s][-1]))
            whole = early or Contribution(self._layout, onto, self._memory)
            self._fill(whole, share, [loss.item() * share, *(n for total in totals for n in total)])
            exchanges.append(whole.exchange)
            return whole.flat

        try:
            if world.sync_batch_norm and world.shards > 1:
                parts = dict(zip(world.mine, self._in_lockstep(contribution), strict=True))
                one = self._one_of(parts)
            else:
                one = contribution
            for node in self._all_reduce.own:
                own[node] = computed(node, one)
            if before is not None and before != _global_generators():
                raise ValueError(
                    "World: the step draws from `random` or `np.random`, whose numbers would depend on which shards a rank "
                    "computes; use tinygrad_cnn.rand or randn, which have a stream for each shard"
                )
        except BaseException:
            self.buffers.put_back()
            raise
        self._is_first = False
        exchange = exchanges[-1] or Exchange(self._all_reduce, own, self._memory())
        self._lent = exchange.finish()
        self._free += [flat for flat in (*own.values(), exchange.out) if flat is not self._lent]
        return self._results(self._layout.views(self._lent), dtypes[0])

    def _begin_exchange(self, onto: Sequence[Flat], own: dict[Node, Flat]) -> Contribution | None:
        """The contribution of the last shard, whose gradients are sent during backward; None if that is not worthwhile."""
        if not self._hook.enabled or self._lengths is None:
            return None
        last = Contribution(self._layout, onto, self._memory)
        nodes = {**own, self._all_reduce.own[-1]: last.flat}
        last.exchange = self._under_way = Exchange(self._all_reduce, nodes, self._memory(), self._layout.spans)
        return last

    def _put_gradient(self, contribution: Contribution, parameter: Tensor, g: np.ndarray) -> None:
        if id(parameter) in self._places:
            contribution.put(self._places[id(parameter)], g)

    # Shards that share batch-norm moments

    def _in_lockstep(self, contribution: Callable[[int], Flat]) -> list[Flat]:
        """The contributions of the shards of this rank, which wait for each other where moments are added up."""

        def alone(s: int) -> Flat:
            with batch_norm_function(sync_batch_norm):
                return contribution(s)

        return in_lockstep([partial(alone, s) for s in self._world.mine], self._world.total, self._keep, self._put)

    def _one_of(self, parts: dict[int, Flat]) -> Callable[[int, Sequence[Flat]], Flat]:
        return lambda s, onto: folded(onto, parts[s])

    def _keep(self) -> Any:
        return get_rng_state(), self.buffers.copies(), [getattr(p, "_grad", None) for p in self._parameters]

    def _put(self, state: Any) -> None:
        random, buffers, gradients = state
        set_rng_state(random)
        self.buffers.put(buffers)
        for p, g in zip(self._parameters, gradients, strict=True):
            p._grad = g

    def _set_lengths(self, totals: Sequence[Sequence[float]]) -> None:
        """Lay out contributions with such totals; ValueError if earlier ones had others."""
        lengths = [*map(len, totals)]
        if self._lengths is None:
            self._lengths = lengths
            numbers = np.empty(1 + sum(lengths) + len(self._parameters) + len(self._alike))
            self._layout = Layout([*(p._array for p in reversed(self._parameters)), *self.buffers.floats, numbers])
        elif self._lengths != lengths:
            raise ValueError(
                f"World: the metrics gave {lengths} numbers for a shard and {self._lengths} for those before; a metric must "
                "give equally many for every shard"
            )

    def _memory(self) -> Flat:
        return self._free.pop() if self._free else self._layout.empty()

    def _fill(self, contribution: Contribution, share: float, totals: Sequence[float]) -> None:
        """Put in what the hook has not put in during backward."""
        present = [p._grad is not None for p in self._parameters]
        gradients: list[Any] = [0 if p._grad is None else p._grad._array for p in reversed(self._parameters)]
        self._alike[1] = self.buffers.integers()
        numbers = np.array([*totals, *present, *self._alike], np.float64)
        for place, array in enumerate([*gradients, *self.buffers.changes(share), numbers]):
            contribution.put(place, array)

    def _results(
        self, views: list[np.ndarray], dtype: np.dtype[Any]
    ) -> tuple[Tensor, list[list[float]], list[Tensor | None]]:
        *views, numbers = views
        many = len(self._parameters)
        ends = [*accumulate([1, *(self._lengths or []), many])]
        loss, *totals, present, alike = np.split(numbers, ends)
        batch, integers = alike == np.multiply(self._alike, self._world.shards)
        if not batch or not integers:
            self.buffers.put_back()
        if not batch:
            check_alike(self._all_reduce.comm.at, gather(self._all_reduce.comm, str(self._alike[0]).encode()))
        if not integers:
            raise ValueError(
                "World: a buffer of integers is not alike in all shards after a step; it must count what they have in "
                "common, such as steps"
            )
        if self._world.shards > 1:
            self.buffers.change(views[many:])
        gradients = [Tensor._of(v) if n else None for v, n in zip(reversed(views[:many]), present, strict=True)]
        return Tensor._of(loss.astype(dtype).reshape(())), [total.tolist() for total in totals], gradients


def check_alike(at: str, batches: Sequence[bytes]) -> None:
    """DistributedError if ranks, of which each has such a checksum, were given different batches."""
    others = ", ".join(str(rank) for rank, batch in enumerate(batches) if batch != batches[0])
    if others:
        raise DistributedError(
            f"rank {others} has other batches than rank 0 {at}; give every rank the same ones in the same order, those of a "
            "DataLoader or of an order that is drawn with the same seed"
        )


def _global_generators() -> Any:
    """The states of Python's and NumPy's global generators."""
    return repr(np.random.get_state(legacy=False)["state"]), random.getstate()  # noqa: NPY002, it is not drawn from


def backward_of_share(loss: Tensor, share: Tensor, parameters: Sequence[Tensor], hook: GradientHook) -> None:
    """Set the ``grad`` of each parameter to the gradient of the loss times the share, or to None.

    Raises:
        TypeError, ValueError: if the loss is not one number.
    """
    if not isinstance(loss, Tensor):
        raise TypeError(f"World: the loss of a shard is a {type(loss).__name__}; it must be a Tensor (), the mean loss")
    if loss.size != 1:
        raise ValueError(f"World: the loss of a shard has the shape {loss.shape}; it must be one number, the mean loss")
    for p in parameters:
        p.zero_grad()
    finished = hook.on_gradient if hook.enabled else None
    root = incoming("backward", loss, share.astype(loss.dtype).reshape(loss.shape), False)
    tracing.tracer().set_grad()
    add_to_grads(pull_back([root], None, retain=False, create=False, finished=finished))


def shard_step(loss_of_shard: Callable[..., Tensor], parameters: Sequence[Tensor], hook: GradientHook) -> ShardStep:
    """Forward and backward of a function that returns the loss of a shard."""

    def step(share: Tensor, *parts: Tensor) -> tuple[Tensor, ...]:
        loss = loss_of_shard(*parts)
        backward_of_share(loss, share, parameters, hook)
        return (loss,)

    return step
