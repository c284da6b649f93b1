"""What the allocator of the process does with freed memory."""

from __future__ import annotations

import os
import sys
from functools import cache
from operator import index
from typing import Any

from .system import heap, limits_addresses
from .system import library as loaded

VARIABLE = "TINYGRAD_CNN_KEEP_FREED_MEMORY"
"""The environment variable with the number of bytes to keep; 0 for glibc's own rules."""

KEPT, MOST = 1 << 30, (1 << 31) - 1
"""Bytes kept by default, and at most: the parameter of glibc is an int."""

TRIM_THRESHOLD, MMAP_THRESHOLD, MMAP_MAX = -1, -3, -4
"""Parameters of mallopt, in malloc.h."""

INITIAL = {TRIM_THRESHOLD: 1 << 17, MMAP_THRESHOLD: 1 << 17, MMAP_MAX: 1 << 16}
"""Their initial values. Once mallopt was called, glibc does not adapt them to the program any more."""

HUGE, COLLAPSE = 14, 25
"""Advice of madvise, in mman.h: huge pages from now on; and at once, for what is there (Linux 6.1)."""

PAGE = 1 << 21
"""The size of a huge page."""

TOP_PAD = 1 << 17
"""Bytes by which the heap grows beyond what is asked for."""

HUGE_PAGES = "NUMPY_MADVISE_HUGEPAGE"
"""NumPy's environment variable: with 0, nobody asks for huge pages."""

LARGE = 1 << 15
"""Elements of a result for which freed memory is kept by default."""

_decided = False


def keep_freed_memory(nbytes: int = KEPT) -> None:
    """Keep up to `nbytes` of freed memory in the process, for the next arrays; 0 gives free memory back, now and from now on.

    A training step frees all that it made. glibc, the C library of most Linux systems, returns it to the system: large
    arrays at once, others as soon as the end of its heap is free. The next step gets the memory back as new pages, which the
    system fills with zeros one by one. Kept memory spares a step that. It lies in huge pages, where Linux has them: the heap
    gets addresses for `nbytes` at once, for which the system is asked for pages of 2 MiB, as NumPy does for single arrays from
    4 MiB on. A processor finds all of these in its table of pages, and not the 512 times as many of 4 KiB. No memory is taken
    before it is needed. The environment variable ``NUMPY_MADVISE_HUGEPAGE=0`` prevents that.

    The library calls this itself, once, in the first backward pass with a gradient of 32,768 or more elements, the first
    forward-mode walk or ``vmap`` that computes as many, or the first convolution or linear layer with so many results. To
    prevent that, call ``keep_freed_memory(0)`` before, or set the environment variable ``TINYGRAD_CNN_KEEP_FREED_MEMORY=0``;
    another number there is used for `nbytes`. It concerns every library in the process. Without glibc (macOS, Windows, musl)
    it does nothing.

    What it costs: after a large model was deleted, up to `nbytes` stay with the process until ``keep_freed_memory(0)``.

    Reference: "Memory Allocation Tunable Parameters" in the GNU C Library manual; "Transparent Hugepage Support" in the Linux
    kernel's documentation.

    Args:
        nbytes: from 0 to 2 GiB - 1.

    Raises:
        TypeError: if `nbytes` is not an integer.
        ValueError: if it is out of range.

    >>> import tinygrad_cnn as tg
    >>> tg.keep_freed_memory(0)
    """
    global _decided
    try:
        nbytes = index(nbytes)
    except TypeError:
        raise TypeError(f"keep_freed_memory: `nbytes` is {nbytes!r}; it must be an integer") from None
    if not 0 <= nbytes <= MOST:
        raise ValueError(f"keep_freed_memory: `nbytes` is {nbytes}; it must be from 0 to {MOST}")
    undecided, _decided = not _decided, True
    if (glibc := find_glibc()) is None or (undecided and not nbytes):
        return
    for parameter, value in ({TRIM_THRESHOLD: nbytes, MMAP_MAX: 0} if nbytes else INITIAL).items():
        glibc.mallopt(parameter, value)
    if not nbytes:
        glibc.malloc_trim(0)
    elif sys.platform == "linux" and sys.maxsize > MOST and os.environ.get(HUGE_PAGES) != "0":
        _use_huge_pages(glibc, nbytes)


def _use_huge_pages(glibc: Any, nbytes: int) -> None:
    """Let the heap grow to `nbytes`, and ask for huge pages there.

    What it grows by is free at its end, and smaller than what is kept there: it stays until it is given back.
    """
    if (found := heap()) is None:
        return
    start, end = found
    for advice in HUGE, COLLAPSE:  # where the system refuses, small pages stay
        glibc.madvise(start, end - start, advice)
    size = nbytes - (end - start) - TOP_PAD
    if size > 0 and not limits_addresses() and (memory := glibc.malloc(size)):
        first, last = -(-memory // PAGE) * PAGE, (memory + size) // PAGE * PAGE
        glibc.madvise(first, max(0, last - first), HUGE)
        glibc.free(memory)


def keep_by_default() -> None:
    """Call :func:`keep_freed_memory` once, with the number in the environment, if nobody has called it yet."""
    if not _decided:
        text = os.environ.get(VARIABLE) or str(KEPT)
        if not text.isdecimal():
            raise ValueError(f"the environment variable {VARIABLE} is {text!r}; it must be a number of bytes, or 0")
        keep_freed_memory(int(text))


def keep_for(size: int) -> None:
    """:func:`keep_by_default` if a result has many elements: inference has no backward pass that would see to it."""
    if size >= LARGE:
        keep_by_default()


def give_back() -> None:
    """Give what is free now back to the system, once, but for the end of the heap."""
    if (glibc := find_glibc()) is not None:
        glibc.malloc_trim(MOST)


@cache
def find_glibc() -> Any:
    """The C library of the process if it is glibc, else None."""
    library = loaded(None)
    if not hasattr(library, "gnu_get_libc_version"):
        return None
    from ctypes import c_int, c_size_t, c_void_p

    library.malloc.argtypes, library.malloc.restype = [c_size_t], c_void_p
    library.free.argtypes = [c_void_p]
    library.malloc_trim.argtypes = [c_size_t]
    library.madvise.argtypes = [c_void_p, c_size_t, c_int]
    return library
