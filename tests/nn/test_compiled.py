"""A compiled step moves parameters, running statistics and modes as the same step does without."""

from __future__ import annotations

import numpy as np
import pytest

import tinygrad_cnn as tg
from tinygrad_cnn import nn

NETWORKS = {
    "BatchNorm2d": lambda: nn.Sequential(
        nn.Conv2d(1, 3, 3), nn.BatchNorm2d(3), nn.ReLU(), nn.Flatten(), nn.Linear(48, 3)
    ),
    "BatchNorm1d, plain mean": lambda: nn.Sequential(nn.Flatten(), nn.BatchNorm1d(36, momentum=None), nn.Linear(36, 3)),
    "InstanceNorm2d": lambda: nn.Sequential(
        nn.InstanceNorm2d(1, affine=True, track_running_stats=True), nn.Flatten(), nn.Linear(36, 3)
    ),
    "Dropout": lambda: nn.Sequential(nn.Flatten(), nn.Dropout(0.5), nn.Linear(36, 3)),
    "GroupNorm and PReLU": lambda: nn.Sequential(
        nn.Conv2d(1, 4, 3), nn.GroupNorm(2, 4), nn.PReLU(4), nn.AdaptiveAvgPool2d(2), nn.Flatten(), nn.Linear(16, 3)
    ),
}


def trained(make, compiled):
    """The state after steps in training, and a loss in evaluation."""
    tg.manual_seed(0)
    model, rng = make(), np.random.default_rng(0)
    optimizer = tg.optim.SGD(model.parameters(), lr=0.1)

    def step(x, target):
        loss = nn.CrossEntropyLoss()(model(x), target)
        if model.training:
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        return loss

    run = tg.compile(step) if compiled else step
    for _ in range(4):
        batch = rng.normal(size=(5, 1, 6, 6)).astype(np.float32), rng.integers(3, size=5)
        run(*batch)
    model.eval()
    state = model.state_dict()
    return {**state, "loss": run(*batch).numpy().copy()}, model.state_dict(), state


@pytest.mark.parametrize("name", NETWORKS)
def test_compiled_steps_leave_the_same_bits(name):
    eager, _, _ = trained(NETWORKS[name], compiled=False)
    replayed, after, before = trained(NETWORKS[name], compiled=True)
    for key, value in eager.items():
        np.testing.assert_array_equal(replayed[key], value, err_msg=key)
    assert all(np.array_equal(after[key], before[key]) for key in before)
