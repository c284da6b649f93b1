"""Half the sum of squares of sign(t) less a polynomial in t, at n points t from -1 to 1."""

from __future__ import annotations

import numpy as np

import tinygrad_cnn as tg

from ..function import Function


def primal(x, n):
    t = np.linspace(-1, 1, n)
    rest = np.sign(t) - np.vander(t, x.shape[0], increasing=True) @ x
    return (rest * rest).sum() * 0.5


def read(given):
    return tg.Tensor(np.array(given["x"])), given["n"]


FUNCTIONS = {"primal": Function(read, primal), "gradient": Function(read, tg.grad(primal))}
