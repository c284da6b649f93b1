"""Rows for the losses in functional/, against their formulas, element by element."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tinygrad_cnn import functional as fn
from tinygrad_cnn.ops.losses import regression
from tinygrad_cnn.testing.cases import GAP, Arg, Case

REDUCTIONS = ("mean", "sum", "none")
PAIR = (Arg((2, 3), offset=0.0), Arg((2, 3), offset=GAP))  # nowhere equal
FAR = (Arg((2, 3), low=-0.5, high=0.5), Arg((2, 3), low=-0.5, high=0.5))
SIGNS = np.array([[1, -1, 1], [-1, -1, 1], [1, 1, -1]])
PROBABILITY = Arg((2, 3), low=0.25, high=0.75)
SCORES = Arg((2, 3, 2))
LABELS = Arg((2, 2), kind="int", low=0, high=2)
SHARES = Arg((2, 3, 2), low=0.0, high=1.0)
WEIGHT = np.array([0.5, 1.0, 2.0])
VECTORS = Arg((2, 3), low=0.5), Arg((2, 3), low=-2.0, high=-0.5), Arg((2, 3), low=4.0, high=6.0)

SPREAD = VECTORS[0], Arg((2, 3), distinct=True)  # not parallel


def reduced(each: Any, reduction: str = "mean") -> Any:
    """The mean, the sum, or neither."""
    return each if reduction == "none" else getattr(np, reduction)(each)


def classes(
    x: NDArray[Any], target: NDArray[Any], weight: Any = None, ignore_index: int = -100, reduction: str = "mean",
    label_smoothing: float = 0.0, log: bool = False,
) -> Any:  # fmt: skip
    """Cross-entropy of (N, C, L), one position at a time; of log-probabilities if `log`."""
    n, c, length = x.shape
    weight = np.ones(c) if weight is None else weight
    y, total = np.zeros((n, length)), 0.0
    for i, j in np.ndindex(n, length):
        log_p = x[i, :, j] if log else x[i, :, j] - np.log(np.exp(x[i, :, j]).sum())
        indexed = target.ndim == 2
        if indexed and target[i, j] == ignore_index:
            continue
        wanted = np.eye(c)[target[i, j]] if indexed else target[i, :, j]
        wanted = wanted * (1 - label_smoothing) + label_smoothing / c
        y[i, j] = -(wanted * weight * log_p).sum()
        total += weight[target[i, j]] if indexed else 1.0
    if reduction == "mean":
        return y.sum() / total if total else np.nan
    return reduced(y, reduction)


def labelled(function: Any, log: bool = False) -> list[Case]:
    """Every reduction, with and without weights and ignored labels."""
    some = {"weight": WEIGHT, "target": np.array([[0, 1], [2, 1]])}
    forms: list[dict[str, Any]] = [{}, {"weight": WEIGHT}]
    forms += [{"ignore_index": 1, "reduction": reduction, **some} for reduction in REDUCTIONS]
    if not log:
        forms.append({"ignore_index": 2, "label_smoothing": 0.25, **some})
    return [
        Case(
            function,
            (SCORES,) if "target" in form else (SCORES, LABELS),
            partial(classes, log=log),
            form,
            order=2,
        )
        for form in forms
    ]


def huber(p: NDArray[Any], t: NDArray[Any], delta: float = 1.0, reduction: str = "mean") -> Any:
    """The square up to delta and the line beyond."""
    d = np.abs(p - t)
    return reduced(np.where(d < delta, d * d / 2, delta * (d - delta / 2)), reduction)


def margins(
    x: NDArray[Any], target: NDArray[Any], margin: float, p: int = 1, weight: Any = WEIGHT * 0 + 1, reduction: str = "mean",
) -> Any:  # fmt: skip
    """One example at a time."""
    each = [
        weight[t] * sum(max(0, margin - row[t] + v) ** p for i, v in enumerate(row) if i != t) / len(row)
        for row, t in zip(np.atleast_2d(x), np.atleast_1d(target), strict=True)
    ]
    return reduced(np.reshape(each, target.shape), reduction)


def several(x: NDArray[Any], target: NDArray[Any], reduction: str = "mean") -> Any:
    """One example at a time."""
    each = []
    for row, listed in zip(np.atleast_2d(x), np.atleast_2d(target).tolist(), strict=True):
        classes = listed[: [*listed, -1].index(-1)]
        others = [v for i, v in enumerate(row) if i not in classes]
        each.append(sum(max(0, 1 - row[t] + v) for t in classes for v in others) / len(row))
    return reduced(np.reshape(each, target.shape[:-1]), reduction)


def closer(f: Any) -> Any:
    """A function of scores whose differences are not 1."""
    return lambda x, t, **params: f(0.9 * x, t, **params)


def stirling(t: NDArray[Any]) -> NDArray[Any]:
    """log t!, nearly."""
    return np.where(t > 1, t * np.log(t) - t + 0.5 * np.log(2 * np.pi * t), 0)


def gauss(p: Any, t: Any, v: Any, full: bool = False, reduction: str = "mean") -> Any:
    """Minus the logarithm of the normal density."""
    v = v if v.ndim == 2 else v[:, None]
    return reduced(0.5 * (np.log(v) + (p - t) ** 2 / v) + full * 0.5 * np.log(2 * np.pi), reduction)


def cosine(a: NDArray[Any], b: NDArray[Any], axis: int = 1, tiny: float = 0.0) -> NDArray[Any]:
    """The cosine of the angle."""
    a, b = np.broadcast_arrays(a, b)
    return np.asarray((a * b).sum(axis) / np.sqrt(((a * a).sum(axis) + tiny) * ((b * b).sum(axis) + tiny)))


def angles(a: NDArray[Any], b: NDArray[Any], target: NDArray[Any], margin: float) -> Any:
    """Pairs drawn together or apart by their angle."""
    cos = cosine(a, b, tiny=1e-12)
    return np.where(target == 1, 1 - cos, np.maximum(cos - margin, 0)).mean()


def apart(a: NDArray[Any], b: NDArray[Any], p: float = 2.0) -> NDArray[Any]:
    """The distance."""
    return np.asarray((np.abs(a - b + 1e-6) ** p).sum(-1) ** (1 / p))


CASES = [
    *labelled(fn.cross_entropy),
    *labelled(fn.nll_loss, log=True),
    Case(
        fn.cross_entropy,
        (Arg((4, 3)), replace(LABELS, shape=(4,))),
        lambda x, t: classes(x[:, :, None], t[:, None]),
        order=2,
    ),
    Case(fn.cross_entropy, (SCORES, SHARES), classes, {"weight": WEIGHT}, order=2),
    Case(fn.cross_entropy, (SCORES, SHARES), classes, {"label_smoothing": 0.25, "reduction": "none"}),
    *(
        Case(fn.l1_loss, PAIR, lambda p, t, reduction: reduced(np.abs(p - t), reduction), {"reduction": r}, order=2)
        for r in REDUCTIONS
    ),
    Case(fn.huber_loss, PAIR, huber, {"delta": 0.75 + GAP / 2}, order=2),
    Case(fn.huber_loss, FAR, huber, {"reduction": "sum", "delta": 1.25}),
    Case(
        lambda p, t, w: fn.huber_loss(p, t, weight=w),
        (*FAR, Arg((2, 3))),
        lambda p, t, w: (w * (p - t) ** 2 / 2).mean(),
    ),
    Case(
        fn.smooth_l1_loss,
        PAIR,
        lambda p, t, beta: huber(p, t, beta) / beta,
        {"beta": 0.75 + GAP / 2},
        order=2,
    ),
    Case(fn.smooth_l1_loss, PAIR, lambda p, t, beta: np.abs(p - t).mean(), {"beta": 0}, order=2),
    Case(
        fn.poisson_nll_loss,
        (Arg((2, 3)), Arg((2, 3), low=0.0, away=(1.0,))),
        lambda x, t, full: reduced(np.exp(x) - t * x + full * stirling(t + (t == 0))),
        {"full": True},
        order=2,
    ),
    Case(
        fn.poisson_nll_loss,
        (Arg((2, 3), low=0.5), Arg((2, 3))),
        lambda x, t, log_input, eps, reduction: reduced(x - t * np.log(x + eps), reduction),
        {"log_input": False, "eps": 0.5, "reduction": "none"},
    ),
    Case(fn.gaussian_nll_loss, (*FAR, Arg((2, 3), low=0.5)), gauss, {"full": True}, order=2),
    Case(fn.gaussian_nll_loss, (*FAR, Arg((2,), low=0.5)), gauss, {"reduction": "none"}, order=2),
    Case(
        fn.kl_div,
        (Arg((2, 3)), PROBABILITY),
        lambda x, t, reduction: (t * (np.log(t) - x)).sum() / len(x),
        {"reduction": "batchmean"},
    ),
    Case(regression.log_ratio, (PROBABILITY, Arg((2, 3))), lambda t, x: np.log(t) - x),
    Case(regression.log_ratio, (Arg((3,), low=0.25, high=0.75), Arg((2, 3))), lambda t, x: np.log(t) - x),
    Case(regression.log_ratio, (PROBABILITY, Arg((3,))), lambda t, x: np.log(t) - x),
    Case(regression.divergence, (PROBABILITY, Arg((2, 3))), lambda t, x: t * (np.log(t) - x)),
    Case(regression.divergence, (Arg((3,), low=0.25, high=0.75), Arg((2, 3))), lambda t, x: t * (np.log(t) - x)),
    Case(regression.divergence, (PROBABILITY, Arg((3,))), lambda t, x: t * (np.log(t) - x)),
    Case(
        fn.kl_div,
        (Arg((2, 3)), Arg((3,), -2, 2)),
        lambda x, t, log_target: (np.exp(t) * (t - x)).mean(),
        {"log_target": True},
    ),
    Case(
        fn.binary_cross_entropy,
        (PROBABILITY, PROBABILITY, Arg((3,))),
        lambda p, t, w: -(w * (t * np.log(p) + (1 - t) * np.log(1 - p))).mean(),
        order=2,
    ),
    Case(
        fn.binary_cross_entropy_with_logits,
        (Arg((2, 3)), PROBABILITY, Arg((2, 1))),
        lambda x, t, w, reduction: (w * (np.log(1 + np.exp(x)) - t * x)).sum(),
        {"reduction": "sum"},
        order=2,
    ),
    Case(
        lambda x, t, w: fn.binary_cross_entropy_with_logits(x, t, pos_weight=w),
        (Arg((2, 3)), PROBABILITY, Arg((3,))),
        lambda x, t, w: (w * t * np.log(1 + np.exp(-x)) + (1 - t) * np.log(1 + np.exp(x))).mean(),
    ),
    Case(fn.soft_margin_loss, (Arg((2, 3)), Arg((2, 3))), lambda x, t: np.log(1 + np.exp(-t * x)).mean()),
    *(
        Case(
            fn.multi_margin_loss,
            (Arg(shape, distinct=True), Arg(shape[:-1], 0, 2, kind="int")),
            margins,
            {"margin": 1 + GAP, **params},
            order=2,
        )
        for shape, params in (
            ((2, 3), {}),
            ((3,), {"p": 2}),
            ((3, 3), {"weight": WEIGHT, "reduction": "none"}),
            ((2, 3), {"reduction": "sum"}),
        )
    ),
    *(
        Case(
            fn.multilabel_margin_loss,
            (Arg(shape, distinct=True), Arg(shape, -1, 2, kind="int")),
            several,
            params,
            order=2,
            via=closer,
        )
        for shape, params in (((2, 3), {}), ((3,), {}), ((3, 3), {"reduction": "none"}))
    ),
    Case(
        fn.multilabel_soft_margin_loss,
        (Arg((2, 3)), PROBABILITY, Arg((3,))),
        lambda x, t, w: (w * (np.log(1 + np.exp(x)) - t * x)).mean(),
        order=2,
    ),
    Case(
        fn.multilabel_soft_margin_loss,
        (Arg((3, 3)), Arg((3, 3), 0.0, 1.0)),
        lambda x, t, reduction: (np.log(1 + np.exp(x)) - t * x).mean(-1),
        {"reduction": "none"},
        order=2,
    ),
    Case(fn.cosine_similarity, SPREAD, cosine, {"axis": 0}, order=2),
    Case(fn.cosine_similarity, (VECTORS[0], Arg((3,), distinct=True)), cosine, order=2),
    Case(fn.pairwise_distance, VECTORS[1:], apart, order=2),
    Case(
        fn.cosine_embedding_loss,
        SPREAD,
        angles,
        {"target": np.array([1, -1]), "margin": -1.0},
        order=2,
    ),
    Case(
        fn.hinge_embedding_loss,
        (Arg((3, 3), away=(1.0,)),),
        lambda x, target: np.where(target == 1, x, np.maximum(1 - x, 0)).mean(),
        {"target": SIGNS},
    ),
    Case(
        fn.margin_ranking_loss,
        (Arg((3, 3), offset=0.0), Arg((3, 3), offset=GAP)),
        lambda a, b, target, reduction: np.maximum(-target * (a - b), 0).sum(),
        {"target": SIGNS, "reduction": "sum"},
    ),
    Case(
        fn.triplet_margin_loss,
        VECTORS,
        lambda a, p, n, margin: (apart(a, p) - apart(a, n) + margin).mean(),
        {"margin": 16.0},
        order=2,
    ),
    Case(
        fn.triplet_margin_loss,
        (VECTORS[1], VECTORS[0], VECTORS[2]),
        lambda a, b, n, margin, swap, p: (apart(a, b, p) - np.minimum(apart(a, n, p), apart(b, n, p)) + margin).mean(),
        {"margin": 16.0, "swap": True, "p": 3.0},
        order=2,
    ),
]
