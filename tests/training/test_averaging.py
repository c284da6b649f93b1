"""`AverageWeights`: what it validates, keeps and leaves are the averages of a loop that is written out."""

from __future__ import annotations

import numpy as np
import pytest

import tinygrad_cnn as tg
from tinygrad_cnn import nn
from tinygrad_cnn.training import AverageWeights, Callback, Checkpoint

rng = np.random.default_rng(0)
X = rng.normal(size=(24, 3)).astype(np.float32)
Y = rng.normal(size=(24, 2)).astype(np.float32)
LOADER = [(X[i : i + 8], Y[i : i + 8]) for i in (0, 8, 16)]
HELD_OUT = [(X[:12] + 1, Y[:12])]
EPOCHS, DECAY = 3, 0.75


def network():
    tg.manual_seed(0)
    return nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.Linear(4, 2))


def state(model):
    return {name: value.copy() for name, value in model.state_dict().items()}


def trained(*callbacks, epochs=EPOCHS, **options):
    model = network()
    optimizer = tg.optim.SGD(model.parameters(), lr=0.1)
    options = {"validate": HELD_OUT, "progress": False, **options}
    history = tg.fit(model, LOADER, tg.mse, optimizer, epochs=epochs, callbacks=callbacks, **options)
    return model, history


def assert_equal(a, b, **tolerance):
    assert a.keys() == b.keys()
    for name in a:
        np.testing.assert_allclose(a[name], b[name], err_msg=name, **{"rtol": 0, "atol": 0, **tolerance})


@pytest.mark.parametrize("compile", [False, True], ids=["eager", "compiled"])
def test_the_averages_are_validated_and_left_in_the_model(compile, tmp_path):
    path = tmp_path / "averaged.npz"
    model, history = trained(AverageWeights(DECAY, warmup=False, path=path), compile=compile)
    raw, losses = network(), []
    optimizer = tg.optim.SGD(raw.parameters(), lr=0.1)
    averages, other = state(raw), network()
    for _ in range(EPOCHS):
        for x, y in LOADER:
            loss = tg.mse(raw(x), y)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            for name, now in state(raw).items():
                averages[name] = now if now.dtype.kind == "i" else DECAY * averages[name] + (1 - DECAY) * now
        other.load_state_dict({name: a.astype(state(raw)[name].dtype) for name, a in averages.items()})
        losses.append(tg.evaluate(other, HELD_OUT, tg.mse)["loss"])
    np.testing.assert_allclose(history["val_loss"], losses, rtol=1e-5)
    assert_equal(state(model), averages, rtol=1e-5, atol=1e-6)
    assert_equal(tg.load(path), state(model))


def test_the_training_goes_on_with_its_own_weights():
    class Weights(Callback):
        def __init__(self):
            self.seen = []

        def on_epoch_end(self, run):
            self.seen.append(state(run.model))

    plain, averaged = Weights(), Weights()
    trained(plain)
    trained(AverageWeights(DECAY), averaged)
    for a, b in zip(plain.seen, averaged.seen, strict=True):
        assert_equal(a, b)


def test_a_resumed_run_has_the_same_averages(tmp_path):
    class Stop(Callback):
        def on_step_end(self, run):
            if run.step == 4:
                run.stop("enough")

    whole, _ = trained(AverageWeights(DECAY))
    trained(AverageWeights(DECAY), Stop(), Checkpoint(tmp_path / "run.npz"))
    resumed, _ = trained(AverageWeights(DECAY), resume=tmp_path / "run.npz")
    assert_equal(state(whole), state(resumed))


def test_an_error_in_a_validation_leaves_the_weights_of_the_training():
    seen = []

    class Failing(Callback):
        def on_validation_begin(self, run):
            self.averages = state(run.model)

        def on_validation_batch(self, run, parts, output):
            raise ArithmeticError

        def on_validation_end(self, run):
            seen.append("end")

    failing, average = Failing(), AverageWeights(DECAY)
    model = network()
    optimizer = tg.optim.SGD(model.parameters(), lr=0.1)
    with pytest.raises(ArithmeticError):
        tg.fit(
            model, LOADER, tg.mse, optimizer, epochs=1, validate=HELD_OUT, callbacks=[average, failing], progress=False
        )
    assert seen == ["end"]
    plain, _ = trained(epochs=1)
    assert_equal(state(model), state(plain))
    assert not np.allclose(failing.averages["0.weight"], state(model)["0.weight"])


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"decay": 2}, ValueError, "AverageWeights: `decay` is 2; it must be a number in"),
        ({"warmup": 1}, TypeError, "AverageWeights: `warmup` is 1; it must be True or False"),
        ({"path": 3}, TypeError, "AverageWeights: `path` is 3; it must be a path"),
    ],
)
def test_bad_arguments_are_named(arguments, error, message):
    with pytest.raises(error, match=message):
        AverageWeights(**arguments)
