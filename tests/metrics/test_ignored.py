"""Positions that a loss ignores count in no metric of classes."""

from __future__ import annotations

from functools import partial

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import tinygrad_cnn as tg
from tinygrad_cnn import metrics as m
from tinygrad_cnn import nn

METRICS = {
    "accuracy": m.Accuracy,
    "top2": lambda **options: m.TopK(2, **options),
    "f1": m.F1,
}
LOSSES = {
    "function": lambda i: tg.cross_entropy if i == -100 else None,
    "partial": lambda i: partial(tg.cross_entropy, ignore_index=i),
    "partial of a partial": lambda i: partial(partial(tg.cross_entropy, ignore_index=i), reduction="mean"),
    "layer": lambda i: nn.CrossEntropyLoss(ignore_index=i),
}


@pytest.mark.parametrize("name", METRICS)
@given(st.sampled_from([-100, -1, 0, 2]), st.integers(0, 999), st.booleans())
def test_as_if_they_were_not_there(name, ignored, seed, weighted):
    rng = np.random.default_rng(seed)
    scores, classes = rng.normal(size=(6, 4, 3)), rng.integers(4, size=(6, 3))
    classes[rng.random((6, 3)) < 0.4] = ignored
    classes[0, 0] = 1
    flat, labels = np.moveaxis(scores, 1, -1).reshape(-1, 4), classes.ravel()
    kept = labels != ignored
    weight = rng.random(6) + 0.1 if weighted else None
    each = None if weight is None else weight.repeat(3)[kept]
    found = METRICS[name](ignore_index=ignored)(scores, classes, weight)
    if name == "f1":  # the class is in no average
        values = m.F1(average=None)(flat[kept], labels[kept], each)
        occurs = [c != ignored and (c in labels[kept] or c in flat[kept].argmax(axis=1)) for c in range(4)]
        expected = values[occurs].mean()
    else:
        expected = METRICS[name]()(flat[kept], labels[kept], each)
    assert found == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("compile", [False, True])
@pytest.mark.parametrize("ignored", [-100, 0])
@pytest.mark.parametrize("form", LOSSES)
def test_training_and_evaluation_leave_out_what_the_loss_does(form, ignored, compile):
    if (loss := LOSSES[form](ignored)) is None:
        return
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(20, 4)).astype(np.float32), rng.integers(4, size=20)
    y[::3] = ignored
    kept = y != ignored
    model = nn.Linear(4, 4)
    optimizer = tg.optim.SGD(model.parameters(), lr=0.0)
    names = ["accuracy", "top2", "f1"]
    expected = {metric.name: metric(model(x[kept]).detach(), y[kept]) for metric in m.resolved(names, loss)}
    options = {"epochs": 1, "batch_size": 7, "shuffle": False, "compile": compile, "progress": False}
    history = tg.fit(model, (x, y), loss, optimizer, metrics=names, validate=(x, y), **options)
    default = tg.fit(model, (x, y), loss, optimizer, **options)
    measured = tg.evaluate(model, (x, y), loss, metrics=names, batch_size=7)
    for name, value in expected.items():
        assert history[name] == history[f"val_{name}"] == [pytest.approx(value, rel=1e-12)]
        assert measured[name] == pytest.approx(value, rel=1e-12)
    assert default["accuracy"] == history["accuracy"]


def test_the_other_loss_of_classes():
    (metric,) = m.resolved("accuracy", nn.NLLLoss(ignore_index=1))
    assert metric.ignore_index == 1


def test_with_weights_of_classes():
    x, y = np.eye(4, dtype=np.float32), np.array([0, 1, -100, 0])
    model = nn.Linear(4, 4, bias=False)
    nn.init.eye_(model.weight)
    optimizer = tg.optim.SGD(model.parameters(), lr=0.0)
    history = tg.fit(model, (x, y), tg.cross_entropy, optimizer, epochs=1, class_weight={1: 2.0}, progress=False)
    assert history["accuracy"] == [2 / 3]


def test_nothing_but_ignored_positions():
    assert np.isnan(m.Accuracy()(np.eye(2), np.array([-100, -100])))


def test_how_they_are_shown():
    assert repr(m.resolved(["accuracy", "top3", "f1"], partial(tg.cross_entropy, ignore_index=0))) == (
        "[Accuracy(ignore_index=0), TopK(3, ignore_index=0), F1(threshold=0.0, ignore_index=0)]"
    )
    with pytest.raises(TypeError, match="Accuracy: `ignore_index` is 0.5; it must be a whole number"):
        m.Accuracy(ignore_index=0.5)
