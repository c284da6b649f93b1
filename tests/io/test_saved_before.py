"""What the version before the redesign saved loads, and training goes on from it as it did there."""

from __future__ import annotations

import numpy as np
import pytest

import tinygrad_cnn as tg

from .saved import record

FILES = record.HERE


def test_a_training_is_resumed():
    model, history = record.train(4, resume=FILES / "run.npz")
    later = tg.load(FILES / "trained.npz")
    assert history["loss"] == pytest.approx(later["loss"].tolist(), rel=1e-4)
    for name, value in model.state_dict().items():
        np.testing.assert_allclose(value, later["model"][name], rtol=1e-3, atol=1e-5, err_msg=name)


def test_weights_load_from_a_checkpoint():
    model, *_ = record.parts()
    saved = tg.load(FILES / "run.npz")["model"]
    model.load_state_dict(saved)
    for name, value in model.state_dict().items():
        np.testing.assert_array_equal(value, saved[name])


@pytest.mark.parametrize("name", record.OPTIMIZERS)
def test_an_optimizer_goes_on(name):
    saved = tg.load(FILES / "optimizers.npz")[name]
    p = tg.Tensor(saved["p"], requires_grad=True)
    optimizer = getattr(tg.optim, name)([p], **record.OPTIMIZERS[name])
    optimizer.load_state_dict(saved["state"])
    record.step(optimizer, p, 3)
    np.testing.assert_allclose(p.numpy(), saved["later"], rtol=2e-6)
