"""Loading a state: every entry is checked before any is written."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..checks import copied, loadable
from ..tensor import Tensor


class IncompatibleKeys(NamedTuple):
    """The names that a loaded state lacks, and the names that it has and the module does not."""

    missing_keys: list[str]
    unexpected_keys: list[str]


def prepare(
    tensors: Mapping[str, Tensor], state: Any, owner: str, strict: bool, finite: bool
) -> Callable[[], IncompatibleKeys]:
    """Check `state` and return the function that writes it into `tensors`; a ValueError lists all faults."""
    faults, missing, unexpected = [], [], []
    if not isinstance(state, Mapping):
        faults, state = [f"the state is a {type(state).__name__}; it must be a dict of arrays by name"], {}
    else:
        missing = [name for name in tensors if name not in state]
        unexpected = [name for name in state if name not in tensors]
    if strict:
        faults += [f"{name!r} is missing" for name in missing] + [f"{name!r} is unexpected" for name in unexpected]
    arrays: dict[str, NDArray[Any]] = {}
    for name in tensors.keys() & state.keys():
        try:
            arrays[name] = _read(state[name], tensors[name], finite)
        except ValueError as error:
            faults.append(f"{name!r} {error}")
    loadable(owner, arrays, sorted(faults))

    def load() -> IncompatibleKeys:
        for name, array in arrays.items():
            tensors[name].copy_(array)
        return IncompatibleKeys(missing, unexpected)

    return load


def _read(value: Any, tensor: Tensor, finite: bool) -> NDArray[Any]:
    """A copy of `value`, which may share memory with a Tensor to be written, or a ValueError if it does not fit."""
    try:
        array = copied(value) if hasattr(value, "__array__") or hasattr(value, "__dlpack__") else np.array(value)
    except Exception as error:  # NumPy raises several types
        raise ValueError(f"is not an array: {error}") from None
    if array.shape != tensor.shape or array.dtype != tensor.dtype:
        fault = f"is {array.dtype} {array.shape}; it must be {tensor.dtype} {tensor.shape}"
        if array.shape == tensor.shape and {array.dtype.kind, tensor.dtype.kind} == {"f"}:
            fault += (
                f": convert it with astype(np.{tensor.dtype}), or first the module, with module.to(np.{array.dtype})"
            )
        raise ValueError(fault)
    if finite and array.dtype.kind in "fc" and not np.isfinite(array).all():
        wrong = np.argwhere(~np.isfinite(array))[0].tolist()
        raise ValueError(f"holds {array[tuple(wrong)]} at {tuple(wrong)}; it must be finite")
    if not tensor.is_leaf or not tensor._array.flags.writeable:
        raise ValueError("cannot be written here: the Tensor is the result of an op, or read-only")
    return array
