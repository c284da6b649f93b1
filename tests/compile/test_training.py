"""A compiled training step leaves parameters, optimizer state, statistics and losses as eager steps do, bit for bit."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import tinygrad_cnn as tg
from tests.optim.optimizers import ROWS, VARIANTS
from tinygrad_cnn import nn, optim

OPTIMIZERS = {
    **{row.name: (row.optimizer, row.full | {"lr": 0.01}) for row in ROWS},
    **{name: (kind, options | {"lr": 0.01}) for name, (kind, options) in VARIANTS.items()},
}
few = settings(max_examples=max(1, settings.default.max_examples // 4))


def network(kind: str, seed: int) -> nn.Module:
    tg.manual_seed(seed)
    if kind == "dense":
        return nn.Sequential(nn.Linear(36, 8), nn.Tanh(), nn.Dropout(0.3), nn.Linear(8, 3))
    if kind == "plain":
        return nn.Sequential(
            nn.Conv2d(1, 4, 3), nn.ReLU(), nn.MaxPool2d(2), nn.Dropout(0.25), nn.Flatten(), nn.Linear(16, 3)
        )
    return nn.Sequential(
        nn.Conv2d(1, 8, 3, padding=1, bias=False), nn.BatchNorm2d(8), nn.ReLU(), nn.Conv2d(8, 4, 3, stride=2),
        nn.GroupNorm(2, 4), nn.GELU(), nn.AvgPool2d(2), nn.Flatten(), nn.LayerNorm(4), nn.Linear(4, 3),
    )  # fmt: skip


def trained(compiled: bool, kind: str, optimizer: str, seed: int, steps: int, clip: bool = False) -> dict:
    model = network(kind, seed)
    kind_of_rule, options = OPTIMIZERS[optimizer]
    rule = kind_of_rule(model.parameters(), **options)
    schedule = optim.ExponentialLR(rule, gamma=0.97)
    average = optim.EMA(model.parameters(), decay=0.9)
    rng = np.random.default_rng(seed)
    shape = (6, 36) if kind == "dense" else (6, 1, 6, 6)

    def step(x, y):
        rule.zero_grad()
        loss = tg.cross_entropy(model(x), y)
        loss.backward()
        if clip:
            optim.clip_grad_value_(model.parameters(), 0.1)
            optim.clip_grad_norm_(model.parameters(), 0.3)
        rule.step()
        schedule.step()
        average.update()
        return loss

    run = tg.compile(step) if compiled else step
    losses = []
    for _ in range(steps):
        x, y = rng.standard_normal(shape, np.float32), rng.integers(0, 3, 6)
        losses.append(run(x, y) if compiled else run(tg.Tensor(x), tg.Tensor(y)))
    return {
        "losses": [loss.item() for loss in losses],
        "gradients": [np.array(p.grad) for p in model.parameters()],
        "model": model.state_dict(),
        "optimizer": rule.state_dict(),
        "schedule": schedule.state_dict(),
        "average": average.state_dict(),
        "next draw": tg.rand(1).item(),
    }


def assert_same(a, b, path=""):
    assert type(a) is type(b), path
    if isinstance(a, dict):
        assert a.keys() == b.keys(), path
        for key in a:
            assert_same(a[key], b[key], f"{path}[{key!r}]")
    elif isinstance(a, list | tuple):
        assert len(a) == len(b), path
        for i, (x, y) in enumerate(zip(a, b, strict=True)):
            assert_same(x, y, f"{path}[{i}]")
    elif isinstance(a, np.ndarray):
        np.testing.assert_array_equal(a, b, err_msg=path, strict=True)
    else:
        assert a == b, path


@pytest.mark.part(5)
@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_fifty_steps_with_every_optimizer(optimizer: str):
    a, b = (trained(compiled, "plain", optimizer, 1, 50) for compiled in (False, True))
    assert_same(a, b)


@pytest.mark.part(1)
@pytest.mark.parametrize("kind", ["dense", "plain", "normalized"])
def test_fifty_steps_of_every_kind_of_network(kind: str):
    a, b = (trained(compiled, kind, "Adam", 0, 50, clip=True) for compiled in (False, True))
    assert_same(a, b)


@pytest.mark.parametrize("factors", [(1, 100, 1), (100, 1, 100)])
def test_clipping_that_sets_in_or_ends_after_the_capture(factors):
    """What a step hands on in one call it may have to change in another."""

    def clipped(compiled: bool) -> list[np.ndarray]:
        w = tg.Tensor([1.0, 2.0], requires_grad=True)
        b = tg.Tensor([[3.0], [4.0]], requires_grad=True)
        rule = optim.SGD([w, b], lr=0.01)

        def step(x):
            rule.zero_grad()
            loss = (w * b * x).sum()
            loss.backward()
            norm = optim.clip_grad_norm_([w, b], 20.0)
            rule.step()
            return norm

        run = tg.compile(step) if compiled else step
        found = []
        for factor in factors:
            x = np.full((2, 2), factor, np.float32)
            norm = run(x if compiled else tg.Tensor(x))
            found += [t.numpy().copy() for t in (norm, w, b, w.grad, b.grad)]
        return found

    for a, b in zip(clipped(False), clipped(True), strict=True):
        np.testing.assert_array_equal(a, b, strict=True)


@few
@given(
    kind=st.sampled_from(["dense", "plain", "normalized"]),
    optimizer=st.sampled_from(list(OPTIMIZERS)),
    seed=st.integers(0, 2**32 - 1),
    steps=st.integers(1, 5),
    clip=st.booleans(),
)
def test_any_network_and_optimizer(kind: str, optimizer: str, seed: int, steps: int, clip: bool):
    assert_same(*(trained(compiled, kind, optimizer, seed, steps, clip) for compiled in (False, True)))
