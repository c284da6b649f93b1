"""``vmap``'s call of a function: on one sample, and at the same time for a batch of samples (``sample.py``).

The function is called once, on the first sample. Each op that it calls is also computed for the whole batch, by its batching
rule, as if it were called outside of the function. So the batch is computed and recorded like any other computation.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import nullcontext
from typing import Any

from ..core.tracing import trace
from ..ops import replaced
from ..scope import silent
from ..tensor.tensor import Tensor
from .pytree import leaves, rebuild
from .sample import Assigned, Sample


def batch(f: Callable[..., Any], args: Any, axes: Sequence[int | None], n: int, **kwargs: Any) -> Any:
    """The result of f for n samples: a tree whose Tensors have the samples along their first axis.

    Args:
        args: the arguments of f. Leaves that are batched are Tensors with the samples along their first axis.
        axes: for each leaf None if all samples share it.
    """
    assigned: list[Assigned] = []
    result = _batch(f, args, axes, n, kwargs, assigned)
    if outside := [(t, array, node) for find, array, node in reversed(assigned) if (t := find()) is not None]:
        for t, array, node in outside:
            t._array, t._node = array, node
            replaced.come_back(t)
        raise ValueError(
            "vmap: the function assigns to a Tensor from outside, by `x[i] = v`, which cannot have the values of all samples; "
            "assign to a Tensor that the function makes, and return it"
        )
    return result


def _batch(
    f: Callable[..., Any], args: Any, axes: Sequence[int | None], n: int, kwargs: Any, assigned: list[Assigned]
) -> Any:
    values = [leaf for _, leaf in leaves(args)]
    for value in values:
        if replaced.left and isinstance(value, Tensor):
            replaced.check(value)
    sample = Sample(n, assigned)
    samples = [v if axis is None else sample.of(v) for v, axis in zip(values, axes, strict=True)]
    try:
        with (
            trace(sample),
            replaced.lent([s for s in samples if isinstance(s, Tensor)]),
            nullcontext() if n else silent,
        ):  # without samples, f computes with a stand-in
            result = f(*rebuild(args, samples), **kwargs)
        sample.restore()
        return rebuild(result, [sample.result(leaf) for _, leaf in leaves(result)])
    finally:
        sample.arrays.clear()  # else it would hold itself
