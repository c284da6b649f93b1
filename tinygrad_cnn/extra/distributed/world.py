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

from ...checks import Loadable, checked, flag, read, whole
from ...data.loader import Shards, shards_of
from ...nn import Module
from ...numpy_api.creation import from_numpy
from ...ops.data import native
from ...ops.random import get_rng_state, stream
from ...optim.hyperparameters import positive
from ...tensor import Tensor
from ...training.batches import Keys, check_keys
from ...training.state import Stateful, restore, snapshot
from ...training.steps import Steps, wrapped
from . import digest
from .communicator import DistributedError, broadcast, gather
from .connect import connect
from .contribution import AllReduce, Flat, folded
from .gradient_hook import GradientHook
from .step import Step, shard_step
from .steps import DistributedSteps, batches
from .tree import computed, shards_of_rank

if TYPE_CHECKING:
    from ...training.run import Run


_STATE = {"shards": whole(1), "sync_batch_norm": flag, "seed": whole(0), "steps": whole(0)}

_OTHER = (
    "World: the step draws from its own generator, whose numbers would depend on which shards a rank computes; leave "
    "`rng` out, so that it draws from the library's, which has a stream for each shard"
)


class World(Loadable):
    """The shards that every batch is cut into, and the MPI ranks that share them.

    Each shard has its own forward and backward pass, random streams and batch-norm moments. The gradients, losses and
    running statistics of the shards are added in one fixed tree. So the results depend on `shards`, but not on the
    number of ranks: n ranks give the bits of one process that computes all shards.

    Start n ranks with ``mpiexec -n 4 python -m mpi4py train.py``. Without a launcher, or without MPI, there is one
    rank.

    Args:
        shards: the number of parts that a batch is cut into; at least the number of ranks. With one shard, ``fit`` trains
            as without a World.
        seed: the seed of the shards' random streams, together with the numbers of step and shard. By default it is
            computed from the state of the library's generator when the training begins, so ``tg.manual_seed`` sets it.
        sync_batch_norm: whether batch normalization takes the moments of the whole batch instead of each shard's. The
            shards then wait for each other in every such layer, and steps run as written.
        timeout: seconds within which all ranks end after one has stopped answering. It must be longer than any step,
            validation or writing of a checkpoint.
        failures: a file that failures are also written to, including which rank was killed. All ranks use that of rank 0.
            By default, ``fit`` with a Checkpoint writes a file beside the checkpoint.

    Attributes:
        rank: the number of this process, from 0.
        size: how many ranks there are.
        mine: the numbers of the shards that this rank computes.
        steps: the number of steps taken.

    Raises:
        TypeError, ValueError: if an argument is not valid, or there are more ranks than shards.
        FileNotFoundError: on rank 0, if the folder of `failures` does not exist.
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
        if failures is not None and (not isinstance(failures, str | os.PathLike) or not os.fspath(failures)):
            raise TypeError(f"World: `failures` is {failures!r}; it must be the path of a file")
        self.restart()
        self.comm = connect(given["timeout"])
        self.rank, self.size = self.comm.rank, self.comm.size
        if self.size > self.shards:
            raise ValueError(
                f"World: there are {self.size} ranks for {self.shards} shards, so some would have no shard; start "
                f"{self.shards} at most, or cut batches into more shards, which gives other results"
            )
        self.comm.failures = None if failures is None else Path(failures)
        if self.rank == 0 and failures is not None and not Path(failures).absolute().parent.is_dir():
            raise FileNotFoundError(
                f"World: the folder of `failures` {os.fspath(failures)!r} is missing; make it first"
            )
        self.mine = shards_of_rank(self.rank, self.size, self.shards)
        self._step: Step | None = None
        self._parameters: list[Tensor] = []
        self._learned: list[Tensor] = []
        self._shard_step: tuple[Any, Any] = (None, None)

    def restart(self) -> None:
        """Go back to step 0. A seed that was not given is computed from the random state again."""
        self._seed = self._given
        self.steps = 0

    def __repr__(self) -> str:
        return f"World(shards={self.shards}, rank={self.rank}, size={self.size})"

    @property
    def seed(self) -> int:
        """The seed of the shards' random streams."""
        if self._seed is None:
            state = repr(get_rng_state()).encode()
            self._seed = int.from_bytes(hashlib.blake2b(state, digest_size=7).digest(), "little")
        return self._seed

    def stream(self, *path: int) -> AbstractContextManager[None]:
        """In this block the library's generator draws from the stream of this path; with one shard, from its usual one."""
        return stream(self.seed, *path, only=_OTHER) if self.shards > 1 else nullcontext()

    # For a training loop

    def start(self, **parts: Any) -> None:
        """Begin a training: compare the ranks, and give all of them the state of rank 0.

        Args:
            parts: the models, optimizers, schedules, loaders and other parts of the training, by name. A part with a
                ``state_dict`` loads that of rank 0. Plain values are compared.

        Raises:
            DistributedError: if the ranks differ in a version, the default dtype, the random state, the shards, the
                seed, the models, the options, or the lengths of data. The message lists the differences.
        """
        with self.guarded("at the start"):
            if classes := [name for name, part in parts.items() if isinstance(part, type)]:
                raise TypeError(f"World.start: `{classes[0]}` is a class; give an object of it")
            self.compare(parts)
            stateful: dict[str, Stateful] = {name: p for name, p in parts.items() if hasattr(p, "state_dict")}
            state = self.from_first(lambda: snapshot(world=self, **stateful))
            if self.rank != 0:
                restore(state, world=self, **stateful)
            self.comm.start_monitor()
        owners = [p for p in parts.values() if hasattr(p, "parameters")]
        groups = [group["params"] for p in parts.values() for group in getattr(p, "param_groups", ())]
        leaves = chain(*(p.parameters() for p in owners), *groups)
        self._parameters = [*{id(p): p for p in leaves}.values()]
        if not any(p.requires_grad for p in self._parameters):
            raise ValueError("World.start: no part has parameters; give it the model: world.start(model=model, ...)")
        self._modules = [p for p in owners if isinstance(p, Module)]
        self._step = None
        self._step_for_learned()

    def _step_for_learned(self) -> Step:
        """The step for the parameters that require a gradient; a new one if they or the buffers have changed."""
        learned = [p for p in self._parameters if p.requires_grad]
        same = [*map(id, learned)] == [*map(id, self._learned)]
        if self._step is None or not same or self._step.buffers.replaced():
            self._learned = learned
            self._hook, self._shard_step = GradientHook(), (None, None)
            self._step = Step(self, learned, self._modules, self._hook, reuse=False)
        return self._step

    def batches(self, loader: Any, keys: Keys | None = None) -> Iterator[Shards]:
        """The batches of an epoch, each with this rank's shards. A DataLoader reads only these.

        `keys` is the order in which the arrays of a dict batch are passed to the function of :meth:`step`.
        """
        check_keys("World.batches", keys)
        return batches(self, loader, lambda: iter(loader), self.mine, keys)

    def step(self, loss_of_shard: Callable[..., Tensor], batch: Any, *, compile: bool = False) -> Tensor:
        """Forward and backward for each shard of a batch: the mean loss, with its gradients as ``grad`` of the parameters.

        The loss is the sum of n_s / n loss(shard s) for shards of n_s of n examples. Gradients replace those of an
        earlier step; a frozen parameter has none.

        Args:
            loss_of_shard: a function of the arrays of a shard, such as ``lambda x, y: tg.mse(model(x), y)``, that returns
                the mean loss.
            batch: a tuple of arrays with the examples along their first axes, the same on all ranks; or an item of
                :meth:`batches`.
            compile: compile forward and backward, while `loss_of_shard` is the same function.

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
            if not isinstance(batch, tuple | list) or not batch:
                raise TypeError(
                    f"World.step: `batch` is a {type(batch).__name__}; it must be a tuple of one array or more, such as "
                    "(x, y), or what world.batches(loader) gives"
                )
            shards = batch if isinstance(batch, Shards) else shards_of(batch, self.shards, self.mine)
            tensors = {
                s: tuple(x if isinstance(x, Tensor) else from_numpy(native(x)) for x in part)
                for s, part in shards.parts.items()
            }
            take = self._step_for_learned()
            if self._shard_step[0] is not loss_of_shard or not compile:
                run = shard_step(loss_of_shard, self._parameters, self._hook)
                self._shard_step = loss_of_shard, wrapped(run, compile and not self.sync_batch_norm)
            loss, _, gradients = take(self._shard_step[1], shards.with_parts(tensors))
            self.steps += 1
        for p, g in zip(self._learned, gradients, strict=True):
            p.grad = g
        return loss

    def mean(self, values: Sequence[ArrayLike]) -> NDArray[np.float64]:
        """The mean over all shards of one value per shard, added in the order of the tree.

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
        """The sum over all shards of one array per shard. It may write to the arrays."""
        whole, shard = AllReduce(self.comm, self.shards), dict(zip(self.mine, arrays, strict=True))

        def flat(s: int, onto: Sequence[Flat]) -> Flat:
            return folded(onto, (shard[s].ravel(),))

        own = {node: computed(node, flat) for node in whole.own}
        (total,) = whole.over_ranks(own, (np.empty(arrays[0].size, arrays[0].dtype),))
        return total.reshape(arrays[0].shape)

    def any(self, wish: bool) -> bool:
        """Whether `wish` is true on any rank, so that all ranks can leave a loop together."""
        mine = np.array([bool(wish)])
        wishes = np.zeros(self.size, bool)
        others = [rank for rank in range(self.size) if rank != self.rank]
        receives = [(rank, wishes[rank : rank + 1]) for rank in others]
        place = self.comm.at
        with self.guarded(f"in any, {place}"):
            self.comm.wait(self.comm.post([(rank, mine) for rank in others], receives))
        self.comm.at = place
        return bool(wish) or bool(wishes.any())

    # For fit

    def steps_of(self, run: Run, compile: bool) -> Steps:
        """The steps of ``fit``. With one shard they are those of a training without a World."""
        return DistributedSteps(self, run, compile) if self.shards > 1 else Steps(run, compile)

    def compare(self, parts: Mapping[str, Any]) -> None:
        """DistributedError if the ranks have different settings or parts."""
        seed = "of the random state" if self._seed is None else self._seed
        settings = {name: str(value) for name, value in {**self._settings(), "seed": seed}.items()}
        own = {**digest.of_process(), **settings, **digest.of_parts(parts)}
        found = digest.differences([pickle.loads(data) for data in gather(self.comm, pickle.dumps(own))])
        if found:
            lines = "\n- ".join(["the ranks do not agree, so that they would not train the same model:", *found])
            raise DistributedError(lines)

    def from_first(self, make: Callable[[], Any]) -> Any:
        """Broadcast the result of `make` on rank 0, or the error that it raises."""
        result: Any = None
        if self.rank == 0:
            try:
                result = make()
            except Exception as error:
                result = error
        if self.size > 1:
            result = pickle.loads(broadcast(self.comm, pickle.dumps(result) if self.rank == 0 else b""))
        if isinstance(result, Exception):
            raise result
        return result

    @contextmanager
    def guarded(self, at: str) -> Iterator[None]:
        """Set where this rank is, and report errors in this block to the other ranks."""
        self.comm.at = at
        try:
            yield
        except BaseException as error:
            self.comm.fail(error)
            raise

    # State

    def state_dict(self) -> dict[str, Any]:
        """The shards, the seed and the number of steps. A training can be resumed on any number of ranks."""
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
