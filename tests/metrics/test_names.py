"""Metrics by name, and the default of each loss."""

from __future__ import annotations

from functools import partial

import numpy as np
import pytest

import tinygrad_cnn as tg
from tinygrad_cnn import metrics as m
from tinygrad_cnn import nn

LOGITS = [
    tg.binary_cross_entropy_with_logits,
    nn.BCEWithLogitsLoss(),
    partial(tg.binary_cross_entropy_with_logits, pos_weight=2.0),
]
PROBABILITIES = [tg.binary_cross_entropy, nn.BCELoss()]


@pytest.mark.parametrize("loss", LOGITS + PROBABILITIES)
def test_binary_losses_decide_at_their_threshold(loss):
    threshold = 0.0 if loss in LOGITS else 0.5
    for metrics in (None, "accuracy", ["accuracy"]):
        (found,) = m.resolved(metrics, loss)
        assert (type(found), found.threshold, found.name) == (m.BinaryAccuracy, threshold, "accuracy")
    (found,) = m.resolved(["binary_accuracy"], loss)
    assert (found.threshold, found.name) == (threshold, "binary_accuracy")
    assert m.resolved(["f1"], loss)[0].threshold == threshold


@pytest.mark.parametrize("loss", [tg.cross_entropy, nn.CrossEntropyLoss(), tg.mse, nn.NLLLoss()])
def test_other_losses_have_an_accuracy_where_targets_are_classes(loss):
    (found,) = m.resolved(None, loss)
    assert isinstance(found, m.Accuracy)
    assert found.if_classes
    (found,) = m.resolved(["accuracy"], loss)
    assert isinstance(found, m.Accuracy)
    assert not found.if_classes


def test_names_functions_and_objects():
    def bias(output, target):
        return (output - target).mean()

    found = m.resolved(["mae", "rmse", "top7", bias, m.TopK(2)], tg.mse)
    assert [metric.name for metric in found] == ["mae", "rmse", "top7", "bias", "top2"]
    found = m.resolved({"error": lambda output, target: abs(output - target).mean(), "rmse": "rmse"}, tg.mse)
    assert [metric.name for metric in found] == ["error", "rmse"]
    assert m.resolved([], tg.mse) == []
    history = tg.evaluate(nn.Identity(), (np.ones((3, 1)), np.zeros((3, 1))), tg.mse, metrics=[bias, "mae"])
    assert history == {"loss": 1.0, "bias": 1.0, "mae": 1.0}


@pytest.mark.parametrize(
    ("metrics", "error", "message"),
    [
        (["acuracy"], ValueError, "'acuracy'; the names are accuracy, "),
        (["top0"], ValueError, "'top0'"),
        ([m.F1], TypeError, r"the class F1; pass an object: F1\(...\)"),
        ([3], TypeError, "has 3; a metric is a name"),
        (["mae", "mae"], ValueError, "'mae' occurs twice"),
        ({"loss": tg.mse}, ValueError, "'loss' is the name of another column"),
        ([lambda output, target: output.mean()], ValueError, "the function has no name"),
    ],
)
def test_what_is_no_metric(metrics, error, message):
    with pytest.raises(error, match=message):
        m.resolved(metrics, tg.mse)


def test_arguments_of_metrics():
    for k in (0, 2.5):
        with pytest.raises((TypeError, ValueError), match="TopK: `k`"):
            m.TopK(k)
    with pytest.raises((TypeError, ValueError), match="F1: `threshold`"):
        m.F1("half")
    with pytest.raises(TypeError, match="`function` is 3"):
        m.Average(3)
