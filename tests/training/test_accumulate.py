"""`fit` with `accumulate` takes the steps of larger batches, and with `clip_norm` those of a loop that clips."""

from __future__ import annotations

import math

import numpy as np
import pytest

import tinygrad_cnn as tg
from tinygrad_cnn import nn
from tinygrad_cnn.training import Callback, Checkpoint, GradientNorms

rng = np.random.default_rng(0)
X = rng.normal(size=(23, 4))
Y = rng.normal(size=(23, 2))
CLASSES = rng.integers(0, 2, 23)


def network():
    tg.manual_seed(0)
    return nn.Sequential(nn.Linear(4, 8, dtype=np.float64), nn.Tanh(), nn.Linear(8, 2, dtype=np.float64))


def batches(sizes, y=Y):
    ends = np.cumsum(sizes)
    assert ends[-1] == len(X)
    return [(X[end - size : end], y[end - size : end]) for size, end in zip(sizes, ends, strict=True)]


def trained(loader, make=tg.optim.Adam, loss=tg.mse, **options):
    model = network()
    history = tg.fit(model, loader, loss, make(model.parameters(), lr=0.05), epochs=3, progress=False, **options)
    return {name: value.copy() for name, value in model.state_dict().items()}, history


def assert_close(a, b):
    assert a.keys() == b.keys()
    for name in a:
        np.testing.assert_allclose(a[name], b[name], rtol=1e-9, atol=1e-12, err_msg=name)


@pytest.mark.parametrize("compile", [False, True], ids=["eager", "compiled"])
@pytest.mark.parametrize(("loss", "y"), [(tg.mse, Y), (tg.cross_entropy, CLASSES)], ids=["mse", "cross_entropy"])
def test_the_steps_are_those_of_the_large_batches(compile, loss, y):
    small, large = batches([3, 5, 4, 2, 1, 5, 3], y), batches([12, 8, 3], y)
    ours, history = trained(small, loss=loss, accumulate=3, compile=compile)
    expected, theirs = trained(large, loss=loss, compile=False)
    assert_close(ours, expected)
    np.testing.assert_allclose(history["loss"], theirs["loss"], rtol=1e-9)


def test_steps_count_groups_and_a_schedule_is_stepped_once_for_each():
    counts = []

    class Count(Callback):
        def on_step_end(self, run):
            counts.append((run.step, run.batch, run.batches, len(run.parts[-1])))

    trained(batches([4, 4, 4, 4, 7]), accumulate=2, callbacks=[Count()])
    assert counts[:4] == [(1, 1, 3, 4), (2, 2, 3, 4), (3, 3, 3, 7), (4, 1, 3, 4)]
    assert len(counts) == 9


@pytest.mark.parametrize("stateful", [False, True])
def test_a_resumed_run_goes_on_to_the_same_bits(stateful, tmp_path):
    def loader():
        small = batches([4, 4, 4, 4, 7])
        return tg.data.DataLoader(tg.data.TensorDataset(X, Y), 4, shuffle=True, seed=1) if stateful else small

    class Stop(Callback):
        def on_step_end(self, run):
            if run.step == 5:
                run.stop("enough")

    whole, _ = trained(loader(), accumulate=2)
    trained(loader(), accumulate=2, callbacks=[Stop(), Checkpoint(tmp_path / "run.npz")])
    assert tg.load(tmp_path / "run.npz")["run"]["batch"] == 2
    resumed, _ = trained(loader(), accumulate=2, resume=tmp_path / "run.npz")
    for name in whole:
        np.testing.assert_array_equal(whole[name], resumed[name])


@pytest.mark.filterwarnings("ignore:.* encountered")
def test_a_loss_that_is_not_finite_is_found_in_any_batch_of_a_group():
    small = batches([4, 4, 4, 4, 7])
    small[2] = (small[2][0], np.full((4, 2), np.inf))
    with pytest.warns(RuntimeWarning, match=r"the loss is inf in step 2 of epoch 1; the target has 8 of 8 values"):
        _, history = trained(small, accumulate=2, stop_on_nan=True)
    assert history.epochs == 1


@pytest.mark.parametrize("compile", [False, True], ids=["eager", "compiled"])
@pytest.mark.parametrize("accumulate", [1, 2])
def test_gradients_are_clipped_together(compile, accumulate):
    limit, norms = 0.3, GradientNorms()
    large = batches([8, 8, 7])
    small = large if accumulate == 1 else batches([4, 4, 4, 4, 7])
    ours, history = trained(
        small, tg.optim.SGD, accumulate=accumulate, clip_norm=limit, callbacks=[norms], compile=compile
    )
    model, seen = network(), []
    for _ in range(3):
        for x, y in large:
            loss = tg.mse(model(x), y)
            model.zero_grad()
            loss.backward()
            gradients = [p.grad.numpy() for p in model.parameters()]
            norm = math.sqrt(sum((g * g).sum() for g in gradients))
            seen.append(norm)
            with tg.no_grad():
                for p, g in zip(model.parameters(), gradients, strict=True):
                    p.copy_(p.numpy() - 0.05 * g * min(1, limit / (norm + 1e-6)))
    assert max(seen) > limit
    assert_close(ours, model.state_dict())
    assert max(history["max_grad_norm"]) == pytest.approx(limit, rel=1e-5)


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"clip_norm": 0}, ValueError, "fit: `clip_norm` is 0; it must be a finite number above 0, or None"),
        ({"clip_norm": "1"}, TypeError, "fit: `clip_norm` is '1'; it must be"),
        ({"accumulate": 0}, ValueError, "fit: `accumulate` is 0; it must be a whole number of at least 1"),
        ({"accumulate": 1.5}, TypeError, "fit: `accumulate` is 1.5; it must be a whole number"),
        ({"accumulate": 2, "distributed": 2}, ValueError, "larger batches and more shards"),
    ],
)
def test_bad_arguments_are_named(options, error, message):
    if "distributed" in options:
        options = {**options, "distributed": tg.distributed.World(options["distributed"])}
    with pytest.raises(error, match=message):
        trained(batches([23]), **options)
