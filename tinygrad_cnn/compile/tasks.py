"""Calls of ops on fixed arrays as tasks, which are prepared once."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np

from ..core.graph import Op
from ..kernels.copies import flattened
from ..kernels.parallel import chunks
from .params import is_ours

COPIED_BYTES = 1 << 16
"""Up to this size, a saved value is copied to where calls read it: else they are prepared for the place where it lies."""

MADE_BYTES = 1 << 18
"""Up to this size, a result that its op cannot write into a given array is copied to where later calls read it: else these are
prepared in every run."""


def bound(
    op: Op, out: np.ndarray, inputs: Sequence[Any], params: dict[str, Any], shared: dict[Any, Any] | None
) -> Callable[[], object] | None:
    """A task that computes an op of fixed arrays in `out`; None if the op's definition is better called.

    `shared` is what kernels keep for all tasks that read the first input.
    """
    if op.prepare is None and isinstance(op.raw, np.ufunc):
        given = (*as_arrays(op.raw, inputs, out), out)
        *arrays, target = flattened(*given) or given
        if 1 < target.size >= chunks.LARGE and all(
            isinstance(x, np.ndarray) and x.ndim in (0, target.ndim) for x in arrays
        ):
            return chunks.shared(partial(_fill, op.raw, params), out, target, *arrays)
        if op.raw in (np.maximum, np.minimum):  # NumPy 2.4 warns of a third position in these two
            return partial(op.raw, *arrays, out=target, **params)
        return partial(op.raw, *arrays, target, **params)
    task = None
    if op.prepare is not None:
        more = {"shared": {} if shared is None else shared} if op.shares else {}
        task = op.prepare(out, *inputs, **params, **more)
    if task is None and out.nbytes <= MADE_BYTES:
        # A kernel of ours chooses by the forms of its inputs: if it declines now, it will again.
        declines = op.prepare is None or (is_ours(op) and op.prepare(None, *inputs, **params) is None)
        task = partial(_copy_of, out, op.raw if declines else op.run, inputs, params)
    return task


def _fill(ufunc: np.ufunc, params: dict[str, Any], target: np.ndarray, *arrays: np.ndarray) -> None:
    ufunc(*arrays, out=target, **params)


def _copy_of(out: np.ndarray, function: Callable[..., Any], inputs: Sequence[Any], params: dict[str, Any]) -> None:
    y = np.asarray(function(*inputs, **params))
    if y.shape != out.shape:
        raise RuntimeError(f"compile: an op gave shape {y.shape}, and {out.shape} when it was recorded")
    np.copyto(out, y)


def as_arrays(ufunc: np.ufunc, inputs: Sequence[Any], out: np.ndarray) -> list[Any]:
    """The inputs of a ufunc, with Python numbers as arrays, which it takes faster, if the result keeps the same bits."""
    if all(isinstance(x, np.ndarray) for x in inputs):
        return list(inputs)
    dtypes = {x.dtype for x in (*inputs, out) if isinstance(x, np.ndarray)}
    if len(dtypes) > 1:
        dtypes.discard(np.dtype(bool))  # the result of a comparison
    if len(dtypes) != 1 or next(iter(dtypes)).kind != "f":
        return list(inputs)
    alike = next(iter(dtypes)).char * ufunc.nin
    if not any(form.startswith(f"{alike}->") for form in ufunc.types):  # as ldexp, which takes integers
        return list(inputs)
    return [np.array(x, *dtypes) if type(x) in (int, float) else x for x in inputs]


def is_dense(shape: Sequence[int], strides: Sequence[int], itemsize: int) -> bool:
    """Whether memory of this form has no gaps, in some order of its axes."""
    for stride, n in sorted(zip(strides, shape, strict=True)):
        if n > 1:
            if stride != itemsize:
                return False
            itemsize *= n
    return True
