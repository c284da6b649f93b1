"""Updates of large parameters in pieces that stay in the cache through the dozen passes of a rule, by several threads."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from ..optim import rules
from .parallel.threads import each
from .parallel.workspace import scratch

LONG = 300_000
"""The most elements that a rule is given at once where threads share the work: a thread that returns from a short NumPy call
waits for the interpreter, so short calls do not run side by side."""


def in_pieces(rule: Callable[..., object], p: np.ndarray, g: np.ndarray, *kept: np.ndarray) -> None:
    """Call ``rule(p, g, *kept, t, u)`` on pieces of these arrays. It writes all but `g`, and may use t and u for scratch."""
    arrays = [p, g, *kept]

    def work(piece: Sequence[np.ndarray]) -> None:
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
    with np.nditer(arrays, flags=flags, op_flags=access, buffersize=rules.PIECE) as pieces:
        for piece in pieces:
            work(piece)
