"""The CTC loss beside PyTorch's, as record_ctc.py recorded it; its definition is in rows/ctc.py."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import tinygrad_cnn as tg
from tinygrad_cnn import nn

RECORDED = np.load(Path(__file__).parent / "ctc.npz")


@pytest.mark.parametrize("n", range(12))
def test_losses_and_gradients_are_pytorchs(n):
    others = [RECORDED[f"{n}/{key}"] for key in ("targets", "input_lengths", "target_lengths")]
    for reduction in ("none", "mean", "sum"):
        x = tg.Tensor(RECORDED[f"{n}/scores"], requires_grad=True)
        layer = nn.CTCLoss(int(RECORDED[f"{n}/blank"]), reduction, zero_infinity=True)
        y = layer(tg.log_softmax(x, axis=2), *others)
        np.testing.assert_allclose(y.numpy(), RECORDED[f"{n}/{reduction}"], rtol=1e-12, atol=1e-12)
        y.sum().backward()
        np.testing.assert_allclose(x.grad.numpy(), RECORDED[f"{n}/{reduction}/gradient"], rtol=1e-9, atol=1e-13)


def test_what_cannot_be_spelled_is_infinite():
    x = tg.Tensor(np.log(np.full((2, 1, 3), 1 / 3, np.float32)), requires_grad=True)
    for target in ([[1, 1]], [[1, 2, 1]]):  # an equal pair needs a blank between
        length = [len(target[0])]
        loss = tg.ctc_loss(x, target, [2], length, reduction="sum")
        assert loss.item() == np.inf
        loss.backward()
        assert not np.isfinite(x.grad.numpy()).all()
        x.grad = None
        loss = tg.ctc_loss(x, target, [2], length, zero_infinity=True)
        assert loss.item() == 0
        loss.backward()
        assert not x.grad.numpy().any()
        x.grad = None


def test_probabilities_of_zero_have_finite_gradients():
    p = np.array([[[0.5, 0.5, 0]], [[0.25, 0.75, 0]]])
    with np.errstate(divide="ignore"):
        x = tg.Tensor(np.log(p), requires_grad=True)
    loss = tg.ctc_loss(x, [[1]], [2], [1], reduction="sum")
    np.testing.assert_allclose(np.exp(-loss.item()), 0.5 * 0.25 + 0.5 * 0.75 + 0.5 * 0.75)  # 1-, -1, 11
    loss.backward()
    assert np.isfinite(x.grad.numpy()).all()


def test_one_sequence_and_long_ones():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(300, 1, 5)).astype(np.float32)
    targets = rng.integers(1, 5, 60)
    log_probs = tg.log_softmax(x, axis=2)
    alone = tg.ctc_loss(log_probs[:, 0], targets, np.array(300), np.array(60), reduction="none")
    assert alone.shape == ()
    wide = tg.ctc_loss(tg.log_softmax(x.astype(np.float64), axis=2), targets[None], [300], [60], reduction="none")
    np.testing.assert_allclose(alone.item(), wide.item(), rtol=1e-5)


X = np.zeros((4, 2, 3))
WRONG = [
    (lambda: tg.ctc_loss(X[0, 0], [[1]], [1], [1]), ValueError, r"it must be \(T, N, C\) or \(T, C\)"),
    (lambda: tg.ctc_loss(X, [[1], [2]], [4], [1, 1]), ValueError, "`input_lengths` has shape"),
    (lambda: tg.ctc_loss(X, [[1], [2]], [4, 5], [1, 1]), ValueError, "lengths must be from 0 to 4"),
    (lambda: tg.ctc_loss(X, [[1], [2]], [4, 4], [1, 2]), ValueError, "`target_lengths` is"),
    (lambda: tg.ctc_loss(X, [1, 2, 1], [4, 4], [1, 1]), ValueError, r"it must be \(2, S\) or \(2,\)"),
    (lambda: tg.ctc_loss(X, [[0], [2]], [4, 4], [1, 1]), IndexError, "`targets` has 0; .* and not the blank"),
    (lambda: tg.ctc_loss(X, [[3], [2]], [4, 4], [1, 1]), IndexError, "`targets` has 3"),
    (lambda: tg.ctc_loss(X, [[1], [2]], [4, 4], [1, 1], blank=3), IndexError, "`blank` is 3"),
    (lambda: tg.ctc_loss(X, [[1.0], [2]], [4, 4], [1, 1]), TypeError, "`targets` is float64"),
    (lambda: tg.ctc_loss(X, [[1], [2]], [4, 4], [1, 1], reduction="all"), ValueError, "`reduction` is 'all'"),
]


@pytest.mark.whole
@pytest.mark.parametrize(("call", "error", "wanted"), WRONG)
def test_what_does_not_fit_is_an_error(call, error, wanted):
    with pytest.raises(error, match=wanted):
        call()
