"""y_0' = x_0 and y_i' = x_i y_(i-1), from y = 0 to time 2 in s steps of Runge and Kutta's method."""

from __future__ import annotations

import numpy as np

import tinygrad_cnn as tg

from ..function import Function

ONE = tg.ones(1, dtype=np.float64)


def primal(x, s):
    def slope(y):
        return x * tg.concatenate([ONE, y[:-1]])

    y, h = tg.zeros_like(x), 2 / s
    for _ in range(s):
        k1 = slope(y)
        k2 = slope(y + (h / 2) * k1)
        k3 = slope(y + (h / 2) * k2)
        k4 = slope(y + h * k3)
        y = y + (h / 6) * (k1 + 2 * (k2 + k3) + k4)
    return y


def last(x, s):
    return primal(x, s)[-1]


def read(given):
    return tg.Tensor(np.array(given["x"])), given["s"]


FUNCTIONS = {"primal": Function(read, primal), "gradient": Function(read, tg.compile(tg.grad(last)))}
