"""A malformed state is refused by one kind of error that names what is wrong, changes nothing, and leaves all usable."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, reject, settings
from hypothesis import strategies as st

import tinygrad_cnn as tg
from tests.optim.common import descend, leaf
from tests.optim.optimizers import ROWS
from tests.training.common import Parts, assert_same
from tinygrad_cnn import nn
from tinygrad_cnn.io import CheckpointError
from tinygrad_cnn.training import Callback, Checkpoint, EachStep, EarlyStopping
from tinygrad_cnn.training.run import Run

from .malformed import malformed, some


class Part:
    """Something with a state, all that could change by loading, and how it is used afterwards."""

    def __init__(self, thing, use, *more):
        self.thing, self.use, self.more = thing, use, more

    def look(self):
        return [part.state_dict() for part in (self.thing, *self.more)]


def module():
    net = nn.Sequential(nn.Linear(2, 3), nn.BatchNorm1d(3))
    return Part(net, lambda: net(tg.ones(4, 2)))


def optimizer(kind, options):
    params = [leaf(2), leaf()]
    stepping = kind([{"params": params[:1]}, {"params": params[1:], "lr": 0.01}], **options)
    descend(stepping, params, 2)
    return Part(stepping, lambda: descend(stepping, params))


def schedule(make, *measure):
    stepping = tg.optim.SGD([{"params": [leaf(2)], "lr": lr} for lr in (0.5, 0.1)], momentum=0.9)
    built = make(stepping)
    for _ in range(3):
        built.step(*measure)

    def use():
        built.step(*measure)
        stepping.step()

    return Part(built, use, stepping)


def loader():
    batches = tg.data.DataLoader(np.arange(9.0), 2, shuffle=True, seed=3)
    next(iter(batches))
    return Part(batches, lambda: list(batches))


def average():
    p = leaf(2)
    ema = tg.optim.EMA([p, leaf(3)], 0.5)
    ema.update()
    return Part(ema, ema.update)


LRS = tg.optim.lr_scheduler
SCHEDULES = {
    "StepLR": lambda o: LRS.StepLR(o, 2),
    "MultiStepLR": lambda o: LRS.MultiStepLR(o, [1, 4]),
    "LambdaLR": lambda o: LRS.LambdaLR(o, lambda n: 1 / (1 + n)),
    "LinearLR": lambda o: LRS.LinearLR(o, 1.0, 0.0, 2),
    "CosineAnnealingLR": lambda o: LRS.CosineAnnealingLR(o, 3),
    "CosineAnnealingWarmRestarts": lambda o: LRS.CosineAnnealingWarmRestarts(o, 2, 2),
    "OneCycleLR": lambda o: LRS.OneCycleLR(o, 1.0, 9),
    "CyclicLR": lambda o: LRS.CyclicLR(o, 0.1, 1.0, 3),
    "MultiplicativeLR": lambda o: LRS.MultiplicativeLR(o, lambda n: 0.5),
    "PolynomialLR": lambda o: LRS.PolynomialLR(o, 4),
    "ChainedScheduler": lambda o: LRS.ChainedScheduler([LRS.StepLR(o, 2), LRS.ConstantLR(o)]),
    "SequentialLR": lambda o: LRS.SequentialLR(o, [LRS.LinearLR(o), LRS.ExponentialLR(o, 0.9)], [2]),
}
PARTS = {
    "module": module,
    "loader": loader,
    "EMA": average,
    "ReduceLROnPlateau": lambda: schedule(LRS.ReduceLROnPlateau, 1.0),
    **{name: lambda make=make: schedule(make) for name, make in SCHEDULES.items()},
    **{row.name: lambda row=row: optimizer(row.optimizer, row.full) for row in ROWS},
}


def refusal(change, call, *arguments, **options):
    """What its ValueError says; None if it raises nothing. Any other error is a failure."""
    try:
        call(*arguments, **options)
    except ValueError as error:
        return str(error)
    except Exception as error:
        raise AssertionError(change) from error
    return None


@pytest.mark.filterwarnings("ignore:.*no parameter has a gradient")
@pytest.mark.parametrize("name", PARTS)
def test_every_malformed_state_of_a_part_is_refused_whole_or_can_be_used(name):
    part = PARTS[name]()
    state, before = part.thing.state_dict(), part.look()
    refused, tried = 0, [*some(malformed(state))]
    for change, wrong in tried:
        said = refusal(change, part.thing.load_state_dict, wrong)
        if said is None:
            part.thing.load_state_dict(part.thing.state_dict())  # what was taken over can be saved, loaded and used
            said = refusal(change, part.use)
            assert said is None or said.startswith((type(part.thing).__name__, "SGD", "LinearLR")), change
            part = PARTS[name]()
            before = part.look()
        else:
            assert said.startswith(f"{type(part.thing).__name__}.load_state_dict: nothing was loaded:\n- "), change
            assert_same(part.look(), before, change)
            refused += 1
    assert refused > 0.7 * len(tried)


def test_every_malformed_state_of_the_random_generator_is_refused_whole_or_comes_back():
    before = tg.get_rng_state()
    for change, wrong in some(malformed(before)):
        said = refusal(change, tg.set_rng_state, wrong)
        assert tg.get_rng_state() == (wrong if said is None else before), change
        assert said is None or said.startswith("set_rng_state: `state` is not what get_rng_state() returned"), change
        tg.set_rng_state(before)


class Mine(Callback):
    """A callback of a user's, who did not think of malformed states."""

    def __init__(self):
        self.seen = [0.0]

    def on_epoch_end(self, run):
        self.seen.append(run.means.loss)

    def state_dict(self):
        return {"seen": list(self.seen)}

    def load_state_dict(self, state_dict):
        self.seen.clear()
        self.seen.extend(float(value) for value in state_dict["seen"])


def run_of(parts, path):
    """A training with everything that has a state."""
    return {
        "scheduler": EachStep(tg.optim.CosineAnnealingLR(parts.optimizer, 30)),
        "validate": parts.validate,
        "callbacks": [Mine(), EarlyStopping(patience=9), Checkpoint(path, best="val_loss")],
    }


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    """The state of a run in the middle of an epoch, as it comes from a file."""

    class Stop(Callback):
        def on_step_end(self, run):
            if run.step == 8:
                run.stop("told to")

    path = tmp_path_factory.mktemp("malformed") / "run.npz"
    parts = Parts()
    arguments = run_of(parts, path)
    parts.fit(**{**arguments, "callbacks": [Stop(), *arguments["callbacks"]]})
    return tg.load(path)


def ready(path, seed=1):
    """A run to resume, and a function that looks at all of it."""
    parts = Parts(seed)
    arguments = run_of(parts, path)
    run = Run(
        parts.model, parts.loader, tg.cross_entropy, parts.optimizer, epochs=3, validate=parts.validate,
        scheduler=arguments["scheduler"], callbacks=[arguments["scheduler"], *arguments["callbacks"]],
    )  # fmt: skip
    next(iter(parts.loader))  # what an abandoned epoch leaves must not change either
    return run


def internals(run):
    loader = {
        name: id(value) if type(value) is object else value  # the iterator that is followed
        for name, value in vars(run.loader).items() if name != "dataset"
    }  # fmt: skip
    return [run.snapshot(), loader, {k: v.tobytes() for k, v in run.model.state_dict().items()}]


def test_every_malformed_state_of_a_run_is_refused_whole(saved, tmp_path):
    run = ready(tmp_path / "run.npz")
    before, refused, tried = internals(run), 0, [*some(malformed(saved), 500)]
    for change, wrong in tried:
        said = refusal(change, run.restore, wrong)
        if said is None:
            run = ready(tmp_path / "run.npz")
            before = internals(run)
        else:
            assert said.startswith("restore: "), change
            assert_same(internals(run), before, change)
            refused += 1
    assert refused > 0.6 * len(tried)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:fit. the loss is")  # a file may hold NaN
@settings(max_examples=min(60, 3 * settings.default.max_examples))
@given(data=st.data())
def test_a_malformed_file_to_resume_is_refused_by_an_error_that_names_it_or_trains(saved, data, tmp_path_factory):
    path = tmp_path_factory.mktemp("resume") / "run.npz"
    states = malformed(saved, objects=False)
    change, make = states[data.draw(st.integers(0, len(states) - 1))]
    try:
        tg.save(path, make())
    except TypeError:  # for an array of objects or bytes, which no file holds
        reject()
    parts = Parts(1)
    arguments = run_of(parts, path.with_name("more.npz"))
    before = parts.state()
    with np.errstate(all="ignore"):
        said = refusal(change, parts.fit, epochs=2, **arguments, resume=path)
    if said is not None and not said.startswith("Adam: "):  # for a learning rate that came of an odd but possible state
        assert said.startswith(f"fit: cannot resume from {path}: "), change
        assert_same(parts.state(), before, change)


def test_sums_of_a_metric_that_are_too_many(saved, tmp_path):
    path = tmp_path / "run.npz"
    means = saved["run"]["means"]
    totals = {name: [*total, 1.0] for name, total in means["totals"].items()}
    assert totals
    tg.save(path, {**saved, "run": {**saved["run"], "means": {**means, "totals": totals}}})
    parts = Parts(1)
    arguments = run_of(parts, path)
    before = parts.state()
    with pytest.raises(
        CheckpointError, match=r"(?s)cannot resume from .*totals of 'accuracy' are 3 numbers; they must be 2"
    ):
        parts.fit(**arguments, resume=path)
    assert_same(parts.state(), before, "totals")


def test_the_error_for_a_file_that_does_not_fit_names_file_part_and_rule(saved, tmp_path):
    path = tmp_path / "run.npz"
    tg.save(path, {**saved, "scheduler": {**saved["scheduler"], "T_max": 0}})
    parts = Parts(1)
    with pytest.raises(CheckpointError) as caught:
        parts.fit(**run_of(parts, path), resume=path)
    assert str(caught.value) == (
        f"fit: cannot resume from {path}: restore: nothing was changed, for the state of 'scheduler' does not fit: "
        "CosineAnnealingLR.load_state_dict: nothing was loaded:\n"
        "- `T_max` of CosineAnnealingLR is 0; it must be a whole number of at least 1"
    )


def test_weights_of_early_stopping_that_do_not_fit_are_refused_before_training(saved, tmp_path):
    best = saved["callbacks"]["EarlyStopping"]
    wrong = {**saved, "callbacks": {"EarlyStopping": {**best, "weights": {**best["weights"], "0.bias": np.ones(7)}}}}
    run = ready(tmp_path / "run.npz")
    before = internals(run)
    with pytest.raises(ValueError, match="'callbacks', 'EarlyStopping', does not fit: .*\n- '0.bias' is float64"):
        run.restore(wrong)
    assert_same(internals(run), before)


def test_a_model_with_an_override_and_one_with_nan_are_put_back_too(saved, tmp_path):
    """An override of the user's is called, and where loading back would be refused nothing has to be loaded back."""

    class Old(nn.Sequential):
        def load_state_dict(self, state_dict, **options):
            renamed = {name.removeprefix("old."): array for name, array in state_dict.items()}
            return super().load_state_dict(renamed, **options)

    model = Old(*Parts().model.children())
    state = tg.training.snapshot(model=model)
    state["model"] = {f"old.{name}": array for name, array in state["model"].items()}
    tg.training.restore(state, model=model)
    parts = Parts()
    parts.optimizer.param_groups[0]["lr"] = float("nan")
    wrong = {**Parts(1).state(), "loader": 3}
    before = parts.state()
    with pytest.raises(ValueError, match="for the state of 'loader' does not fit"):
        tg.training.restore(wrong, model=parts.model, optimizer=parts.optimizer, loader=parts.loader)
    assert_same(parts.state(), before)


def test_a_callback_of_the_user_that_fails_is_loaded_back_and_nothing_else_has_changed(saved, tmp_path):
    run = ready(tmp_path / "run.npz")
    before = internals(run)
    with pytest.raises(ValueError, match="'callbacks', 'Mine', does not fit: KeyError: 'seen'"):
        run.restore({**saved, "callbacks": {**saved["callbacks"], "Mine": {"sean": []}}})
    assert_same(internals(run), before)
    with pytest.raises(ValueError, match="'callbacks', 'Mine', does not fit: could not convert string to float"):
        run.restore({**saved, "callbacks": {**saved["callbacks"], "Mine": {"seen": [3.0, "x"]}}})
    assert_same(internals(run), before)
