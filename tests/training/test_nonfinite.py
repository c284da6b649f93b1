"""A loss that is not finite: `fit` says in which step it came, from which op, and stops if it was told to."""

from __future__ import annotations

import inspect
import re
import warnings

import numpy as np
import pytest

import tinygrad_cnn as tg
from tinygrad_cnn import nn
from tinygrad_cnn.training import Callback, Checkpoint
from tinygrad_cnn.training.nonfinite import Watch

from .common import Parts, assert_same

rng = np.random.default_rng(0)
X = rng.normal(size=(24, 4)).astype(np.float32)
Y = X[:, :1].copy()
LR = 0.01


def at(array, index, value):
    copy = array.copy()
    copy[index] = value
    return copy


class Under(nn.Module):
    """A linear layer, and a function of it."""

    def __init__(self, function, nodes=1):
        super().__init__()
        self.linear = nn.Linear(4, nodes)
        self.function = function

    def forward(self, x):
        return self.function(self.linear(x))


def logarithm(a):
    return (a * 0).log()


def root(a):
    return (a * 0).sqrt() + a


def where(function):
    """Where a function of one line is."""
    return re.escape(f"{inspect.getsourcefile(function)}:{inspect.getsourcelines(function)[1] + 1}")


CASES = [
    (logarithm, (X, Y), LR, 1, rf"the first op that was not finite is log: the result .* called at {where(logarithm)} with"),
    (root, (X, Y), LR, 2, rf"the first op that was not finite is sqrt: the gradient for `a` .* at {where(root)} with"),
    (tg.relu, (at(X, (19, 2), np.nan), Y), LR, 3, r"input 1 has 1 of 32 values that are not finite, in its batch$"),
    (tg.relu, (X, at(Y, 8, np.inf)), LR, 2, r"the target has 1 of 8 values that are not finite, in its batch$"),
    (nn.Identity(), (X, Y), 1e6, None, r"the first op that was not finite is mse: the result "),
]  # fmt: skip


def train(function, data, lr, **more):
    tg.manual_seed(0)
    model = Under(function)
    optimizer = tg.optim.SGD(model.parameters(), lr=lr)
    return tg.fit(
        model, data, tg.mse, optimizer, batch_size=8, shuffle=False, epochs=3, progress=False, **more
    )  # fmt: skip


@pytest.mark.filterwarnings("ignore:.* encountered")
@pytest.mark.parametrize("compile", [False, True], ids=["eager", "compiled"])
@pytest.mark.parametrize(("function", "data", "lr", "step", "cause"), CASES)
def test_one_warning_names_the_step_and_the_first_op(function, data, lr, step, cause, compile):
    with pytest.warns(RuntimeWarning, match="fit: the loss is") as caught:
        train(function, data, lr, compile=compile)
    (text,) = [w for w in caught if "fit: the loss" in str(w.message)]
    assert re.search(rf"^fit: the loss is (inf|nan) in step {step or '[12]'} of epoch [12]; {cause}", str(text.message))
    assert text.filename == __file__


@pytest.mark.filterwarnings("ignore")
def test_the_weights_before_a_slow_overflow_are_found():
    """The loss grows by a fifth of a decade in a step, from a finite one 190 steps before; copies are made every 64 steps."""
    tg.manual_seed(0)
    model = nn.Linear(1, 1, bias=False)
    x = np.ones((1, 1), np.float32)
    optimizer = tg.optim.SGD(model.parameters(), lr=1.13)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        tg.fit(model, [(x, 0 * x)], tg.mse, optimizer, epochs=400, compile=False, progress=False)
    (text,) = [str(w.message) for w in caught if "fit: the loss" in str(w.message)]
    assert re.match(
        r"fit: the loss is inf in step 1 of epoch \d{3}; the first op that was not finite is mse: the result", text
    )


@pytest.mark.filterwarnings("ignore")
def test_weights_that_are_too_old_to_tell_give_advice(monkeypatch):
    class Ruin(Callback):
        def on_step_end(self, run):
            if run.step == 2:
                run.model.linear.weight.copy_(np.full((1, 4), 1e38, np.float32))

    with pytest.warns(
        RuntimeWarning, match="step 3 of epoch 1; its batch is finite, .* too large since; lower the learning"
    ):
        train(nn.Identity(), (X, Y), LR, callbacks=[Ruin()], compile=False)


@pytest.mark.filterwarnings("ignore")
def test_weights_that_were_not_finite_before_are_named():
    tg.manual_seed(0)
    model = nn.Sequential(nn.Linear(4, 1), nn.Linear(1, 1))
    model[1].weight.copy_(np.full((1, 1), np.inf, np.float32))
    with pytest.warns(
        RuntimeWarning, match=r"step 1 of epoch 1; 1.weight of the model or the loss had values before that"
    ):
        tg.fit(model, (X, Y), tg.mse, tg.optim.SGD(model.parameters()), epochs=1, compile=False, progress=False)


@pytest.mark.filterwarnings("ignore")
def test_looking_for_the_op_changes_nothing(monkeypatch):
    def trained():
        parts = Parts()
        images, digits = parts.loader.dataset.arrays
        parts.loader.dataset = tg.data.TensorDataset(at(images, 12, 3e38), digits)  # finite; its square is not
        parts.fit()
        return parts.state()

    told = trained()
    monkeypatch.setattr(Watch, "look", lambda self, before: None)
    assert_same(told, trained())


@pytest.mark.filterwarnings("ignore")
def test_the_step_that_is_taken_again_draws_what_it_drew(monkeypatch):
    def draw_after():
        tg.manual_seed(0)
        model = nn.Sequential(nn.Dropout(0.5), nn.Linear(4, 1))
        optimizer = tg.optim.SGD(model.parameters(), lr=0.01)
        tg.fit(model, [(at(X, 3, 3e38), Y)], tg.mse, optimizer, epochs=1, compile=False, progress=False)
        return tg.rand(3).tolist()

    told = draw_after()
    monkeypatch.setattr(Watch, "look", lambda self, before: None)
    assert draw_after() == told


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("compile", [False, True], ids=["eager", "compiled"])
def test_a_training_that_stops_keeps_the_last_good_checkpoint(compile, tmp_path):
    class Break(Callback):
        def on_step_end(self, run):
            if run.step == 4:
                run.model.linear.weight.copy_(np.full((1, 4), np.nan, np.float32))
            self.run = run

    breaking = Break()
    callbacks = [breaking, Checkpoint(tmp_path / "run.npz")]
    history = train(nn.Identity(), (X, Y), LR, stop_on_nan=True, callbacks=callbacks, compile=compile)
    assert (history.epochs, breaking.run.step, breaking.run.status) == (2, 5, "stopped")
    assert np.isfinite(history["loss"][0])
    assert np.isnan(history["loss"][1])
    assert breaking.run.stopped == "the loss is nan in step 2"
    saved = tg.load(tmp_path / "run.npz")
    assert saved["run"]["step"] == 3
    assert all(np.isfinite(value).all() for value in saved["model"].values())
    assert len(saved["run"]["history"]["loss"]) == 1


@pytest.mark.filterwarnings("ignore")
def test_the_history_has_the_part_of_the_first_epoch_that_ran():
    batches = [(X[i : i + 8], Y[i : i + 8]) for i in (0, 8, 16)]
    model = nn.Linear(4, 1)
    expected = tg.mse(model(batches[0][0]), batches[0][1]).item()

    class Stop(Callback):
        def on_step_end(self, run):
            run.stop("enough")

    optimizer = tg.optim.SGD(model.parameters(), lr=LR)
    history = tg.fit(
        model, batches, tg.mse, optimizer, epochs=2, callbacks=[Stop()], validate=batches, progress=False, compile=False
    )
    assert history.keys() == {"loss", "lr", "seconds"}
    assert history.last["loss"] == pytest.approx(expected)
    batches[0] = X[:8], at(Y[:8], 0, np.inf)
    history = tg.fit(model, batches, tg.mse, optimizer, epochs=2, stop_on_nan=True, progress=False, compile=False)
    assert (history.epochs, history["loss"]) == (1, [np.inf])


@pytest.mark.filterwarnings("ignore:.* encountered")
def test_a_callback_that_stops_at_such_a_loss_has_the_last_word():
    class Stop(Callback):
        def on_step_end(self, run):
            run.stop("seen")
            self.run = run

    stop = Stop()
    train(nn.Identity(), (X, at(Y, 0, np.inf)), LR, callbacks=[stop], stop_on_nan=True, compile=False)  # and no warning
    assert (stop.run.stopped, stop.run.step) == ("seen", 1)


def test_numpy_s_warnings_name_the_line_of_the_user():
    def inverse(a):
        return 1 / (a * 0)

    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        train(inverse, (X, Y), LR, compile=False)
    found = {(str(w.message), w.filename, w.lineno) for w in caught if "divide" in str(w.message)}
    assert ("divide by zero encountered in div", __file__, inspect.getsourcelines(inverse)[1] + 1) in found
    assert all(name == __file__ for _, name, _ in found)


def test_the_user_s_own_handling_of_errors_stays():
    seen = []
    with (
        np.errstate(all="call", call=lambda kind, flag: seen.append(kind)),
        pytest.warns(RuntimeWarning, match="fit: the"),
    ):
        train(logarithm, (X, Y), LR, compile=False)
    assert "divide by zero" in seen
    with np.errstate(all="raise"), pytest.raises(FloatingPointError):
        train(logarithm, (X, Y), LR, compile=False)
