"""Large arrays in pieces, so that the intermediate results of an elementwise rule stay in the cache."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from ..kernels.parallel.threads import each
from ..kernels.parallel.workspace import scratch
from .hyperparameters import Array

PIECE = 49152
"""The most elements that a rule is given at once on one thread: few enough to stay in the cache through its dozen passes, and
enough to keep the calls of NumPy few."""

LONG = 300_000
"""The most elements that a rule is given at once where threads share the work: a thread that returns from a short NumPy call
waits for the interpreter, so short calls do not run side by side."""


def sweep(rule: Callable[..., object], p: Array, g: Array, *kept: Array) -> None:
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
