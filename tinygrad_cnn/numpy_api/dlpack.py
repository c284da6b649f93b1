"""DLPack export: handing a Tensor's memory to another array library without a copy."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.lib import NumpyVersion

from ..core import tracing
from ..tensor import Tensor

VERSIONED = NumpyVersion(np.__version__) >= "2.1.0"
"""Whether NumPy supports version 1 of the protocol, which has flags for read-only memory and copies."""


def export(
    tensor: Tensor,
    *,
    stream: Any = None,
    max_version: tuple[int, int] | None = None,
    dl_device: tuple[int, int] | None = None,
    copy: bool | None = None,
) -> Any:
    """The capsule that ``Tensor.__dlpack__`` returns: the memory of a Tensor, flagged read-only if the protocol allows it.

    Version 1 of the protocol has a read-only flag; NumPy respects it, PyTorch ignores it. Older versions have no flag, and
    NumPy would refuse to export a read-only array, so the memory is exported writable. Arrays that a consumer may not
    support are copied unless copy=False: those with a negative stride (PyTorch crashes on one) or read-only memory.

    Raises:
        BufferError: if the Tensor requires a gradient, if a copy is needed but not allowed, for another device, or for a dtype
            that DLPack does not have.
    """
    if tensor.requires_grad:
        raise BufferError("__dlpack__: this Tensor requires a gradient, which would be lost; use t.detach()")
    if tracing.watchers:
        tracing.tracer().read(tensor)
    array, options = tensor._array, {"stream": stream, "dl_device": dl_device}
    versioned = VERSIONED and max_version is not None and max_version >= (1, 0)
    if any(stride < 0 for stride in array.strides) or not (versioned or array.flags.writeable):
        if copy is False:
            raise BufferError(
                "__dlpack__: the memory of this Tensor is reversed or read-only and cannot be shared; leave out copy=False"
            )
        array = array.copy()
    if not VERSIONED:
        if options.pop("dl_device") not in (None, array.__dlpack_device__()):
            raise BufferError("__dlpack__: NumPy can give this Tensor's memory to the CPU only; leave out dl_device")
        return (array.copy() if copy else array).__dlpack__(**options)
    if versioned and not copy:
        array = array.view()
        array.flags.writeable = False
    given = {"max_version": max_version, "copy": copy, **options}
    return array.__dlpack__(**{name: value for name, value in given.items() if value is not None})
