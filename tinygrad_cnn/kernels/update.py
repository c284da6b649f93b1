"""Optimizers' updates of large parameters in cache-sized pieces, on several threads: a rule makes a dozen passes over each."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from ..ops import updates
from ..scope import silent
from .parallel.threads import each
from .parallel.workspace import scratch

LONG = 400_000
"""The most elements that a rule gets at once: three or four arrays of them stay in the L3 cache, from which NumPy reads nearly
as fast as from the L2 cache. In much smaller pieces NumPy's calls would be so short that threads mostly wait for the
interpreter lock, and preparing them would take longer."""


def in_pieces(rule: Callable[..., object], p: np.ndarray, g: np.ndarray, *kept: np.ndarray) -> None:
    """Call ``rule(p, g, *kept, t, u)`` on pieces of these arrays. It writes all but `g`, and may use t and u as scratch."""
    arrays = [p, g, *kept]

    def work(piece: Sequence[np.ndarray]) -> None:
        with silent:  # the error state is per thread
            rule(*piece, *(scratch(name, piece[0].shape, p.dtype) for name in ("step", "step 2")))

    if all(a.flags.c_contiguous for a in arrays) and not np.may_share_memory(p, g):
        flat = [a.reshape(-1) for a in arrays]
        count = max(1, -(-p.size // LONG))
        count += count % 2 if count > 1 else 0  # for two threads
        size = -(-p.size // count)  # pieces of nearly equal size
        each(work, [[a[i * size : (i + 1) * size] for a in flat] for i in range(count)])
        return
    access: Any = [["readwrite"], ["readonly"], *(["readwrite"] for _ in kept)]
    flags: Any = ["external_loop", "buffered", "copy_if_overlap", "zerosize_ok"]
    with np.nditer(arrays, flags=flags, op_flags=access, buffersize=updates.PIECE) as pieces:
        for piece in pieces:
            work(piece)
