"""How loops are compiled.

Each is a module-level function, which Numba caches in a file beside its source, and runs without the interpreter lock. Threads
and blocks are the library's own: Numba's parallel loops add up in another order for each number of threads.

Numba looks for changes only in the file of a loop, so helpers stand in the file of the loops that call them. After a change of
the instructions in ``vectors.py`` or ``pictures/bytes.py``, delete the files that it keeps.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, TypeAlias, TypeVar

import numba

F = TypeVar("F", bound=Callable[..., Any])

Number: TypeAlias = Any
"""A number, of a dtype that Numba infers."""

_loop: Any = functools.partial(
    numba.njit, cache=True, nogil=True, error_model="numpy", fastmath={"contract", "reassoc"}
)
_helper: Any = functools.partial(numba.njit, forceinline=True, error_model="numpy", fastmath={"contract"})


def loop(function: F) -> F:
    """Compile a loop over arrays: products may be fused with sums, and sums taken in another order, in vector registers."""
    return _loop()(function)  # type: ignore[no-any-return]


def exact(function: F) -> F:
    """Compile a loop over arrays in which each operation rounds, as NumPy's do."""
    return _loop(fastmath=False)(function)  # type: ignore[no-any-return]


def part(function: F) -> F:
    """Compile a loop over a row into the loops that call it for each row: a call would take as long as a short row."""
    return _loop(cache=False, forceinline=True)(function)  # type: ignore[no-any-return]


def helper(function: F) -> F:
    """Compile a function of numbers into the loops that call it: products may be fused with sums, but no sum is reordered."""
    return _helper()(function)  # type: ignore[no-any-return]


def exact_helper(function: F) -> F:
    """Compile a function of numbers into the loops that call it: each operation rounds."""
    return _helper(fastmath=False)(function)  # type: ignore[no-any-return]
