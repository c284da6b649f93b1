"""What update rules share: elementwise parts, in place, and the loop that applies a rule to large arrays in pieces."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Any

import numpy as np

from ..kernels.parallel.threads import each
from ..kernels.parallel.workspace import scratch
from .hyperparameters import Array, Options

PIECE = 49152
"""The most elements that a rule is given at once on one thread: few enough to stay in the cache through its dozen passes, and
enough to keep the calls of NumPy few."""

LONG = 300_000
"""The most elements that a rule is given at once where threads share the work: a thread that returns from a short NumPy call
waits for the interpreter, so short calls do not run side by side."""


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


def in_pieces(rule: Callable[..., object], p: Array, g: Array, *kept: Array) -> None:
    """Call ``rule(p, g, *kept, t, u)`` on pieces of these arrays. It writes all but `g`, and may use t and u for scratch."""
    arrays = [p, g, *kept]

    def work(piece: Sequence[Array]) -> None:
        with np.errstate(all="ignore"):  # each thread has its own
            rule(*piece, *(scratch(name, piece[0].shape, p.dtype) for name in ("step", "step 2")))

    if all(a.flags.c_contiguous for a in arrays) and not np.may_share_memory(p, g):
        flat = [a.reshape(-1) for a in arrays]
        count = max(1, -(-p.size // LONG))
        size = -(-p.size // count)  # pieces of nearly one size
        each(work, [[a[i * size : (i + 1) * size] for a in flat] for i in range(count)])
        return
    access: Any = [["readwrite"], ["readonly"], *(["readwrite"] for _ in kept)]
    flags: Any = ["external_loop", "buffered", "copy_if_overlap", "zerosize_ok"]
    with np.nditer(arrays, flags=flags, op_flags=access, buffersize=PIECE) as pieces:
        for piece in pieces:
            work(piece)
