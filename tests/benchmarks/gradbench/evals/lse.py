"""log sum e^x, from its parts: the maximum is subtracted first."""

from __future__ import annotations

import numpy as np

import tinygrad_cnn as tg

from ..function import Function


def primal(x):
    top = x.max()
    return top + tg.log(tg.exp(x - top).sum())


def read(given):
    return (tg.Tensor(np.array(given["x"])),)


FUNCTIONS = {"primal": Function(read, primal), "gradient": Function(read, tg.grad(primal))}
