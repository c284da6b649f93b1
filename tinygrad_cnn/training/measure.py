"""Loss and accuracy over batches: the results of a step, and their means over an epoch."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, TypeAlias

from numpy.typing import NDArray

from ..checks import any_number, read, whole
from ..core.grad_mode import no_grad
from ..ops.reduce import argmax
from ..tensor import Tensor
from ..tensor.creation import from_numpy

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ..nn import Module
    from ..optim import Optimizer

Batch: TypeAlias = Sequence[Tensor | NDArray[Any]]
Loader: TypeAlias = Iterable[Batch]
Loss: TypeAlias = Callable[[Any, Tensor], Tensor]
Step: TypeAlias = Callable[..., tuple[Tensor, ...]]


def correct(output: Any, target: Tensor) -> Tensor | None:
    """The number of positions whose highest score is at their class: a Tensor (), or None if there are no classes.

    Args:
        output: scores (N, C, ...) with at least two classes.
        target: classes (N, ...), integers.
    """
    if not isinstance(output, Tensor) or target.dtype.kind not in "iu" or output.ndim < 2 or output.shape[1] < 2:
        return None
    if (output.shape[0], *output.shape[2:]) != target.shape:
        return None
    return (argmax(output, axis=1) == target).sum()


def measured(value: Tensor, output: Any, target: Tensor) -> tuple[Tensor, ...]:
    """The results of a step: the loss and, for classes, the number of correct outputs."""
    right = correct(output, target)
    return (value,) if right is None else (value, right)


def train_step(
    model: Module, loss: Loss, optimizer: Optimizer, *, before_update: Callable[[], object] | None = None
) -> Step:
    """A function of a batch that takes one step of training, and may be compiled.

    Args:
        model: called with all parts of the batch but the last.
        loss: a function of (output, target).
        optimizer: of the model's parameters.
        before_update: called between backward and the optimizer's step.

    Returns:
        A function that returns (loss,) or, if the target has classes, (loss, number of correct outputs), both from before
        the update.
    """

    def step(*batch: Tensor) -> tuple[Tensor, ...]:
        *inputs, target = batch
        output = model(*inputs)
        value = loss(output, target)
        optimizer.zero_grad()
        value.backward()
        if before_update is not None:
            before_update()
        optimizer.step()
        return measured(value, output, target)

    return step


def eval_step(model: Module, loss: Loss, *, outputs: bool = False) -> Step:
    """A function of a batch that returns the results of :func:`train_step` without an update, and may be compiled.

    With `outputs` it also returns, last, the output of the model.
    """

    @no_grad()
    def step(*batch: Tensor) -> tuple[Tensor, ...]:
        *inputs, target = batch
        output = model(*inputs)
        results = measured(loss(output, target), output, target)
        return (*results, output) if outputs else results

    return step


def tensors(batch: Any) -> list[Tensor]:
    """The parts of a batch as Tensors that share their memory.

    Raises:
        TypeError: if a batch is not a tuple of at least two arrays.
    """
    if not isinstance(batch, tuple | list) or len(batch) < 2:
        what = f"{len(batch)} part" if isinstance(batch, tuple | list) else f"a {type(batch).__name__}"
        raise TypeError(f"a batch is {what}; it must be a tuple of arrays: the model's arguments, and the target last")
    return [part if isinstance(part, Tensor) else from_numpy(part) for part in batch]


class Means:
    """Mean loss and accuracy over batches, weighted by their numbers of examples. The sums are 64-bit."""

    def __init__(self) -> None:
        self.examples = 0
        self.loss = 0.0
        self.targets = 0
        self.right = 0

    def add(self, results: Sequence[Tensor], target: Tensor) -> None:
        """Add the results of a step for a batch with this target."""
        right = (results[1].item(), target.size) if len(results) > 1 else (0, 0)
        self.count(results[0].item(), len(target), *right)

    def count(self, loss: float, examples: int, right: int, targets: int) -> None:
        """Add a mean loss over some examples, and the number of right targets of those that have an accuracy."""
        self.examples += examples
        self.loss += loss * examples
        self.targets += targets
        self.right += int(right)

    def result(self) -> dict[str, float]:
        """The means so far: "loss" and, if there were classes, "accuracy"."""
        means = {"loss": self.loss / self.examples}
        return means | {"accuracy": self.right / self.targets} if self.targets else means

    def state_dict(self) -> dict[str, float]:
        """A copy of the sums."""
        return dict(vars(self))

    @classmethod
    def of(cls, state: Any) -> Means:
        """Means with a saved state; ValueError if the state does not fit."""
        counts = {"examples": whole(0), "loss": any_number, "targets": whole(0), "right": whole(0)}
        means = cls()
        vars(means).update(read("Means", state, counts))
        return means


@contextmanager
def modes(model: Module) -> Iterator[None]:
    """Restore the mode, train or eval, of every module of `model` at the end."""
    found = [(module, module.training) for module in model.modules()]
    try:
        yield
    finally:
        for module, training in found:
            module.training = training


def evaluate(model: Module, loader: Loader, loss: Loss, *, step: Step | None = None) -> dict[str, float]:
    """The mean loss of a model over a loader and, if the targets are classes, its accuracy.

    The model is in evaluation mode meanwhile; each module has its own mode again afterwards.

    Args:
        model: a Module, called with all parts of a batch but the last.
        loader: an iterable of batches: tuples of arrays, the target last.
        loss: a function of (output, target) that returns the mean over the batch.
        step: ``tg.compile(eval_step(model, loss))``, to run compiled; None runs as written.

    Returns:
        {"loss": ..., "accuracy": ...}, exact for batches of unequal size.

    Raises:
        TypeError: if a batch is not a tuple of arrays.
        ValueError: if the loader has no batch.

    >>> import numpy as np, tinygrad_cnn as tg
    >>> model = tg.nn.Linear(2, 3)
    >>> batch = np.zeros((4, 2), np.float32), np.array([0, 1, 2, 0])
    >>> sorted(tg.training.evaluate(model, [batch], tg.cross_entropy))
    ['accuracy', 'loss']
    """
    means = measure(model, loader, eval_step(model, loss) if step is None else step)
    if not means.examples:
        raise ValueError("evaluate: `loader` gave no batch; is its data empty, or smaller than a batch with drop_last?")
    return means.result()


def measure(model: Module, loader: Loader, step: Step) -> Means:
    """The means of the results of `step` over the loader, with the model in evaluation mode."""
    means = Means()
    with modes(model):
        model.eval()
        for batch in loader:
            parts = tensors(batch)
            means.add(step(*parts), parts[-1])
    return means
