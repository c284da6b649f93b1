"""Trained models that packages of PyPI carry, and the light networks of the package onnx, beside onnxruntime."""

from __future__ import annotations

import numpy as np
import pytest

import tinygrad_cnn as tg

from . import needs

onnx = needs.onnx()
needs.runtime()

from tinygrad_cnn.extra.onnx import load  # noqa: E402

from .exports import exported, outputs  # noqa: E402
from .models import LARGE, LIGHT, REAL, example, light_path, materialized, real_path  # noqa: E402


def difference(ours, theirs):
    """The largest difference, relative to the largest value."""
    return np.abs(ours - theirs).max() / np.abs(theirs).max()


@pytest.mark.parametrize("name", REAL)
def test_a_trained_model(name):
    """It gives what onnxruntime gives for several sizes; so does it compiled, exported again, and loaded again."""
    path = real_path(name)
    model = load(path)
    compiled = tg.compile(model)
    for shape in REAL[name].shapes:
        x = example(name, shape)
        (wanted,) = needs.run(path, x)
        assert np.ptp(wanted) > 0.1, "the example says something"
        with tg.no_grad():
            found = model(x)
            assert difference(found.numpy(), wanted) < 1e-4
            for _ in range(2):
                assert difference(compiled(x).numpy(), wanted) < 1e-4
    source = exported(model, x)
    twice = np.concatenate([x, x])
    (wanted,) = needs.run(path, twice)
    for again in (needs.run(source, twice), outputs(load(source)(twice))):
        assert difference(again[0], wanted) < 1e-4
    assert set(model.names.values()) == set(load(source).names.values())


@pytest.mark.parametrize(("name", "axes", "shapes"), [
    ("recognizer", [0, 3], [(2, 3, 48, 96), (1, 3, 48, 320)]),
    ("detector", [0, 2, 3], [(1, 3, 96, 160)]),
])  # fmt: skip
def test_images_of_any_size(name, axes, shapes):
    """Shapes that the file computes stay computed when it is exported again."""
    model = load(real_path(name))
    source = exported(model, example(name, (1, 3, 48 if name == "recognizer" else 64, 160)), dynamic_axes={"x": axes})
    for shape in shapes:
        x = example(name, shape)
        assert difference(needs.run(source, x)[0], needs.run(real_path(name), x)[0]) < 1e-4


def test_the_classifier_of_text_lines_is_fine_tuned_and_exported_again():
    """It learns in ten steps to tell bright lines from dark ones, which it was not made for."""
    tg.manual_seed(0)
    rng = np.random.default_rng(0)
    model = load(real_path("classifier"))
    bright = np.arange(8) % 2
    x = (rng.normal(size=(8, 3, 48, 192)) * 0.3 + (bright * 1.2 - 0.6)[:, None, None, None]).astype(np.float32)
    optimizer = tg.optim.Adam(model.parameters(), lr=1e-3)

    def loss():
        return tg.nll_loss(tg.log(model(x) + 1e-6), bright)

    before = loss().item()
    for _ in range(10):
        optimizer.zero_grad()
        value = loss()
        value.backward()
        assert all(np.isfinite(p.grad.numpy()).all() for p in model.parameters() if p.grad is not None)
        optimizer.step()
    assert sum(p.grad is not None for p in model.parameters()) > 100
    after = loss().item()
    assert after < before / 3
    source = exported(model, x[:1])
    with tg.no_grad():
        assert difference(needs.run(source, x)[0], model(x).numpy()) < 1e-4
    assert (needs.run(source, x)[0].argmax(1) == bright).all()


@pytest.mark.parametrize("name", [*LIGHT, *LARGE])
def test_a_light_network(name):
    """With random weights in the place of constants, which make all scores equal; the large ones as they are."""
    source = light_path(name).read_bytes() if name in LARGE else materialized(light_path(name))
    x = np.random.default_rng(1).normal(size=(1, 3, 224, 224)).astype(np.float32)
    (wanted,) = needs.run(source, x)
    model = load(source)
    assert len(list(model.parameters())) > 5
    with tg.no_grad():
        found = model(x)
    assert (np.ptp(wanted) > 0) == (name in LIGHT)
    assert difference(found.numpy(), wanted) < 1e-4
