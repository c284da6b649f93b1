"""Every metric is what its definition says, however the examples are cut into batches, eager and compiled."""

from __future__ import annotations

import math

import numpy as np
import pytest

import tinygrad_cnn as tg
from tinygrad_cnn import metrics as m
from tinygrad_cnn import nn

RNG = np.random.default_rng(0)
SCORES, CLASSES = RNG.normal(size=(23, 4)), RNG.integers(4, size=23)
LOGITS, YES = RNG.normal(size=(23, 2)), RNG.integers(2, size=(23, 2))
OUTPUTS, NUMBERS = RNG.normal(size=(23, 3)), RNG.normal(size=(23, 3))


def f1(guess, real):
    """2 TP / (2 TP + FP + FN), counted one by one; None if there is nothing to count."""
    pairs = list(zip(guess, real, strict=True))
    tp, fp, fn = pairs.count((True, True)), pairs.count((True, False)), pairs.count((False, True))
    return 2 * tp / (2 * tp + fp + fn) if tp + fp + fn else None


def macro(guess, real):
    scores = [f1((guess == c).tolist(), (real == c).tolist()) for c in range(4)]
    return np.mean([score for score in scores if score is not None])


def best(scores, k):
    return [set(np.argsort(-row)[:k].tolist()) for row in scores]


def cosines(a, b):
    return [np.dot(p, q) / math.sqrt(np.dot(p, p) * np.dot(q, q)) for p, q in zip(a, b, strict=True)]


CASES = {
    "accuracy": (m.Accuracy(), SCORES, CLASSES, np.mean(SCORES.argmax(axis=1) == CLASSES)),
    "top1": (m.TopK(1), SCORES, CLASSES, np.mean(SCORES.argmax(axis=1) == CLASSES)),
    "top3": (m.TopK(3), SCORES, CLASSES, np.mean([c in b for c, b in zip(CLASSES, best(SCORES, 3), strict=True)])),
    "logits": (m.BinaryAccuracy(), LOGITS, YES, np.mean((LOGITS > 0) == (YES == 1))),
    "threshold": (m.BinaryAccuracy(0.5), LOGITS, YES * 1.0, np.mean((LOGITS > 0.5) == (YES == 1))),
    "f1": (m.F1(0.25), LOGITS, YES, f1((LOGITS > 0.25).ravel().tolist(), (YES == 1).ravel().tolist())),
    "macro": (m.F1(), SCORES, CLASSES, macro(SCORES.argmax(axis=1), CLASSES)),
    "absent class": (m.F1(), SCORES[:3], CLASSES[:3], macro(SCORES[:3].argmax(axis=1), CLASSES[:3])),
    "mae": (m.MAE(), OUTPUTS, NUMBERS, np.abs(OUTPUTS - NUMBERS).mean()),
    "rmse": (m.RMSE(), OUTPUTS, NUMBERS, math.sqrt(np.square(OUTPUTS - NUMBERS).mean())),
    "mape": (m.MAPE(), OUTPUTS, NUMBERS, np.mean(np.abs(OUTPUTS - NUMBERS) / np.abs(NUMBERS))),
    "msle": (m.MSLE(), abs(OUTPUTS), abs(NUMBERS), np.mean((np.log1p(abs(OUTPUTS)) - np.log1p(abs(NUMBERS))) ** 2)),
    "r2": (m.R2(), OUTPUTS, NUMBERS, np.mean(1 - ((OUTPUTS - NUMBERS) ** 2).sum(0) / (NUMBERS.var(axis=0) * 23))),
    "cosine": (m.Cosine(), OUTPUTS, NUMBERS, np.mean(cosines(OUTPUTS, NUMBERS))),
    "function": (m.Average(tg.mse), OUTPUTS, NUMBERS, np.square(OUTPUTS - NUMBERS).mean()),
}


@pytest.mark.parametrize("name", CASES)
def test_values(name):
    metric, output, target, expected = CASES[name]
    assert metric(output, target) == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("compile", [False, True])
@pytest.mark.parametrize("name", CASES)
def test_batches_of_any_size_give_the_measure_of_all_examples(name, compile):
    metric, output, target, expected = CASES[name]
    step = tg.training.eval_step(nn.Identity(), lambda output, target: output.sum(), metrics=metric)
    step = tg.compile(step) if compile else step
    for size in (1, 7, 23):
        found = tg.evaluate(nn.Identity(), (output, target), tg.mse, metrics=metric, batch_size=size, step=step)
        assert found[metric.name] == pytest.approx(expected, rel=1e-12)


def test_positions_count_one_by_one():
    scores, classes = (
        RNG.normal(size=(3, 3, 3)),
        RNG.integers(3, size=(3, 3)),
    )  # (N, C, L): the classes are in the middle
    assert m.Accuracy()(scores, classes) == np.mean(scores.argmax(axis=1) == classes)
    assert m.TopK(1)(scores, classes) == m.Accuracy()(scores, classes)
    rows, labels = np.moveaxis(scores, 1, 2).reshape(-1, 3), classes.ravel()
    assert m.F1()(scores, classes) == m.F1()(rows, labels)
    assert m.TopK(2)(scores, classes) == m.TopK(2)(rows, labels)


def test_a_column_of_logits_is_compared_with_a_row_of_targets():
    assert m.BinaryAccuracy()(np.array([[1.0], [-1.0], [2.0]]), np.array([1, 1, 0])) == 1 / 3


def test_f1_without_positives_is_0():
    assert m.F1()(np.array([-1.0, -2.0]), np.array([0, 0])) == 0


@pytest.mark.parametrize(
    ("metric", "output", "target", "message"),
    [
        (m.Accuracy(), OUTPUTS, NUMBERS, r"'accuracy'.*\(23, 3\).*integer classes"),
        (m.Accuracy(if_classes=True), OUTPUTS, NUMBERS, "nothing to measure"),
        (m.TopK(5), SCORES, CLASSES, "fewer than 5 classes"),
        (m.TopK(2), OUTPUTS, NUMBERS, "integer classes"),
        (m.F1(), OUTPUTS, NUMBERS[:, :2], "same shape"),
        (m.BinaryAccuracy(), SCORES, CLASSES, "same shape"),
        (m.MAE(), OUTPUTS[:, :1], OUTPUTS[:, 0], "same shape"),
        (m.RMSE(), OUTPUTS, OUTPUTS[:1], "same shape"),
        (m.Average(lambda a, b: a - b, "each"), OUTPUTS, NUMBERS, r"'each'.*\(23, 3\).*mean of the batch"),
    ],
)
def test_outputs_that_do_not_fit(metric, output, target, message):
    with pytest.raises(ValueError, match=message):
        metric(output, target)
