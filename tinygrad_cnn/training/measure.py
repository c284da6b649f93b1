"""Loss and metrics over batches: the results of a step, and their means over an epoch."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from ..checks import any_number, read, whole
from ..core.grad_mode import no_grad
from ..metrics import Metric, resolved
from ..numpy_api.creation import zeros
from ..tensor import Tensor
from ..transforms.pytree import leaves, rebuild
from .arguments import Data, Loader, Loss, check_loss, check_model, is_arrays, keys_of_batches, loader_of
from .batches import Keys, check_keys, inputs_of, tensors

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ..nn import Module
    from ..optim import Optimizer

Step: TypeAlias = Callable[..., tuple[Tensor, ...]]

BATCH = "all parts of a batch but the last, which is the target"
DATA = "all parts of `data`, from which the target is left out"
"""What a model is called with."""


def checked_loss(value: Any) -> Tensor:
    """What a loss returned, if it is one number in a Tensor."""
    if not isinstance(value, Tensor) or value.size != 1:
        what = f"a Tensor of shape {value.shape}" if isinstance(value, Tensor) else f"a {type(value).__name__}"
        raise TypeError(f"`loss` returned {what}; it must return the mean over the batch, a Tensor of one number")
    return value


def output_of(model: Module, inputs: Sequence[Any], whence: str) -> Any:
    """The output of a model; a TypeError if it is None, and a note if the model takes fewer arguments than there are."""
    try:
        output = model(*inputs)
    except TypeError as error:
        if len(inputs) > 1 and "positional argument" in str(error):
            error.add_note(f"The model is called with {len(inputs)} arguments: {whence}.")
        raise
    if output is None:
        raise TypeError(f"{type(model).__name__}: `forward` returned None; it must end with `return` and the output")
    return output


def measured(value: Tensor, output: Any, target: Tensor, metrics: Sequence[Metric]) -> tuple[Tensor, ...]:
    """The results of a step: the loss, and the totals of each metric, if there is any."""
    with no_grad():
        found = [metric.measure(output, target) for metric in metrics]
    if all(each is None for each in found):
        return (value,)
    return (value, *(zeros(0) if each is None else each for each in found))


def train_step(
    model: Module,
    loss: Loss,
    optimizer: Optimizer,
    *,
    before_update: Callable[[], object] | None = None,
    metrics: Any = None,
) -> Step:
    """A function of a batch that takes one step of training, and may be compiled.

    Args:
        model: called with all parts of the batch but the last.
        loss: a function of (output, target).
        optimizer: of the model's parameters.
        before_update: called between backward and the optimizer's step.
        metrics: see :func:`fit`.

    Returns:
        A function that returns the loss and what the metrics measured, both from before the update: without `metrics`
        (loss,) or, if the target has classes, (loss, number of correct outputs).
    """
    check_model("train_step", model)
    check_loss("train_step", loss)
    measures = resolved(metrics, loss)

    def step(*batch: Tensor) -> tuple[Tensor, ...]:
        *inputs, target = batch
        output = output_of(model, inputs, BATCH)
        value = checked_loss(loss(output, target))
        results = measured(value, output, target, measures)  # an error in a metric comes before the update
        optimizer.zero_grad()
        value.backward()
        if before_update is not None:
            before_update()
        optimizer.step()
        return results

    vars(step)["trains"] = True  # a compiled step has it, too
    return step


def eval_step(model: Module, loss: Loss, *, outputs: bool = False, metrics: Any = None) -> Step:
    """A function of a batch that returns the results of :func:`train_step` without an update, and may be compiled.

    With `outputs` it also returns, last, the output of the model.
    """
    check_model("eval_step", model)
    check_loss("eval_step", loss)
    measures = resolved(metrics, loss)

    @no_grad()
    def step(*batch: Tensor) -> tuple[Tensor, ...]:
        *inputs, target = batch
        output = output_of(model, inputs, BATCH)
        results = measured(checked_loss(loss(output, target)), output, target, measures)
        return (*results, output) if outputs else results

    return step


class Means:
    """Mean loss and metrics over batches, weighted by their numbers of examples. The sums are 64-bit.

    Args:
        metrics: the metrics besides the loss; None for the accuracy if targets are classes.

    Attributes:
        examples: how many there were.
        loss: the sum over the batches of mean loss times number of examples.
        last: the loss of the last batch; NaN before the first.
        totals: for each metric the sum of what its ``totals`` returned; empty if nothing was measured.
    """

    def __init__(self, metrics: Sequence[Metric] | None = None) -> None:
        self.metrics = resolved(None, None) if metrics is None else list(metrics)
        self.examples = 0
        self.loss = 0.0
        self.last = math.nan
        self.totals: list[list[float]] = [[] for _ in self.metrics]

    def add(self, results: Sequence[Tensor], target: Tensor) -> None:
        """Add the results of a step for a batch with this target."""
        self.count(results[0].item(), len(target), self.totals_of(results[1:], target))

    def totals_of(self, values: Sequence[Tensor], target: Tensor) -> list[list[float]]:
        """What the metrics measured, as numbers that add up."""
        if not values:
            return [[] for _ in self.metrics]
        if len(values) != len(self.metrics):
            names = ", ".join(metric.name for metric in self.metrics) or "nothing"
            raise ValueError(
                f"a step measured {len(values)} metrics, and {names} is expected; give both the same `metrics`"
            )
        pairs = zip(self.metrics, values, strict=True)
        return [metric.totals(value, target) if value.size else [] for metric, value in pairs]

    def count(self, loss: float, examples: int, totals: Sequence[Sequence[float]]) -> None:
        """Add a mean loss over some examples, and the totals of the metrics."""
        self.examples += examples
        self.loss += loss * examples
        self.last = loss
        for i, (before, new) in enumerate(zip(self.totals, totals, strict=True)):
            if not before or not new:
                self.totals[i] = before or [float(n) for n in new]
            else:
                self.totals[i] = self.metrics[i].merge(before, new)

    def total(self, name: str) -> tuple[float, float]:
        """The number of elements of the metric with this name, and its first sum; (0, 0) if there is no such metric."""
        found = [
            total for metric, total in zip(self.metrics, self.totals, strict=True) if metric.name == name and total
        ]
        return (found[0][0], found[0][1]) if found else (0.0, 0.0)

    def result(self, running: bool = False) -> dict[str, float]:
        """The means so far: "loss", and each metric that was measured; if `running`, without those that keep all numbers."""
        found = {"loss": self.loss / self.examples}
        for metric, total in zip(self.metrics, self.totals, strict=True):
            if total and not (running and metric.joins):
                value = metric.result(total[0], total[1:])
                if isinstance(value, np.ndarray):
                    found |= {f"{metric.name}.{i}": float(each) for i, each in enumerate(value)}
                else:
                    found[metric.name] = float(value)
        return found

    def state_dict(self) -> dict[str, Any]:
        """A copy of the sums."""
        totals = {metric.name: list(total) for metric, total in zip(self.metrics, self.totals, strict=True)}
        return {"examples": self.examples, "loss": self.loss, "last": self.last, "totals": totals}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Continue from a saved state of the same metrics; ValueError, and nothing changes, if it does not fit."""
        vars(self).update(vars(self.prepared(state)))

    def prepared(self, state: Any) -> Means:
        """Means for the same metrics with a saved state; ValueError if the state does not fit."""
        if isinstance(state, Mapping) and state.keys() == {"examples", "loss", "targets", "right"}:  # of version 0.1
            right = [state["targets"], state["right"]] if state["targets"] else []
            totals = {metric.name: right if metric.name == "accuracy" else [] for metric in self.metrics}
            state = {"examples": state["examples"], "loss": state["loss"], "last": math.nan, "totals": totals}
        checks = {"examples": whole(0), "loss": any_number, "last": any_number, "totals": _totals}
        values = read("Means", state, checks)
        totals = values.pop("totals")
        means = Means(self.metrics)
        vars(means).update(values)
        for i, metric in enumerate(self.metrics):
            found = means.totals[i] = totals.pop(metric.name, [])
            if found and metric.sums is not None and len(found) != 1 + metric.sums:
                raise ValueError(f"totals of '{metric.name}' are {len(found)} numbers; they must be {1 + metric.sums}")
        if values["examples"] and (totals or state["totals"].keys() != {metric.name for metric in self.metrics}):
            ours, theirs = [metric.name for metric in self.metrics], list(state["totals"])
            raise ValueError(f"it is of the metrics {', '.join(theirs)}; these are {', '.join(ours)}")
        return means


def _totals(saved: Any) -> dict[str, list[float]]:
    rule = "it must be a dict of lists of numbers"
    try:
        return {str(name): [any_number(n) for n in total] for name, total in saved.items()}
    except (TypeError, ValueError, AttributeError):
        raise ValueError(rule) from None


@contextmanager
def modes(model: Module) -> Iterator[None]:
    """Restore the mode, train or eval, of every module of `model` at the end."""
    found = [(module, module.training) for module in model.modules()]
    try:
        yield
    finally:
        for module, training in found:
            module.training = training


def evaluate(
    model: Module,
    loader: Data,
    loss: Loss,
    *,
    metrics: Any = None,
    batch_size: int | None = None,
    keys: Keys | None = None,
    step: Step | None = None,
) -> dict[str, float]:
    """The mean loss and the metrics of a model over data.

    The model is in evaluation mode meanwhile; each module has its own mode again afterwards.

    Args:
        model: a Module, called with all parts of a batch but the last.
        loader: a loader, or another iterable of batches: tuples of arrays, the target last; or a tuple of whole arrays, (x, y).
            Dicts of arrays, in place of tuples, need `keys`.
        loss: a function of (output, target) that returns the mean over the batch.
        metrics: see :func:`fit`.
        batch_size: of arrays: 32 by default. Loaders have their own.
        keys: see :func:`fit`.
        step: a compiled step, ``tg.compile(eval_step(model, loss, metrics=metrics))``; None runs as written.

    Returns:
        {"loss": ..., "accuracy": ...}, exact for batches of unequal size.

    Raises:
        TypeError: if an argument is of the wrong kind, or a batch is not a tuple of arrays.
        ValueError: if there is no batch, or a metric does not fit outputs and targets.

    >>> import numpy as np, tinygrad_cnn as tg
    >>> model = tg.nn.Linear(2, 3)
    >>> x, y = np.zeros((4, 2), np.float32), np.array([0, 1, 2, 0])
    >>> sorted(tg.evaluate(model, (x, y), tg.cross_entropy, metrics=["accuracy", "f1"]))
    ['accuracy', 'f1', 'loss']
    """
    check_model("evaluate", model)
    check_loss("evaluate", loss)
    check_keys("evaluate", keys)
    if step is not None and not callable(step):
        raise TypeError(f"evaluate: `step` is {step!r:.80}; it must be what eval_step returns, which may be compiled")
    if getattr(step, "trains", False):
        raise ValueError(
            "evaluate: `step` is what train_step returned, which would train the model; make it with eval_step(model, loss)"
        )
    of_batches = keys_of_batches(loader, keys)
    loader = loader_of("evaluate", loader, batch_size, keys=keys)
    measures = resolved(metrics, loss)
    means = Means(measures)
    measure(model, loader, eval_step(model, loss, metrics=measures) if step is None else step, means, of_batches)
    if not means.examples:
        raise ValueError("evaluate: `loader` gave no batch; is it empty, or smaller than a batch with drop_last?")
    return means.result()


def measure(model: Module, loader: Loader, step: Step, means: Means, keys: Keys | None = None) -> None:
    """Add the results of `step` over the loader to `means`, with the model in evaluation mode."""
    with modes(model):
        model.eval()
        for batch in loader:
            parts = tensors(batch, keys)
            means.add(step(*parts), parts[-1])


def predict(model: Module, data: Any, *, batch_size: int | None = None, keys: Keys | None = None) -> Any:
    """The outputs of a model for all examples, as NumPy arrays: in evaluation mode and without gradients.

    Each module has its own mode again afterwards.

    Args:
        model: a Module. If it returns a tuple, list or dict of Tensors, so does this, of arrays.
        data: an array, or a tuple of arrays for a model with several inputs; or a loader. If a loader's batches have several
            parts, the last is the target, as in :func:`fit`, and is left out.
        batch_size: of arrays: 32 by default. Loaders have their own.
        keys: names in dicts, as for :func:`fit`. The last of several names the target, which is not read and may be absent.

    Raises:
        TypeError: if an argument is of the wrong kind.
        ValueError: if there is no batch, or a batch lacks a key, or a loader shuffles or drops examples.

    >>> import numpy as np, tinygrad_cnn as tg
    >>> model = tg.nn.Linear(2, 3)
    >>> tg.predict(model, np.zeros((100, 2), np.float32)).shape
    (100, 3)
    """
    check_model("predict", model)
    check_keys("predict", keys, least=1)
    arrays = (data,) if hasattr(data, "__array__") else data
    for option, fault in (
        ("shuffle", "the outputs would be in another order"),
        ("drop_last", "outputs would be missing"),
    ):
        if getattr(data, option, None) is True:
            raise ValueError(f"predict: `data` is a loader with {option}=True, so that {fault}; give one without")
    inputs = keys if keys is None or len(keys) == 1 else keys[:-1]
    loader = loader_of("predict", arrays, batch_size, label="data", keys=inputs, parts=1)
    outputs: list[Any] = []
    counts: list[int] = []
    with modes(model), no_grad():
        model.eval()
        targeted, inputs = not is_arrays(arrays), keys_of_batches(arrays, inputs)
        for batch in loader:
            arguments = inputs_of(batch, inputs, targeted=targeted)
            outputs.append(output_of(model, arguments, DATA))
            counts.append(len(arguments[0]))
    if not outputs:
        raise ValueError("predict: `data` gave no batch; is it empty, or an iterator that can be used once?")
    columns = zip(*([leaf for _, leaf in leaves(output)] for output in outputs), strict=True)
    return rebuild(outputs[0], [np.concatenate([*map(_array, column, counts)]) for column in columns])


def _array(part: Any, count: int) -> NDArray[Any]:
    """The values of an output for `count` examples."""
    if not isinstance(part, Tensor) or not part.ndim:
        what = f"a {type(part).__name__}" if not isinstance(part, Tensor) else "a single number"
        raise TypeError(
            f"predict: the model returned {what}; it must return Tensors with the examples along the first axis"
        )
    if len(part) != count:
        raise ValueError(
            f"predict: the model returned shape {part.shape} for {count} examples, which lie along the first axis of `data`; "
            "give one example as x[None]"
        )
    return part.numpy()
