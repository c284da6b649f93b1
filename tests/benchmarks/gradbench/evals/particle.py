"""A charged particle that is to cross the origin: where one of two charges must be, by derivatives within a derivative.

The force on the particle is a derivative of the potential; the best place of the charge is found by the derivative of where the
particle ends, in forward (f) or reverse mode (r), each.
"""

from __future__ import annotations

import numpy as np

import tinygrad_cnn as tg

from ..descent import argmin
from ..function import Function

STEP = 0.1


def potential(x, charges):
    d = charges - x
    return (1 / tg.sqrt((d * d).sum(axis=1))).sum()


def forward(f):
    """The gradient of f by derivatives along unit vectors."""

    def gradient(x, *others):
        _, push = tg.linearize(lambda x: f(x, *others), x)
        return tg.stack([push(tg.Tensor(unit)) for unit in np.eye(x.size)])

    return gradient


MODES = {"f": forward, "r": tg.grad}


def end(w, slope):
    """The square of the place where the particle crosses the axis."""
    charges = tg.stack([tg.stack([10 + 0 * w, 10 - w]), tg.Tensor(np.array([10.0, 0.0]))])
    x, v = tg.Tensor(np.array([0.0, 8.0])), tg.Tensor(np.array([0.75, 0.0]))
    while True:
        after = x + STEP * v
        if after[1].item() <= 0:
            crossing = x[0] - x[1] / v[1] * v[0]
            return crossing * crossing
        x, v = after, v - STEP * slope(x, charges)


def objective(inner):
    """What is minimized, as a function of w."""
    slope = MODES[inner](potential)
    return lambda w: end(w[0], slope)


def solved(outer, inner):
    f = objective(inner)
    return lambda start: argmin(f, MODES[outer](f), start)


def read(given):
    return (tg.Tensor(np.array([float(given["w"])])),)


def write(w):
    return w[0].item()


FUNCTIONS = {a + b: Function(read, solved(a, b), write) for a in "fr" for b in "fr"}
