"""Precision to average precision: scikit-learn's recorded values, definitions, and the same for batches of any size."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import tinygrad_cnn as tg
from tinygrad_cnn import metrics as m
from tinygrad_cnn import nn

from .drawn import cases, drawn, rare

RECORDED = json.loads(Path(__file__).with_name("sklearn.json").read_text(encoding="utf-8"))
CASES = {name: (kind, metric) for name, kind, metric, _ in cases()}
COUNTS = [m.Precision, m.Recall, m.Specificity, m.F1, m.IoU, m.Dice]
CURVES = [m.AUROC, m.AveragePrecision]
NAMES = ["precision", "recall", "specificity", "f1", "iou", "dice", "auroc", "average_precision"]


def near(expected):
    return pytest.approx(expected, rel=1e-12, abs=1e-15, nan_ok=True)


@pytest.mark.whole
@pytest.mark.parametrize("name", CASES)
def test_recorded_values(name):
    kind, metric = CASES[name]
    output, target, weight = drawn(kind, 0)
    found = [metric(output, target), metric(output, target, weight)]
    found.append(metric(*(drawn(kind, 1, 12)[:2] if name.endswith("None") else rare(kind))))
    for ours, theirs in zip(found, RECORDED[name], strict=True):
        assert ours == near(theirs)


def test_every_recorded_value_is_compared():
    assert RECORDED.keys() == CASES.keys()


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("compile", [False, True])
def test_batches_of_any_size_give_the_measure_of_all_examples(name, compile):
    kind, metric = CASES[name]
    output, target, _ = drawn(kind, 2, 23)
    expected = metric(output, target)
    step = tg.training.eval_step(nn.Identity(), lambda output, target: output.sum(), metrics=metric)
    step = tg.compile(step) if compile else step
    for size in (1, 7, 23):
        found = tg.evaluate(nn.Identity(), (output, target), tg.mse, metrics=metric, batch_size=size, step=step)
        if isinstance(expected, np.ndarray):
            assert [found[f"{metric.name}.{i}"] for i in range(len(expected))] == near(expected.tolist())
        else:
            assert found[metric.name] == near(expected)


def counted(guess, real, times):
    """TP, FP, FN, TN, one by one."""
    found = [0.0] * 4
    for g, r, w in zip(guess, real, times, strict=True):
        found[{(1, 1): 0, (1, 0): 1, (0, 1): 2, (0, 0): 3}[int(g), int(r)]] += w
    return found


RATIOS = {
    m.Precision: lambda tp, fp, fn, tn: (tp, tp + fp),
    m.Recall: lambda tp, fp, fn, tn: (tp, tp + fn),
    m.Specificity: lambda tp, fp, fn, tn: (tn, tn + fp),
    m.F1: lambda tp, fp, fn, tn: (2 * tp, 2 * tp + fp + fn),
    m.Dice: lambda tp, fp, fn, tn: (2 * tp, 2 * tp + fp + fn),
    m.IoU: lambda tp, fp, fn, tn: (tp, tp + fp + fn),
}


@pytest.mark.parametrize("metric", COUNTS)
@pytest.mark.parametrize("kind", ["binary", "multiclass", "multilabel"])
@given(st.integers(0, 2**32), st.integers(2, 12), st.sampled_from([-100, 0, 1, 2]), st.booleans())
def test_counts_are_their_definitions(metric, kind, seed, n, ignored, weighted):
    output, target, weight = drawn(kind, seed, n)
    weight[:1] += 1
    times = weight if weighted else np.ones(n)
    if kind == "multiclass":
        classes = range(4)
        sides = [(output.argmax(axis=1) == c, target == c, times * (target != ignored)) for c in classes]
    else:
        columns = np.reshape(output, (n, -1)).T, np.reshape(target, (n, -1)).T
        sides = [(o > 0, t == 1, times * (t != ignored)) for o, t in zip(*columns, strict=True)]
    tables = [counted(*side) for side in sides]
    if kind == "multiclass":
        kept = [c for c, (tp, fp, fn, _) in enumerate(tables) if c != ignored and tp + fp + fn > 0]
    else:
        kept = list(range(len(tables)))

    def ratio(table):
        numerator, denominator = RATIOS[metric](*table)
        return numerator / denominator if denominator > 0 else 0.5

    def measure(average):
        made = metric(ignore_index=ignored, average=average, task=kind, zero_division=0.5)
        return made(output, target, weight if weighted else None)

    values = [ratio(table) for table in tables]
    if kind != "binary":
        whole = [np.nan if kind == "multiclass" and c == ignored else v for c, v in enumerate(values)]
        assert measure(None) == pytest.approx(whole, rel=1e-9, nan_ok=True)
    support = [tables[c][0] + tables[c][2] for c in kept]
    assert measure("macro") == pytest.approx(np.mean([values[c] for c in kept]) if kept else 0.5, rel=1e-9)
    together = np.sum([tables[c] for c in kept], axis=0) if kept else [0.0] * 4
    assert measure("micro") == pytest.approx(ratio(together), rel=1e-9)
    if any(support):
        expected = np.average([values[c] for c in kept], weights=support)
        assert measure("weighted") == pytest.approx(expected, rel=1e-9)


def area(scores, real, times):
    """The share of pairs, one by one."""
    pairs = won = 0.0
    for s, r, w in zip(scores, real, times, strict=True):
        for t, q, v in zip(scores, real, times, strict=True):
            if r and not q:
                pairs += w * v
                won += w * v * ((s > t) + 0.5 * (s == t))
    return won / pairs if pairs else np.nan


def precision(scores, real, times):
    """The mean over the positives of the precision at their score."""
    total = found = 0.0
    for s, r, w in zip(scores, real, times, strict=True):
        if r and w:
            above = scores >= s
            total += w
            found += w * (times * real)[above].sum() / times[above].sum()
    return found / total if total else 0.0


@pytest.mark.parametrize(("metric", "plain"), [(m.AUROC, area), (m.AveragePrecision, precision)])
@pytest.mark.parametrize("kind", ["binary", "multiclass", "multilabel"])
@pytest.mark.parametrize("thresholds", [None, 9, [0.1, 0.45, 0.9]])
@given(st.integers(0, 2**32), st.integers(1, 12), st.sampled_from([-100, 0, 1]))
def test_curves_are_their_definitions(metric, plain, kind, thresholds, seed, n, ignored):
    output, target, weight = drawn(kind, seed, n)
    weight[:1] += 1
    each = np.exp(output - (output.max(axis=1, keepdims=True) if kind == "multiclass" else 0))
    scores = each / (each.sum(axis=1, keepdims=True) if kind == "multiclass" else 1 + each)
    if thresholds is not None:
        steps = np.linspace(0, 1, 9) if thresholds == 9 else np.array(thresholds)
        scores = (scores[..., None] >= steps).sum(axis=-1)
    if kind == "multiclass":
        values = [plain(scores[:, c], target == c, weight * (target != ignored)) for c in range(4)]
        support = [(weight * (target == c)).sum() if c != ignored else 0.0 for c in range(4)]
        defined = [c for c in range(4) if c != ignored and support[c] > 0 and not np.isnan(values[c])]
        values = [np.nan if c == ignored else v for c, v in enumerate(values)]
    else:
        columns = np.reshape(scores, (n, -1)).T, np.reshape(target, (n, -1)).T
        values = [plain(s, t == 1, weight * (t != ignored)) for s, t in zip(*columns, strict=True)]
        support = [(weight * (t == 1) * (t != ignored)).sum() for t in columns[1]]
        defined = [c for c in range(len(values)) if not np.isnan(values[c])]

    def measure(average):
        return metric(ignored, average=average, task=kind, thresholds=thresholds)(output, target, weight)

    if kind != "binary":
        assert measure(None) == pytest.approx(values, rel=1e-9, nan_ok=True)
    mean = np.mean([values[c] for c in defined]) if defined else np.nan
    assert measure("macro") == pytest.approx(mean, rel=1e-9, nan_ok=True)
    if sum(support[c] for c in defined):
        expected = np.average([values[c] for c in defined], weights=[support[c] for c in defined])
        assert measure("weighted") == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize("metric", [*COUNTS, *CURVES])
def test_positions_of_maps_count_one_by_one(metric):
    rng = np.random.default_rng(0)
    scores, classes = rng.normal(size=(3, 4, 2, 5)), rng.integers(4, size=(3, 2, 5))
    classes[0, 0] = 255
    weight = rng.random(3)
    flat, labels = np.moveaxis(scores, 1, -1).reshape(-1, 4), classes.ravel()
    made = metric(ignore_index=255)
    assert made(scores, classes, weight) == near(made(flat, labels, weight.repeat(10)))
    assert made(scores, classes) == near(metric()(flat[labels != 255], labels[labels != 255]))
    masks = rng.integers(2, size=scores.shape)
    for task, columns in (("binary", 1), ("multilabel", 4)):
        ours, theirs = (np.moveaxis(x, 1, -1).reshape(-1, columns) for x in (scores, masks))
        made = metric(task=task, average="none")
        each = weight.repeat(len(ours) // 3)
        assert made(scores, masks, weight) == near(made(ours, theirs, each))


@pytest.mark.parametrize("compile", [False, True])
def test_names_of_fit(compile):
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(30, 4)).astype(np.float32), rng.integers(4, size=30)
    model = nn.Linear(4, 4)
    optimizer = tg.optim.SGD(model.parameters(), lr=0.0)
    names = [*NAMES, "f1_micro", "auroc_weighted"]
    metrics = {**{name: name for name in names}, "of": m.Recall(average=None)}
    history = tg.fit(
        model, (x, y), tg.cross_entropy, optimizer, epochs=2, batch_size=7, metrics=metrics, validate=(x, y),
        compile=compile, progress=False,
    )  # fmt: skip
    scores = tg.predict(model, x)
    for name in names:
        (metric,) = m.resolved(name, tg.cross_entropy)
        assert metric.name == name
        assert history[f"val_{name}"] == history[name] == [near(metric(scores, y))] * 2
        assert tg.training.EarlyStopping(metric=f"val_{name}").best.mode == "max"
    for c, value in enumerate(m.Recall(average=None)(scores, y)):
        assert history[f"of.{c}"] == [near(value)] * 2


def test_names_take_the_threshold_and_the_ignored_class_of_the_loss():
    for name in NAMES[:6]:
        assert m.resolved(name, tg.binary_cross_entropy)[0].threshold == 0.5
    for name in (*NAMES, "iou_micro"):
        assert m.resolved(name, nn.CrossEntropyLoss(ignore_index=3))[0].ignore_index == 3


def test_means_that_are_saved_within_an_epoch_continue():
    metrics = [m.AUROC(), m.IoU(average=None)]
    output, target, _ = drawn("multiclass", 3)
    step = tg.training.eval_step(nn.Identity(), lambda output, target: output.sum(), metrics=metrics)
    batches = [(tg.Tensor(output[i : i + 9]), tg.Tensor(target[i : i + 9])) for i in range(0, 40, 9)]
    whole, before = (tg.training.measure.Means(metrics) for _ in range(2))
    for batch in batches:
        whole.add(step(*batch), batch[1])
    for batch in batches[:2]:
        before.add(step(*batch), batch[1])
    state = before.state_dict()
    after = tg.training.measure.Means(metrics)
    after.load_state_dict(json.loads(json.dumps(state)))
    before.add(step(*batches[2]), batches[2][1])  # a state is a copy
    for batch in batches[2:]:
        after.add(step(*batch), batch[1])
    assert after.result() == whole.result()
    assert whole.result(running=True).keys() == {"loss", *(f"iou.{c}" for c in range(4))}


def test_scores_that_are_nan():
    output, target, _ = drawn("multiclass", 0)
    output[3, 2] = np.nan
    for metric in CURVES:
        for thresholds in (None, 9):
            assert np.isnan(metric(thresholds=thresholds)(output, target))
            assert np.isnan(metric(thresholds=thresholds, average=None)(output, target)).all()
        ignored = np.where(np.arange(40) == 3, -1, target)
        kept = target != 9
        kept[3] = False
        for thresholds in (None, 9):
            made = metric(ignore_index=-1, thresholds=thresholds)
            assert made(output, ignored) == near(made(output[kept], target[kept]))


def test_what_has_no_area():
    ones = np.ones(3)
    assert np.isnan(m.AUROC()(ones, np.array([1, 1, 1])))
    assert np.isnan(m.AUROC()(ones, np.array([0, 0, 0])))
    assert m.AveragePrecision()(ones, np.array([0, 0, 0])) == 0


def test_logits_and_probabilities():
    output, target, _ = drawn("multiclass", 0)
    e = np.exp(output - output.max(axis=1, keepdims=True))
    p = e / e.sum(axis=1, keepdims=True)
    for metric in CURVES:
        assert metric()(output, target) == metric(logits=False)(p, target) == metric()(np.log(p), target)
        assert metric()(output, target) != metric(logits=False)(output, target)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: m.Precision(average="mean"), "Precision: `average` is 'mean'; it must be 'macro' or 'micro'"),
        (lambda: m.AUROC(task="classes"), "AUROC: `task` is 'classes'; it must be 'binary' or"),
        (lambda: m.IoU(zero_division="warn"), "IoU: `zero_division` is 'warn'"),
        (lambda: m.IoU(zero_division=2), "IoU: `zero_division` is 2; it must be a number from 0 to 1, or NaN"),
        (lambda: m.AUROC(thresholds=1), "AUROC: `thresholds` is 1"),
        (lambda: m.AUROC(thresholds=[0.5, 0.5]), "a list that ascends"),
        (lambda: m.AUROC(thresholds=[0.5, np.inf]), "they must be finite"),
        (lambda: m.AUROC(logits=1), "AUROC: `logits` is 1; it must be True or False"),
        (lambda: m.Recall(ignore_index=0.5), "Recall: `ignore_index` is 0.5"),
        (lambda: m.Recall(task="multilabel")(np.ones((3, 2)), np.array([0, 1, 1])), r"\(N, L, ...\) for L labels"),
        (lambda: m.AUROC(task="multiclass")(np.ones(3), np.array([0, 1, 1])), "integer classes"),
        (lambda: m.AUROC()(np.ones((3, 4)), np.ones((3, 2))), "both must have the same shape"),
        (lambda: m.resolved("iou_mean", None), "'iou_mean'; the names are accuracy, auroc"),
    ],
)
def test_what_is_wrong(call, message):
    with pytest.raises((TypeError, ValueError), match=message):
        call()


def test_how_they_are_shown():
    assert repr(m.Precision(0.5, 3, average="micro", task="multilabel", zero_division=1.0)) == (
        "Precision(threshold=0.5, average='micro', task='multilabel', zero_division=1.0, ignore_index=3)"
    )
    assert repr(m.AUROC(average=None, thresholds=9)) == "AUROC(average='none', thresholds=<9>)"
