"""The World: the shards that a batch is cut into, and the processes that compute them."""

from __future__ import annotations

import hashlib
import os
import pickle
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..checks import Loadable, checked, flag, read, whole
from ..data.loader import Shards, shards_of
from ..ops.random import get_rng_state, stream
from ..optim.hyperparameters import positive
from ..tensor import Tensor
from ..tensor.creation import from_numpy
from ..training.batches import Keys, check_keys
from ..training.state import Stateful, restore, snapshot
from ..training.steps import Steps, wrapped
from . import digest
from .communicator import DistributedError, broadcast, gather
from .connect import connect
from .contribution import Flat, Sum, folded
from .handover import Handover
from .step import Step, shard_step
from .steps import DistributedSteps, batches
from .tree import computed, shards_of_rank

if TYPE_CHECKING:
    from ..training.run import Run


_STATE = {"shards": whole(1), "sync_batch_norm": flag, "seed": whole(0), "steps": whole(0)}


class World(Loadable):
    """The shards that every batch is cut into, and the MPI ranks that share them.

    Each shard has a forward and a backward pass of its own, with random streams of its own and batch-norm moments of
    its own. The gradients, losses and running statistics of the shards are added in one fixed tree. So the results
    depend on `shards`, but not on the number of ranks: one process computes all shards and is the reference, and n
    ranks give its bits.

    Start n ranks with ``mpiexec -n 4 python -m mpi4py train.py``. Without a launcher, or without MPI, there is one
    rank.

    Args:
        shards: into how many parts a batch is cut; at least as many as there are ranks. With one, ``fit`` trains as
            without a World.
        seed: what the random streams of the shards follow from, together with the numbers of step and shard. By default
            it follows from the state of the library's generator when the training begins, so ``tg.manual_seed`` sets
            it.
        sync_batch_norm: whether batch normalization takes the moments of the whole batch instead of each shard's. The
            shards then wait for each other in every such layer, and steps run as written.
        timeout: seconds. All ranks end within this time after one of them has stopped to answer. It must be longer than
            a step, a validation or a saving takes.
        failures: a file to which failures are written as well, also that a rank was killed, and which; rank 0's counts.
            ``fit`` with a Checkpoint writes beside it by default.

    Attributes:
        rank: the number of this process, from 0.
        size: how many ranks there are.
        mine: the numbers of the shards that this rank computes.
        steps: how many steps were taken.

    Raises:
        TypeError, ValueError: if an argument is not what it must be, or there are more ranks than shards.
        ImportError, RuntimeError: if a launcher has started several processes that MPI cannot connect.

    >>> import tinygrad_cnn as tg
    >>> world = tg.distributed.World(shards=8)
    >>> world.rank, world.size, list(world.mine)
    (0, 1, [0, 1, 2, 3, 4, 5, 6, 7])
    """

    def __init__(
        self,
        shards: int = 1,
        *,
        seed: int | None = None,
        sync_batch_norm: bool = False,
        timeout: float = 30.0,
        failures: str | os.PathLike[str] | None = None,
    ) -> None:
        given = checked("World", {"shards": whole(1), "sync_batch_norm": flag, "timeout": positive}, locals())
        self.shards: int = given["shards"]
        self.sync_batch_norm: bool = given["sync_batch_norm"]
        self._given: int | None = None if seed is None else checked("World", {"seed": whole(0)}, locals())["seed"]
        self.restart()
        self.link = connect(given["timeout"])
        self.rank, self.size = self.link.rank, self.link.size
        if self.size > self.shards:
            raise ValueError(
                f"World: there are {self.size} ranks for {self.shards} shards, so that some would have nothing to do; start "
                f"{self.shards} at most, or cut batches into more shards, which gives other results"
            )
        self.link.failures = None if failures is None else Path(failures)
        self.mine = shards_of_rank(self.rank, self.size, self.shards)
        self._step: Step | None = None
        self._parameters: list[Tensor] = []
        self._learned: list[Tensor] = []
        self._shard_step: tuple[Any, Any] = (None, None)

    def restart(self) -> None:
        """Begin with the first step of a training; a seed that was not given follows from the random state anew."""
        self._seed = self._given
        self.steps = 0

    def __repr__(self) -> str:
        return f"World(shards={self.shards}, rank={self.rank}, size={self.size})"

    @property
    def seed(self) -> int:
        """What the random streams of the shards follow from."""
        if self._seed is None:
            state = repr(get_rng_state()).encode()
            self._seed = int.from_bytes(hashlib.blake2b(state, digest_size=7).digest(), "little")
        return self._seed

    def stream(self, *path: int) -> AbstractContextManager[None]:
        """Let the library's generator draw from a stream of its own; with one shard, from its usual one."""
        return stream(self.seed, *path) if self.shards > 1 else nullcontext()

    # A loop of one's own

    def start(self, **parts: Any) -> None:
        """Begin a training: find out whether the ranks agree, and give all of them the state of rank 0.

        Args:
            parts: the models, optimizers, schedules, loaders and so on that take part, by name. What has a
                ``state_dict`` is given rank 0's. Plain values are compared.

        Raises:
            DistributedError: if the ranks differ in a version, the default dtype, the random state, the shards, the
                seed, or in models, options, or the lengths of data: it tells which and how.
        """
        with self.guarded("at the start"):
            self.compare(parts)
            stateful: dict[str, Stateful] = {name: p for name, p in parts.items() if hasattr(p, "state_dict")}
            state = self.from_first(lambda: snapshot(world=self, **stateful))
            if self.rank != 0:
                restore(state, world=self, **stateful)
            self.link.call_witness()
        owners = [p for p in parts.values() if hasattr(p, "parameters")]
        groups = [group["params"] for p in parts.values() for group in getattr(p, "param_groups", ())]
        leaves = chain(*(p.parameters() for p in owners), *groups)
        buffers = chain(*(p.buffers() for p in owners if hasattr(p, "buffers")))
        self._parameters = [*{id(p): p for p in leaves}.values()]
        if not any(p.requires_grad for p in self._parameters):
            raise ValueError("World.start: no part has parameters; give it the model: world.start(model=model, ...)")
        self._buffers = [*{id(b): b for b in buffers}.values()]
        self._step = None
        self._step_for_learned()

    def _step_for_learned(self) -> Step:
        """What takes a step, made anew where other parameters require a gradient than before."""
        learned = [p for p in self._parameters if p.requires_grad]
        if self._step is None or [*map(id, learned)] != [*map(id, self._learned)]:
            self._learned = learned
            self._handover, self._shard_step = Handover(), (None, None)
            self._step = Step(self, learned, self._buffers, self._handover, reuse=False)
        return self._step

    def batches(self, loader: Any, keys: Keys | None = None) -> Iterator[Shards]:
        """The batches of an epoch, of which this rank has its own shards. A DataLoader reads no others.

        `keys` says in which order the arrays of a batch that is a dict are given to the function of :meth:`step`.
        """
        check_keys("World.batches", keys)
        return batches(self, loader, lambda: iter(loader), self.mine, keys)

    def step(self, loss_of_shard: Callable[..., Tensor], batch: Any, *, compile: bool = False) -> Tensor:
        """Forward and backward for each shard of a batch: the mean loss, with its gradients as ``grad`` of the parameters.

        The loss is the sum of n_s / n loss(shard s) for shards of n_s of n examples. Gradients replace those of an
        earlier step; a parameter that was frozen has none.

        Args:
            loss_of_shard: a function of the arrays of a shard, such as ``lambda x, y: tg.mse(model(x), y)``; it gives
                the mean loss.
            batch: a tuple of arrays with the examples along their first axes, the same on all ranks; or what
                :meth:`batches` gives.
            compile: capture forward and backward, and replay them while `loss_of_shard` is the same function.

        Returns:
            A Tensor (), without a graph.

        Raises:
            RuntimeError: before :meth:`start`.
            ValueError: if a shard would be empty.
            DistributedError: if another rank has failed, ended, or does not answer.

        >>> import numpy as np, tinygrad_cnn as tg
        >>> world = tg.distributed.World(shards=4)
        >>> model = tg.nn.Linear(3, 1)
        >>> optimizer = tg.optim.SGD(model.parameters(), lr=0.1)
        >>> world.start(model=model, optimizer=optimizer)
        >>> x, y = np.ones((10, 3), np.float32), np.ones((10, 1), np.float32)
        >>> for _ in range(20):
        ...     loss = world.step(lambda x, y: tg.mse(model(x), y), (x, y))
        ...     optimizer.step()
        >>> loss.item() < 1e-6
        True
        """
        if self._step is None:
            raise RuntimeError(
                "World.step: call world.start(model=model, optimizer=optimizer, ...) first, with all that takes part"
            )
        with self.guarded(f"at step {self.steps + 1}"):
            if isinstance(batch, Mapping):
                raise TypeError(
                    "World.step: a batch is a dict; give its arrays as a tuple, or what world.batches(loader, keys=...) gives"
                )
            sizes, parts = batch if isinstance(batch, Shards) else shards_of(batch, self.shards, self.mine)
            tensors = {
                s: tuple(x if isinstance(x, Tensor) else from_numpy(x) for x in part) for s, part in parts.items()
            }
            take = self._step_for_learned()
            if self._shard_step[0] is not loss_of_shard or not compile:
                run = shard_step(loss_of_shard, self._parameters, self._handover)
                self._shard_step = loss_of_shard, wrapped(run, compile and not self.sync_batch_norm)
            loss, _, gradients = take(self._shard_step[1], Shards(sizes, tensors))
            self.steps += 1
        for p, g in zip(self._learned, gradients, strict=True):
            p.grad = g
        return loss

    def mean(self, values: Sequence[ArrayLike]) -> NDArray[np.float64]:
        """The mean over all shards of what was measured for each, in the order of the tree.

        Args:
            values: a number or an array for each shard of this rank, in the order of ``mine``; all of one shape.

        >>> import tinygrad_cnn as tg
        >>> world = tg.distributed.World(shards=4)
        >>> float(world.mean([s**2 for s in world.mine]))
        3.5
        """
        arrays = [np.array(value, np.float64) for value in values]
        if len(arrays) != len(self.mine) or len({a.shape for a in arrays}) != 1:
            raise ValueError(
                f"World.mean: `values` has {len(arrays)} entries of shapes {[a.shape for a in arrays]}; it must have one for "
                f"each of this rank's {len(self.mine)} shards, all of one shape"
            )
        with self.guarded(f"at the mean after step {self.steps}"):
            return self.total(arrays) / self.shards

    def total(self, arrays: Sequence[NDArray[Any]]) -> NDArray[Any]:
        """The sum over all shards of an array for each shard of this rank, which may be written to."""
        whole, shard = Sum(self.link, self.shards), dict(zip(self.mine, arrays, strict=True))

        def flat(s: int, onto: Sequence[Flat]) -> Flat:
            return folded(onto, (shard[s].ravel(),))

        own = {node: computed(node, flat) for node in whole.own}
        (total,) = whole.over_ranks(own, (np.empty(arrays[0].size, arrays[0].dtype),))
        return total.reshape(arrays[0].shape)

    def any(self, wish: bool) -> bool:
        """Whether `wish` is true on any rank: by which all of them leave a loop together."""
        mine = np.array([bool(wish)])
        wishes = np.zeros(self.size, bool)
        others = [rank for rank in range(self.size) if rank != self.rank]
        receives = [(rank, wishes[rank : rank + 1]) for rank in others]
        with self.guarded(self.link.at):
            self.link.wait(self.link.post([(rank, mine) for rank in others], receives))
        return bool(wish) or bool(wishes.any())

    # What fit is given

    def steps_of(self, run: Run, compile: bool) -> Steps:
        """How ``fit`` takes its steps: with one shard, as without a World."""
        return (DistributedSteps if self.shards > 1 else Steps)(run, compile)

    def compare(self, parts: Mapping[str, Any]) -> None:
        """DistributedError if the ranks were given different things."""
        seed = "of the random state" if self._seed is None else self._seed
        settings = {name: str(value) for name, value in {**self._settings(), "seed": seed}.items()}
        own = {**digest.of_process(), **settings, **digest.of_parts(parts)}
        found = digest.differences([pickle.loads(data) for data in gather(self.link, pickle.dumps(own))])
        if found:
            lines = "\n- ".join(["the ranks do not agree, so that they would not train the same model:", *found])
            raise DistributedError(lines)

    def from_first(self, make: Callable[[], Any]) -> Any:
        """What `make` gives on rank 0, on all ranks; or the error that it raises."""
        result: Any = None
        if self.rank == 0:
            try:
                result = make()
            except Exception as error:
                result = error
        if self.size > 1:
            result = pickle.loads(broadcast(self.link, pickle.dumps(result) if self.rank == 0 else b""))
        if isinstance(result, Exception):
            raise result
        return result

    @contextmanager
    def guarded(self, at: str) -> Iterator[None]:
        """Tell the other ranks of errors in here, and where this rank is."""
        self.link.at = at
        try:
            yield
        except BaseException as error:
            self.link.fail(error)
            raise

    # State

    def state_dict(self) -> dict[str, Any]:
        """The shards, the seed and the number of steps, by which a training can be resumed on any number of ranks."""
        return {**self._settings(), "seed": self.seed, "steps": self.steps}

    def _settings(self) -> dict[str, Any]:
        return {"shards": self.shards, "sync_batch_norm": self.sync_batch_norm}

    def _prepare_load(self, state_dict: Any) -> Callable[[], None]:
        values = read("World", state_dict, _STATE)
        different = [
            f"`{n}` is {values[n]}, and this World has {v}" for n, v in self._settings().items() if values[n] != v
        ]
        if different:
            raise ValueError(
                f"World.load_state_dict: {'; '.join(different)}. The number of ranks may change when a training is "
                "resumed, these may not, as the results depend on them"
            )

        def load() -> None:
            self._seed, self.steps = values["seed"], values["steps"]

        return load
