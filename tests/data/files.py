"""Writers of the formats that are read, straight from their descriptions."""

from __future__ import annotations

import struct
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from tinygrad_cnn.data import DataFileError

IDX = {"uint8": (0x08, "B"), "int8": (0x09, "b"), "int16": (0x0B, "h"), "int32": (0x0C, "i"), "float32": (0x0D, "f")}
IDX["float64"] = (0x0E, "d")


def idx(array: np.ndarray) -> bytes:
    code, letter = IDX[array.dtype.name]
    head = struct.pack(f">BBBB{array.ndim}I", 0, 0, code, array.ndim, *array.shape)
    return head + struct.pack(f">{array.size}{letter}", *array.ravel().tolist())


def cifar(images: np.ndarray, *labels: np.ndarray) -> bytes:
    records = zip(images, *labels, strict=True)
    return b"".join(bytes(int(label) for label in marks) + image.tobytes() for image, *marks in records)


def attempt(read: Callable[[Path], Any], path: Path) -> tuple[Any, int]:
    """What `read` makes of the file, or the DataFileError it raises, and the most bytes that were allocated at once."""
    tracemalloc.start()
    try:
        return read(path), tracemalloc.get_traced_memory()[1]
    except DataFileError as error:
        return error, tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
