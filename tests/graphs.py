"""What tests look at that a Tensor does not show: the graph behind it, and the very array that it holds.

No public name gives these, on purpose: users have no use for nodes, and ``numpy()`` is a view, which outlives nothing. Only
this file reads Tensors' private attributes; tests of what graphs keep, and for how long, call it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import pytest

from tinygrad_cnn import Tensor
from tinygrad_cnn.compile import memory


def node_of(t: Tensor) -> Any:
    """The node that a Tensor comes from, its leaf, or None."""
    return t._node


def array_of(t: Tensor) -> np.ndarray:
    """The array that a Tensor holds, not a view of it. Looking is not seen by a tracer."""
    return t._array


def write(t: Tensor, values: Any) -> None:
    """Write into the array of a Tensor, as no user does."""
    t._array[...] = values


def programs_of(compiled: Any) -> list[Any]:
    """The prepared backward walks of a compiled function."""
    return compiled.walks.programs  # type: ignore[no-any-return]


def buffers_of(program: Any) -> dict[Any, Any]:
    """The buffers of the values of a prepared walk."""
    return program.plan.buffers


def placed(buffers: list[Any]) -> int:
    """The size of an arena for buffers, whose offsets are set."""
    return memory.place(buffers)


def nodes_behind(y: Tensor) -> list[Any]:
    """All nodes and leaves of a graph, from its end."""
    found, seen = [y._node], {y._node}
    for node in found:
        for parent in node.parents:
            if parent is not None and parent not in seen:
                seen.add(parent)
                found.append(parent)
    return found


@contextmanager
def counting_results() -> Iterator[Callable[[], int]]:
    """A function that says how many Tensors the library has made of arrays since; users' own way to make one fails."""
    made, of = [], Tensor._of
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Tensor, "__init__", lambda *_: pytest.fail("a Tensor was built"))
        patch.setattr(Tensor, "_of", staticmethod(lambda *args: (made.append(1), of(*args))[1]))
        yield lambda: len(made)
