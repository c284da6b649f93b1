"""`fit` on JAX's devices: the same training as here, and its state in the model and the optimizer."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
from numpy.testing import assert_allclose

import tinygrad_cnn as tg
from tinygrad_cnn import nn

from . import needs

jax = needs.jax()
ROOT = Path(__file__).parents[2]

RNG = np.random.default_rng(0)
X, Y = RNG.standard_normal((52, 1, 6, 6)), RNG.integers(0, 3, 52)  # six batches of 8, and one of 4


class Net(nn.Module):
    """A layer that is not used, one that is frozen, and batch normalization."""

    def __init__(self, p=0.0):
        self.conv = nn.Conv2d(1, 3, 3, bias=False)
        self.norm = nn.BatchNorm2d(3)
        self.frozen = nn.Linear(48, 5)
        self.unused = nn.Linear(2, 2)
        self.drop = nn.Dropout(p)
        self.out = nn.Linear(5, 3)
        for q in self.frozen.parameters():
            q.requires_grad = False

    def forward(self, x):
        return self.out(self.drop(tg.tanh(self.frozen(self.norm(self.conv(x)).relu().flatten(1)))))


def trained(make, engine, epochs=8, p=0.0, **arguments):
    tg.manual_seed(0)
    model = Net(p)
    model.to(np.float64)
    optimizer = make([q for q in model.parameters() if q.requires_grad])
    scheduler = arguments.pop("scheduler", lambda optimizer: None)(optimizer)
    data = tg.data.DataLoader(tg.data.TensorDataset(X, Y), 8, shuffle=True, seed=0)
    how = {"epochs": epochs, "progress": False, "compile": False, "scheduler": scheduler, "validate": (X[:20], Y[:20])}
    history = tg.fit(model, data, tg.cross_entropy, optimizer, engine=engine, **{**how, **arguments})
    return model, optimizer, history


def assert_alike(one, other, rtol=1e-6, atol=1e-8):
    """Two trainings have the same parameters, buffers, optimizer's state and history."""
    (a, first, h), (b, second, k) = one, other
    for name, value in a.state_dict().items():
        assert_allclose(b.state_dict()[name], value, rtol=rtol, atol=atol, err_msg=name)
    (left, right) = (optimizer.state_dict()["state"] for optimizer in (first, second))
    assert left.keys() == right.keys()
    for index, slots in left.items():
        assert slots.keys() == right[index].keys()
        for name, value in slots.items():
            assert type(right[index][name]) is type(value)
            assert_allclose(right[index][name], value, rtol=rtol, atol=atol, err_msg=name)
    assert h.keys() == k.keys()
    for name in h:
        if name != "seconds":
            assert_allclose(k[name], h[name], rtol=rtol, atol=atol, err_msg=name)


optim = tg.optim
OPTIMIZERS = {
    "SGD": lambda p: optim.SGD(p, lr=0.1),
    "momentum": lambda p: optim.SGD(p, lr=0.05, momentum=0.9, dampening=0.1, weight_decay=0.01),
    "nesterov": lambda p: optim.SGD(p, lr=0.05, momentum=0.9, nesterov=True),
    "Adam": lambda p: optim.Adam(p, lr=0.01),
    "amsgrad": lambda p: optim.Adam(p, lr=0.01, amsgrad=True, weight_decay=0.01),
    "AdamW": lambda p: optim.AdamW(p, lr=0.01),
    "RMSprop": lambda p: optim.RMSprop(p, lr=0.005, momentum=0.5, centered=True),
    "Adagrad": lambda p: optim.Adagrad(p, lr=0.05, lr_decay=0.01),
    "Lion": lambda p: optim.Lion(p, lr=0.003),
    "Adamax": lambda p: optim.Adamax(p, lr=0.01),
    "NAdam": lambda p: optim.NAdam(p, lr=0.01),
    "Adadelta": lambda p: optim.Adadelta(p),
    "ASGD": lambda p: optim.ASGD(p, lr=0.05),
    "Rprop": lambda p: optim.Rprop(p, lr=0.01),
    "RAdam": lambda p: optim.RAdam(p, lr=0.01, weight_decay=0.01),
    "RAdam decoupled": lambda p: optim.RAdam(
        p, lr=0.01, betas=(0.8, 0.9), weight_decay=0.01, decoupled_weight_decay=True
    ),
    "Adafactor": lambda p: optim.Adafactor(p, lr=0.05, weight_decay=0.01),
    "Adafactor maximized": lambda p: optim.Adafactor(p, lr=0.01, eps=(1e-10, 1e-2), d=1.5, maximize=True),
    "Muon": lambda p: optim.Muon([q for q in p if q.ndim == 2], lr=0.02),
    "Muon of AdamW's size": lambda p: optim.Muon(
        [q for q in p if q.ndim == 2], lr=0.02, nesterov=False, adjust_lr_fn="match_rms_adamw"
    ),
}


@pytest.mark.parametrize("name", OPTIMIZERS)
@pytest.mark.part(3)
def test_fifty_steps_of_every_optimizer(name):
    assert_alike(trained(OPTIMIZERS[name], None), trained(OPTIMIZERS[name], tg.jax.Devices()))


def test_every_optimizer_is_tried():
    """And is in the table of the guide."""
    everyone = {n for n, c in vars(optim).items() if isinstance(c, type) and issubclass(c, optim.Optimizer)}
    tried = {type(make([tg.ones(2, 2, requires_grad=True)])).__name__ for make in OPTIMIZERS.values()}
    assert everyone - tried == {"Optimizer", "LBFGS"}
    rows = re.findall(r"^\| (.*) \| .* \|$", (ROOT / "docs" / "devices.md").read_text(encoding="utf-8"), re.MULTILINE)
    assert {name for row in rows for name in row.split(", ")}.issuperset(everyone - {"Optimizer"})


def test_a_rule_that_jax_cannot_compute_is_an_error():
    class Careful(optim.SGD):
        def update(self, p, g, state, group, new, t, u):
            if np.abs(g).max() < 1:
                super().update(p, g, state, group, new, t, u)

    with pytest.raises(TypeError, match="LBFGS"):
        trained(lambda p: optim.LBFGS(p), tg.jax.Devices(), epochs=1)
    with pytest.raises(tg.jax.JaxError, match="Careful: its rule"):
        trained(lambda p: Careful(p, lr=0.1), tg.jax.Devices(), epochs=1)


def test_schedules_and_clipping():
    def cycle(optimizer):
        return tg.training.EachStep(optim.OneCycleLR(optimizer, max_lr=0.1, total_steps=21))

    class Clip(tg.training.Callback):
        def on_gradients(self, run):
            optim.clip_grad_norm_(run.model.parameters(), 0.1)

    how = {"scheduler": cycle, "epochs": 3}
    here = trained(OPTIMIZERS["momentum"], None, callbacks=[Clip()], **how)
    assert_alike(here, trained(OPTIMIZERS["momentum"], tg.jax.Devices(), clip_norm=0.1, **how))
    assert_alike(here, trained(OPTIMIZERS["momentum"], tg.jax.Devices(), callbacks=[Clip()], **how))


def test_a_resumed_training_has_the_same_bits(tmp_path):
    class Stop(tg.training.Callback):
        def on_step_end(self, run):
            if run.step == 10:
                run.stop("in the second epoch")

    path = tmp_path / "run.npz"
    whole = trained(OPTIMIZERS["Adam"], tg.jax.Devices(), epochs=3, p=0.3)
    trained(OPTIMIZERS["Adam"], tg.jax.Devices(), epochs=3, p=0.3, callbacks=[tg.training.Checkpoint(path), Stop()])
    again = trained(OPTIMIZERS["Adam"], tg.jax.Devices(), epochs=3, p=0.3, resume=path)
    assert_alike(whole, again, rtol=0, atol=0)


def test_training_goes_on_here():
    model, optimizer, _ = trained(OPTIMIZERS["Adam"], tg.jax.Devices(), epochs=1)
    other, second, _ = trained(OPTIMIZERS["Adam"], None, epochs=1)
    for m, o in ((model, optimizer), (other, second)):
        tg.fit(m, (X, Y), tg.cross_entropy, o, epochs=2, shuffle=False, progress=False)
    for name, value in other.state_dict().items():
        assert_allclose(model.state_dict()[name], value, rtol=1e-6, atol=1e-9)


def test_what_callbacks_see_and_write():
    seen = []

    class Look(tg.training.Callback):
        def on_step_end(self, run):
            seen.append(run.model.out.weight.numpy().copy())

        def on_epoch_end(self, run):
            run.model.out.weight.copy_(np.zeros((3, 5)))

    one = trained(OPTIMIZERS["SGD"], None, epochs=2, callbacks=[Look()])
    here, seen[:] = list(seen), []
    assert_alike(one, trained(OPTIMIZERS["SGD"], tg.jax.Devices(), epochs=2, callbacks=[Look()]))
    assert_allclose(seen, here, rtol=1e-9, atol=1e-12)


def test_metrics():
    class Share(tg.metrics.Metric):
        """One that reads values, which JAX cannot compute: it is given the output."""

        name = "share"

        def measure(self, output, target):
            return tg.Tensor(float((output.numpy().argmax(1) == target.numpy()).sum()))

    areas = [tg.metrics.AUROC(), tg.metrics.IoU(average=None), tg.metrics.AveragePrecision(thresholds=20)]
    for metrics in (["accuracy", "f1"], [Share()], areas):
        here, there = (trained(OPTIMIZERS["SGD"], e, epochs=1, metrics=metrics) for e in (None, tg.jax.Devices()))
        assert_alike(here, there)


def test_a_label_out_of_range_is_the_librarys_error():
    model = nn.Linear(2, 3)
    optimizer = optim.SGD(model.parameters(), lr=0.1)
    x, y = np.ones((8, 2), np.float32), np.array([0, 1, 2, 0, 1, 2, 99, 0])
    before = model.weight.numpy().copy()
    with pytest.raises(IndexError, match="99"):
        tg.fit(model, (x, y), tg.cross_entropy, optimizer, epochs=1, progress=False, engine=tg.jax.Devices())
    np.testing.assert_array_equal(model.weight.numpy(), before)


@pytest.mark.part(2)
@pytest.mark.parametrize("seen", [False, True])
@pytest.mark.parametrize("count", [2, 7, 9])
def test_accumulated_gradients(count, seen):
    """Of groups of batches, the last batch is smaller, and so is the last group; clipped after they are summed."""

    class Look(tg.training.Callback):
        def on_gradients(self, run):
            norms.append(float(optim.clip_grad_norm_(run.model.parameters(), 1e9)))

    norms = []
    how = {"epochs": 3, "accumulate": count, "clip_norm": 0.1, "callbacks": [Look()] if seen else []}
    here, found = trained(OPTIMIZERS["momentum"], None, **how), list(norms)
    norms.clear()
    assert_alike(here, trained(OPTIMIZERS["momentum"], tg.jax.Devices(), **how))
    assert_allclose(norms, found, rtol=1e-9)
    assert bool(norms) == seen


def test_accumulated_batches_draw_differently_and_resume(tmp_path):
    path = tmp_path / "run.npz"
    how = {"p": 0.3, "accumulate": 3}
    whole = trained(OPTIMIZERS["Adam"], tg.jax.Devices(), epochs=2, **how)
    trained(OPTIMIZERS["Adam"], tg.jax.Devices(), epochs=1, callbacks=[tg.training.Checkpoint(path)], **how)
    assert_alike(whole, trained(OPTIMIZERS["Adam"], tg.jax.Devices(), epochs=2, resume=path, **how), rtol=0, atol=0)


def test_averages_of_weights(tmp_path):
    """The validation is of the averages, which follow each step, and the model has them at the end."""
    path = tmp_path / "run.npz"

    def average(engine, epochs=4, **more):
        callback = tg.training.AverageWeights(decay=0.9)
        return trained(OPTIMIZERS["Adam"], engine, epochs=epochs, callbacks=[callback, *more.pop("others", [])], **more)

    here, there = average(None), average(tg.jax.Devices())
    assert_alike(here, there)
    plain = trained(OPTIMIZERS["Adam"], tg.jax.Devices(), epochs=4)
    assert abs(there[2]["val_loss"][-1] - plain[2]["val_loss"][-1]) > 1e-6
    average(tg.jax.Devices(), epochs=2, others=[tg.training.Checkpoint(path)])
    assert_alike(there, average(tg.jax.Devices(), resume=path), rtol=0, atol=0)


def test_gradients_when_a_step_ends():
    """Our callback measures them; a callback of one's own finds none, not those of an earlier training."""
    here, there = (
        trained(OPTIMIZERS["SGD"], e, epochs=2, callbacks=[tg.training.GradientNorms()])
        for e in (None, tg.jax.Devices())
    )
    assert_alike(here, there)
    assert any("grad" in name for name in there[2])

    class Look(tg.training.Callback):
        def on_fit_begin(self, run):
            run.model.out.weight.grad = tg.zeros(3, 5, dtype=np.float64)

        def on_step_end(self, run):
            seen.append(run.model.out.weight.grad)

    seen = []
    trained(OPTIMIZERS["SGD"], tg.jax.Devices(), epochs=1, callbacks=[Look()])
    assert seen == [None] * 7


def test_callbacks_that_write_weights_before_the_validation():
    class Zero(tg.training.Callback):
        def on_validation_begin(self, run):
            self.kept = run.model.out.weight.numpy().copy()
            run.model.out.weight.copy_(np.zeros((3, 5)))

        def on_validation_end(self, run):
            run.model.out.weight.copy_(self.kept)

    here, there = (trained(OPTIMIZERS["SGD"], e, epochs=2, callbacks=[Zero()]) for e in (None, tg.jax.Devices()))
    assert_alike(here, there)


SCHEDULES = {
    "cosine": lambda o: optim.CosineAnnealingLR(o, T_max=3),
    "step": lambda o: optim.StepLR(o, step_size=1, gamma=0.5),
    "plateau": lambda o: optim.ReduceLROnPlateau(o, patience=0, threshold=10.0),
    "each step": lambda o: tg.training.EachStep(optim.ExponentialLR(o, gamma=0.95)),
}


@pytest.mark.parametrize("name", SCHEDULES)
@pytest.mark.part(1)
def test_schedules(name):
    here, there = (
        trained(OPTIMIZERS["Adam"], e, epochs=4, scheduler=SCHEDULES[name]) for e in (None, tg.jax.Devices())
    )
    assert_alike(here, there)
    assert len(set(there[2]["lr"])) > 1


def test_early_stopping_restores_the_best():
    def run(engine):
        stopping = tg.training.EarlyStopping(patience=1)
        return trained(lambda p: optim.SGD(p, lr=0.8), engine, epochs=6, callbacks=[stopping])

    assert_alike(run(None), run(tg.jax.Devices()))


def test_wrong_arguments():
    model = nn.Linear(2, 3)
    optimizer = optim.SGD(model.parameters(), lr=0.1)
    data = (np.ones((8, 2), np.float32), np.zeros(8, int))
    for engine, error in (("gpu", TypeError), (tg.jax.Devices, TypeError)):
        with pytest.raises(error, match="engine"):
            tg.fit(model, data, tg.cross_entropy, optimizer, epochs=1, progress=False, engine=engine)
    both = {"engine": tg.jax.Devices(), "distributed": tg.distributed.World()}
    with pytest.raises(ValueError, match="leave one out"):
        tg.fit(model, data, tg.cross_entropy, optimizer, epochs=1, progress=False, **both)
    with pytest.raises(TypeError, match="devices"):
        tg.jax.Devices(["gpu"])
    other = optim.SGD([*model.parameters(), tg.ones(2, requires_grad=True)], lr=0.1)
    with pytest.raises(ValueError, match="not the Linear's"):
        tg.fit(model, data, tg.cross_entropy, other, epochs=1, progress=False, engine=tg.jax.Devices())
