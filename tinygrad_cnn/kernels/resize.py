"""Resampling one axis of an array: each output element is a weighted sum of a few input elements.

The elements are listed as taps: three arrays of targets (output positions), sources (input positions) and weights.
"""

from __future__ import annotations

import numpy as np

Taps = tuple[np.ndarray, np.ndarray, np.ndarray]


def resample(x: np.ndarray, axis: int, size: int, taps: Taps) -> np.ndarray:
    """y of `size` along `axis`: y[t] = sum over taps (t, s, w) of w x[s]."""
    targets, sources, weights = taps
    if x.dtype.kind == "f":
        weights = weights.astype(x.dtype)
    n = x.shape[axis]
    places = np.stack([targets, sources])
    if (places < 0).any() or (places >= [[size], [n]]).any():
        raise IndexError(f"`taps` must have targets in range({size}) and sources in range({n})")
    y = np.zeros_like(x, np.result_type(x, weights), shape=(*x.shape[:axis], size, *x.shape[axis + 1 :]))
    lead, trail = (slice(None),) * axis, (1,) * (x.ndim - axis - 1)
    # In one pass no output element occurs twice, so that each pass is one addition.
    turn = _occurrence(targets)
    for i in range(int(turn.max(initial=-1)) + 1):
        chosen = turn == i
        y[(*lead, targets[chosen])] += x[(*lead, sources[chosen])] * weights[chosen].reshape(-1, *trail)
    return y


def _occurrence(targets: np.ndarray) -> np.ndarray:
    """How often each value has occurred before, in its order of appearance."""
    order = np.argsort(targets, kind="stable")
    ordered = targets[order]
    turn = np.empty_like(order)
    turn[order] = np.arange(targets.size) - np.searchsorted(ordered, ordered)
    return turn
