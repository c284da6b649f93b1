"""DLPack, by which array libraries hand memory to each other without a copy: what is given away."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.lib import NumpyVersion
from numpy.typing import NDArray

VERSIONED = NumpyVersion(np.__version__) >= "2.1.0"
"""Whether NumPy speaks version 1 of the protocol, which has flags for read-only memory and copies."""


def export(array: NDArray[Any], max_version: tuple[int, int] | None, copy: bool | None, **options: Any) -> Any:
    """What ``Tensor.__dlpack__`` does: a capsule for the memory of `array`, read-only where the consumer can be told.

    From version 1 of the protocol, a consumer is told; NumPy heeds it, PyTorch passes over it. Before, NumPy would refuse
    a read-only array, and it is given away as it is. What a consumer may not be able to take, a negative stride
    (PyTorch ends the process on one) or memory that must not be written, is copied unless copy=False.

    Raises:
        BufferError: if it could not be done without a copy, on another device, or for a dtype that DLPack does not have.
    """
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
