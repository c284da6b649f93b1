"""The training loop."""

from __future__ import annotations

import math
import os
import time
from collections.abc import Iterable, Sized
from typing import TYPE_CHECKING, Any

import numpy as np

from ..checks import check_path, checked, flag, number, whole
from ..metrics import resolved
from ..optim import LRScheduler, Optimizer
from .accumulate import AccumulatingSteps
from .arguments import (
    Data,
    Loss,
    check_distributed,
    check_engine,
    check_loss,
    check_model,
    check_optimizer,
    is_arrays,
    keys_of_batches,
    loader_of,
)
from .batches import Keys, check_keys, in_order
from .callbacks import Callback, EachEpoch, EachStep, check_hooks
from .checkpoint import Checkpoint
from .history import History
from .interrupt import Interrupt
from .measure import modes
from .nonfinite import Watch, numpy_warnings
from .progress import Progress
from .run import VALUES, Run
from .steps import Steps
from .weights import weighted

if TYPE_CHECKING:
    from ..nn import Module
    from .steps import Distributed, Engine


def fit(
    model: Module, loader: Data, loss: Loss, optimizer: Optimizer, *, epochs: int, batch_size: int | None = None,
    shuffle: bool | None = None, keys: Keys | None = None, metrics: Any = None, class_weight: Any = None,
    scheduler: LRScheduler | EachEpoch | EachStep | None = None, validate: Data | None = None,
    callbacks: Iterable[Callback] = (), compile: bool = True, progress: bool = True,
    stop_on_nan: bool = False, resume: str | os.PathLike[str] | None = None, distributed: Distributed | None = None,
    clip_norm: float | None = None, accumulate: int = 1, engine: Engine | None = None,
) -> History:  # fmt: skip
    """Train a model: for each batch loss(model(x), y), its gradients, and a step of the optimizer.

    Ctrl-C lets the current step finish. Then a :class:`Checkpoint` among the callbacks saves, and KeyboardInterrupt is
    raised. Its message says how to resume, and its attribute ``history`` has the history. A second Ctrl-C stops at once.

    Args:
        model: a Module. It is in training mode, in evaluation mode for the validation; each module has its own mode again at
            the end.
        loader: a :class:`~tinygrad_cnn.data.DataLoader` or another iterable of batches, iterated once an epoch. A batch is a
            tuple of arrays: the arguments of the model, and the target last. Or the arrays of all examples as such a tuple,
            (x, y), from which batches are drawn in a new order each epoch. Dicts in place of tuples need `keys`.
        loss: a function of (output, target), or a Module; it returns the mean over the batch, ().
        optimizer: of the model's parameters.
        epochs: the number of passes over the data in all, including those before `resume`.
        batch_size: of arrays: 32 by default. A loader has its own.
        shuffle: whether arrays are shuffled: True by default. A loader decides by itself.
        keys: if batches are dicts, in `loader` and `validate`, or whole arrays are in dicts: the names of the model's
            arguments, in their order, and of the target, last, such as ("image", "label"). Other entries are not read.
        metrics: the metrics besides the loss: a list of names, functions of (output, target) that return the mean of the
            batch, and objects of :class:`tinygrad_cnn.metrics.Metric`; or a dict, by their names in the history. The names are
            "accuracy", "auroc", "average_precision", "binary_accuracy", "cosine", "dice", "f1", "iou", "mae", "mape", "msle",
            "precision", "r2", "recall", "rmse", "specificity", and "top3" for any number; "f1_micro" and "f1_weighted" for
            other averages. Those of classes take the threshold that the loss has, if it is a binary cross-entropy, and leave
            out the class that it ignores (`ignore_index`). None measures "accuracy" for binary cross-entropies, and for other
            losses if targets are classes.
        class_weight: factors for the losses of examples by their class, in training and validation: a dict, a sequence,
            or "balanced" for n / (k n_c), for k classes with n_c of n examples. For cross-entropies only.
        scheduler: stepped after each epoch, see :class:`EachEpoch`; in :class:`EachStep` it is stepped after each batch. A
            OneCycleLR or CyclicLR must be in one of the two.
        validate: a loader of examples, or a tuple of arrays, on which the model is measured after each epoch.
        callbacks: called at the events of the training, in this order; checkpoints are called last, so that they save the
            changes of the others.
        compile: run the steps through :func:`tinygrad_cnn.compile`: the same bits, faster.
        progress: show loss, metrics, images per second and the time left.
        stop_on_nan: end the training after a step whose loss is NaN or infinite. A Checkpoint then keeps what it saved last.
            Without it the training goes on. Either way a warning names epoch, step and the first op that was not finite.
        resume: a file that a Checkpoint saved. The result has the same bits as without the pause, also from the middle of an
            epoch, if the loader has a state or the same batches in every epoch.
        distributed: the shards of each batch and the processes that share them, see
            :class:`tinygrad_cnn.distributed.World`. The results do not depend on the number of processes.
        clip_norm: in each step, clip the gradients of all parameters together to this norm, after `on_gradients` of the
            callbacks: see :func:`~tinygrad_cnn.optim.clip_grad_norm_`.
        accumulate: how many batches a step goes through. It takes the gradients of the mean loss over all their examples: those
            of one large batch, if the loss is a mean over examples and no layer looks at several, as batch norm does. The last
            step of an epoch may have fewer batches.
        engine: where the steps run, such as ``tg.jax.Devices()``: on GPUs and TPUs. Here by default.

    Returns:
        For each epoch "loss" and the metrics, over the outputs before each update; with `validate` "val_loss" and the
        metrics as "val_accuracy" and so on, after the epoch; "lr", the rate of the first group at the start of the
        epoch; and "seconds", including validation. A training that was stopped within an epoch has the part that ran, without
        validation.

    Raises:
        TypeError: if an argument is of the wrong kind, or a batch is not a tuple of arrays, or a dict and there are no `keys`.
        ValueError: if there is no batch, one lacks a key, the optimizer has none of the model's parameters, a metric does
            not fit outputs and targets, or a schedule that counts batches would be stepped once an epoch.
        CheckpointError: if the file to resume is damaged or does not fit; nothing is changed then.
        DistributedError: if another process has failed, does not answer, or has something else to train.
        KeyboardInterrupt: after Ctrl-C.

    >>> import numpy as np, tinygrad_cnn as tg
    >>> x = np.linspace(-1, 1, 8, dtype=np.float32)[:, None]
    >>> model = tg.nn.Linear(1, 1)
    >>> optimizer = tg.optim.SGD(model.parameters(), lr=0.5)
    >>> history = tg.fit(model, (x, 2 * x + 1), tg.mse, optimizer, epochs=50, progress=False)
    >>> history["loss"][-1] < 1e-6
    True
    """
    if isinstance(epochs, bool) or not isinstance(epochs, int | np.integer) or epochs < 0:
        raise ValueError(f"fit: `epochs` is {epochs!r}; it must be a whole number of at least 0")
    checked(
        "fit",
        {"compile": flag, "progress": flag, "stop_on_nan": flag, **({} if shuffle is None else {"shuffle": flag})},
        locals(),
    )
    if resume is not None:
        check_path("fit", resume, "resume")
    check_model("fit", model)
    check_loss("fit", loss)
    check_optimizer(optimizer, model, loss)
    check_distributed(distributed)
    check_engine(engine, distributed)
    stepper = _stepper(scheduler, optimizer)
    table = {"accumulate": whole(1), **({} if clip_norm is None else {"clip_norm": _norm})}
    own: dict[str, Any] = checked("fit", table, locals())
    if accumulate > 1 and distributed is not None:
        raise ValueError(
            f"fit: `accumulate` is {accumulate!r}, and `distributed` is given, which cuts each batch into shards that are "
            "accumulated; give it larger batches and more shards"
        )
    check_keys("fit", keys)
    if is_arrays(loader):
        loader = in_order(loader, keys, whole="fit: `loader`")
    of_batches: dict[str, Any] = {
        "keys": keys_of_batches(loader, keys),
        "validate_keys": keys_of_batches(validate, keys),
    }
    loss = weighted(loss, class_weight, loader)
    loader = loader_of("fit", loader, batch_size, True if shuffle is None and is_arrays(loader) else shuffle)
    if validate is not None:
        validate = loader_of("fit", validate, batch_size if is_arrays(validate) else None, label="validate", keys=keys)
        if isinstance(validate, Sized) and not len(validate):
            raise ValueError("fit: `validate` gave no batch; it is empty")
    ordered = _ordered(stepper, callbacks, progress, rank=distributed.rank if distributed else 0)
    _check_schedules(ordered, optimizer)
    run = Run(
        model, loader, loss, optimizer, epochs=int(epochs), validate=validate, scheduler=stepper,
        callbacks=ordered, distributed=distributed, metrics=resolved(metrics, loss), **own, **of_batches,
    )  # fmt: skip
    here = Steps if run.accumulate == 1 else AccumulatingSteps
    outer = distributed or engine
    steps = (here if outer is None else outer.steps_of)(run, compile)
    steps.start(resume)
    watch = Watch(run, stop_on_nan)
    with numpy_warnings(), modes(model), Interrupt() as interrupt, steps:
        model.train()
        try:
            run.call("on_fit_begin")
            while not steps.end(interrupt) and run.epoch < run.epochs:
                _epoch(run, steps, interrupt, watch)
            run.status = "interrupted" if steps.interrupted else "stopped" if run.stopped else "finished"
        except BaseException:
            run.status = "failed"
            raise
        finally:
            for callback in reversed(run.callbacks):
                callback.on_fit_end(run)
    if run.status == "interrupted":
        raise _interruption(run)
    if run.batch and not run.trained:  # after checkpoints have saved, which a resumed run continues from
        _note(run, steps, run.means.result(), run.train_seconds)
    return run.history


_norm = number("a finite number above 0, or None", lambda x: 0 < x < math.inf)


def _ordered(scheduler: Callback | None, callbacks: Iterable[Callback], progress: bool, rank: int) -> list[Callback]:
    if isinstance(callbacks, Callback | type | str) or not isinstance(callbacks, Iterable):
        raise TypeError(f"fit: `callbacks` is {callbacks!r:.80}; it must be a list of callbacks")
    given = list(callbacks)
    for callback in given:
        if isinstance(callback, type):
            raise TypeError(
                f"fit: `callbacks` has the class {callback.__name__}; pass an object: {callback.__name__}(...)"
            )
        if not isinstance(callback, Callback):
            raise TypeError(f"fit: {callback!r} is not a callback; derive its class from tg.training.Callback")
        check_hooks(callback, VALUES)
    if twice := [callback for n, callback in enumerate(given) if any(callback is other for other in given[:n])]:
        raise ValueError(f"fit: `callbacks` has the same {type(twice[0]).__name__} twice; give it once, or two objects")
    checkpoints = [callback for callback in given if isinstance(callback, Checkpoint)]
    others = [callback for callback in given if not isinstance(callback, Checkpoint)]
    shown = [*others, *([Progress()] if progress else [])]
    if rank != 0:
        shown = [callback for callback in shown if not callback.on_first_rank_only]
    return [*([scheduler] if scheduler else []), *shown, *checkpoints]


def _stepper(scheduler: object, optimizer: Optimizer) -> Callback | None:
    if isinstance(scheduler, LRScheduler) and scheduler.counts_batches:
        raise ValueError(
            f"fit: `scheduler` is a {type(scheduler).__name__}, whose steps are batches, and fit would step it once an epoch; "
            "give EachStep(schedule), or EachEpoch(schedule) if its steps are epochs"
        )
    stepper = EachEpoch(scheduler) if isinstance(scheduler, LRScheduler) else scheduler
    if stepper is None or isinstance(stepper, EachEpoch | EachStep):
        return stepper
    what = f"the class {scheduler.__name__}" if isinstance(scheduler, type) else repr(scheduler)
    raise TypeError(
        f"fit: `scheduler` is {what}; it must be a schedule, such as tg.optim.StepLR(optimizer, step_size=10), or one in "
        "EachStep(...)"
    )


def _check_schedules(callbacks: Iterable[Callback], optimizer: Optimizer) -> None:
    """ValueError if a schedule would change no rate, or be stepped twice."""
    found = [callback.scheduler for callback in callbacks if isinstance(callback, EachEpoch | EachStep)]
    for n, schedule in enumerate(found):
        if schedule.optimizer is not optimizer:
            raise ValueError(
                f"fit: there is a {type(schedule).__name__} of another optimizer, so that no rate would change; make it with "
                "the optimizer that fit is given"
            )
        if any(schedule is other for other in found[:n]):
            raise ValueError(
                f"fit: the {type(schedule).__name__} would be stepped twice; give it as `scheduler` or among `callbacks`, once"
            )


def _epoch(run: Run, steps: Steps, interrupt: Interrupt, watch: Watch) -> None:
    """The rest of the current epoch, unless the training is stopped before its end."""
    if not run.batch and not run.trained:
        run.start_epoch()
        run.call("on_epoch_begin")
    began = time.perf_counter()
    for batch in steps.batches():
        if run.step >= watch.due:
            watch.keep()
        before = run.parts
        steps.train(batch)
        run.batch += 1
        run.step += 1
        now = time.perf_counter()
        run.train_seconds += now - began
        began = now
        run.call("on_step_end")
        if not -math.inf < run.means.last <= watch.calm:
            watch.look(before)
        before = ()
        if steps.end(interrupt):
            return
    if not run.means.examples:
        raise ValueError(
            f"fit: `loader` gave no batch in epoch {run.epoch + 1}; is it empty, or an iterator that can be used once? "
            "Give a DataLoader or a list"
        )
    run.trained = True
    record = run.means.result()
    if run.validate is not None:
        run.call("on_validation_begin")
        try:
            means = steps.validated(interrupt)
        finally:
            for callback in reversed(run.callbacks):
                callback.on_validation_end(run)
        if means is None:
            return
        if not means.examples:
            raise ValueError("fit: `validate` gave no batch; is it empty, or an iterator that can be used once?")
        record |= {f"val_{name}": value for name, value in means.result().items()}
    _note(run, steps, record, run.train_seconds + time.perf_counter() - began)
    run.epoch += 1
    run.batch, run.trained = 0, False
    run.call("on_epoch_end")
    run.check_parts()


def _note(run: Run, steps: Steps, record: dict[str, float], seconds: float) -> None:
    """Add an epoch, or the part of one that ran, to the history."""
    run.seconds = steps.agreed_seconds(seconds)
    run.history.add({**record, "lr": run.lr, "seconds": run.seconds})


def _interruption(run: Run) -> KeyboardInterrupt:
    """The exception for Ctrl-C: KeyboardInterrupt itself, not a subclass, which Python would not end by the signal."""
    at = f"step {run.batch} of epoch {run.epoch + 1}" if run.batch else f"epoch {run.epoch}"
    checkpoint = next((c for c in run.callbacks if isinstance(c, Checkpoint)), None)
    if checkpoint is None:
        advice = "nothing was saved; give fit a tg.training.Checkpoint to be able to resume"
    else:
        advice = f"saved; to resume, call fit(..., resume={str(checkpoint.path)!r})"
    error = KeyboardInterrupt(f"interrupted after {at}; {advice}")
    vars(error)["history"] = run.history
    return error
