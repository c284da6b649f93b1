"""The CSV log and the norms of gradients say what happened, also over a pause."""

from __future__ import annotations

import math

import numpy as np
import pytest

import tinygrad_cnn as tg
from tinygrad_cnn.training import Callback, Checkpoint, CSVLog, GradientNorms

from .common import Parts, measures


class Note(Callback):
    def on_epoch_end(self, run):
        run.history.note(double=2 * run.history["loss"][-1])


def test_the_log_has_all_epochs_after_each(tmp_path):
    path, lines = tmp_path / "log.csv", []

    class Look(Callback):
        def on_epoch_end(self, run):
            lines.append(len(path.read_text(encoding="utf-8").splitlines()))

    parts = Parts()
    history = parts.fit(validate=parts.validate, callbacks=[Note(), CSVLog(path), Look()])
    assert path.read_text(encoding="utf-8") == history.to_csv()
    assert lines == [2, 3, 4]
    assert path.read_text(encoding="utf-8").startswith("epoch,loss,accuracy,val_loss,val_accuracy,lr,seconds,double\n")


def test_the_log_of_a_resumed_run_is_whole(tmp_path):
    Parts().fit(epochs=1, callbacks=[CSVLog(tmp_path / "a.csv"), Checkpoint(tmp_path / "run.npz")])
    history = Parts().fit(callbacks=[CSVLog(tmp_path / "b.csv")], resume=tmp_path / "run.npz")
    assert (tmp_path / "b.csv").read_text(encoding="utf-8") == history.to_csv()
    assert history.epochs == 3


def test_a_log_needs_a_folder(tmp_path):
    parts = Parts()
    before = parts.model.state_dict()["0.weight"].copy()
    with pytest.raises(FileNotFoundError, match="CSVLog: the folder of `path`"):
        parts.fit(callbacks=[CSVLog(tmp_path / "missing" / "log.csv")])
    np.testing.assert_array_equal(parts.model.state_dict()["0.weight"], before)


def norms_by_hand(parts, epochs, max_norm=math.inf):
    parts.model.train()
    for _ in range(epochs):
        steps = []
        for x, y in parts.loader:
            parts.optimizer.zero_grad()
            tg.cross_entropy(parts.model(x), y).backward()
            tg.optim.clip_grad_norm_(parts.model.parameters(), max_norm)
            steps.append([float(np.linalg.norm(p.grad.numpy())) for p in parts.model.parameters()])
            parts.optimizer.step()
        yield np.array(steps)


@pytest.mark.parametrize("compile", [False, True])
def test_norms_of_gradients(compile):
    norms = GradientNorms(layers=True)
    parts = Parts()
    names = [name for name, _ in parts.model.named_parameters()]
    history = parts.fit(epochs=2, callbacks=[norms], compile=compile)
    for epoch, steps in enumerate(norms_by_hand(Parts(), 2)):
        whole = np.linalg.norm(steps, axis=1)
        assert history["grad_norm"][epoch] == pytest.approx(whole.mean(), rel=1e-5)
        assert history["max_grad_norm"][epoch] == pytest.approx(whole.max(), rel=1e-5)
        for name, mean in zip(names, steps.mean(axis=0), strict=True):
            assert history[f"grad_norm.{name}"][epoch] == pytest.approx(mean, rel=1e-5)
    assert norms.steps == pytest.approx(whole.tolist(), rel=1e-5)


def test_norms_are_those_after_clipping_and_change_nothing():
    class Clip(Callback):
        def on_gradients(self, run):
            tg.optim.clip_grad_norm_(run.model.parameters(), 0.5)

    history = Parts().fit(epochs=1, callbacks=[Clip(), GradientNorms()], compile=True)
    assert history["max_grad_norm"][0] == pytest.approx(0.5, rel=1e-4)
    plain = Parts().fit(epochs=1, callbacks=[Clip()], compile=True)
    assert set(history) - set(plain) == {"grad_norm", "max_grad_norm"}
    assert measures(plain)["loss"] == history["loss"]
