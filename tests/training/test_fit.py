"""`fit` does what a loop by hand does, measures exactly, and leaves everything else as it found it."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import tinygrad_cnn as tg
from tinygrad_cnn import nn
from tinygrad_cnn.training import Callback, EachEpoch, EachStep

from .common import DIGITS, IMAGES, Parts, assert_same, measures


def by_hand(parts, epochs):
    """The loop that users write; gives the losses and the outputs of each epoch's batches."""
    met = []
    parts.model.train()
    for _ in range(epochs):
        met.append([])
        for x, y in parts.loader:
            output = parts.model(x)
            loss = tg.cross_entropy(output, y)
            parts.optimizer.zero_grad()
            loss.backward()
            parts.optimizer.step()
            met[-1].append((loss.item(), output.numpy().copy(), y.numpy()))
    return met


@pytest.mark.parametrize("compile", [False, True])
def test_it_trains_to_the_bits_of_a_loop_by_hand(compile):
    theirs = Parts()
    met = by_hand(theirs, 3)
    expected = theirs.state()
    ours = Parts()
    history = ours.fit(compile=compile)
    assert_same(ours.state(), expected)
    for epoch, batches in enumerate(met):
        sizes = [len(y) for _, _, y in batches]
        assert len(set(sizes)) == 2, "the last batch is smaller"
        mean = math.fsum(loss * n for (loss, _, _), n in zip(batches, sizes, strict=True)) / sum(sizes)
        assert history["loss"][epoch] == pytest.approx(mean, rel=1e-15)
        right = sum(int((output.argmax(axis=1) == y).sum()) for _, output, y in batches)
        assert history["accuracy"][epoch] == right / sum(sizes)


@pytest.mark.parametrize("compile", [False, True])
def test_validation_measures_the_model_after_the_epoch_in_eval_mode(compile):
    parts = Parts()
    history = parts.fit(epochs=2, validate=parts.validate, compile=compile)
    assert list(history) == ["loss", "accuracy", "val_loss", "val_accuracy", "lr", "seconds"]
    parts.model.eval()
    with tg.no_grad():
        scores = parts.model(tg.from_numpy(IMAGES[-21:])).numpy().astype(np.float64)
    log_p = scores - np.log(np.exp(scores).sum(axis=1, keepdims=True))
    assert history["val_loss"][-1] == pytest.approx(-log_p[np.arange(21), DIGITS[-21:]].mean(), rel=1e-5)
    assert history["val_accuracy"][-1] == (scores.argmax(axis=1) == DIGITS[-21:]).mean()


def test_validation_changes_nothing_of_the_training():
    plain = Parts()
    first = plain.fit()
    state = plain.state()
    validated = Parts()
    second = validated.fit(validate=validated.validate)
    assert_same(state, validated.state())
    assert first["loss"] == second["loss"]


@given(sizes=st.lists(st.integers(1, 9), min_size=1, max_size=5), seed=st.integers(0, 99))
def test_means_over_batches_of_any_sizes_are_those_over_the_examples(sizes, seed):
    rng = np.random.default_rng(seed)
    ends = np.cumsum(sizes)
    x, y = rng.standard_normal((ends[-1], 4)).astype(np.float32), rng.integers(0, 3, ends[-1])
    model = nn.Linear(4, 3)
    batches = [(x[end - n : end], y[end - n : end]) for n, end in zip(sizes, ends, strict=True)]
    together = tg.training.evaluate(model, [(x, y)], tg.cross_entropy)
    apart = tg.training.evaluate(model, batches, tg.cross_entropy)
    assert apart["accuracy"] == together["accuracy"]
    assert apart["loss"] == pytest.approx(together["loss"], rel=1e-6)


def test_accuracy_is_measured_where_targets_are_classes_and_nowhere_else():
    correct = tg.training.correct
    scores = tg.Tensor([[1.0, 2.0], [2.0, 1.0], [0.0, 3.0]])
    assert correct(scores, tg.from_numpy(np.array([1, 1, 1]))).item() == 2
    assert correct(scores, tg.Tensor([1.0, 1.0, 1.0])) is None
    assert correct(scores[:, :1], tg.from_numpy(np.array([0, 0, 0]))) is None
    assert correct((scores, scores), tg.from_numpy(np.array([1, 1, 1]))) is None
    dense = tg.Tensor(np.random.default_rng(0).standard_normal((2, 3, 4, 5)))
    labels = dense.numpy().argmax(axis=1)
    labels[0, 0, 0] = (labels[0, 0, 0] + 1) % 3
    assert correct(dense, tg.from_numpy(labels)).item() == 39


def test_all_parts_of_a_batch_but_the_last_go_to_the_model():
    class Sum(nn.Module):
        def __init__(self):
            self.w = nn.Parameter([0.0])

        def forward(self, a, b):
            return (a + b) * self.w

    a, b = np.ones((4, 1), np.float32), np.full((4, 1), 2, np.float32)
    model = Sum()
    tg.fit(model, [(a, b, 6 * a)], tg.mse, tg.optim.SGD(model.parameters(), lr=0.05), epochs=60, progress=False)
    assert model.w.item() == pytest.approx(2.0, rel=1e-3)


# Modes


def test_each_module_is_left_in_the_mode_in_which_it_was_found():
    parts = Parts()
    parts.model.eval()
    parts.model[4].train()
    parts.fit(validate=parts.validate, epochs=1)
    assert [m.training for m in parts.model.modules()] == [False, False, False, False, False, True, False]


def test_what_a_callback_freezes_stays_frozen_after_validation():
    class Freeze(Callback):
        def on_fit_begin(self, run):
            run.model[1].eval()

        def on_step_end(self, run):
            seen.append([m.training for m in run.model])

    seen = []
    parts = Parts()
    parts.fit(validate=parts.validate, epochs=2, callbacks=[Freeze()])
    assert all(modes == [True, False, True, True, True, True] for modes in seen)


def test_modes_are_put_back_after_an_exception():
    parts = Parts()
    parts.model.eval()
    with pytest.raises(ValueError, match="gave no batch"):
        parts.fit(validate=[])
    assert not any(m.training for m in parts.model.modules())


# Schedules


def test_a_schedule_is_stepped_after_each_epoch():
    parts = Parts()
    schedule = tg.optim.StepLR(parts.optimizer, step_size=2, gamma=0.5)
    history = parts.fit(epochs=5, scheduler=schedule)
    assert history["lr"] == [0.01, 0.01, 0.005, 0.005, 0.0025]


def test_a_schedule_in_each_step_is_stepped_after_each_batch():
    rates = []

    class Watch(Callback):
        def on_gradients(self, run):
            rates.append(run.optimizer.param_groups[0]["lr"])

    parts = Parts()
    schedule = tg.optim.OneCycleLR(parts.optimizer, max_lr=0.1, total_steps=3 * len(parts.loader))
    parts.fit(scheduler=EachStep(schedule), callbacks=[Watch()])
    assert schedule.last_epoch == len(rates) == 18
    other = tg.optim.Adam([tg.ones(1, requires_grad=True)])
    expected = tg.optim.OneCycleLR(other, max_lr=0.1, total_steps=18)
    for rate in rates[:-1]:
        assert rate == other.param_groups[0]["lr"]
        expected.step()


def test_a_cycle_of_epochs_is_one_where_each_epoch_says_so():
    parts = Parts()
    schedule = tg.optim.OneCycleLR(parts.optimizer, max_lr=0.1, total_steps=3)
    parts.fit(scheduler=EachEpoch(schedule))
    assert schedule.last_epoch == 3


def test_sums_that_were_saved_before_there_were_metrics_load():
    before = {"examples": 12, "loss": 6.0, "targets": 12, "right": 9}
    means = tg.training.Means().prepared(before)
    assert means.result() == {"loss": 0.5, "accuracy": 0.75}
    without = tg.training.Means().prepared({**before, "targets": 0, "right": 0})
    assert without.result() == {"loss": 0.5}
    other = tg.training.Means()
    other.load_state_dict(before)
    assert other.state_dict() == means.state_dict()
    with pytest.raises(ValueError, match="examples"):
        other.load_state_dict({**before, "examples": -1})
    assert other.state_dict() == means.state_dict()


@pytest.mark.parametrize(("metric", "validated"), [("loss", False), ("val_loss", True)])
def test_a_plateau_is_found_in_the_validation_loss_or_without_one_in_the_loss(metric, validated):
    class Recording(tg.optim.ReduceLROnPlateau):
        def step(self, metrics):
            given.append(metrics)
            super().step(metrics)

    given = []
    parts = Parts()
    history = parts.fit(scheduler=Recording(parts.optimizer), validate=parts.validate if validated else None)
    assert given == history[metric]


def test_a_plateau_of_another_measure():
    parts = Parts()
    schedule = tg.optim.ReduceLROnPlateau(parts.optimizer, mode="max", threshold=0)
    history = parts.fit(scheduler=EachEpoch(schedule, metric="accuracy"))
    assert schedule.best == max(history["accuracy"])


def test_a_plateau_is_not_looked_for_in_each_step():
    with pytest.raises(TypeError, match="give it to fit"):
        EachStep(tg.optim.ReduceLROnPlateau(Parts().optimizer))


# Compiled


def test_a_model_that_reads_values():
    class Branching(nn.Module):
        def __init__(self):
            self.w = nn.Parameter([1.0])

        def forward(self, x):
            return x * self.w if (x * self.w).sum().item() > 0 else x - self.w

    x = np.random.default_rng(0).normal(size=(24, 2, 1)).astype(np.float32)
    found = []
    for compile in (False, True):
        model = Branching()
        optimizer = tg.optim.SGD(model.parameters(), lr=0.1)
        history = tg.fit(model, [(a, 2 * a) for a in x], tg.mse, optimizer, epochs=2, progress=False, compile=compile)
        found.append((history["loss"], model.w.tolist()))
    assert found[0] == found[1]


def test_how_steps_run_is_said():
    parts, seen = Parts(), []

    class See(Callback):
        def on_step_end(self, run):
            seen.append(run.how)

    parts.fit(epochs=1, compile=True, callbacks=[See()])
    assert seen[0].startswith("steps are compiled")


@pytest.mark.parametrize("compile", [False, True])
def test_gradients_can_be_clipped_in_the_step(compile):
    class Clip(Callback):
        def on_gradients(self, run):
            tg.optim.clip_grad_norm_(run.model.parameters(), 0.01)

    parts = Parts()
    before = parts.model.state_dict()
    optimizer = tg.optim.SGD(parts.model.parameters(), lr=1.0)
    tg.fit(
        parts.model, parts.loader, tg.cross_entropy, optimizer, epochs=1, callbacks=[Clip()], compile=compile, progress=False
    )  # fmt: skip
    moved = [parts.model.state_dict()[name] - before[name] for name, _ in parts.model.named_parameters()]
    length = math.sqrt(sum(float(np.square(m).sum()) for m in moved))
    assert 0 < length <= 0.01 * len(parts.loader) * 1.001


# Bad input


def test_no_epoch_is_no_training():
    parts = Parts()
    before = parts.state()
    assert measures(parts.fit(epochs=0)) == {}
    assert_same(parts.state(), before)


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"epochs": -1}, ValueError, "`epochs` is -1; it must be a whole number"),
        ({"epochs": 1.5}, ValueError, "`epochs` is 1.5"),
        ({"callbacks": [print]}, TypeError, "is not a callback; derive its class"),
        ({"scheduler": "cosine"}, TypeError, "`scheduler` is 'cosine'; it must be a schedule"),
        ({"validate": []}, ValueError, "`validate` gave no batch"),
    ],
)
def test_bad_arguments(arguments, error, message):
    with pytest.raises(error, match=message):
        Parts().fit(**arguments)


@pytest.mark.parametrize(
    ("loader", "error", "message"),
    [
        ([], ValueError, "`loader` gave no batch in epoch 1"),
        ([(IMAGES[:4],)], TypeError, "a batch is 1 part; it must be a tuple of arrays"),
        (iter([IMAGES[:4]]), TypeError, "a batch is a ndarray; it must be a tuple of arrays"),
        ([(IMAGES[:4], None)], TypeError, "a NoneType in it; all its parts must be arrays"),
    ],
)
def test_bad_batches(loader, error, message):
    parts = Parts()
    parts.loader = loader
    with pytest.raises(error, match=message):
        parts.fit()


def test_an_iterator_that_is_used_up_is_noticed_in_the_second_epoch():
    parts = Parts()
    parts.loader = iter([(IMAGES[:4], DIGITS[:4])])
    with pytest.raises(ValueError, match="no batch in epoch 2; .* an iterator that can be used once"):
        parts.fit()


def test_an_optimizer_of_another_model_is_refused_before_anything_changes():
    parts, other = Parts(), Parts()
    before = {name: value.copy() for name, value in parts.model.state_dict().items()}
    for foreign in (other.optimizer, tg.optim.SGD([tg.ones(2, requires_grad=True)], lr=0.1)):
        with pytest.raises(ValueError, match=r"fit: `optimizer` holds none of the \w+'s parameters"):
            tg.fit(parts.model, parts.loader, tg.cross_entropy, foreign, epochs=1, progress=False)
    for name, value in parts.model.state_dict().items():
        np.testing.assert_array_equal(value, before[name])


def test_an_optimizer_of_one_of_the_parameters_will_do():
    parts = Parts()
    last = list(parts.model.parameters())[-1]
    before = last.numpy().copy()
    tg.fit(parts.model, parts.loader, tg.cross_entropy, tg.optim.SGD([last], lr=0.1), epochs=1, progress=False)
    assert not np.array_equal(last.numpy(), before)
