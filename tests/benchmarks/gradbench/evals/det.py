"""The determinant by minors: those of the first r rows, from those of r - 1 rows, each computed once and all of a row at once.

A minor of r rows is known by its columns, in ascending order. Expanded along its last row it is the sum over its columns of a
sign, the element, and the minor without that column.
"""

from __future__ import annotations

from functools import cache
from itertools import combinations

import numpy as np

import tinygrad_cnn as tg

from ..function import Function


@cache
def minors(n):
    """For each number of rows r: the columns of the minors (minors, r), the places of the minors without each, and signs."""
    levels, places = [], {(): 0}
    for r in range(1, n + 1):
        sets = list(combinations(range(n), r))
        without = [[places[s[:k] + s[k + 1 :]] for k in range(r)] for s in sets]
        levels.append((np.array(sets), np.array(without), np.array([(-1.0) ** (r - 1 - k) for k in range(r)])))
        places = {s: i for i, s in enumerate(sets)}
    return levels


def primal(a):
    value, *rows = tg.unstack(a)
    for row, (columns, without, signs) in zip(rows, minors(a.shape[0])[1:], strict=True):
        value = (row[columns] * value[without]) @ signs
    return value[0]


def gradient(a):
    return tg.grad(primal)(a).reshape(-1)


def read(given):
    return (tg.Tensor(np.array(given["A"]).reshape(given["ell"], given["ell"])),)


FUNCTIONS = {"primal": Function(read, primal), "gradient": Function(read, gradient)}
