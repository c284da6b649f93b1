"""What the allocator of the process does with freed memory."""

from __future__ import annotations

from operator import index

import numpy as np

LEAST, MOST = 1 << 17, 31 << 20
"""Within glibc's own limits for the size that it learns, which with its headers is below 32 MB."""


def keep_freed_memory(nbytes: int = 1 << 24) -> None:
    """Let arrays of up to `nbytes` reuse freed memory, where Python runs on glibc, as on most Linux.

    glibc asks the system for large blocks one by one, and gives back what is free at the end of its heap, both beyond a
    size that follows the largest block ever freed (`M_MMAP_THRESHOLD` and twice that, `M_TRIM_THRESHOLD`). A training step
    of eager calls, which frees all it made, then faults on the same pages in every step. This allocates a block of `nbytes`
    and frees it untouched: from then on the process keeps up to 2 `nbytes` of free memory. Other allocators are not
    affected. It concerns every library in the process, and cannot be undone, so nothing calls it for you.

    Reference: "Memory Allocation Tunable Parameters" in the GNU C Library manual.

    Args:
        nbytes: the size of the largest arrays that a step allocates; from 128 KB to 31 MB.

    Raises:
        TypeError: if `nbytes` is not an integer.
        ValueError: if it is out of range.

    >>> import tinygrad_cnn as tg
    >>> tg.keep_freed_memory()
    """
    try:
        nbytes = index(nbytes)
    except TypeError:
        raise TypeError(f"keep_freed_memory: `nbytes` is {nbytes!r}; it must be an integer") from None
    if not LEAST <= nbytes <= MOST:
        raise ValueError(f"keep_freed_memory: `nbytes` is {nbytes}; it must be from {LEAST} to {MOST}")
    np.empty(nbytes, np.uint8)
