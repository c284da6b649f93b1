"""Connectionist temporal classification: the probability of a short sequence of labels under a long one of distributions."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...core.graph import Array, Tensor
from ..elementwise import astype, maximum, where
from ..gather import take_along_axis
from ..half import in_float32
from ..reduce import mean, sum
from ..shape import concatenate, reshape
from ..transcendental import logaddexp
from .base import as_array, check_reduction

__all__ = ["ctc_loss"]

NEVER = -1e30
"""The logarithm of a probability of 0: finite, so that its gradient is 0 and not NaN."""


def ctc_loss(
    log_probs: Array, targets: Array, input_lengths: Array, target_lengths: Array, blank: int = 0, reduction: str = "mean",
    zero_infinity: bool = False,
) -> Tensor:  # fmt: skip
    """y[n] = -log of the sum, over all paths that spell target n, of the product of their probabilities.

    A path has one class for each time step. It spells a target if that remains after repeated classes are merged and blanks
    are dropped. log_probs' = -g times the probability that the path is there, given the target. (PyTorch's gradient has
    exp(log_probs) in addition, which makes no difference behind :func:`tinygrad_cnn.log_softmax`.)

    Reference: Graves et al., "Connectionist temporal classification", ICML 2006.

    Args:
        log_probs: (T, N, C), logarithms of probabilities; or (T, C) for one sequence.
        targets: (N, S), classes, of which the first `target_lengths` count; or all of them in a row, (sum of lengths,).
        input_lengths: (N,), how many of the T steps count; or a number for one sequence.
        target_lengths: (N,), or a number for one sequence.
        blank: the class that spells nothing.
        reduction: "mean" divides each loss by the length of its target, or 1, and averages; "sum"; or "none" for (N,).
        zero_infinity: whether a loss that is infinite, because the target does not fit into its steps, counts as 0, with a
            gradient of 0. Without that, its gradient is not finite either.

    Raises:
        ValueError: for shapes or lengths that do not match.
        IndexError: for a target that is no class, or is the blank.

    >>> import numpy as np, tinygrad_cnn as tg
    >>> log_probs = tg.log_softmax(tg.zeros(4, 1, 3), axis=2)  # 3 classes, one of them blank: 81 paths of 4 steps
    >>> loss = tg.ctc_loss(log_probs, [[1, 2]], [4], [2], reduction="sum")
    >>> int(np.exp(-loss.item()) * 81 + 0.5)  # of them spell 1, 2
    15
    """
    log_probs = as_array(log_probs)
    check_reduction("ctc_loss", reduction)
    alone = log_probs.ndim == 2
    if alone:
        log_probs = reshape(log_probs, shape=(log_probs.shape[0], 1, log_probs.shape[1]))
    if log_probs.ndim != 3 or not log_probs.shape[0]:
        raise ValueError(
            f"ctc_loss: `log_probs` has shape {tuple(log_probs.shape)}; it must be (T, N, C) or (T, C), with T at least 1"
        )
    steps, count, classes = log_probs.shape
    inputs = _lengths("input_lengths", input_lengths, count, steps)
    wanted = _integers("targets", targets)
    most = wanted.size if wanted.ndim == 1 else wanted.shape[-1]
    lengths = _lengths("target_lengths", target_lengths, count, most)
    padded = _padded(wanted, lengths, count)
    within = np.arange(padded.shape[1]) < lengths[:, None]
    wrong = within & ((padded < 0) | (padded >= classes) | (padded == blank))
    if not 0 <= blank < classes:
        raise IndexError(
            f"ctc_loss: `blank` is {blank}; it must be one of the {classes} classes, from 0 to {classes - 1}"
        )
    if wrong.any():
        raise IndexError(
            f"ctc_loss: `targets` has {padded[wrong][0]}; it must be one of the {classes} classes, and not the blank, {blank}"
        )
    each = _negative_logarithms(
        log_probs, targets=np.where(within, padded, blank), inputs=inputs, lengths=lengths, blank=blank,
        zero_infinity=zero_infinity,
    )  # fmt: skip
    if reduction == "mean":
        return mean(each / np.maximum(lengths, 1).astype(each.dtype))
    if reduction == "sum":
        return sum(each)
    return reshape(each, shape=()) if alone else each


@in_float32
def _negative_logarithms(
    log_probs: Array,
    *,
    targets: NDArray[Any],
    inputs: NDArray[Any],
    lengths: NDArray[Any],
    blank: int,
    zero_infinity: bool,
) -> Tensor:
    count, longest = targets.shape
    labels = np.full((count, 2 * longest + 1), blank)  # blank, first, blank, second, ..., blank
    labels[:, 1::2] = targets
    skips = np.zeros(labels.shape, bool)  # from one label straight to the next, unless they are equal
    skips[:, 3::2] = targets[:, 1:] != targets[:, :-1]
    each: Any = _forward(log_probs, labels=labels, skips=skips, inputs=inputs, lengths=lengths)
    impossible = each > -NEVER / 2
    if zero_infinity:
        return where(impossible, 0, each)
    return each * astype(where(impossible, np.inf, 1.0), each.dtype)  # type: ignore[no-any-return]


def _forward(
    log_probs: Any, *, labels: NDArray[Any], skips: NDArray[Any], inputs: NDArray[Any], lengths: NDArray[Any]
) -> Any:  # fmt: skip
    """The forward variables of all sequences at once, one step after another."""
    steps, count, _ = log_probs.shape
    places = np.broadcast_to(labels, (steps, *labels.shape))
    emitted = maximum(take_along_axis(log_probs, places, axis=2), NEVER)  # (T, N, 2 S + 1)
    dtype = emitted.dtype
    start = np.full(labels.shape, NEVER, dtype)
    start[:, :2] = 0
    before = np.full((count, 2), NEVER, dtype)
    alpha = maximum(emitted[0] + start, NEVER)
    for t in range(1, steps):
        wide = concatenate([before, alpha], axis=1)
        reached = logaddexp(logaddexp(alpha, wide[:, 1:-1]), where(skips, wide[:, :-2], NEVER))
        new = maximum(reached + emitted[t], NEVER)
        alpha = where((t < inputs)[:, None], new, alpha)
    ends = np.stack([2 * lengths, np.maximum(2 * lengths - 1, 0)], axis=1)
    last = take_along_axis(alpha, ends, axis=1)
    both = logaddexp(last[:, 0], where(lengths == 0, NEVER, last[:, 1]))
    return 0 - where(inputs == 0, np.where(lengths == 0, 0, NEVER).astype(dtype), both)


def _integers(name: str, value: Array) -> NDArray[Any]:
    given = np.asarray(value.numpy() if hasattr(value, "numpy") else value)
    if given.dtype.kind not in "iu" and given.size:
        raise TypeError(f"ctc_loss: `{name}` is {given.dtype}; it must be integers")
    return given.astype(np.int64)


def _lengths(name: str, value: Array, count: int, most: int) -> NDArray[Any]:
    """(N,) lengths from 0 to `most`."""
    given = _integers(name, value)
    given = given[None] if given.ndim == 0 else given
    if given.shape != (count,):
        raise ValueError(
            f"ctc_loss: `{name}` has shape {given.shape}; it must have one length for each of {count} sequences"
        )
    if ((given < 0) | (given > most)).any():
        raise ValueError(f"ctc_loss: `{name}` is {given.tolist()!r:.60}; lengths must be from 0 to {most}")
    return given


def _padded(targets: NDArray[Any], lengths: NDArray[Any], count: int) -> NDArray[Any]:
    """Targets (N, S) of any of their forms."""
    if targets.ndim == 2 and len(targets) == count:
        return targets
    if targets.ndim != 1 or targets.size != lengths.sum():
        raise ValueError(
            f"ctc_loss: `targets` has shape {targets.shape}; it must be ({count}, S) or ({lengths.sum()},)"
        )
    padded = np.zeros((count, int(lengths.max(initial=0))), np.int64)
    padded[np.arange(padded.shape[1]) < lengths[:, None]] = targets
    return padded
