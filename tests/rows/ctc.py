"""Rows for ops/losses/ctc.py: all paths, one after another."""

from __future__ import annotations

from itertools import groupby, product
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tinygrad_cnn.ops.losses import ctc as ops
from tinygrad_cnn.testing.cases import Arg, Case


def naive_ctc_loss(
    log_probs: NDArray[Any], targets: Any, input_lengths: Any, target_lengths: Any, blank: int = 0, reduction: str = "mean",
    zero_infinity: bool = False,
) -> Any:  # fmt: skip
    """The sum over all paths that spell the target."""
    count, targets = log_probs.shape[1], np.asarray(targets)
    each, start = np.zeros(count), 0
    for n in range(count):
        length = target_lengths[n]
        wanted = list(targets[n, :length]) if targets.ndim == 2 else list(targets[start : start + length])
        start, total = start + length, 0.0
        for path in product(range(log_probs.shape[2]), repeat=input_lengths[n]):
            if [label for label, _ in groupby(path) if label != blank] == wanted:
                total += np.exp(sum(log_probs[t, n, label] for t, label in enumerate(path)))
        each[n] = -np.log(total) if total else (0 if zero_infinity else np.inf)
    if reduction == "mean":
        return (each / np.maximum(target_lengths, 1)).mean()
    return each if reduction == "none" else each.sum()


SCORES, SQUARE = Arg((4, 2, 3)), Arg((4, 2, 4))
REPEATED = np.array([[1, 1], [2, 1]])

CASES = [
    Case(ops.ctc_loss, (scores,), naive_ctc_loss,
         {"targets": targets, "input_lengths": steps, "target_lengths": lengths, "blank": blank, "reduction": reduction},
         order=2, fixed=True)
    for scores, targets, steps, lengths, blank, reduction in (
        (SCORES, REPEATED, [4, 4], [2, 2], 0, "mean"), (SCORES, REPEATED, [4, 3], [1, 2], 0, "none"),
        (SCORES, [0, 1, 0], [3, 4], [2, 1], 2, "sum"), (SCORES, REPEATED, [2, 4], [0, 2], 0, "mean"),
        (SQUARE, REPEATED, [4, 3], [2, 2], 0, "mean"),
    )
]  # fmt: skip
