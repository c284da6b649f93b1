"""Weights of classes: the loss of each example times the weight of its class, and the mean over all examples."""

from __future__ import annotations

from functools import partial

import numpy as np
import pytest

import tinygrad_cnn as tg
from tinygrad_cnn import nn

RNG = np.random.default_rng(0)
X = RNG.normal(size=(12, 3)).astype(np.float32)
Y = np.array([0, 0, 0, 0, 0, 0, 1, 1, 1, 2, 2, 2])
WEIGHTS = np.array([0.5, 2.0, 1.0])


def first_loss(loss, y, class_weight, outputs=3, **arguments):
    """The loss of all examples before the first step, as `fit` measures it, and the model."""
    tg.manual_seed(0)
    model = nn.Linear(3, outputs)
    with tg.no_grad():
        scores = model(tg.Tensor(X)).numpy().astype(np.float64)
    optimizer = tg.optim.SGD(model.parameters(), lr=0.0)
    fit = {"epochs": 1, "batch_size": 12, "progress": False, **arguments}
    history = tg.fit(model, (X, y), loss, optimizer, class_weight=class_weight, **fit)
    return history, scores


def log_softmax(scores):
    return scores - np.log(np.exp(scores).sum(axis=1, keepdims=True))


@pytest.mark.parametrize("compile", [False, True])
@pytest.mark.parametrize("loss", [tg.cross_entropy, nn.CrossEntropyLoss(), partial(tg.cross_entropy, reduction="mean")])
@pytest.mark.parametrize("given", [WEIGHTS, WEIGHTS.tolist(), {0: 0.5, 1: 2}])
def test_cross_entropy(loss, given, compile):
    history, scores = first_loss(loss, Y, given, compile=compile, validate=(X, Y))
    expected = -(WEIGHTS[Y] * log_softmax(scores)[np.arange(12), Y]).sum() / 12
    assert history["loss"] == pytest.approx([expected], rel=1e-6)
    assert history["val_loss"] == pytest.approx([expected], rel=1e-6)
    assert history["accuracy"] == [np.mean(scores.argmax(axis=1) == Y)]


def test_balanced_classes_weigh_the_same_in_all():
    history, scores = first_loss(tg.cross_entropy, Y, "balanced")
    each = -log_softmax(scores)[np.arange(12), Y]
    assert history["loss"] == pytest.approx([np.mean([each[c == Y].mean() for c in range(3)])], rel=1e-6)


class Change(tg.training.Callback):
    """Changes something after the fourth step, when compiled steps are replayed."""

    def __init__(self, change):
        self.change = change

    def on_step_end(self, run):
        if run.step == 4:
            self.change(run)


class Shifted(tg.metrics.F1):
    name, offset = "shifted", 0.0

    def measure(self, output, target):
        return super().measure(output + self.offset, target)


@pytest.mark.parametrize(("loss", "change"), [
    (nn.CrossEntropyLoss, lambda run: run.loss.weights.update({0: 9.0})),
    (nn.CrossEntropyLoss, lambda run: setattr(run.loss, "weights", {})),
    (nn.CrossEntropyLoss, lambda run: setattr(run.loss.unweighted, "label_smoothing", 0.9)),
    (nn.BCEWithLogitsLoss, lambda run: run.loss.weights.update({0: 9.0})),
    (nn.BCEWithLogitsLoss, lambda run: setattr(run.metrics[0], "threshold", -100.0)),
    (nn.BCEWithLogitsLoss, lambda run: setattr(run.metrics[1], "offset", 100.0)),
    (nn.BCEWithLogitsLoss, lambda run: setattr(run.metrics[1], "threshold", -100.0)),
])  # fmt: skip
def test_what_changes_during_a_training_counts_from_then_on(loss, change):
    def trained(compile, *callbacks):
        y = Y if loss is nn.CrossEntropyLoss else np.eye(3, dtype=np.float32)[Y]
        metrics = ["accuracy"] if y is Y else [tg.metrics.F1(), Shifted()]
        more = {"metrics": metrics, "callbacks": callbacks, "compile": compile}
        history, _ = first_loss(loss(), y, {1: 2.0}, epochs=7, batch_size=6, **more)
        return {name: values for name, values in history.items() if name != "seconds"}

    eager = trained(False, Change(change))
    assert trained(True, Change(change)) == eager
    assert trained(True) != eager


def test_options_of_the_loss_are_kept():
    loss = nn.CrossEntropyLoss(label_smoothing=0.1, ignore_index=2)
    history, scores = first_loss(loss, Y, WEIGHTS)
    log_p, known = log_softmax(scores), Y != 2
    smooth = np.eye(3)[Y] * 0.9 + 0.1 / 3
    expected = -(smooth * WEIGHTS * log_p).sum(axis=1)[known].sum() / known.sum()
    assert history["loss"] == pytest.approx([expected], rel=1e-6)


def test_nll_loss():
    loss = partial(tg.nll_loss)
    with pytest.warns(UserWarning, match="the result of linear"):
        history, scores = first_loss(loss, Y, WEIGHTS)
    assert history["loss"] == pytest.approx([-(WEIGHTS[Y] * scores[np.arange(12), Y]).sum() / 12], rel=1e-6)


def test_probabilities_as_targets():
    p = RNG.dirichlet(np.ones(3), 12).astype(np.float32)
    history, scores = first_loss(tg.cross_entropy, p, WEIGHTS)
    assert history["loss"] == pytest.approx([-(WEIGHTS * p * log_softmax(scores)).sum() / 12], rel=1e-6)


@pytest.mark.parametrize("given", [{1: 3.0}, "balanced"])
def test_binary_cross_entropy(given):
    y = (Y[:, None] > 1).astype(np.float32)
    history, scores = first_loss(tg.binary_cross_entropy_with_logits, y, given, outputs=1)
    negative, positive = (1.0, 3.0) if given != "balanced" else (12 / (2 * 9), 12 / (2 * 3))
    each = np.log1p(np.exp(np.where(y == 1, -scores, scores)))
    assert history["loss"] == pytest.approx([np.mean(each * np.where(y == 1, positive, negative))], rel=1e-6)


@pytest.mark.parametrize(
    ("loss", "class_weight", "error", "message"),
    [
        (tg.mse, {0: 1.0}, ValueError, "the loss mse has no classes"),
        (tg.cross_entropy, {-1: 1.0}, ValueError, "the class -1; classes are whole numbers"),
        (tg.cross_entropy, {0: -1.0}, ValueError, "class 0 is -1.0; it must be a number of at least 0"),
        (tg.cross_entropy, {0: np.nan}, ValueError, "class 0 is nan"),
        (tg.cross_entropy, {3: 1.0}, ValueError, "the class 3, but the output 3 classes"),
        (tg.cross_entropy, 2.0, TypeError, "`class_weight` is 2.0"),
        (partial(tg.cross_entropy, reduction="none"), [1, 1, 1], ValueError, "reduction of its own"),
        (nn.CrossEntropyLoss(weight=[1.0, 2.0, 3.0]), [1, 1, 1], ValueError, "weight or a reduction of its own"),
        (tg.binary_cross_entropy, {2: 1.0}, ValueError, "a binary loss has 0 and 1"),
        (tg.mse, "balanced", ValueError, "the loss mse has no classes"),
    ],
)
def test_what_does_not_fit(loss, class_weight, error, message):
    with pytest.raises(error, match=message):
        first_loss(loss, Y, class_weight)


def test_balanced_needs_classes_at_hand():
    model = nn.Linear(3, 3)
    optimizer = tg.optim.SGD(model.parameters())
    with pytest.raises(ValueError, match="pass the data as a tuple of arrays"):
        tg.fit(model, [(X, Y)], tg.cross_entropy, optimizer, epochs=1, class_weight="balanced")
    with pytest.raises(ValueError, match="not classes"):
        tg.fit(model, (X, X), tg.cross_entropy, optimizer, epochs=1, class_weight="balanced")
