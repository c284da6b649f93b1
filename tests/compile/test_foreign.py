"""Other libraries in a compiled step: it is the plain step, and its first call takes no longer than a few plain ones would."""

from __future__ import annotations

import io
import json
import secrets
import tempfile
import time
from pathlib import Path

import numpy as np
import pytest

import tinygrad_cnn as tg
from tinygrad_cnn import optim

X = np.random.default_rng(0).normal(size=(8, 3))


def scaled():
    """A scaler that is fitted further in every step."""
    preprocessing = pytest.importorskip("sklearn.preprocessing")
    scaler = preprocessing.StandardScaler()
    return lambda x: scaler.partial_fit(x.numpy()).transform(x.numpy())


def frames():
    """A table that grows."""
    pandas = pytest.importorskip("pandas")
    table = [pandas.DataFrame(X)]

    def work(x):
        table[0] = pandas.concat([table[0], pandas.DataFrame(x.numpy())])
        return table[0].tail(8).rolling(2, min_periods=1).mean().to_numpy()

    return work


def pictures():
    """An image file, written and read again."""
    image = pytest.importorskip("PIL.Image")

    def work(x):
        file = io.BytesIO()
        image.fromarray(np.uint8(np.clip(x.numpy() * 40 + 128, 0, 255))).save(file, "PNG")
        return np.asarray(image.open(file), float) / 255

    return work


def figures():
    """A figure."""
    matplotlib = pytest.importorskip("matplotlib")
    matplotlib.use("agg")
    from matplotlib import pyplot

    def work(x):
        figure = pyplot.figure()
        figure.gca().plot(x.numpy())
        limits = figure.gca().get_ylim()
        pyplot.close(figure)
        return x.numpy() * limits[1]

    return work


def files():
    """A file that is appended to."""
    path = Path(tempfile.mkdtemp()) / "log.json"
    path.write_text("[]", encoding="utf-8")

    def work(x):
        rows = [*json.loads(path.read_text(encoding="utf-8")), x.sum().item()]
        path.write_text(json.dumps(rows), encoding="utf-8")
        return x.numpy() * len(rows)

    return work


def seeds():
    """A generator of its own in every step."""
    return lambda x: x.numpy() + np.random.default_rng(int(abs(x.numpy()[0, 0]) * 1e6)).normal(size=x.shape)


def secret():
    """What nobody can know before."""
    return lambda x: x.numpy() + 0 * secrets.randbelow(10) + 0 * time.time()


WORK = [scaled, frames, pictures, figures, files, seeds, secret]


@pytest.mark.parametrize("make", WORK, ids=lambda make: make.__name__)
def test_a_step_with_another_library(make):
    found = []
    for compiled in (False, True):
        w = tg.Tensor(np.full(3, 0.5), requires_grad=True)
        optimizer, work, losses = optim.Adam([w], lr=0.05), make(), []

        def step(x):
            loss = ((x * w - tg.Tensor(work(x))) ** 2).mean()  # noqa: B023
            optimizer.zero_grad()  # noqa: B023
            loss.backward()
            optimizer.step()  # noqa: B023
            losses.append(loss.item())  # noqa: B023

        run = tg.compile(step) if compiled else step
        for n in range(8):
            run(tg.Tensor(X * (1 + n / 4)))
        found.append((losses, w.tolist()))
    assert found[0] == found[1]
