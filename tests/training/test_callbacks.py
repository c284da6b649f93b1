"""When callbacks are called, when training stops early, and what checkpoints hold."""

from __future__ import annotations

import math
import pickle

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

import tinygrad_cnn as tg
from tinygrad_cnn import nn
from tinygrad_cnn.training import Callback, Checkpoint, EarlyStopping, History, restore, snapshot

from .common import Parts, assert_same

EVENTS = ["on_fit_begin", "on_epoch_begin", "on_gradients", "on_step_end", "on_epoch_end", "on_fit_end"]


class Diary(Callback):
    """Writes down what it is called for."""

    def __init__(self, pages, name=""):
        for event in EVENTS:
            setattr(self, event, lambda run, event=event: pages.append((name, event, run.epoch, run.batch, run.status)))


class Script(Callback):
    """Puts a measure of given values into the history."""

    def __init__(self, values):
        self.values = values

    def on_epoch_end(self, run):
        run.history.note(measure=self.values[run.epoch - 1])


def scripted(values, *callbacks):
    """Train a single number, one step an epoch, with these values of "measure"."""
    model = nn.Linear(1, 1)
    x = np.ones((1, 1), np.float32)
    optimizer = tg.optim.SGD(model.parameters(), lr=0.01)
    fit = {"epochs": len(values), "compile": False, "progress": False}
    return model, tg.fit(model, [(x, x)], tg.mse, optimizer, callbacks=[Script(values), *callbacks], **fit)


def test_the_order_of_events():
    pages = []
    Parts(examples=16).fit(epochs=2, callbacks=[Diary(pages)])
    names = [event.removeprefix("on_") for _, event, *_ in pages]
    steps = ["gradients", "step_end"] * 2
    assert names == ["fit_begin", *(["epoch_begin", *steps, "epoch_end"] * 2), "fit_end"]
    assert [(epoch, batch) for _, event, epoch, batch, _ in pages if event == "on_step_end"] == [
        (0, 1),
        (0, 2),
        (1, 1),
        (1, 2),
    ]
    assert [status for *_, status in pages] == ["running"] * (len(pages) - 1) + ["finished"]


def test_callbacks_are_called_in_their_order_and_at_the_end_in_reverse():
    pages = []
    Parts(examples=8).fit(epochs=1, callbacks=[Diary(pages, "a"), Diary(pages, "b")])
    for event in EVENTS:
        order = ["b", "a"] if event == "on_fit_end" else ["a", "b"]
        assert [name for name, called, *_ in pages if called == event] == order


def test_an_exception_ends_the_fit_for_callbacks_too():
    class Failing(Callback):
        def on_step_end(self, run):
            raise ArithmeticError

    pages = []
    with pytest.raises(ArithmeticError):
        Parts().fit(callbacks=[Diary(pages), Failing()])
    assert pages[-1][1:] == ("on_fit_end", 0, 1, "failed")


@pytest.mark.parametrize("at", ["on_step_end", "on_epoch_end"])
def test_a_callback_can_stop(at):
    class Stop(Callback):
        pass

    setattr(Stop, at, lambda self, run: run.stop("enough"))
    pages = []
    history = Parts(examples=16).fit(callbacks=[Diary(pages), Stop()])
    assert [event for _, event, *_ in pages].count("on_step_end") == (1 if at == "on_step_end" else 2)
    assert history.epochs == 1, "a part of an epoch is there, too"
    assert pages[-1][-1] == "stopped"


# Early stopping

measures = st.lists(st.integers(-3, 3).map(float) | st.just(math.nan), min_size=1, max_size=12)


@example(values=[1.0] * 4, patience=2, delta=0.0, mode="min")
@given(
    values=measures, patience=st.integers(1, 4), delta=st.sampled_from([0.0, 1.0]), mode=st.sampled_from(["min", "max"])
)
def test_it_stops_after_so_many_epochs_in_a_row_without_a_better_value(values, patience, delta, mode):
    best, bad, expected = None, 0, len(values)
    for epoch, value in enumerate(values, start=1):
        sign = -1 if mode == "min" else 1
        if not math.isnan(value) and (best is None or sign * value > sign * best + delta):
            best, bad = value, 0
        else:
            bad += 1
        if bad == patience:
            expected = epoch
            break
    stopping = EarlyStopping(patience, "measure", min_delta=delta, mode=mode, restore_best=False)
    _, history = scripted(values, stopping)
    assert history.epochs == expected


@pytest.mark.parametrize("restore_best", [True, False])
def test_the_best_weights_are_put_back_if_wanted(restore_best):
    class Keep(Callback):
        def on_epoch_end(self, run):
            kept.append(run.model.state_dict())

    kept = []
    stopping = EarlyStopping(2, "measure", restore_best=restore_best)
    model, history = scripted([3.0, 1.0, 2.0, 2.0, 0.0], Keep(), stopping)
    assert history.epochs == 4
    assert stopping.best.epoch == 2
    assert_same(model.state_dict(), kept[1 if restore_best else 3])
    assert kept[1]["weight"] != kept[3]["weight"]


def test_the_last_weights_stay_if_an_exception_has_ended_the_training():
    class Failing(Callback):
        def on_epoch_end(self, run):
            kept.append(run.model.state_dict())
            if run.epoch == 3:
                models.append(run.model)
                raise ArithmeticError

    kept, models = [], []
    with pytest.raises(ArithmeticError):
        scripted([3.0, 1.0, 2.0], EarlyStopping(5, "measure"), Failing())
    assert_same(models[0].state_dict(), kept[2])
    assert kept[1]["weight"] != kept[2]["weight"]


def test_accuracies_are_better_if_they_are_greater():
    assert EarlyStopping(metric="val_accuracy").best.mode == "max"
    assert EarlyStopping(metric="val_loss").best.mode == "min"


def test_a_measure_that_is_not_there_is_an_error_that_lists_those_that_are():
    with pytest.raises(ValueError, match="'acc', but the history has loss, accuracy, lr, seconds; .* need `validate`"):
        Parts().fit(callbacks=[EarlyStopping(metric="acc")])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"patience": 0}, "`patience` is 0; it must be a whole number of at least 1"),
        ({"mode": "up"}, "`mode` is 'up'; it must be 'min', 'max' or None"),
        ({"min_delta": -1}, "`min_delta` is -1; it must be a finite number"),
    ],
)
def test_bad_arguments_of_early_stopping(arguments, message):
    with pytest.raises(ValueError, match=message):
        EarlyStopping(**arguments)


# Checkpoints


@pytest.mark.parametrize("every", [1, 2, 3])
def test_a_checkpoint_is_saved_every_so_many_epochs_and_at_the_end(every, tmp_path):
    class Look(Callback):
        def on_epoch_begin(self, run):
            found.append(tg.load(path)["run"]["epoch"] if path.exists() else 0)

    path, found = tmp_path / "run.npz", []
    scripted([0.0] * 5, Checkpoint(path, every=every), Look())
    assert found == [epoch // every * every for epoch in range(5)]
    assert tg.load(path)["run"]["epoch"] == 5


def test_the_best_epoch_has_a_file_of_its_own(tmp_path):
    class Keep(Callback):
        def on_epoch_end(self, run):
            kept.append(run.model.state_dict())

    kept = []
    checkpoint = Checkpoint(tmp_path / "run.npz", best="measure")
    model, _ = scripted([3.0, 1.0, 2.0], checkpoint, Keep())
    assert checkpoint.best_path == tmp_path / "run.best.npz"
    assert_same(tg.load(checkpoint.best_path)["model"], kept[1])
    assert_same(tg.load(checkpoint.path)["model"], model.state_dict())


def test_a_checkpoint_holds_what_later_callbacks_noted(tmp_path):
    model = nn.Linear(1, 1)
    x = np.ones((1, 1), np.float32)
    checkpoint = Checkpoint(tmp_path / "run.npz")
    callbacks = [checkpoint, Script([7.0])]
    optimizer = tg.optim.SGD(model.parameters())
    tg.fit(model, [(x, x)], tg.mse, optimizer, epochs=1, callbacks=callbacks, progress=False, compile=False)
    assert tg.load(checkpoint.path)["run"]["history"]["measure"] == [7.0]


def test_a_failing_step_leaves_the_checkpoint_before_it(tmp_path):
    class Failing(Callback):
        def on_step_end(self, run):
            if run.step == 9:
                raise ArithmeticError

    path = tmp_path / "run.npz"
    with pytest.raises(ArithmeticError):
        Parts().fit(callbacks=[Checkpoint(path), Failing()])
    assert tg.load(path)["run"]["step"] == 6


def test_a_folder_that_does_not_exist_is_noticed_before_training(tmp_path):
    pages = []
    with pytest.raises(FileNotFoundError, match="missing.* is missing; make it first"):
        Parts().fit(callbacks=[Diary(pages), Checkpoint(tmp_path / "missing" / "run.npz")])
    assert [event for _, event, *_ in pages] == ["on_fit_begin", "on_fit_end"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("run.pickle",), "`path` is 'run.pickle'; it must end in .npz or .safetensors"),
        (("run.npz", 0), "`every` is 0; it must be a whole number of at least 1"),
        (("run.npz", 1, "loss", "less"), "`mode` is 'less'"),
    ],
)
def test_bad_arguments_of_checkpoints(arguments, message):
    with pytest.raises(ValueError, match=message):
        Checkpoint(*arguments)


# Snapshots


def test_a_snapshot_is_put_back_as_a_whole_or_not_at_all():
    parts = Parts()
    state = parts.state()
    parts.fit(epochs=1)
    after = parts.state()
    broken = {**state, "loader": {}}
    with pytest.raises(ValueError, match="nothing was loaded"):
        restore(broken, model=parts.model, optimizer=parts.optimizer, loader=parts.loader)
    assert_same(parts.state(), after)
    restore(state, model=parts.model, optimizer=parts.optimizer, loader=parts.loader)
    assert_same(parts.state(), state)


def test_a_snapshot_without_a_part_is_refused():
    with pytest.raises(ValueError, match=r"the state has no average; it has model, rng"):
        restore(snapshot(model=nn.Linear(1, 1)), average=tg.optim.EMA([tg.ones(1)]))
    with pytest.raises(ValueError, match="'rng' is the name of the random state"):
        snapshot(rng=nn.Linear(1, 1))


# Histories


@given(st.lists(st.dictionaries(st.sampled_from("abc"), st.integers(-9, 9), min_size=1), max_size=5))
def test_a_history_has_one_entry_for_each_epoch(records):
    history = History()
    for record in records:
        history.add(record)
        assert {k: v for k, v in history.last.items() if not math.isnan(v)} == record
    for name, values in history.items():
        assert [None if math.isnan(v) else v for v in values] == [record.get(name) for record in records]
    assert history.epochs == len(records)


def test_a_history_pickles_and_is_saved(tmp_path):
    history = Parts().fit(epochs=2)
    again = pickle.loads(pickle.dumps(history))
    assert type(again) is History
    assert again == history
    tg.save(tmp_path / "history.npz", history)
    assert tg.load(tmp_path / "history.npz") == history


def test_there_is_nothing_to_note_before_the_first_epoch():
    with pytest.raises(IndexError, match="there is no epoch yet"):
        History().note(f1=0.5)
    with pytest.raises(IndexError, match="there is no epoch yet"):
        _ = History().last
