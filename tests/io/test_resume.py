"""A run that is stopped, saved and resumed in new objects equals one that was never stopped, to the bit."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import tinygrad_cnn as tg
from tinygrad_cnn import nn

from .states import SUFFIXES, assert_same

STEPS = 12  # of 5 batches an epoch


class Run:
    """A small training run with everything that has a state: dropout and batch norm, Adam, a schedule, a shuffled loader."""

    def __init__(self, seed: int, compiled: bool = False) -> None:
        tg.manual_seed(seed)
        self.model = nn.Sequential(
            nn.Conv2d(1, 3, 3), nn.BatchNorm2d(3), nn.ReLU(), nn.Flatten(), nn.Dropout(0.3), nn.Linear(108, 10)
        )
        self.optimizer = tg.optim.Adam(self.model.parameters(), lr=0.01, amsgrad=True)
        self.schedule = tg.optim.OneCycleLR(self.optimizer, max_lr=0.05, total_steps=STEPS + 1)
        self.average = tg.optim.EMA(self.model.parameters(), decay=0.9)
        images, labels = tg.data.digits()
        dataset = tg.data.TensorDataset(images[:36, None], labels[:36])
        self.loader = tg.data.DataLoader(dataset, 8, shuffle=True, seed=seed, transform=tg.data.ToFloat(16))
        self.step = tg.compile(self.update) if compiled else self.update
        self.losses: list[float] = []

    def update(self, images: Any, labels: Any) -> tg.Tensor:
        loss = tg.cross_entropy(self.model(images), labels)
        self.optimizer.zero_grad()
        loss.backward()
        self.optimizer.step()
        return loss

    def go_on(self, steps: int) -> None:
        while steps:
            for images, labels in self.loader:
                self.losses.append(self.step(tg.Tensor(images), tg.Tensor(labels)).item())
                self.schedule.step()
                self.average.update()
                steps -= 1
                if not steps:
                    break

    def state(self) -> dict[str, Any]:
        return {
            "model": self.model.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "schedule": self.schedule.state_dict(),
            "average": self.average.state_dict(),
            "loader": self.loader.state_dict(),
            "random": tg.get_rng_state(),
            "losses": self.losses,
        }

    def resume(self, state: dict[str, Any]) -> None:
        for part in ("model", "optimizer", "schedule", "average", "loader"):
            getattr(self, part).load_state_dict(state[part])
        tg.set_rng_state(state["random"])
        self.losses = state["losses"]


def resumed(stops: list[int], path: Any, compiled: bool = False) -> dict[str, Any]:
    """The final state of a run that is saved and begun again, from other seeds, after each of these steps."""
    run, done = Run(0, compiled), 0
    for number, stop in enumerate(stops):
        run.go_on(stop - done)
        tg.save(path, run.state())
        run, done = Run(1 + number, compiled), stop
        run.resume(tg.load(path))
    run.go_on(STEPS - done)
    return run.state()


@pytest.mark.parametrize("suffix", SUFFIXES)
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=5)
@given(stops=st.lists(st.integers(1, STEPS - 1), min_size=1, max_size=2, unique=True).map(sorted))
def test_a_resumed_run_equals_an_uninterrupted_one(suffix, stops, tmp_path):
    run = Run(0)
    run.go_on(STEPS)
    assert_same(resumed(stops, tmp_path / f"run{suffix}"), run.state())


def test_a_resumed_compiled_run_equals_an_uninterrupted_one(tmp_path):
    run = Run(0, compiled=True)
    run.go_on(STEPS)
    assert_same(resumed([7], tmp_path / "run.npz", compiled=True), run.state())


@pytest.mark.parametrize("part", ["model", "optimizer", "schedule", "average", "loader", "random"])
def test_every_part_of_the_state_counts(part, tmp_path):
    """Left out of the resumption, any of them is missed: the test above looks at all."""
    run = Run(0)
    run.go_on(STEPS)
    stopped, fresh = Run(0), Run(1)
    stopped.go_on(7)
    fresh.resume({**stopped.state(), part: fresh.state()[part]})
    fresh.go_on(STEPS - 7)
    with pytest.raises(AssertionError):
        assert_same(fresh.state(), run.state())


def test_the_states_are_arrays_and_plain_values():
    run = Run(0)
    run.go_on(2)
    assert all(type(array) is np.ndarray for array in run.state()["model"].values())
