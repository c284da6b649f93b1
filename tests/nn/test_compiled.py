"""Compiled calls and training steps of layers give the bits of eager ones."""

from __future__ import annotations

import numpy as np
import pytest

import tinygrad_cnn as tg
from tinygrad_cnn import nn

from .cases import CASES
from .test_layers import made

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
    """The state and a loss in evaluation mode, after training steps; and the state before and after that evaluation."""
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


@pytest.mark.parametrize("case", CASES, ids=str)
def test_a_compiled_layer_gives_the_same_bits(case):
    """In training and in evaluation mode, and after running statistics have moved."""
    tg.manual_seed(0)
    layer, rng = made(case), np.random.default_rng(0)
    twin = made(case)
    twin.load_state_dict(layer.state_dict())
    given = [a.astype(np.float32) if a.dtype.kind == "f" else a for a in case.arrays(rng)]
    given = given or [np.ones((2, 3, 4) if case.name == "Dropout1d" else (2, 3, 4, 4), np.float32)]  # for dropout
    call = tg.compile(lambda *inputs: layer(*inputs))
    for mode in (True, True, False, False):
        layer.train(mode)
        twin.train(mode)
        tg.manual_seed(1)
        found = call(*given).numpy().copy()
        tg.manual_seed(1)
        np.testing.assert_array_equal(found, twin(*given).numpy())
    for name, value in twin.state_dict().items():
        np.testing.assert_array_equal(layer.state_dict()[name], value, err_msg=name)


@pytest.mark.parametrize(
    ("layer", "name", "value"),
    [
        (nn.LeakyReLU(0.1), "negative_slope", 0.5),
        (nn.Softmax(0), "dim", 1),
        (nn.HuberLoss(delta=0.1), "reduction", "sum"),
        (nn.AvgPool1d(2), "kernel_size", 3),
        (nn.LayerNorm(4), "eps", 1.0),
        (nn.CrossEntropyLoss(), "weight", tg.Tensor([1.0, 2.0, 3.0, 4.0])),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, nn.Module) else None,
)
def test_a_compiled_layer_follows_an_attribute_that_changes(layer, name, value):
    x, target = tg.randn(3, 4), tg.softmax(tg.randn(3, 4))
    given = (x, target) if "Loss" in type(layer).__name__ else (x,)
    call = tg.compile(lambda *inputs: layer(*inputs))
    before = call(*given).numpy().copy()
    setattr(layer, name, value)
    after = call(*given).numpy().copy()
    np.testing.assert_array_equal(after, layer(*given).numpy())
    assert not np.array_equal(after, before)
