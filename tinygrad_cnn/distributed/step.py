"""One step over the shards of a batch: forward and backward for each, and the sum of gradients, losses and statistics."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import nullcontext
from functools import partial
from itertools import accumulate
from typing import TYPE_CHECKING, Any

import numpy as np

from ..core.tracing import Tracer, trace
from ..core.versions import marking
from ..data.loader import Shards
from ..nn.normalization import batch_norm_function
from ..ops.random import get_rng_state, is_library_generator, set_rng_state
from ..tensor import Tensor
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

    A contribution has the gradients and the floating-point buffers, both times the shard's share of the batch. In float64
    it has the loss times the share, the totals of the metrics, which parameters have a gradient, and the integer buffers.

    Args:
        world: the ranks and shards.
        parameters, buffers: of the model.
        hook: is called by the backward passes of shards. The gradients of the last shard of this rank are sent to the
            other ranks during its backward pass.
        reuse: whether the next step may write to the memory of gradients that were returned.
        totals: converts the values that a shard measured besides its loss, and its target, to numbers that add up.
    """

    def __init__(
        self,
        world: World,
        parameters: Sequence[Tensor],
        buffers: Sequence[Tensor],
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
        self._floats = [b._array for b in buffers if b.dtype.kind in "fc"]
        self._integers = [b._array for b in buffers if b.dtype.kind not in "fc"]
        self._buffers = [*self._floats, *self._integers]
        self._before = [np.empty_like(b) for b in self._buffers]
        self._mark = marking(*self._buffers)
        self._all_reduce = AllReduce(world.comm, world.shards)
        self._layout = Layout([])
        self._free: list[Flat] = []
        self._lent: Flat | None = None
        self._under_way: Exchange | None = None  # its memory must not be freed, even if the step fails
        self._is_first = True

    def __call__(self, shard: ShardStep, batch: Shards) -> tuple[Tensor, list[list[float]], list[Tensor | None]]:
        """The loss of the batch, the totals of the metrics, and the gradients; buffers are updated.

        Raises:
            ValueError: if a shard is empty, or the step draws from a generator of its own. Buffers are as they were
                then.
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
        for kept, buffer in zip(self._before, self._buffers, strict=True):
            np.copyto(kept, buffer)
        dtypes: list[np.dtype[Any]] = []
        own: dict[Node, Flat] = {}
        exchanges: list[Exchange | None] = []

        def contribution(s: int, onto: Sequence[Flat] = ()) -> Flat:
            self._put_buffers_back()
            share = batch.sizes[s] / examples
            early = self._begin_exchange(onto, own) if s == world.mine[-1] else None
            with (
                world.stream(world.steps, s),
                trace(_NoOtherGenerator()) if self._is_first and world.shards > 1 else nullcontext(),
                self._hook.calling(None if early is None else partial(self._put_gradient, early)),
            ):
                loss, *values = shard(Tensor._of(np.asarray(share)), *batch.parts[s])
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
        except BaseException:
            self._put_buffers_back()
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
            token = batch_norm_function.set(sync_batch_norm)
            try:
                return contribution(s)
            finally:
                batch_norm_function.reset(token)

        return in_lockstep([partial(alone, s) for s in self._world.mine], self._world.total, self._keep, self._put)

    def _one_of(self, parts: dict[int, Flat]) -> Callable[[int, Sequence[Flat]], Flat]:
        return lambda s, onto: folded(onto, parts[s])

    def _keep(self) -> Any:
        return get_rng_state(), [b.copy() for b in self._buffers], [getattr(p, "_grad", None) for p in self._parameters]

    def _put(self, state: Any) -> None:
        random, buffers, gradients = state
        set_rng_state(random)
        for buffer, kept in zip(self._buffers, buffers, strict=True):
            np.copyto(buffer, kept)
        for p, g in zip(self._parameters, gradients, strict=True):
            p._grad = g

    def _put_buffers_back(self) -> None:
        for kept, buffer in zip(self._before, self._buffers, strict=True):
            np.copyto(buffer, kept)
        self._mark()

    def _set_lengths(self, totals: Sequence[Sequence[float]]) -> None:
        """Lay out contributions with such totals; ValueError if earlier ones had others."""
        lengths = [*map(len, totals)]
        if self._lengths is None:
            self._lengths = lengths
            numbers = np.empty(1 + sum(lengths) + len(self._parameters) + sum(b.size for b in self._integers))
            self._layout = Layout([*(p._array for p in reversed(self._parameters)), *self._floats, numbers])
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
        statistics = [b * b.dtype.type(share) for b in self._floats]
        numbers = np.array([*totals, *present, *(n for b in self._integers for n in b.flat)], np.float64)
        for place, array in enumerate([*gradients, *statistics, numbers]):
            contribution.put(place, array)

    def _results(
        self, views: list[np.ndarray], dtype: np.dtype[Any]
    ) -> tuple[Tensor, list[list[float]], list[Tensor | None]]:
        *views, numbers = views
        many = len(self._parameters)
        ends = [*accumulate([1, *(self._lengths or []), many])]
        loss, *totals, present, integers = np.split(numbers, ends)
        mine = np.array([n for b in self._integers for n in b.flat], np.float64)
        if not np.array_equal(integers, mine * self._world.shards):
            self._put_buffers_back()
            raise ValueError(
                "World: a buffer of integers is not alike in all shards after a step; it must count what they have in "
                "common, such as steps"
            )
        for buffer, view in zip(self._floats, views[many:], strict=True):
            np.copyto(buffer, view)
        self._mark()
        gradients = [Tensor._of(v) if n else None for v, n in zip(reversed(views[:many]), present, strict=True)]
        return Tensor._of(loss.astype(dtype).reshape(())), [total.tolist() for total in totals], gradients


class _NoOtherGenerator(Tracer):
    """Refuses draws from other generators. They would depend on how many shards the rank has computed before."""

    def write(self, thing: Any, what: Any) -> None:
        if what == "state" and not is_library_generator(thing):
            raise ValueError(
                "World: the step draws from its own generator, so its numbers would depend on which shards a rank computes; "
                "omit `rng`, so that it draws from the library's generator, which has a stream for each shard"
            )
        super().write(thing, what)


def backward_of_share(loss: Tensor, share: Tensor, parameters: Sequence[Tensor], hook: GradientHook) -> None:
    """Set the ``grad`` of each parameter to the gradient of the loss times the share, or to None."""
    for p in parameters:
        p.zero_grad()
    finished = hook.on_gradient if hook.enabled else None
    loss._backward(share.astype(loss.dtype).reshape(loss.shape), None, False, finished)


def shard_step(loss_of_shard: Callable[..., Tensor], parameters: Sequence[Tensor], hook: GradientHook) -> ShardStep:
    """Forward and backward of a function that returns the loss of a shard."""

    def step(share: Tensor, *parts: Tensor) -> tuple[Tensor, ...]:
        loss = loss_of_shard(*parts)
        backward_of_share(loss, share, parameters, hook)
        return (loss,)

    return step
