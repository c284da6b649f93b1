"""Batches that are dicts, and dicts of whole arrays, with `keys`: the bits of tuples, in every way of training."""

from __future__ import annotations

from collections import UserDict
from functools import partial

import numpy as np
import pytest

import tinygrad_cnn as tg
from tinygrad_cnn import nn
from tinygrad_cnn.extra.distributed import World

from .common import DIGITS, IMAGES, Parts, assert_same, measures

N = 45
KEYS = ("image", "class")
SCALES = np.linspace(0.5, 1.5, N, dtype=np.float32)[:, None]


class Scaled(nn.Module):
    """A model with two inputs."""

    def __init__(self):
        super().__init__()
        self.inner = Parts().model

    def forward(self, image, scale):
        return self.inner(image) * scale


def examples(n=N):
    return [{"class": DIGITS[i], "scale": SCALES[i], "name": i, "image": IMAGES[i]} for i in range(n)]


def loaders(keys, **options):
    """Batches as tuples, as dicts, and as lists of dicts that are no `dict`."""
    options = {"batch_size": 10, "seed": 0, "shuffle": True, **options}
    columns = {"image": IMAGES[:N], "scale": SCALES, "class": DIGITS[:N]}
    tuples = tg.data.DataLoader(tg.data.TensorDataset(*(columns[key] for key in keys)), **options)
    named = tg.data.DataLoader(examples(), **options)
    ordered = [UserDict(batch) for batch in tg.data.DataLoader(examples(), 10)]
    return tuples, named, ordered


def trained(loader, model=None, optimizer=tg.optim.Adam, loss=tg.cross_entropy, **options):
    tg.manual_seed(3)
    model = Parts().model if model is None else model()
    options = {"epochs": 2, "progress": False, "metrics": ["accuracy", "f1"], **options}
    history = tg.fit(model, loader, loss, optimizer(model.parameters(), lr=0.01), **options)
    return measures(history), model.state_dict()


WAYS = {
    "eager": {"compile": False},
    "compiled": {},
    "class weights": {"class_weight": {3: 2.0, 7: 0.0}},
    "in shards": {"distributed": World(3)},
    "metrics": {"metrics": {"loss again": tg.cross_entropy}},
}


@pytest.mark.part(2)
@pytest.mark.parametrize("way", WAYS)
def test_dicts_train_as_tuples_do(way):
    tuples, named, _ = loaders(KEYS)
    held_tuples, held_named, held_listed = loaders(KEYS, shuffle=False)
    plain = trained(tuples, validate=held_tuples, **WAYS[way])
    assert_same(trained(named, validate=held_named, keys=KEYS, **WAYS[way]), plain)
    assert_same(trained(loaders(KEYS)[1], validate=held_listed, keys=KEYS, **WAYS[way]), plain)


@pytest.mark.parametrize("shards", [None, 2])
def test_a_list_of_dicts_and_several_inputs(shards):
    keys = ("image", "scale", "class")
    options = {} if shards is None else {"distributed": World(shards)}
    tuples, _, listed = loaders(keys, shuffle=False)
    assert_same(trained(listed, Scaled, keys=keys, **options), trained(tuples, Scaled, **options))


def test_the_order_is_that_of_the_keys_and_not_of_the_dict():
    class Difference(nn.Module):
        def forward(self, a, b):
            return a - b

    batch = {"b": np.full(2, 1.0), "y": np.zeros(2), "a": np.full(2, 5.0)}
    for keys, value in ((("a", "b", "y"), 16.0), (("y", "b", "a"), 36.0)):
        assert tg.evaluate(Difference(), [batch], tg.mse, keys=keys) == {"loss": value}
    np.testing.assert_array_equal(tg.predict(Difference(), [batch], keys=("b", "a", "y")), [-4.0, -4.0])
    np.testing.assert_array_equal(tg.predict(Difference(), batch, keys=("b", "a", "y")), [-4.0, -4.0])


def test_whole_arrays_in_a_dict():
    data = {"class": DIGITS[:N], "image": IMAGES[:N]}
    for options in ({}, {"class_weight": "balanced"}):
        plain = trained((IMAGES[:N], DIGITS[:N]), batch_size=8, validate=(IMAGES[:N], DIGITS[:N]), **options)
        assert_same(trained(data, batch_size=8, validate=data, keys=list(KEYS), **options), plain)


def test_evaluate_and_predict():
    model = Parts().model
    tuples, named, listed = loaders(KEYS, shuffle=False)
    measured, predicted = tg.evaluate(model, tuples, tg.cross_entropy), tg.predict(model, tuples)
    for loader in (named, listed):
        assert tg.evaluate(model, loader, tg.cross_entropy, keys=KEYS) == measured
        for keys in (KEYS, ("image",), ("image", "not there")):
            np.testing.assert_array_equal(tg.predict(model, loader, keys=keys), predicted)
    whole = {"image": IMAGES[:N], "class": DIGITS[:N]}
    assert tg.evaluate(model, whole, tg.cross_entropy, keys=KEYS, batch_size=10) == measured
    for data in (whole, {"image": IMAGES[:N]}):
        np.testing.assert_array_equal(tg.predict(model, data, keys=KEYS, batch_size=10), predicted)


def test_a_run_is_resumed_in_the_middle_of_an_epoch(tmp_path):
    class Drops(tg.training.Callback):
        def on_step_end(self, run):
            if run.step == 3:
                run.stop("enough")

    path = tmp_path / "run.npz"
    named = partial(loaders, KEYS)
    trained(named()[1], keys=KEYS, callbacks=[tg.training.Checkpoint(path), Drops()])
    assert_same(trained(named()[1], keys=KEYS, resume=path), trained(named()[0]))


def test_a_world_in_a_loop_of_your_own():
    model = Parts().model
    world = World(2)
    world.start(model=model)

    def loss(image, digit):
        return tg.cross_entropy(model(image), digit)

    (_, named, listed), batch = loaders(KEYS, shuffle=False), examples(10)
    found = []
    for loader in (named, listed):
        world.steps = 0
        found.append(world.step(loss, next(world.batches(loader, keys=KEYS))).item())
    assert found[0] == found[1]
    with pytest.raises(TypeError, match=r"World.step: a batch is a dict; .*world\.batches\(loader, keys=\.\.\.\)"):
        world.step(loss, tg.data.collate(batch))


MODEL = Parts().model
BATCH = tg.data.collate(examples(4))
REMEDY = r"is a dict with 'class', 'scale', 'name', 'image'; name the model's arguments.*keys=\('class', 'scale'"


@pytest.mark.parametrize("world", [None, World(2)])
def test_without_keys_the_error_names_them(world):
    before = MODEL.state_dict()
    fit = partial(tg.fit, MODEL, loss=tg.cross_entropy, optimizer=tg.optim.SGD(MODEL.parameters()), epochs=1)
    fit = partial(fit, progress=False, distributed=world)
    for call in (
        lambda: fit([BATCH]),
        lambda: fit(tg.data.DataLoader(examples(4), 4)),
        lambda: fit([(IMAGES[:4], DIGITS[:4])], validate=[BATCH]) if world is None else fit([BATCH]),
        lambda: tg.evaluate(MODEL, [BATCH], tg.cross_entropy),
        lambda: tg.predict(MODEL, [BATCH]),
    ):
        with pytest.raises(TypeError, match="a batch " + REMEDY):
            call()
    with pytest.raises(TypeError, match="fit: `loader` " + REMEDY):
        fit(BATCH)
    with pytest.raises(TypeError, match="predict: `data` " + REMEDY):
        tg.predict(MODEL, BATCH)
    if world is not None:
        assert_same(MODEL.state_dict(), before)


def test_wrong_keys_are_answered():
    before = MODEL.state_dict()
    for keys, error, message in [
        (
            ("pixels", "class"),
            ValueError,
            "a batch has no 'pixels', which is in `keys`; it is a dict with 'class', 'scale'",
        ),
        ("image", TypeError, "`keys` is 'image'; it must be a tuple of the names"),
        (3, TypeError, "`keys` is 3; it must be a tuple of the names"),
        (("image", 1), TypeError, r"`keys` is \('image', 1\); it must be"),
        (("image",), ValueError, r"`keys` is \('image',\); it must be .*, each once"),
        (("image", "class", "image"), ValueError, "each once"),
    ]:
        with pytest.raises(error, match=message):
            tg.fit(
                MODEL, [BATCH], tg.cross_entropy, tg.optim.SGD(MODEL.parameters()), epochs=1, keys=keys, progress=False
            )
        if keys != ("image",):
            with pytest.raises(error, match=message):
                tg.predict(MODEL, [BATCH], keys=keys)
        with pytest.raises(error, match=message):
            tg.evaluate(MODEL, [BATCH], tg.cross_entropy, keys=keys)
    assert_same(MODEL.state_dict(), before)


ARRAYS = (IMAGES[:4], DIGITS[:4])
LOADER = tg.data.DataLoader(tg.data.TensorDataset(*ARRAYS), 4)


@pytest.mark.parametrize("world", [None, World(2)])
def test_keys_of_what_are_no_dicts_are_refused(world):
    before = MODEL.state_dict()
    fit = partial(tg.fit, MODEL, loss=tg.cross_entropy, optimizer=tg.optim.SGD(MODEL.parameters()), epochs=1)
    fit = partial(fit, progress=False, distributed=world, keys=KEYS)
    remedy = "is a tuple, and `keys` names the parts of dicts; leave `keys` out, or give dicts"
    for data in ([ARRAYS], LOADER):
        for call in (
            lambda data=data: fit(data),
            lambda data=data: tg.evaluate(MODEL, data, tg.cross_entropy, keys=KEYS),
            lambda data=data: tg.predict(MODEL, data, keys=KEYS),
        ):
            with pytest.raises(TypeError, match="a batch " + remedy):
                call()
    for call in (
        lambda: fit(ARRAYS),
        lambda: fit([BATCH], validate=ARRAYS),
        lambda: tg.evaluate(MODEL, ARRAYS, tg.cross_entropy, keys=KEYS),
        lambda: tg.predict(MODEL, ARRAYS[0], keys=KEYS),
    ):
        with pytest.raises(TypeError, match=r"(fit|evaluate|predict): `(loader|validate|data)` " + remedy):
            call()
    assert_same(MODEL.state_dict(), before)


@pytest.mark.parametrize("world", [None, World(2)])
def test_whole_arrays_beside_a_loader_of_dicts(world):
    whole, named = {"class": DIGITS[:N], "image": IMAGES[:N]}, loaders(KEYS, shuffle=False)[1]
    options = {"shuffle": False, "batch_size": 10, "distributed": world}
    first = trained(whole, validate=named, keys=KEYS, **options)
    assert_same(trained((IMAGES[:N], DIGITS[:N]), validate=loaders(KEYS, shuffle=False)[0], **options), first)
