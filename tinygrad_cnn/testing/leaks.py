"""A check that a function leaves no graph nodes, Tensors or memory of arrays behind."""

import gc
import tracemalloc
from collections import Counter
from collections.abc import Callable
from typing import Any

import numpy as np

from ..core.node import Leaf, Node
from ..tensor import Tensor


def assert_no_leak(f: Callable[[], Any], warmup: int = 2) -> None:
    """Raise AssertionError if graph nodes, Tensors or memory of arrays outlive a call of f; it names the kinds and lines.

    The garbage collector is off meanwhile, so a reference cycle counts as a leak. The calls for warm-up let f fill caches
    and set gradients, which the measured call replaces.

    Args:
        f: called without arguments; its result is dropped.
        warmup: calls before the measured one.

    Raises:
        AssertionError: if more exists after the call than before it.
        ValueError: if `warmup` is negative.

    >>> import tinygrad_cnn as tg
    >>> from tinygrad_cnn.testing import assert_no_leak
    >>> x = tg.ones(3, requires_grad=True)
    >>> assert_no_leak(lambda: (x * x).sum().backward())
    """
    if warmup < 0:
        raise ValueError(f"assert_no_leak: `warmup` is {warmup}; it must be at least 0")
    was_enabled, was_tracing = gc.isenabled(), tracemalloc.is_tracing()
    gc.collect()
    gc.disable()
    if not was_tracing:
        tracemalloc.start()
    try:
        for _ in range(warmup):
            f()
        objects, memory = _objects(), _memory()
        f()
        more, grown = _objects() - objects, _memory() - memory
    finally:
        if not was_tracing:
            tracemalloc.stop()
        if was_enabled:
            gc.enable()
    if more or grown:
        lines = [f"{count} more {kind} than before" for kind, count in sorted(more.items())]
        lines += [f"{size} more bytes of arrays made at {place}" for place, size in grown.most_common(5)]
        raise AssertionError(
            f"assert_no_leak: after the call there are {'; '.join(lines)}. Something keeps them: a cycle, a list, or a "
            "result that was recorded and is still referred to"
        )


def _objects() -> Counter[str]:
    """The living objects of this library by type. Of other objects only the type is read: a proxy's attributes run code."""
    kinds = map(type, gc.get_objects())
    return Counter(kind.__name__ for kind in kinds if issubclass(kind, (Node, Leaf, Tensor)))


def _memory() -> Counter[str]:
    """Bytes of living arrays by the line that made them."""
    snapshot = tracemalloc.take_snapshot().filter_traces([
        tracemalloc.DomainFilter(inclusive=True, domain=np.lib.tracemalloc_domain),
    ])  # fmt: skip
    return Counter({str(s.traceback[0]): s.size for s in snapshot.statistics("lineno") if s.size})
