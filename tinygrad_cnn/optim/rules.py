"""What update rules share: elementwise parts, in place, and the loop that applies a rule to large arrays in pieces."""

from collections.abc import Callable
from functools import lru_cache
from typing import Any

import numpy as np

from ..checks import Options
from .hyperparameters import Array

PIECE = 49152
"""The most elements that a rule is given at once on one thread: few enough to stay in the cache through its dozen passes, and
enough to keep the calls of NumPy few."""


@lru_cache(maxsize=1024)
def scalar(value: float, dtype: np.dtype[Any]) -> Array:
    """A number as an array without axes: ufuncs convert a Python float anew in every call, which takes as long again."""
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


def whole(rule: Callable[..., object], p: Array, g: Array, *kept: Array) -> None:
    """Call ``rule(p, g, *kept, t, u)``. It writes all but `g`, and may use t and u for scratch."""
    with np.errstate(all="ignore"):
        rule(p, g.copy() if np.may_share_memory(p, g) else g, *kept, np.empty_like(p), np.empty_like(p))


run: Callable[..., None] = whole
"""How a rule is applied to a large parameter: :func:`whole`, until a kernel takes its place."""
