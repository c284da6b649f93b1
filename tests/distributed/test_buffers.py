"""What a step leaves in buffers, and what it may not do as it would depend on how many shards a rank computes."""

from __future__ import annotations

import random
import threading

import numpy as np
import pytest

import tinygrad_cnn as tg
from tinygrad_cnn import nn
from tinygrad_cnn.data.loader import shards_of
from tinygrad_cnn.extra.distributed import World

X, Y = np.random.default_rng(0).normal(size=(2, 22, 1))
SHARDS = 5


class Scaled(nn.Module):
    """A linear map with a buffer."""

    def __init__(self, values):
        self.weight = nn.Parameter(np.ones((1, 1)))
        self.register_buffer("table", tg.Tensor(values))

    def forward(self, x):
        return x @ self.weight


def started(model):
    world = World(SHARDS)
    world.start(model=model)
    return world


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64, np.complex64])
def test_a_buffer_that_no_shard_changes_keeps_its_bits(dtype):
    values = np.random.default_rng(1).normal(size=100).astype(dtype)
    if dtype is not np.complex64:
        values[:4] = -0.0, np.inf, -np.inf, np.nan
    model = Scaled(values)
    world = started(model)
    for _ in range(3):
        world.step(lambda x, y: tg.mse(model(x), y), (X, Y))
    assert model.table.numpy().tobytes() == values.tobytes()


def test_only_what_shards_change_is_averaged():
    """Also from values that are not finite."""
    values = np.random.default_rng(1).normal(size=100)
    values[:2] = -np.inf, np.nan
    model = Scaled(values)

    def loss(x, y):
        change = np.zeros(100)
        change[10] = x.numpy().mean()
        model.table.copy_(tg.where(np.arange(100) < 2, x.mean(), model.table + change))
        return tg.mse(model(x), y)

    started(model).step(loss, (X, Y))
    expected = values.copy()
    expected[:2], expected[10] = X.mean(), values[10] + X.mean()
    np.testing.assert_allclose(model.table.numpy(), expected, rtol=1e-12)
    rest = np.delete(np.arange(2, 100), 8)
    assert model.table.numpy()[rest].tobytes() == values[rest].tobytes()


@pytest.mark.parametrize("how", ["by another Tensor", "by an assignment to elements"])
def test_a_step_must_not_replace_a_buffer(how):
    model = nn.Sequential(Scaled([0.0]))
    table = model[0].table

    def loss(x, y):
        if how == "by another Tensor":
            model[0].table += 1
        else:
            model[0].table[0] += x.mean()
        return tg.mse(model(x), y)

    world = started(model)
    with pytest.raises(ValueError, match="the step replaces the buffer `table` of Scaled by another Tensor"):
        world.step(loss, (X, Y))
    assert model[0].table is table
    assert table.item() == 0


def test_a_buffer_may_be_replaced_between_steps():
    model = Scaled([0.0])

    def loss(x, y):
        model.table.copy_(model.table + x.mean())
        return tg.mse(model(x), y)

    world = started(model)
    world.step(loss, (X, Y))
    model.table = tg.Tensor([1.0, 2.0])
    world.step(loss, (X, Y))
    np.testing.assert_allclose(model.table.numpy(), np.array([1, 2]) + X.mean(), rtol=1e-6)


@pytest.mark.parametrize("compile", [False, True])
def test_the_buffers_of_a_loss_begin_each_shard_as_they_were(compile):
    class Counted(nn.Module):
        def __init__(self):
            self.register_buffer("calls", tg.Tensor(0.0))

        def forward(self, output, target):
            self.calls.copy_(self.calls + 1)
            return tg.mse(output, target)

    model, loss = nn.Linear(1, 1, dtype=np.float64), Counted()
    batches = tg.data.DataLoader(tg.data.TensorDataset(X, Y), 11)
    tg.fit(
        model, batches, loss, tg.optim.SGD(model.parameters(), lr=0.1), epochs=3, compile=compile, progress=False,
        distributed=World(SHARDS),
    )  # fmt: skip
    assert loss.calls.item() == 6


def test_a_generator_of_its_own_in_a_later_step():
    model, rng = Scaled([0.0]), np.random.default_rng(0)
    world = started(model)
    world.step(lambda x, y: tg.mse(model(x), y), (X, Y))
    with pytest.raises(ValueError, match="draws from its own generator"):
        world.step(lambda x, y: tg.mse(model(tg.dropout(x, rng=rng)), y), (X, Y))
    assert tg.rand(2, rng=rng).shape == (2,), "outside of steps it may"


@pytest.mark.parametrize("draw", [random.random, np.random.random])
def test_global_generators(draw):
    model = Scaled([0.0])
    if threading.active_count() > 1:
        pytest.skip("another thread may draw")
    with pytest.raises(ValueError, match=r"draws from `random` or `np.random`"):
        started(model).step(lambda x, y: tg.mse(model(x) * draw(), y), (X, Y))


def test_batches_have_a_checksum_of_what_all_ranks_share():
    """It is the same whichever shards are at hand, and another one for other batches."""
    others = [(X + 1, Y), (X, Y[::-1]), (X[:-1], Y[:-1]), (X.reshape(11, 2), Y), (X.astype(np.float32), Y), (X,)]
    given = [shards_of(batch, 4, [1]).digest for batch in [(X, Y), *others] if len(batch[0]) == len(batch[-1])]
    assert len({*given}) == len(given)
    assert shards_of((X, tg.Tensor(Y, dtype=np.float64)), 4, [0, 3]).digest == given[0]
    loader = tg.data.DataLoader(X, 4, shuffle=True, seed=0)
    ways = [[shards.digest for _ in range(2) for shards in loader.shards(2, [which])] for which in (0, 1)]
    assert len({*ways[0]}) == 12
    assert ways[0] != ways[1], "they are of different epochs"
    again = tg.data.DataLoader(X, 4, shuffle=True, seed=0)
    assert [shards.digest for _ in range(2) for shards in again.shards(2, [1])] == ways[0]
