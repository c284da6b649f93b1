"""The sizes from which kernels do something else, set for a while, so that a few elements go the way of many.

A test takes the fixture `tuning` and calls it: ``tuning(chunks, SMALL=1, LARGE=2)``. One whose body runs several times, as
those of Hypothesis do, opens :func:`tuned` for each run.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import ModuleType
from typing import Any

import pytest

from tinygrad_cnn.kernels.conv import cached_im2col
from tinygrad_cnn.kernels.parallel import workspace


@contextmanager
def tuned() -> Iterator[Callable[..., None]]:
    """A function that sets constants of a module, ``tune(module, NAME=value)``; at the end they are what they were."""
    with pytest.MonkeyPatch.context() as patch:

        def tune(module: ModuleType, **values: Any) -> None:
            for name, value in values.items():
                if not name.isupper():
                    raise ValueError(f"tune: `{name}` of {module.__name__} is no constant; those are in capitals")
                patch.setattr(module, name, value)
            forget()

        yield tune
    forget()


def forget() -> None:
    """Drop all that kernels have kept for later calls: it was made for the sizes that were set then."""
    for function in CACHED:
        function.cache_clear()
    workspace.forget()
    cached_im2col.forget()


CACHED: list[Any] = [
    value
    for name, module in list(sys.modules.items()) if name.startswith("tinygrad_cnn.kernels.")
    for value in vars(module).values() if hasattr(value, "cache_clear")
]  # fmt: skip
"""The functions of kernels that keep results, many of which depend on sizes."""
