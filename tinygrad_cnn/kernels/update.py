"""Updates of large parameters in cache-sized pieces, on several threads; a rule makes a dozen passes over each piece."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from ..ops import in_place
from .parallel.threads import each
from .parallel.workspace import scratch

LONG = 300_000
"""The most elements that a rule gets at once. In smaller pieces its NumPy calls would be so short that threads mostly wait for
the interpreter lock."""


def in_pieces(rule: Callable[..., object], p: np.ndarray, g: np.ndarray, *kept: np.ndarray) -> None:
    """Call ``rule(p, g, *kept, t, u)`` on pieces of these arrays. It writes all but `g`, and may use t and u as scratch."""
    arrays = [p, g, *kept]

    def work(piece: Sequence[np.ndarray]) -> None:
        with np.errstate(all="ignore"):  # the error state is per thread
            rule(*piece, *(scratch(name, piece[0].shape, p.dtype) for name in ("step", "step 2")))

    if all(a.flags.c_contiguous for a in arrays) and not np.may_share_memory(p, g):
        flat = [a.reshape(-1) for a in arrays]
        count = max(1, -(-p.size // LONG))
        size = -(-p.size // count)  # pieces of nearly equal size
        each(work, [[a[i * size : (i + 1) * size] for a in flat] for i in range(count)])
        return
    access: Any = [["readwrite"], ["readonly"], *(["readwrite"] for _ in kept)]
    flags: Any = ["external_loop", "buffered", "copy_if_overlap", "zerosize_ok"]
    with np.nditer(arrays, flags=flags, op_flags=access, buffersize=in_place.PIECE) as pieces:
        for piece in pieces:
            work(piece)
