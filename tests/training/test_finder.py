"""The learning-rate finder tries rates, suggests one that works, and leaves no trace."""

from __future__ import annotations

import math

import numpy as np
import pytest

import tinygrad_cnn as tg
from tinygrad_cnn.training import EachEpoch, LRFinder

from .common import Parts, assert_same


@pytest.mark.parametrize("compile", [False, True])
def test_everything_is_as_before(compile):
    parts = Parts()
    before = parts.state()
    finder = LRFinder(1e-5, 1.0, steps=20)
    parts.fit(epochs=10, callbacks=[finder], compile=compile)
    assert_same(parts.state(), before)
    history = parts.fit(epochs=1, compile=compile)
    assert history["loss"] == Parts().fit(epochs=1, compile=compile)["loss"]


def test_rates_grow_by_the_same_factor_and_are_taken():
    rates, parts = [], Parts()

    class Rates(tg.training.Callback):
        def on_gradients(self, run):
            rates.append(run.optimizer.param_groups[0]["lr"])

    finder = LRFinder(1e-4, 1e-1, steps=16, factor=100)
    parts.fit(epochs=10, callbacks=[finder, Rates()])
    np.testing.assert_allclose(finder.rates, np.geomspace(1e-4, 1e-1, 16), rtol=1e-12)
    assert rates == finder.rates
    assert len(finder.losses) == 16


def test_it_stops_when_the_loss_has_grown():
    parts = Parts()
    finder = LRFinder(1e-3, 1e6, steps=100, factor=2.0)
    parts.fit(epochs=100, callbacks=[finder])
    assert len(finder.rates) < 100
    assert finder.losses[-1] > 2 * min(finder.losses)


def test_the_suggestion_is_where_the_loss_falls_fastest():
    finder = LRFinder()
    finder.rates = np.geomspace(1e-6, 10, 100).tolist()
    place = np.arange(100)
    noise = np.random.default_rng(0).normal(size=100) * 0.1
    finder.losses = (2 / (1 + np.exp((place - 60) / 3)) + np.exp((place - 90) / 2) + noise).tolist()
    assert finder.rates[57] <= finder.suggestion() <= finder.rates[63]


def test_a_linear_model_learns_at_the_rate_that_is_suggested():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(256, 4)).astype(np.float32)
    y = x @ np.array([[1.0], [-2.0], [0.5], [3.0]], np.float32)
    tg.manual_seed(0)
    model = tg.nn.Linear(4, 1)
    optimizer = tg.optim.SGD(model.parameters(), lr=1e-9)
    finder = LRFinder(1e-5)
    tg.fit(model, (x, y), tg.mse, optimizer, epochs=20, callbacks=[finder], progress=False)
    optimizer = tg.optim.SGD(model.parameters(), lr=finder.suggestion())
    history = tg.fit(model, (x, y), tg.mse, optimizer, epochs=10, progress=False)
    assert history["loss"][-1] < 1e-3 * history["loss"][0]


def test_no_suggestion():
    finder = LRFinder()
    with pytest.raises(ValueError, match="there were 0 steps; it needs at least 10"):
        finder.suggestion()
    for losses in (range(20), [1.0] * 20, np.random.default_rng(0).normal(size=20)):
        finder.rates, finder.losses = list(range(1, 21)), list(losses)
        with pytest.raises(ValueError, match="the loss never fell"):
            finder.suggestion()
    finder.losses = list(range(20, 0, -1))
    assert finder.suggestion() in finder.rates


def test_a_schedule_would_disturb_it():
    parts = Parts()
    schedule = EachEpoch(tg.optim.StepLR(parts.optimizer, 1))
    with pytest.raises(ValueError, match="LRFinder: fit was given a `scheduler`"):
        parts.fit(callbacks=[LRFinder()], scheduler=schedule)


@pytest.mark.parametrize(
    "arguments", [{"lowest": 0}, {"highest": math.inf}, {"steps": 9}, {"factor": 1}, {"lowest": 2.0, "highest": 1.0}]
)
def test_bad_arguments(arguments):
    with pytest.raises((TypeError, ValueError), match=f"LRFinder: `{next(iter(arguments))}`"):
        LRFinder(**arguments)


def test_the_picture():
    pyplot = pytest.importorskip("matplotlib.pyplot")
    finder = LRFinder(1e-5)
    Parts(examples=200).fit(epochs=10, callbacks=[finder])
    (axes,) = finder.plot().axes
    assert axes.get_xscale() == "log"
    assert axes.lines[0].get_ydata().tolist() == finder.losses
    assert any("suggestion" in str(line.get_label()) for line in axes.lines)
    pyplot.close("all")
