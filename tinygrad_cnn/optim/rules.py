"""Elementwise parts of update rules, in place."""

from functools import lru_cache
from typing import Any

import numpy as np

from ..checks import Options
from .hyperparameters import Array


@lru_cache(maxsize=1024)
def scalar(value: float, dtype: np.dtype[Any]) -> Array:
    """A number as an array without axes: ufuncs convert a Python float in every call, which takes as long again."""
    array = np.array(value, dtype)
    array.flags.writeable = False
    return array


def direction(p: Array, g: Array, group: Options, out: Array) -> Array:
    """d = g + weight_decay p, with -g in place of g to maximize: written to `out`, or g itself if there is nothing to do.

    A decoupled decay is left to :func:`decay`.
    """
    if group["weight_decay"] and not group.get("decoupled_weight_decay"):
        np.multiply(p, group["weight_decay"], out=out)
        (np.subtract if group["maximize"] else np.add)(out, g, out=out)
        return out
    if group["maximize"]:
        np.negative(g, out=out)
        return out
    return g


def decay(p: Array, group: Options) -> None:
    """p = (1 - lr weight_decay) p: a weight decay that does not pass through the averages of the gradient."""
    if group["weight_decay"]:
        p *= 1 - group["lr"] * group["weight_decay"]


def moving_average(mean: Array, beta: float, a: Array, out: Array, square: bool = False) -> None:
    """mean = beta mean + (1 - beta) a, or a^2 in place of a: an exponential moving average. `out` is scratch."""
    np.multiply(a, scalar(1 - beta, out.dtype), out)
    if square:
        np.multiply(out, a, out)
    np.multiply(mean, scalar(beta, mean.dtype), mean)
    np.add(mean, out, mean)
