"""y_0' = x_0 and y_i' = x_i y_(i-1), from y = 0 to time 2 in s steps of Runge and Kutta's method."""

from __future__ import annotations

import numpy as np

import tinygrad_cnn as tg

from ..function import Function


def primal(x, s):
    """The state begins with y_(-1) = 1, which has no slope, and whose x of 0 is also that of the last value's neighbour."""
    h = 2 / s
    half = tg.concatenate([tg.zeros(1, dtype=np.float64), (h / 2) * x])

    def slope(y):
        """Half a step long."""
        return half * tg.roll(y, 1)

    y = tg.Tensor(np.eye(1, x.size + 1)[0])
    for _ in range(s):
        k1 = slope(y)
        k2 = slope(y + k1)
        k3 = slope(y + k2)
        k4 = slope(y + 2 * k3)
        y = y + (k1 + 2 * (k2 + k3) + k4) * (1 / 3)
    return y[1:]


def last(x, s):
    return primal(x, s)[-1]


def read(given):
    return tg.Tensor(np.array(given["x"])), given["s"]


FUNCTIONS = {"primal": Function(read, primal), "gradient": Function(read, tg.compile(tg.grad(last)))}
