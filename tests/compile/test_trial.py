"""A compiled function whose recorded calls save no time is called plainly. The clock of these tests is a number."""

import importlib

import numpy as np
import pytest

import tinygrad_cnn as tg
from tinygrad_cnn.core import tracing

pytestmark = pytest.mark.prepares

compiled, trial = (importlib.import_module(f"tinygrad_cnn.compile.{name}") for name in ("compiled", "trial"))
CALLS = (0, 1, 1, 0, 1, 0, 0, 1, 1, 0, 0, 1, 0, 1, 1, 0)  # the default, as is PLAIN = 2


@pytest.fixture(autouse=True)
def _tried(monkeypatch):
    monkeypatch.setattr(trial, "ORDER", CALLS)
    monkeypatch.setattr(trial, "PLAIN", 2)


class Timed:
    """A function that takes `plain` seconds, or `followed` if the course is active; and `more` in every n-th call."""

    def __init__(self, monkeypatch, plain, followed, every=1, more=0):
        self.now, self.calls, self.how = 0.0, 0, []
        self.w = tg.Tensor([2.0, 3.0], requires_grad=True)
        self.plain, self.followed, self.every, self.more = plain, followed, every, more
        monkeypatch.setattr(compiled, "perf_counter", lambda: self.now)

    def __call__(self, x):
        follows = tracing.tracer() is not tracing.NO_TRACER
        self.how.append(follows)
        self.now += (self.followed if follows else self.plain) + self.more * (self.calls % self.every == 0)
        self.calls += 1
        self.w.grad = None
        y = (self.w * x).sum()
        y.backward()
        return y.item(), self.w.grad.tolist()


def called(function, n):
    f = tg.compile(function)
    for i in range(n):
        assert f(np.array([i, 1.0], np.float32)) == (2.0 * i + 3.0, [i, 1.0])
    return f


def test_plain_if_recorded_calls_are_no_faster(monkeypatch):
    timed = Timed(monkeypatch, 1.0, 1.0)
    f = called(timed, 40)
    settled = trial.SETTLES + len(CALLS)
    assert timed.how[settled:] == [False] * (40 - settled)
    assert timed.how[: trial.SETTLES] == [False] * trial.PLAIN + [True] * (trial.SETTLES - trial.PLAIN)
    assert f.describe().startswith("calls are plain")
    assert not f.course.count


def test_cleared_functions_are_tried_again(monkeypatch):
    timed = Timed(monkeypatch, 1.0, 1.0)
    f = called(timed, 30)
    f.clear()
    assert f.describe() == "0 operations; memory kept: 0 B"
    timed.followed = 0.5
    for i in range(30):
        f(np.array([i, 1.0], np.float32))
    assert "mul" in f.describe()


def test_few_calls_are_tried_if_recorded_ones_are_much_faster(monkeypatch):
    timed = Timed(monkeypatch, 1.0, 0.5)
    called(timed, 40)
    assert timed.how[trial.SETTLES + 4 :] == [True] * (36 - trial.SETTLES)


def test_a_little_faster_is_enough(monkeypatch):
    timed = Timed(monkeypatch, 1.0, 0.99)
    called(timed, 40)
    assert timed.how[trial.SETTLES :] == list(map(bool, CALLS)) + [True] * (40 - trial.SETTLES - len(CALLS))


@pytest.mark.parametrize("more", [5.0, -0.7])
@pytest.mark.parametrize("every", [2, 3, 4, 5, 6, 7, 8, 10])
def test_calls_that_take_longer_or_less_in_turns(monkeypatch, every, more):
    """Where each n-th call does more or less than the others, recorded calls of .9 are not mistaken for slower ones."""
    timed = Timed(monkeypatch, 1.0, 0.9, every, more)
    called(timed, 40)
    assert timed.how[-1]


def test_large_memory_is_not_tried(monkeypatch):
    monkeypatch.setattr(trial, "MOST_BYTES", 8)
    timed = Timed(monkeypatch, 1.0, 2.0)
    called(timed, 30)
    assert timed.how[trial.PLAIN :] == [True] * (30 - trial.PLAIN)


def test_a_call_that_raises_does_not_count(monkeypatch):
    timed = Timed(monkeypatch, 1.0, 1.0)
    f = called(timed, trial.SETTLES)
    for _ in range(50):
        with pytest.raises(ValueError, match="broadcast"):
            f(np.ones(3, np.float32))
    assert not timed.how[-1]
    for i in range(len(CALLS)):
        f(np.array([i, 1.0], np.float32))
    assert f.describe().startswith("calls are plain")
