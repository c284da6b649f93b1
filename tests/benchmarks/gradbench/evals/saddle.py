"""A saddle point by descent: x that minimizes the largest f(x, y) = |x|^2 - |y|^2, the y of which is found by ascent.

The derivative in x passes through the ascent, in forward (f) or reverse mode (r); so does the derivative in y within it.
"""

from __future__ import annotations

import numpy as np

import tinygrad_cnn as tg

from ..descent import argmin
from ..function import Function
from .particle import MODES


def value(y, x):
    return (x * x).sum() - (y * y).sum()


def largest(inner, start):
    """The largest value, as a function of x."""
    slope = MODES[inner](value)

    def f(x):
        return value(argmin(lambda y: -value(y, x), lambda y: -slope(y, x), start), x)

    return f


def solved(outer, inner):
    def call(start):
        f, slope = largest(inner, start), MODES[outer](value)
        x = argmin(f, MODES[outer](f), start)
        return tg.concatenate([x, argmin(lambda y: -value(y, x), lambda y: -slope(y, x), start)])

    return call


def read(given):
    return (tg.Tensor(np.array(given["start"], np.float64)),)


FUNCTIONS = {a + b: Function(read, solved(a, b)) for a in "fr" for b in "fr"}
