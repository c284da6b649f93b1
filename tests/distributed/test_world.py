"""Training in shards by one process, which is the reference for any number of ranks."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import threading
from functools import cache

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import tinygrad_cnn as tg
from tinygrad_cnn import nn
from tinygrad_cnn.extra.distributed import DistributedError, World, digest
from tinygrad_cnn.io import CheckpointError
from tinygrad_cnn.training import Callback, Checkpoint, EachStep

from ..training.common import DIGITS, IMAGES, Parts, assert_same, measures
from .common import ROOT


class Linear(nn.Module):
    """A linear map, float64, with a buffer of what it has seen."""

    def __init__(self):
        self.weight = nn.Parameter(np.array([[1.0, -2.0, 0.5]]), dtype=np.float64)
        self.register_buffer("seen", tg.Tensor([0.0], dtype=np.float64))
        self.register_buffer("calls", tg.Tensor(0, dtype=np.int64))

    def forward(self, x):
        if self.training:
            self.seen.copy_(self.seen * 0.5 + x.mean())
            self.calls.copy_(self.calls + 1)
        return x @ self.weight.T


def data(examples, seed=0):
    rng = np.random.default_rng(seed)
    return rng.normal(size=(examples, 3)), rng.normal(size=(examples, 1))


@pytest.mark.parametrize("compile", [False, True])
@pytest.mark.parametrize(("examples", "shards"), [(12, 4), (13, 4), (7, 3), (5, 1), (8, 8)])
def test_a_step_has_the_loss_and_the_gradient_of_the_whole_batch(examples, shards, compile):
    """Also where shards differ in size: each counts by its examples."""
    x, y = data(examples)
    model = Linear()
    world = World(shards)
    world.start(model=model)

    def loss_of_shard(x, y):
        return tg.mse(model(x), y)

    for call in (1, 2, 3):
        loss = world.step(loss_of_shard, (x, y), compile=compile)
        error = x @ model.weight.numpy().T - y
        assert loss.numpy() == pytest.approx(np.mean(error**2), rel=1e-12)
        np.testing.assert_allclose(model.weight.grad.numpy(), 2 * (error * x).mean(axis=0)[None], rtol=1e-12)
        assert (model.calls.item(), world.steps) == (call, call)


def test_a_gradient_stays_as_it_is_in_the_next_step():
    x, y = data(12)
    model = Linear()
    world = World(4)
    world.start(model=model)
    world.step(lambda x, y: tg.mse(model(x), y), (x, y))
    first = model.weight.grad
    before = first.numpy().copy()
    world.step(lambda x, y: tg.mse(model(x), y), (3 * x, y))
    np.testing.assert_array_equal(first.numpy(), before)
    assert not np.array_equal(model.weight.grad.numpy(), before)


def test_buffers_begin_each_shard_as_they_were_and_are_averaged():
    x, y = data(13)
    model = Linear()
    world = World(4)
    world.start(model=model)
    world.step(lambda x, y: tg.mse(model(x), y), (x, y))
    assert model.seen.item() == pytest.approx(x.mean(), rel=1e-12)
    world.step(lambda x, y: tg.mse(model(x), y), (x, y))
    assert model.seen.item() == pytest.approx(1.5 * x.mean(), rel=1e-12)


def test_batch_norm_has_the_moments_of_each_shard():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(12, 2)) + [[5], [1], [1]] * 4
    layer = nn.BatchNorm1d(2, dtype=np.float64)
    world = World(3)
    world.start(layer=layer)
    world.step(lambda x: (layer(x) ** 2).mean(), (x,))
    shards = x.reshape(3, 4, 2)
    np.testing.assert_allclose(layer.running_mean.numpy(), 0.1 * shards.mean(axis=1).mean(axis=0), rtol=1e-12)
    variances = shards.var(axis=1, ddof=1).mean(axis=0)
    np.testing.assert_allclose(layer.running_var.numpy(), 0.9 + 0.1 * variances, rtol=1e-12)
    assert layer.num_batches_tracked.item() == 1


def test_a_parameter_without_a_gradient_in_any_shard_has_none():
    model = nn.Sequential(nn.Linear(3, 1), nn.Linear(3, 1))
    world = World(2)
    world.start(model=model)
    x, y = data(4)
    world.step(lambda x, y: tg.mse(model[0](x), y), (x.astype(np.float32), y.astype(np.float32)))
    assert model[0].weight.grad is not None
    assert model[1].weight.grad is None


@pytest.mark.parametrize("compile", [False, True])
def test_parameters_may_be_frozen_and_thawed_between_steps(compile):
    """Also those that were frozen at the start: each has the gradient of the whole batch, or none."""
    model = nn.Sequential(nn.Linear(3, 4, dtype=np.float64), nn.Tanh(), nn.Linear(4, 1, dtype=np.float64))
    x, y = data(12)

    def loss_of_shard(x, y):
        return tg.mse(model(x), y)

    def freeze(frozen):
        for number, layer in enumerate((model[0], model[2])):
            for p in layer.parameters():
                p.requires_grad = number not in frozen

    freeze({0})
    world = World(4)
    world.start(model=model)
    for frozen in ({0}, set(), set(), {1}, {1}, set(), {0}, {0}):
        freeze(frozen)
        for p in model.parameters():
            p.grad = None
        loss_of_shard(tg.Tensor(x), tg.Tensor(y)).backward()
        expected = [p.grad for p in model.parameters()]
        for p in model.parameters():
            p.grad = tg.Tensor(np.ones(p.shape))  # an old one
        world.step(loss_of_shard, (x, y), compile=compile)
        for p, g in zip(model.parameters(), expected, strict=True):
            assert (p.grad is None) == (g is None)
            if g is not None:
                np.testing.assert_allclose(p.grad.numpy(), g.numpy(), rtol=1e-9, atol=1e-12)


def test_streams_follow_from_seed_step_and_shard():
    """Each shard draws its own numbers, and the library's generator goes on as if there had been no step."""
    model = Linear()
    drawn = []

    def loss_of_shard(x, y):
        drawn.append(tg.rand(2).tolist())
        return tg.mse(model(x), y)

    def steps(shards, seed, count=2):
        drawn.clear()
        tg.manual_seed(5)
        world = World(shards, seed=seed)
        world.start(model=model)
        for _ in range(count):
            world.step(loss_of_shard, data(8))
        return [tuple(d) for d in drawn], tg.rand(1).item()

    first, after = steps(4, seed=0)
    again, _ = steps(4, seed=0)
    other, _ = steps(4, seed=1)
    assert first == again
    assert len({*first, *other}) == 16
    tg.manual_seed(5)
    assert after == tg.rand(1).item()
    tg.manual_seed(5)
    expected = [tuple(tg.rand(2).tolist()) for _ in range(2)]
    assert steps(1, seed=0)[0] == expected, "one shard draws from the library's generator, as without a World"


def test_the_seed_follows_from_the_random_state():
    tg.manual_seed(1)
    first = World(2).seed
    tg.manual_seed(1)
    assert World(2).seed == first
    tg.manual_seed(2)
    assert World(2).seed != first


def test_mean():
    world = World(3)
    values = [np.array([1.0, 10.0]), np.array([2.0, 20.0]), np.array([6.0, 60.0])]
    np.testing.assert_array_equal(world.mean(values), [3, 30])
    for wrong in ([1.0, 2.0], [1.0, 2.0, [3.0, 4.0]]):
        with pytest.raises(ValueError, match=r"World.mean: `values` has . entries .* 3 shards, all of one shape"):
            world.mean(wrong)


def test_any():
    world = World(3)
    assert (world.any(True), world.any(False)) == (True, False)


# What is refused


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"shards": 0}, "World: `shards` is 0; it must be a whole number of at least 1"),
        ({"shards": 2.0}, "World: `shards` is 2.0"),
        ({"timeout": 0}, "World: `timeout` is 0; it must be a finite number above 0"),
        ({"seed": -1}, "World: `seed` is -1"),
        ({"failures": 3}, "World: `failures` is 3; it must be the path of a file"),
        ({"failures": ""}, "World: `failures` is ''; it must be the path of a file"),
        ({"failures": "none/x.txt"}, "World: the folder of `failures` 'none/x.txt' is missing; make it first"),
    ],
)
def test_arguments(arguments, message):
    with pytest.raises((TypeError, ValueError, FileNotFoundError), match=message):
        World(**arguments)


@pytest.mark.parametrize(
    ("loss", "batch", "message"),
    [
        (
            lambda x: x.sum(),
            np.ones((4, 2)),
            r"World.step: `batch` is a ndarray; it must be a tuple of one array or more",
        ),
        (lambda x: x.sum(), (), r"World.step: `batch` is a tuple; it must be a tuple of one array or more"),
        (lambda x: 3.0, (np.ones(4),), r"the loss of a shard is a float; it must be a Tensor \(\)"),
        (lambda x: x, (np.ones(4),), r"the loss of a shard has the shape \(2,\); it must be one number"),
    ],
)
def test_arguments_of_a_step(loss, batch, message):
    world = World(2)
    world.start(model=nn.Linear(1, 1))
    with pytest.raises((TypeError, ValueError), match=message):
        world.step(loss, batch)


def test_classes_in_place_of_objects():
    with pytest.raises(TypeError, match="World.start: `model` is a class; give an object of it"):
        World(2).start(model=nn.Linear)
    model = nn.Linear(1, 1)
    for wrong in (World, True, 4):
        with pytest.raises(TypeError, match="fit: `distributed` is .*; it must be a World"):
            tg.fit(
                model, data(4), tg.mse, tg.optim.SGD(model.parameters(), lr=0.1), epochs=1, distributed=wrong
            )  # fmt: skip


def test_an_empty_shard():
    model = Linear()
    world = World(8)
    world.start(model=model)
    before = model.state_dict()
    with pytest.raises(ValueError, match=r"a batch has 7 examples for 8 shards.*drop_last=True"):
        world.step(lambda x, y: tg.mse(model(x), y), data(7))
    assert_same(model.state_dict(), before)


def test_a_step_before_start():
    with pytest.raises(RuntimeError, match=r"call world.start\(model=model"):
        World(2).step(lambda x: x.sum(), (np.ones(4),))
    with pytest.raises(ValueError, match="no part has parameters"):
        World(2).start(epochs=3)


def test_a_generator_of_its_own():
    model = Linear()
    rng = np.random.default_rng(0)
    world = World(2)
    world.start(model=model)
    with pytest.raises(ValueError, match="draws from its own generator"):
        world.step(lambda x, y: tg.mse(model(tg.dropout(x, rng=rng)), y), data(4))


def test_an_error_in_a_shard_leaves_the_buffers():
    model = Linear()
    world = World(2)
    world.start(model=model)
    before = model.state_dict()

    def fails(x, y):
        model(x)
        raise KeyError("no")

    with pytest.raises(KeyError):
        world.step(fails, data(4))
    assert_same(model.state_dict(), before)


def test_a_buffer_of_integers_that_differs_from_shard_to_shard():
    model = Linear()
    world = World(2)
    world.start(model=model)

    def counts(x, y):
        model.calls.copy_(model.calls + (x > 0).sum())
        return tg.mse(x @ model.weight.T, y)

    x, y = np.array([[1.0, 1, 1], [1, -1, -1]]), np.zeros((2, 1))
    with pytest.raises(ValueError, match="a buffer of integers is not alike in all shards"):
        world.step(counts, (x, y))


# fit


@pytest.mark.parametrize("compile", [False, True])
def test_one_shard_is_plain_fit(tmp_path, compile):
    results = []
    for name, arguments in (("plain", {}), ("world", {"distributed": World(1)})):
        parts = Parts()
        path = tmp_path / f"{name}.npz"
        history = parts.fit(validate=parts.validate, callbacks=[Checkpoint(path)], compile=compile, **arguments)
        state = tg.load(path)
        for times in ("seconds", "train_seconds"):
            state["run"].pop(times)
        results.append((measures(history), parts.state(), {**state, "run": {**state["run"], "history": None}}))
    assert_same(*results)


class Drops(Callback):
    """Stops after a step."""

    def __init__(self, step):
        self.step = step

    def on_step_end(self, run):
        if run.step == self.step:
            run.stop("told to")


def fit_in_shards(shards=4, seed=0, schedule=False, **arguments):
    parts = Parts(seed, examples=45, batch_size=10)
    if schedule:
        arguments["scheduler"] = EachStep(tg.optim.OneCycleLR(parts.optimizer, 0.05, total_steps=15))
    history = parts.fit(validate=parts.validate, distributed=World(shards), **arguments)
    return measures(history), parts.state()


def test_eager_and_compiled_have_the_same_bits():
    assert_same(fit_in_shards(compile=True), fit_in_shards(compile=False))


uninterrupted = cache(fit_in_shards)  # what it returns depends on its arguments alone


@pytest.mark.slow
@settings(max_examples=min(8, settings.default.max_examples // 4))
@given(st.integers(1, 15), st.booleans(), st.booleans())
def test_stopped_and_resumed(tmp_path_factory, at, compile, schedule):
    path = tmp_path_factory.mktemp("resume") / "run.npz"
    fit_in_shards(callbacks=[Checkpoint(path, every=100), Drops(at)], compile=compile, schedule=schedule)
    assert_same(fit_in_shards(resume=path, schedule=schedule), uninterrupted(schedule=schedule))


def test_a_run_resumes_with_its_shards(tmp_path):
    path = tmp_path / "run.npz"
    fit_in_shards(4, callbacks=[Checkpoint(path)], epochs=1)
    with pytest.raises(CheckpointError, match="`shards` is 4, and this World has 8"):
        fit_in_shards(8, resume=path)
    parts = Parts()
    with pytest.raises(CheckpointError, match="a training in several shards; give fit `distributed`"):
        parts.fit(resume=path)
    parts.fit(callbacks=[Checkpoint(path)], epochs=1)
    with pytest.raises(CheckpointError, match="has no distributed"):
        fit_in_shards(4, resume=path)


def test_other_loaders_are_cut():
    """A list of batches gives the bits of a DataLoader with the same batches."""
    batches = [(IMAGES[:45][i : i + 10], DIGITS[:45][i : i + 10]) for i in range(0, 45, 10)]
    results = []
    for loader in (batches, tg.data.DataLoader(tg.data.TensorDataset(IMAGES[:45], DIGITS[:45]), 10, seed=0)):
        parts = Parts()
        parts.loader = loader
        history = parts.fit(validate=batches, distributed=World(3))
        results.append((measures(history), parts.model.state_dict()))
    assert_same(*results)


def test_a_loader_that_iterates_in_its_own_way_is_cut():
    class Twice(tg.data.DataLoader):
        def __iter__(self):
            for images, labels in super().__iter__():
                yield np.concatenate([images, images]), np.concatenate([labels, labels])

    data = tg.data.TensorDataset(IMAGES[:20], DIGITS[:20])
    results = []
    for loader in (
        Twice(data, 5, seed=0),
        [(np.concatenate([x, x]), np.concatenate([y, y])) for x, y in tg.data.DataLoader(data, 5)],
    ):
        parts = Parts()
        parts.loader = loader
        results.append((measures(parts.fit(epochs=1, distributed=World(3))), parts.model.state_dict()))
    assert_same(*results)


def test_a_batch_with_arrays_of_different_lengths():
    model = Linear()
    world = World(2)
    world.start(model=model)
    with pytest.raises(ValueError, match=r"arrays of lengths \[4, 3\]; to be cut into shards"):
        world.step(lambda x, y: tg.mse(model(x), y), (np.zeros((4, 3)), np.zeros((3, 1))))


def test_a_world_serves_several_trainings():
    """Each begins with its first step, and with the random state that it finds."""
    world, results = World(4), []
    for _ in range(2):
        parts = Parts(examples=40, batch_size=10)
        results.append((measures(parts.fit(distributed=world)), parts.state()))
    assert_same(*results)


def test_the_validation_counts_every_example():
    """Also of a batch with fewer examples than shards: 21 examples in batches of 8, the last one of 5."""
    parts = Parts()
    parts.loader = tg.data.DataLoader(tg.data.TensorDataset(IMAGES[:42], DIGITS[:42]), 21)
    history = parts.fit(epochs=1, validate=parts.validate, distributed=World(7))
    expected = tg.training.evaluate(parts.model, parts.validate, tg.cross_entropy)
    assert history["val_accuracy"] == [expected["accuracy"]]
    assert history["val_loss"][0] == pytest.approx(expected["loss"], rel=1e-6)


@pytest.mark.parametrize("compile", [False, True])
def test_metrics_and_weights_of_classes_are_those_of_the_whole_batch(compile):
    """Of a model without draws and statistics, for which only rounding differs."""

    def confidence(output, target):
        return tg.softmax(output, axis=1).max(axis=1).mean()

    found = []
    for distributed in (None, World(3)):
        parts = Parts(examples=40, batch_size=9)
        tg.manual_seed(0)
        model = nn.Sequential(nn.Flatten(), nn.Linear(64, 10))
        history = tg.fit(
            model, parts.loader, tg.cross_entropy, tg.optim.Adam(model.parameters()), epochs=2, validate=parts.validate,
            metrics=["accuracy", "top3", "f1", confidence, tg.metrics.AUROC(thresholds=50)], class_weight={1: 5.0},
            compile=compile, progress=False,
            distributed=distributed,
        )  # fmt: skip
        found.append(measures(history))
    assert found[0].keys() == found[1].keys() >= {"top3", "val_f1", "val_confidence"}
    for name, values in found[0].items():
        assert found[1][name] == pytest.approx(values, rel=1e-5), name


def test_a_metric_that_keeps_all_scores_is_refused():
    parts = Parts(examples=20, batch_size=10)
    with pytest.raises(ValueError, match="'auroc' keeps all scores, which shards cannot add up; give it `thresholds`"):
        parts.fit(distributed=World(2), metrics=["auroc"])


def test_a_last_batch_smaller_than_the_shards_is_answered():
    parts = Parts(examples=42, batch_size=8)  # the last batch has 2
    with pytest.raises(ValueError, match="shard"):
        parts.fit(distributed=World(3))


def test_unfrozen_parameters_are_learned():
    class Unfreeze(Callback):
        def on_epoch_end(self, run):
            run.model.requires_grad_(True)

    parts = Parts(examples=40, batch_size=10)
    first = parts.model[0].weight
    first.requires_grad = False
    optimizer = tg.optim.SGD([p for p in parts.model.parameters() if p.requires_grad], lr=0.1)
    before = first.numpy().copy()
    tg.fit(
        parts.model, parts.loader, tg.cross_entropy, optimizer, epochs=2, callbacks=[Unfreeze()], compile=False,
        progress=False, distributed=World(2),
    )  # fmt: skip
    assert first.grad is not None, "it has a gradient from the second epoch on"
    np.testing.assert_array_equal(first.numpy(), before)


# The digest


def described(**changes):
    parts = Parts(examples=changes.pop("examples", 42), batch_size=changes.pop("batch_size", 8))
    model = changes.pop("model", parts.model)
    optimizer = tg.optim.Adam(model.parameters(), lr=changes.pop("lr", 0.01))
    return digest.of_parts({"model": model, "optimizer": optimizer, "loader": parts.loader, "epochs": 3, **changes})


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"examples": 41}, "rank 1: the length of `loader`'s data is 41; on rank 0 it is 42"),
        ({"batch_size": 9}, "rank 1: batch_size of `loader` is 9; on rank 0 it is 8"),
        ({"epochs": 4}, "rank 1: `epochs` is 4; on rank 0 it is 3"),
        ({"lr": 0.02}, r"rank 1: `optimizer` is .*lr=0.02.*; on rank 0 it is .*lr=0.01.*"),
        ({"model": nn.Linear(3, 2)}, r"rank 1: `model.0.weight` is absent; on rank 0 it is float32 \(3, 1, 3, 3\)"),
    ],
)
def test_differences_are_named(changes, expected):
    found = digest.differences([described(), described(**changes)])
    assert any(re.fullmatch(expected, line) for line in found), found
    assert digest.differences([described(), described()]) == []


def test_the_digest_of_the_process_has_the_dtype_and_the_random_state():
    tg.manual_seed(0)
    first = digest.of_process()
    assert first["tinygrad_cnn"] == tg.__version__
    assert first["NumPy"] == np.__version__
    assert digest.differences([first, digest.of_process()]) == []
    tg.manual_seed(1)
    assert "tg.manual_seed" in digest.differences([first, digest.of_process()])[0]


# Launchers


def run(code, **environment):
    env = {**os.environ, "PYTHONPATH": str(ROOT), **environment}
    return subprocess.run([sys.executable, "-c", code], capture_output=True, encoding="utf-8", env=env, timeout=300)


@pytest.mark.slow
def test_a_launcher_without_mpi4py():
    code = "import sys; sys.modules['mpi4py'] = None\nimport tinygrad_cnn as tg; tg.distributed.World(4)"
    result = run(code, PMI_SIZE="4")
    assert "ImportError: World: this is one of 4 processes, but mpi4py cannot be used" in result.stderr
    assert "pip install 'tinygrad_cnn[mpi]'" in result.stderr
    assert run(code, PMI_SIZE="1").returncode == 0, "one process needs no MPI"


@pytest.mark.slow
def test_it_is_imported_when_it_is_used():
    code = "import sys, tinygrad_cnn as tg; assert 'tinygrad_cnn.extra.distributed' not in sys.modules; tg.distributed.World"
    assert run(code + "; assert 'mpi4py' not in sys.modules").returncode == 0


def test_errors_are_runtime_errors():
    assert issubclass(DistributedError, RuntimeError)


@pytest.mark.slow
def test_the_accuracy_is_that_of_plain_fit():
    """With the same batches: the shards differ by their draws and batch-norm moments only."""
    accuracy = []
    for distributed in (None, World(8)):
        parts = Parts(examples=1200, batch_size=64)
        parts.validate = tg.data.DataLoader(tg.data.TensorDataset(IMAGES[1200:], DIGITS[1200:]), 200)
        history = parts.fit(epochs=4, validate=parts.validate, compile=True, distributed=distributed)
        accuracy.append(history["val_accuracy"][-1])
    assert min(accuracy) > 0.8
    assert abs(accuracy[0] - accuracy[1]) < 0.05


# Synchronized batch norm


def norms(dtype=np.float64):
    """Two normalizations, so that gradients pass from one through the moments of the other."""
    tg.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(1, 3, 3, dtype=dtype), nn.BatchNorm2d(3, dtype=dtype), nn.Tanh(), nn.Flatten(),
        nn.Linear(108, 7, dtype=dtype), nn.BatchNorm1d(7, momentum=None, dtype=dtype), nn.Tanh(), nn.Linear(7, 10, dtype=dtype),
    )  # fmt: skip


@pytest.mark.parametrize(("shards", "examples"), [(4, 20), (3, 17), (8, 8)])
def test_synchronized_batch_norm_is_that_of_the_whole_batch(shards, examples):
    """Its loss, gradients and statistics, also with one example in each shard."""
    x, y = IMAGES[:examples].astype(np.float64), DIGITS[:examples]
    whole, parts = norms(), norms()
    world = World(shards, sync_batch_norm=True)
    world.start(model=parts)
    for _ in range(2):
        expected = tg.cross_entropy(whole(x), y)
        whole.zero_grad()
        expected.backward()
        loss = world.step(lambda x, y: tg.cross_entropy(parts(x), y), (x, y), compile=True)
        assert loss.item() == pytest.approx(expected.item(), rel=1e-12)
        for (name, a), b in zip(whole.named_parameters(), parts.parameters(), strict=True):
            np.testing.assert_allclose(b.grad.numpy(), a.grad.numpy(), rtol=1e-9, atol=1e-12, err_msg=name)
        for (name, a), b in zip(whole.named_buffers(), parts.buffers(), strict=True):
            np.testing.assert_allclose(b.numpy(), a.numpy(), rtol=1e-12, err_msg=name)


def test_fit_with_synchronized_batch_norm(tmp_path):
    path = tmp_path / "run.npz"

    def fit(**arguments):
        parts = Parts(examples=45, batch_size=10)
        world = World(4, sync_batch_norm=True)
        history = parts.fit(validate=parts.validate, distributed=world, **arguments)
        return measures(history), parts.state()

    first = fit(compile=True, callbacks=[Checkpoint(path, every=100), Drops(7)])
    assert len(first[0]["loss"]) == 2
    assert_same(fit(resume=path), fit())
    with pytest.raises(CheckpointError, match="`sync_batch_norm` is True, and this World has False"):
        fit_in_shards(4, resume=path)


def test_shards_that_do_not_reach_the_same_layers():
    """The others do not wait for ever, and an error in one ends all."""
    model = nn.BatchNorm1d(3, dtype=np.float64)
    world = World(3, sync_batch_norm=True)
    world.start(model=model)
    before = model.state_dict()
    x = np.arange(18.0).reshape(6, 3)

    def some(x):
        return (model(x) if x.numpy()[0, 0] < 7 else x * model.weight).mean()

    with pytest.raises(RuntimeError, match="reached in some shards and not in others"):
        world.step(some, (x,))

    def fails(x):
        if x.numpy()[0, 0] > 7:
            raise KeyError("no")
        return model(x).mean()

    with pytest.raises(KeyError, match="no"):
        world.step(fails, (x,))
    assert_same(model.state_dict(), before)
    assert not [thread for thread in threading.enumerate() if thread.name == "shard" and thread.is_alive()]
