"""Metrics with and without weights of the examples are scikit-learn's."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import tinygrad_cnn as tg
from tinygrad_cnn import metrics as m

from .drawn import cases, drawn

sklearn = pytest.importorskip("sklearn.metrics")

CLASSES = np.arange(4)


def scores(rng, n):
    return rng.normal(size=(n, 4)), rng.integers(4, size=n)


def sides(rng, n):
    return rng.normal(size=n), rng.integers(2, size=n)


def numbers(rng, n):
    return rng.normal(size=(n, 3)), rng.normal(size=(n, 3))


def positive(rng, n):
    return tuple(np.exp(part) for part in numbers(rng, n))


def column(rng, n):
    return rng.normal(size=n), rng.normal(size=n)


def cosine(target, output, sample_weight=None):
    return np.average(np.diag(sklearn.pairwise.cosine_similarity(target, output)), weights=sample_weight)


def f1(target, output, **options):
    seen = sorted(
        {*target[options.get("sample_weight", np.ones(len(target))) > 0].tolist(), *predicted(output, **options)}
    )
    return sklearn.f1_score(target, output.argmax(axis=1), labels=seen, average="macro", **options)


def predicted(output, sample_weight=None):
    return output.argmax(axis=1)[slice(None) if sample_weight is None else sample_weight > 0].tolist()


CASES = {
    "accuracy": (m.Accuracy(), scores, lambda t, o, **w: sklearn.accuracy_score(t, o.argmax(axis=1), **w)),
    "top2": (m.TopK(2), scores, lambda t, o, **w: sklearn.top_k_accuracy_score(t, o, k=2, labels=CLASSES, **w)),
    "binary": (m.BinaryAccuracy(0.2), sides, lambda t, o, **w: sklearn.accuracy_score(t, o > 0.2, **w)),
    "f1": (m.F1(0.2), sides, lambda t, o, **w: sklearn.f1_score(t, o > 0.2, zero_division=0, **w)),
    "macro": (m.F1(), scores, f1),
    "mae": (m.MAE(), numbers, sklearn.mean_absolute_error),
    "mape": (m.MAPE(), numbers, sklearn.mean_absolute_percentage_error),
    "rmse": (m.RMSE(), column, sklearn.root_mean_squared_error),
    "msle": (m.MSLE(), positive, sklearn.mean_squared_log_error),
    "r2": (m.R2(), numbers, sklearn.r2_score),
    "r2 column": (m.R2(), column, sklearn.r2_score),
    "cosine": (m.Cosine(), numbers, cosine),
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
@settings(max_examples=min(20, settings.default.max_examples))
@given(st.integers(0, 2**32), st.integers(2, 20))
def test_values_are_scikit_learn_s(name, seed, n):
    metric, draw, reference = CASES[name]
    rng = np.random.default_rng(seed)
    output, target = draw(rng, n)
    assert metric(output, target) == pytest.approx(reference(target, output), rel=1e-9, abs=1e-12)
    weight = rng.exponential(size=n) * (rng.random(n) < 0.8)
    weight[:2] += 0.5
    found = metric(output, tg.Tensor(target), sample_weight=weight)
    assert found == pytest.approx(reference(target, output, sample_weight=weight), rel=1e-9, abs=1e-12)


OF_CLASSES = {name: (kind, metric, make(sklearn)) for name, kind, metric, make in cases()}


@pytest.mark.parametrize("name", OF_CLASSES)
@settings(max_examples=min(20, settings.default.max_examples))
@given(st.integers(0, 2**32), st.integers(30, 60))
def test_measures_of_classes_are_scikit_learn_s(name, seed, n):
    kind, metric, reference = OF_CLASSES[name]
    output, target, weight = drawn(kind, seed, n)
    if np.ndim(output) == 2:  # every class occurs, else the areas of scikit-learn are NaN
        target[:5] = np.eye(5, 3) if kind == "multilabel" else np.arange(5) % 4
    else:
        target[:2] = 0, 1
    weight[:5] += 0.5
    assert metric(output, target) == pytest.approx(reference(output, target), rel=1e-9, nan_ok=True)
    found = metric(output, target, weight)
    assert found == pytest.approx(reference(output, target, weight), rel=1e-9, nan_ok=True)


@pytest.mark.parametrize("name", CASES)
def test_whole_weights_repeat_examples(name):
    metric, draw, _ = CASES[name]
    rng = np.random.default_rng(1)
    output, target = draw(rng, 9)
    times = rng.integers(4, size=9)
    assert metric(output, target, times) == pytest.approx(
        metric(output.repeat(times, 0), target.repeat(times, 0)), rel=1e-12
    )


def test_weights_count_for_every_position_of_their_example():
    rng = np.random.default_rng(2)
    output, target, weight = rng.normal(size=(5, 4, 3, 2)), rng.integers(4, size=(5, 3, 2)), rng.random(5)
    flat, each = np.moveaxis(output, 1, -1).reshape(-1, 4), weight.repeat(6)
    for metric in (m.Accuracy(), m.TopK(2), m.F1()):
        assert metric(output, target, weight) == pytest.approx(metric(flat, target.ravel(), each), rel=1e-12)
    expected = sklearn.confusion_matrix(target.ravel(), flat.argmax(axis=1), sample_weight=each, labels=CLASSES)
    np.testing.assert_allclose(m.confusion_matrix(target, output, sample_weight=weight), expected, rtol=1e-12)


@pytest.mark.parametrize("target", [np.full(5, 0.1), np.full(5, 0.1, np.float32), np.full(5, 1e9), np.zeros(5)])
@pytest.mark.parametrize("step", [0.0, 0.5])
def test_targets_without_spread_are_judged_as_scikit_learn_does(target, step):
    output = target + target.dtype.type(step)
    assert m.R2()(output, target) == sklearn.r2_score(target, output) == (step == 0)


def test_r2_of_numbers_far_from_zero():
    rng = np.random.default_rng(3)
    target = (rng.normal(size=1000) + 3e4).astype(np.float32)
    output = (target + rng.normal(size=1000)).astype(np.float32)
    wide = target.astype(float), output.astype(float)
    assert m.R2()(output, target) == pytest.approx(sklearn.r2_score(*wide), rel=1e-6)


@pytest.mark.parametrize("dtype", [np.uint8, np.int8, np.float16])
def test_narrow_types_neither_wrap_around_nor_overflow(dtype):
    target, output = np.array([0, 100, 3, 7], dtype), np.array([2, 3, 100, 9], dtype)
    wide = target.astype(float), output.astype(float)
    for name in ("mae", "mape", "rmse", "msle", "r2"):
        metric, _, reference = CASES[name]
        assert metric(output, target) == pytest.approx(reference(*wide), rel=1e-12)


@pytest.mark.parametrize(
    ("metric", "weight", "message"),
    [
        (m.MAE(), np.ones(3), r"metric 'mae': `sample_weight` has shape \(3,\) for a target of shape \(2, 3\)"),
        (m.MAE(), np.ones((2, 1)), r"`sample_weight` has shape \(2, 1\)"),
        (m.MAE(), [1.0, -1.0], "a finite number of at least 0 for each example"),
        (m.MAE(), [1.0, np.nan], "a finite number of at least 0"),
        (m.MAE(), [0, 0], "and not only zeros"),
        (m.MAE(), ["a", "b"], "`sample_weight` is"),
        (m.Average(tg.mse), [1, 2], "metric 'mse': it takes no `sample_weight`"),
    ],
)
def test_weights_that_do_not_fit(metric, weight, message):
    with pytest.raises((TypeError, ValueError), match=message):
        metric(np.ones((2, 3)), np.zeros((2, 3)), weight)


def test_a_metric_of_the_user_takes_weights_if_it_says_so():
    class Within(m.Metric):
        name = "within"

        def measure(self, output, target, weight=None):
            near = abs(output - target) < 1
            return (near * (1.0 if weight is None else weight)).sum()

    output, target = np.array([0.0, 5.0]), np.array([0.5, 0.5])
    assert (Within()(output, target), Within()(output, target, [3, 1])) == (0.5, 0.75)


def test_they_are_known_by_name_and_better_upwards():
    found = m.resolved(["r2", "mape", "msle", "cosine"], tg.mse)
    assert [type(metric) for metric in found] == [m.R2, m.MAPE, m.MSLE, m.Cosine]
    modes = {
        name: tg.training.EarlyStopping(metric=f"val_{name}").best.mode for name in ("r2", "cosine", "mape", "msle")
    }
    assert modes == {"r2": "max", "cosine": "max", "mape": "min", "msle": "min"}
