"""Losses: extremes, labels, reductions and bad arguments. The table of cases checks their formulas and derivatives."""

from __future__ import annotations

import inspect
import math
import warnings
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import tinygrad_cnn as tg
import tinygrad_cnn.functional as F
from tinygrad_cnn import nn
from tinygrad_cnn.core.remedies import original
from tinygrad_cnn.testing.cases import Draws

from ..ops.extremes import derivatives
from ..rows import CASES

RNG = np.random.default_rng(0)
LOGITS = RNG.normal(size=(4, 3))
LABELS = np.array([0, 2, 1, 1])
SIGNS = np.array([1, -1, 1])


def required(f):
    return [name for name, p in inspect.signature(f).parameters.items() if p.default is p.empty]


LOSSES = [getattr(F, name) for name in F.__all__ if "reduction" in inspect.signature(getattr(F, name)).parameters]
LABELLED = (F.cross_entropy, F.nll_loss, F.multi_margin_loss, F.multilabel_margin_loss)
PAIRED = [  # of a target of the prediction's shape
    *(f for f in LOSSES if len(required(f)) == 2 and f not in LABELLED),
    lambda p, t, reduction: F.gaussian_nll_loss(p, t, np.ones_like(p), reduction=reduction),
    lambda p, t, reduction: F.margin_ranking_loss(p, t, np.float32(1), reduction=reduction),
]
ROWS = [
    case
    for case in CASES
    if case.function in map(original, LOSSES)
    and not {"weight", "ignore_index"} & case.params.keys()
    and case.function.__name__ != "ctc_loss"  # whose mean divides by the lengths of targets: tests/ops/test_ctc.py
]


@pytest.mark.parametrize("case", ROWS, ids=lambda case: case.name)
def test_mean_and_sum_are_those_of_the_single_losses(case):
    arrays = case.draw(Draws(np.random.default_rng(0)))

    def loss(reduction):
        return replace(case, params={**case.params, "reduction": reduction}).call(*arrays)

    each = loss("none")
    np.testing.assert_allclose(loss("mean"), each.mean(), rtol=1e-12)
    np.testing.assert_allclose(loss("sum"), each.sum(), rtol=1e-12)
    with pytest.raises(ValueError, match="`reduction` is 'average'; it must be one of 'mean', 'sum', 'none'"):
        loss("average")


@pytest.mark.parametrize("loss", PAIRED)
def test_the_mean_of_nothing_is_nan_without_a_warning(loss):
    empty = tg.Tensor(np.zeros((0, 2), np.float32), requires_grad=True)
    y = loss(empty, empty.numpy(), reduction="mean")
    assert np.isnan(y.item())
    assert loss(empty, empty.numpy(), reduction="sum").item() == 0
    y.backward()
    assert empty.grad.shape == (0, 2)


@pytest.mark.parametrize("loss", PAIRED)
@pytest.mark.parametrize("target", [1, 1.0, [[1, 1]], [[1.0, 1.0]], np.ones((1, 2), np.int64), np.ones((1, 2), bool)])
def test_integers_and_lists_as_targets_leave_float32_alone(loss, target):
    p = tg.Tensor(np.full((1, 2), 0.5, np.float32), requires_grad=True)
    y = loss(p, target, reduction="none")
    assert y.dtype == np.float32
    np.testing.assert_array_equal(y.numpy(), loss(p, np.ones((1, 2), np.float32), reduction="none").numpy())
    pair = (target, np.ones((1, 2), np.float32))
    slopes = [tg.gradients(loss(p, t, reduction="sum"), [p], create_graph=True)[0] for t in pair]
    np.testing.assert_array_equal(*(slope.numpy() for slope in slopes))
    assert tg.jvp(lambda x: loss(x, target, reduction="sum"), (p,), (p,))[1].dtype == np.float32


@pytest.mark.parametrize("loss", PAIRED)
def test_a_target_that_does_not_fit_is_named(loss):
    for shape in ((2, 3), (3, 3, 3), (0, 3)):
        with pytest.raises(ValueError, match=rf"(`target`|`x2`) has shape \({shape[0]}, .* reshape it"):
            loss(np.full((3, 3), 0.5), np.ones(shape), reduction="mean")


# Cross-entropy


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("smoothing", [0.0, 0.25])
def test_cross_entropy_of_large_logits_is_exact(dtype, smoothing):
    x = np.array([[1e4, -1e4], [1e4, -1e4]], dtype)
    y, first, second = derivatives(lambda a: F.cross_entropy(a, np.array([0, 1]), None, -100, "none", smoothing), x)
    wrong = 1 - smoothing / 2
    np.testing.assert_allclose(y, [2e4 * smoothing / 2, 2e4 * wrong], rtol=1e-6)
    np.testing.assert_allclose(first[0], np.outer([smoothing / 2, wrong], [1, -1]), rtol=1e-6)
    assert not second[0].any()


@pytest.mark.parametrize("loss", [F.cross_entropy, F.nll_loss])
@pytest.mark.parametrize("labels", [np.full(4, -100), np.zeros(0, int)])
def test_where_no_label_counts_the_mean_is_nan_and_the_gradient_zero(loss, labels):
    x = LOGITS[: len(labels)].astype(np.float32)
    y, first, second = derivatives(lambda a: loss(a, labels), x)
    assert np.isnan(y)
    assert not first[0].any()
    assert not second[0].any()
    assert loss(x, labels, reduction="sum") == 0


@pytest.mark.parametrize("dtype", [np.int64, np.uint8])
@pytest.mark.parametrize("smoothing", [0.0, 0.3])
@pytest.mark.parametrize("loss", [F.cross_entropy, F.nll_loss])
@pytest.mark.parametrize("ignored", [-100, 0])
def test_an_ignored_row_has_no_part_even_if_its_logits_are_infinite(ignored, loss, smoothing, dtype):
    if (smoothing and loss is F.nll_loss) or (ignored < 0 and dtype == np.uint8):
        return
    options = {"ignore_index": ignored} | ({"label_smoothing": smoothing} if smoothing else {})
    labels = np.array([1, 2, ignored, 1, ignored], dtype)
    x = np.vstack([LOGITS, [[-np.inf, 0.0, 0.0]]])
    kept = labels != ignored
    y, first, _ = derivatives(lambda a: loss(a, labels, **options), x)
    expected, slopes, _ = derivatives(lambda a: loss(a, labels[kept], **options), x[kept])
    np.testing.assert_allclose(y, expected, rtol=1e-12)
    assert not first[0][~kept].any()
    np.testing.assert_allclose(first[0][kept], slopes[0], rtol=1e-12)


@given(labels=st.lists(st.integers(0, 2), min_size=4, max_size=4), smoothing=st.sampled_from([0.0, 0.3]))
def test_class_indices_are_one_hot_probabilities(labels, smoothing):
    weight = np.array([1.0, 2.0, 0.5])
    hot = F.one_hot(np.array(labels), 3).astype(float)
    for reduction in ("sum", "none"):
        indexed = F.cross_entropy(LOGITS, np.array(labels), weight, -100, reduction, smoothing)
        np.testing.assert_allclose(
            indexed, F.cross_entropy(LOGITS, hot, weight, -100, reduction, smoothing), rtol=1e-12
        )


def test_a_single_example_and_further_axes_are_rows_of_a_batch():
    per_row = F.cross_entropy(LOGITS, LABELS, reduction="none")
    assert F.cross_entropy(LOGITS[1], LABELS[1], reduction="none").shape == ()
    np.testing.assert_allclose(F.cross_entropy(LOGITS[1], LABELS[1]), per_row[1], rtol=1e-12)
    images = LOGITS.reshape(2, 2, 1, 3).transpose(0, 3, 1, 2)
    y = F.cross_entropy(images, LABELS.reshape(2, 2, 1), reduction="none")
    np.testing.assert_allclose(y.ravel(), per_row, rtol=1e-12)


def test_labels_as_lists_and_tensors_are_taken():
    expected = F.cross_entropy(LOGITS, LABELS)
    assert F.cross_entropy(LOGITS, LABELS.tolist()) == expected
    assert F.cross_entropy(LOGITS, tg.Tensor(LABELS)).item() == expected


BAD_LABELS = [
    (IndexError, {"target": np.array([0, 3, 1, 1])}, r"`target` holds 3 at \(1,\); it must be from 0 to 2"),
    (IndexError, {"target": np.array([0, 1, 1, -1])}, r"`target` holds -1 at \(3,\).* or -100, which is ignored"),
    (TypeError, {"target": LABELS.astype(np.float32)}, r"`target` is float32; .* astype\(int\)"),
    (TypeError, {"target": LABELS > 0}, "`target` is bool"),
    (ValueError, {"target": LABELS[:3]}, r"`target` has shape \(3,\) beside .* class indices must be \(4,\)"),
    (ValueError, {"target": LABELS, "weight": np.ones(4)}, r"`weight` has shape \(4,\); it must be \(3,\)"),
]


@pytest.mark.parametrize("loss", [F.cross_entropy, F.nll_loss])
@pytest.mark.parametrize("recorded", [False, True])
@pytest.mark.parametrize(("error", "how", "message"), BAD_LABELS)
def test_bad_labels_are_named_with_their_place(loss, recorded, error, how, message):
    x = tg.Tensor(LOGITS, requires_grad=True) if recorded else LOGITS
    with pytest.raises(error, match=f"^{loss.__name__}: {message}"):
        loss(x, **how)


@pytest.mark.parametrize("dtype", [np.int8, np.int32, np.int64, ">i8", np.uint8, np.uint64])
@pytest.mark.parametrize("wrong", [-1, 3, 127])
def test_labels_of_every_integer_dtype_are_looked_at(dtype, wrong):
    labels = np.array([0, 2, wrong, 1]).astype(dtype)
    with pytest.raises(IndexError, match=rf"cross_entropy: `target` holds {labels[2]} at \(2,\)"):
        F.cross_entropy(LOGITS, labels)
    labels[2] = 2
    np.testing.assert_allclose(F.cross_entropy(LOGITS, labels), F.cross_entropy(LOGITS, np.array([0, 2, 2, 1])), rtol=0)


def test_what_cross_entropy_does_not_take():
    with pytest.raises(TypeError, match=r"cross_entropy: `target` .* holds probabilities, but is int64; .* astype"):
        F.cross_entropy(LOGITS, np.ones((4, 3), np.int64))
    with pytest.raises(ValueError, match="cross_entropy: `label_smoothing` is 1.5; it must be from 0 to 1"):
        F.cross_entropy(LOGITS, LABELS, label_smoothing=1.5)
    with pytest.raises(ValueError, match=r"cross_entropy: `logits` has shape \(\)"):
        F.cross_entropy(np.float64(1), np.array(0))
    with pytest.raises(TypeError, match=r"cross_entropy: `weight` requires a gradient .* pass `weight.detach\(\)`"):
        F.cross_entropy(LOGITS, LABELS, tg.Tensor(np.ones(3), requires_grad=True))


@pytest.mark.parametrize(("error", "how", "message"), [
    (IndexError, {"target": np.array([0, 1, 1, -1])}, r"`target` holds -1 at \(3,\); it must be from 0 to 2"),
    *(row for row in BAD_LABELS if "ignored" not in row[2]),
    (ValueError, {"target": LABELS, "p": 3}, "`p` is 3; it must be 1 or 2"),
    (ValueError, {"target": LABELS, "margin": np.nan}, "`margin` is nan"),
    (ValueError, {"target": LABELS, "reduction": "all"}, "`reduction` is 'all'"),
])  # fmt: skip
def test_what_multi_margin_loss_does_not_take(error, how, message):
    with pytest.raises(error, match=f"^multi_margin_loss: {message}"):
        F.multi_margin_loss(tg.Tensor(LOGITS, requires_grad=True), **how)
    with pytest.raises(ValueError, match=r"multi_margin_loss: `prediction` has shape \(\)"):
        F.multi_margin_loss(np.float64(1), np.array(0))


@pytest.mark.parametrize(("error", "target", "message"), [
    (IndexError, LABELED := np.array([[0, 3, -1]]), r"`target` holds 3 at \(0, 1\); it must be from 0 to 2, or"),
    (IndexError, LABELED * 0 - 2, r"`target` holds -2 at \(0, 0\)"),
    (TypeError, LABELED * 1.0, "`target` is float64; it must be integers"),
    (ValueError, LABELED[0], r"`prediction` \(1, 3\) and `target` \(3,\) must both be \(N, C\)"),
    (ValueError, LABELED[:, :2], r"`prediction` \(1, 3\) and `target` \(1, 2\)"),
])  # fmt: skip
def test_what_multilabel_margin_loss_does_not_take(error, target, message):
    with pytest.raises(error, match=f"^multilabel_margin_loss: {message}"):
        F.multilabel_margin_loss(tg.Tensor(LOGITS[:1], requires_grad=True), target)


def test_margin_losses_of_labels_in_lists_and_of_nothing():
    x = LOGITS.astype(np.float32)
    expected = F.multi_margin_loss(x, LABELS)
    assert expected.dtype == np.float32
    assert F.multi_margin_loss(tg.Tensor(x), LABELS.tolist(), margin=np.array(1.0)).item() == expected
    assert F.multilabel_margin_loss(x, np.full((4, 3), -1)) == 0
    listed = np.array([[1, -1, 0]] * 4)
    assert F.multilabel_margin_loss(tg.Tensor(x), listed.tolist()).item() == F.multilabel_margin_loss(x, listed)
    for loss, target in ((F.multi_margin_loss, LABELS[:0]), (F.multilabel_margin_loss, listed[:0])):
        assert np.isnan(loss(x[:0], target))
        assert loss(x[:0], target, reduction="sum") == 0


# Binary cross-entropy and its like


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_losses_of_logits_are_exact_for_logits_of_any_size(dtype):
    x, t = np.array([1e4, 1e4, -1e4, -1e4], dtype), np.array([1, 0, 1, 0], dtype)
    y, first, _ = derivatives(lambda a: F.binary_cross_entropy_with_logits(a, t, reduction="none"), x)
    assert y.tolist() == [0, dtype(1e4), dtype(1e4), 0]
    assert first[0].tolist() == [0, 1, -1, 0]
    y, first, _ = derivatives(lambda a: F.soft_margin_loss(a, 2 * t - 1, "none"), x)
    assert y.tolist() == [0, dtype(1e4), dtype(1e4), 0]
    assert first[0].tolist() == [0, 1, -1, 0]
    small = F.binary_cross_entropy_with_logits(np.array([-20.0], dtype), np.zeros(1, dtype))
    np.testing.assert_allclose(small, math.log1p(math.exp(-20)), rtol=1e-6)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_binary_cross_entropy_at_the_ends_is_bounded_and_so_is_its_gradient(dtype):
    p, t = np.array([0, 0, 1, 1], dtype), np.array([0, 1, 0, 1], dtype)
    y, (dp, dt), _ = derivatives(lambda a, b: F.binary_cross_entropy(a, b, reduction="none"), p, t)
    assert y.tolist() == [0, 100, 100, 0]
    assert dp.tolist() == [1, 0, 0, -1]
    assert dt.tolist() == [100, 100, -100, -100]
    tiny = tg.Tensor(np.finfo(dtype).smallest_subnormal * np.array([1, 4, 2**20], dtype), requires_grad=True)
    F.binary_cross_entropy(tiny, np.ones(3), reduction="sum").backward()
    assert np.isfinite(tiny.grad.numpy()).all()


def test_a_float32_sigmoid_that_saturates_has_a_gradient_like_the_loss_of_logits():
    x = tg.Tensor(np.array([-95.0, -30.0, 3.0], np.float32), requires_grad=True)
    F.binary_cross_entropy(tg.sigmoid(x), np.ones(3), reduction="sum").backward()
    g, x.grad = x.grad.numpy(), None
    F.binary_cross_entropy_with_logits(x, np.ones(3), reduction="sum").backward()
    np.testing.assert_allclose(g[1:], x.grad.numpy()[1:], rtol=1e-4)
    assert np.isfinite(g).all()


@pytest.mark.parametrize("bad", [-0.25, 1.5])
def test_probabilities_outside_0_to_1_are_named(bad):
    half, wrong = np.array([0.5, 0.5]), np.array([0.5, bad])
    with pytest.raises(ValueError, match=f"^binary_cross_entropy: `target` holds {bad}; .* use .*_with_logits"):
        F.binary_cross_entropy(tg.Tensor(half), wrong)
    with pytest.raises(ValueError, match=f"^binary_cross_entropy: `prediction` holds {bad}; "):
        F.binary_cross_entropy(wrong, half)


# The others


def test_a_gaussian_variance_below_eps_counts_as_eps_but_keeps_a_gradient():
    y, (dv,), _ = derivatives(lambda v: F.gaussian_nll_loss(np.zeros(1), np.ones(1), v, eps=0.25), np.zeros(1))
    np.testing.assert_allclose(y, 0.5 * (math.log(0.25) + 4))
    np.testing.assert_allclose(dv, [0.5 * (4 - 16)])
    with pytest.raises(ValueError, match="^gaussian_nll_loss: `var` holds -1.0; a variance must not be negative"):
        F.gaussian_nll_loss(np.zeros(1), np.ones(1), -np.ones(1))


def test_kl_div_of_a_distribution_from_itself_is_zero_with_zeros_in_it():
    p = np.array([[0.5, 0.5, 0.0]])
    with np.errstate(divide="ignore"):
        log_p = np.log(np.where(p > 0, p, 1))
    y, (_, dt), _ = derivatives(lambda x, t: F.kl_div(x, t, "batchmean"), log_p, p)
    assert y == 0
    assert np.isfinite(dt).all()


def test_kl_div_of_a_negative_target_is_nan_as_its_logarithm_is():
    x, t = (tg.Tensor(v, dtype=np.float64, requires_grad=True) for v in ([-1.0, -1.0, -1.0], [-0.5, 0.0, 0.5]))
    with np.errstate(invalid="ignore"):
        y = F.kl_div(x, t, reduction="none")
        y.sum().backward()
    np.testing.assert_allclose(y.detach().numpy(), [np.nan, 0, 0.5 * (math.log(0.5) + 1)])
    np.testing.assert_allclose(x.grad.numpy(), [0.5, 0, -0.5])
    np.testing.assert_allclose(t.grad.numpy(), [np.nan, 1, math.log(0.5) + 2])


def test_poisson_counts_of_zero_and_one_have_no_stirling_term():
    t = np.array([0.0, 1.0])
    y, (_, dt), _ = derivatives(lambda x, t: F.poisson_nll_loss(x, t, full=True, reduction="none"), np.ones(2), t)
    np.testing.assert_allclose(y, math.e - t)
    np.testing.assert_allclose(dt, [-1, -1])


def test_equal_vectors_and_zero_vectors_have_finite_gradients():
    x = np.array([[1.0, 2.0], [0.0, 0.0]])
    for f in (
        lambda a, b: F.pairwise_distance(a, b),
        lambda a, b: F.pairwise_distance(a, b, eps=0),
        lambda a, b: F.cosine_similarity(a, b),
        lambda a, b: F.cosine_embedding_loss(a, b, np.array([1, -1])),
        lambda a, b: F.triplet_margin_loss(a, b, b, swap=True),
    ):
        y, first, second = derivatives(f, x, x)
        assert all(np.isfinite(a).all() for a in (y, *first, *second))


def test_unlike_pairs_cost_nothing_beyond_the_margin():
    x, target = np.array([[1.0, 0.0]]), np.array([-1])
    for angle, cost in ((np.pi, 0), (np.pi / 2, 0), (np.pi / 3, 0.25), (0, 0.75)):
        y = F.cosine_embedding_loss(x, np.array([[np.cos(angle), np.sin(angle)]]), target, margin=0.25)
        np.testing.assert_allclose(y, cost, rtol=1e-9)


BAD = [
    (lambda: F.huber_loss(LOGITS, LOGITS, delta=0), "huber_loss: `delta` is 0; it must be above 0"),
    (lambda: F.smooth_l1_loss(LOGITS, LOGITS, beta=-1), "smooth_l1_loss: `beta` is -1"),
    (lambda: F.triplet_margin_loss(LOGITS, LOGITS, LOGITS, margin=0), "triplet_margin_loss: `margin` is 0"),
    (lambda: F.huber_loss(LOGITS, LOGITS, delta=np.nan), "huber_loss: `delta` is nan; it must be above 0"),
    (lambda: F.smooth_l1_loss(LOGITS, LOGITS, beta=np.nan), "smooth_l1_loss: `beta` is nan; it must not be negative"),
    (lambda: F.poisson_nll_loss(LOGITS, LOGITS, eps=-1), "poisson_nll_loss: `eps` is -1; it must not be negative"),
    (lambda: F.gaussian_nll_loss(LOGITS, LOGITS, LOGITS**2, eps=-1), "gaussian_nll_loss: `eps` is -1"),
    (lambda: F.cosine_similarity(LOGITS, LOGITS, eps=-1), "cosine_similarity: `eps` is -1; it must not be negative"),
    (lambda: F.margin_ranking_loss(LOGITS, LOGITS, SIGNS, margin=np.nan), "margin_ranking_loss: `margin` is nan"),
    *(
        (
            lambda i=i: F.cross_entropy(LOGITS, np.full_like(LOGITS, 0.25), ignore_index=i),
            rf"cross_entropy: `ignore_index` is {i} but `target` holds probabilities, which have no index",
        )
        for i in (0, 2, 9)
    ),
    (
        lambda: nn.CrossEntropyLoss(ignore_index=0)(LOGITS, np.full_like(LOGITS, 0.25)),
        "cross_entropy: `ignore_index` is 0",
    ),
    (lambda: F.triplet_margin_loss(LOGITS, LOGITS[0], LOGITS), r"triplet_margin_loss: .* one shape"),
    (lambda: F.cosine_embedding_loss(LOGITS, LOGITS, LABELS[:3]), r"`target` \(3,\) must be"),
    (lambda: F.cosine_embedding_loss(LOGITS, LOGITS, LABELS), r"^cosine_embedding_loss: `target` holds 0 at \(0,\)"),
    (
        lambda: F.hinge_embedding_loss(LOGITS[0], np.array([1, 0, 1])),
        r"^hinge_embedding_loss: `target` holds 0.0 at \(1,\)",
    ),
    (lambda: F.margin_ranking_loss(LOGITS, LOGITS[0, :2], SIGNS), r"margin_ranking_loss: `x2` has shape \(2,\)"),
    (lambda: F.gaussian_nll_loss(LOGITS, LOGITS, np.ones(5)), r"gaussian_nll_loss: `var` has shape \(5,\)"),
]


@pytest.mark.parametrize(("call", "message"), BAD, ids=[message[:40] for _, message in BAD])
def test_bad_arguments_are_named(call, message):
    with pytest.raises(ValueError, match=message):
        call()


def test_vectors_that_do_not_broadcast_are_named():
    with pytest.raises(ValueError, match=r"cosine_similarity: `x1` \(2, 3\) and `x2` \(2, 4\)"):
        F.cosine_similarity(np.ones((2, 3)), np.ones((2, 4)))


def test_what_is_ignored_may_hold_anything():
    x = np.array([[np.nan, 1.0], [np.inf, 2.0], [0.0, 0.0]], np.float32)
    logits = tg.Tensor(x, requires_grad=True)
    each = tg.cross_entropy(logits, np.array([-100, -100, 1]), reduction="none")
    np.testing.assert_allclose(each.numpy(), [0, 0, np.log(2)], rtol=1e-6)


@pytest.mark.parametrize("value", [1j, True, "1", None, np.ones(2)])
@pytest.mark.parametrize(
    ("name", "call"),
    [
        ("huber_loss: `delta`", lambda v: F.huber_loss(LOGITS, LOGITS, delta=v)),
        ("smooth_l1_loss: `beta`", lambda v: F.smooth_l1_loss(LOGITS, LOGITS, beta=v)),
        ("gaussian_nll_loss: `eps`", lambda v: F.gaussian_nll_loss(LOGITS, LOGITS, LOGITS**2, eps=v)),
        ("poisson_nll_loss: `eps`", lambda v: F.poisson_nll_loss(LOGITS, LOGITS, eps=v)),
        ("cross_entropy: `label_smoothing`", lambda v: F.cross_entropy(LOGITS, LABELS, label_smoothing=v)),
        ("CrossEntropyLoss: `label_smoothing`", lambda v: nn.CrossEntropyLoss(label_smoothing=v)),
        ("cosine_similarity: `eps`", lambda v: F.cosine_similarity(LOGITS, LOGITS, eps=v)),
        ("pairwise_distance: `eps`", lambda v: F.pairwise_distance(LOGITS, LOGITS, eps=v)),
        ("cosine_embedding_loss: `margin`", lambda v: F.cosine_embedding_loss(LOGITS, LOGITS, LABELS, margin=v)),
        ("hinge_embedding_loss: `margin`", lambda v: F.hinge_embedding_loss(LOGITS, SIGNS, margin=v)),
        ("margin_ranking_loss: `margin`", lambda v: F.margin_ranking_loss(LOGITS, LOGITS, SIGNS, margin=v)),
        ("triplet_margin_loss: `margin`", lambda v: F.triplet_margin_loss(LOGITS, LOGITS, LOGITS, margin=v)),
        ("dropout: `p`", lambda v: F.dropout(LOGITS, p=v)),
        ("Dropout: `p`", lambda v: nn.Dropout(p=v)),
        ("var: `correction`", lambda v: tg.var(LOGITS, correction=v)),
        ("std: `correction`", lambda v: tg.std(LOGITS, correction=v)),
    ],
)  # fmt: skip
def test_options_are_real_numbers(name, call, value):
    with pytest.raises(TypeError, match=f"^{name} is .*; it must be a number"):
        call(value)


def test_options_may_be_numpy_numbers_and_leave_float32_alone():
    x = LOGITS.astype(np.float32)
    for number in (np.float64(0.5), np.float32(0.5), np.int64(1)):
        assert F.huber_loss(x, x, delta=number).dtype == np.float32
        assert F.smooth_l1_loss(x, x, beta=number).dtype == np.float32
        assert F.normalize(x, number).dtype == np.float32


def test_a_class_that_cannot_be_is_nothing_to_ignore_among_probabilities():
    probabilities = np.full_like(LOGITS, 1 / LOGITS.shape[1])
    expected = F.cross_entropy(LOGITS, probabilities)
    for index in (-100, -1):
        assert F.cross_entropy(LOGITS, probabilities, ignore_index=index) == expected


WRONGLY_FED = [
    (F.softmax, F.cross_entropy, LABELS, "leave softmax out of the model"),
    (F.softmax, F.nll_loss, LABELS, "nll_loss: `log_probs` is the result of softmax, and it must be logarithms"),
    (lambda x: nn.Linear(3, 3, dtype=np.float64)(x), F.nll_loss, LABELS, "the result of linear.*use cross_entropy"),
    (F.softmax, F.kl_div, np.full((4, 3), 1 / 3), "kl_div: `prediction` is the result of softmax"),
    (tg.sigmoid, F.binary_cross_entropy_with_logits, np.ones((4, 3)), "leave sigmoid out, or use binary_cross_entropy"),
]


@pytest.mark.parametrize("compile", [False, True])
@pytest.mark.parametrize(("last", "loss", "target", "message"), WRONGLY_FED, ids=lambda f: getattr(f, "__name__", ""))
def test_a_result_that_the_loss_would_take_for_something_else(last, loss, target, message, compile):
    def step(x):
        return loss(last(x), target)

    x = tg.Tensor(LOGITS, requires_grad=True)
    step = tg.compile(step) if compile else step
    for _ in range(4):
        with pytest.warns(UserWarning, match=message) as found:
            step(x)
        assert [each.filename for each in found] == [__file__]


def test_the_warning_comes_once_for_a_training_and_not_for_the_right_losses():
    x, y = LOGITS.astype(np.float32), LABELS
    model = nn.Sequential(nn.Linear(3, 3), nn.Softmax())
    optimizer = tg.optim.SGD(model.parameters(), lr=0.1)
    with warnings.catch_warnings(record=True) as found:
        warnings.simplefilter("default")
        tg.fit(model, (x, y), tg.cross_entropy, optimizer, epochs=5, batch_size=2, progress=False)
    assert ["leave softmax out" in str(each.message) for each in found] == [True]
    tg.nll_loss(tg.log_softmax(model(x)), y)
    tg.cross_entropy(model(x).log(), y)
    tg.binary_cross_entropy(model(x), y[:, None] == np.arange(3))
